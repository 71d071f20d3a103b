"""Ends a worker whose test hangs, and writes what hung: the stacks of all threads, and of all tasks of event loops."""

import asyncio
import faulthandler
import gc
import threading
import time
from typing import Final, TextIO

from rasa_handoff.store.tasks import waits_in

EVERY: Final = 2.0
"""Seconds between two looks."""


class HangWatch:
    """Watches one test after another. ``file``: where it writes. ``every``: seconds between two looks."""

    def __init__(self, file: TextIO, every: float = EVERY) -> None:
        self._file, self._every = file, every
        self._test, self._deadline = "", float("inf")
        threading.Thread(target=self._look, daemon=True, name="watch for tests that hang").start()

    def within(self, seconds: float, test: str) -> None:
        """End the process if this test isn't through after ``seconds``; replaces the last deadline."""
        self._test, self._deadline = test, time.monotonic() + seconds
        # faulthandler needs no interpreter that works. What it can't show, what a task waits for, is written before.
        faulthandler.dump_traceback_later(seconds + 2 * self._every, exit=True, file=self._file)

    def done(self) -> None:
        """Drop the deadline: the test is through."""
        self._deadline = float("inf")
        faulthandler.cancel_dump_traceback_later()

    def _look(self) -> None:
        while True:
            time.sleep(self._every)
            if time.monotonic() > self._deadline:
                self._deadline = float("inf")
                self._file.write(f"{self._test} hangs. Its tasks:\n")
                write_tasks(self._file)
                self._file.flush()


def write_tasks(file: TextIO) -> None:
    """Write the stack of each task that isn't done, of all event loops, in a process that is about to end."""
    gc.unfreeze()  # frozen objects aren't found, and a Rasa server of the tests freezes all at its end
    for task in [one for one in gc.get_objects() if isinstance(one, asyncio.Task) and not one.done()]:
        file.write(f"{task!r}\nwaits {waits_in(task)}\n")
