"""What importing ``rasa_handoff.testing`` changes in a process: ``python -m tests.support.process_state`` prints it as JSON.

Two objects: what importing its modules changed, and what :func:`change_on_purpose` did, to show that a change is seen.
"""

import ast
import asyncio
import gc
import importlib
import json
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.support.paths import PACKAGE

NAME: Final = "rasa_handoff.testing"
FILES: Final = sorted((PACKAGE / "testing").glob("*.py"))


def imported_by(path: Path) -> Iterator[str]:
    """Return the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def state() -> dict[str, Any]:
    """Return the process-wide settings of Python, and of the libraries under Rasa."""
    import sanic
    import structlog
    from rasa.core.processor import MessageProcessor
    from sanic.mixins.routes import RouteMixin
    from sanic.touchup.schemes.ode import OptionalDispatchEvent

    classes = (sanic.Sanic, RouteMixin, OptionalDispatchEvent, MessageProcessor)
    handled = [one for one in signal.valid_signals() if isinstance(one, signal.Signals)]
    return {
        "loggers": loggers(),
        "structlog": structlog.get_config(),
        "gc": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), gc.get_debug(), len(gc.callbacks)),
        "classes": {kind.__qualname__: dict(vars(kind)) for kind in classes},
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "signals": {one.name: signal.getsignal(one) for one in handled},
        "hooks": (sys.excepthook, sys.displayhook, threading.excepthook, sys.gettrace(), sys.getprofile()),
        "importing": (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "event loop": type(asyncio.get_event_loop_policy()),
        "folder": os.getcwd(),
    }


def loggers() -> dict[str, Any]:
    """Return what is set on each logger that has something set."""
    known = {"": logging.getLogger(), **logging.Logger.manager.loggerDict}
    return {
        name: (one.level, one.disabled, one.propagate, [repr(handler) for handler in one.handlers])
        for name, one in known.items()
        if isinstance(one, logging.Logger) and (one.level or one.handlers or one.disabled or not one.propagate)
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[str]]:
    """Return what differs, shown shortly."""
    return {
        key: [repr(before[key])[:300], repr(after[key])[:300]]
        for key in before
        if repr(before[key]) != repr(after[key])
    }


def change_on_purpose() -> None:
    """Change one thing of each kind that was once changed by an import, or could be."""
    import sanic

    sanic.Sanic.test_mode = True
    gc.freeze()
    os.environ["CHANGED_ON_PURPOSE"] = "yes"
    warnings.simplefilter("error")
    logging.getLogger("changed.on.purpose").setLevel(logging.DEBUG)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def main() -> None:
    """Compare the process before and after."""
    for path in FILES:  # what others change when they are imported isn't looked at here
        for name in imported_by(path):
            if not name.startswith(NAME):
                importlib.import_module(name)
    at_first = state()
    for path in FILES:
        importlib.import_module(NAME if path.stem == "__init__" else f"{NAME}.{path.stem}")
    imported = state()
    change_on_purpose()
    print(json.dumps([changes(at_first, imported), changes(imported, state())]))


if __name__ == "__main__":
    main()
