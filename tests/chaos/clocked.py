"""Runs a module with a wall clock that can be moved: ``python -m tests.chaos.clocked FILE module ...``.

The seconds in FILE are added to ``time.time()``, which is what Rasa's sessions and the relay's timers read. (libfaketime would
move all clocks of the process; under it uvloop's timers come seconds late, fault or not.)
"""

import contextlib
import runpy
import sys
import time
from pathlib import Path

import skops.io  # type: ignore[import-untyped]  # noqa: F401 - before Rasa: tools/rasa_command.py

LOOKS_EVERY = 0.5


def main() -> None:
    """Move the clock, then run the module as ``python -m`` would."""
    _, file, module, *arguments = sys.argv
    _move(Path(file))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _move(file: Path) -> None:
    real = time.time
    offset, looked = 0.0, 0.0

    def moved() -> float:
        nonlocal offset, looked
        now = real()
        if now - looked > LOOKS_EVERY:
            looked = now
            with contextlib.suppress(OSError, ValueError):
                offset = float(file.read_text())
        return now + offset

    time.time = moved


if __name__ == "__main__":
    main()
