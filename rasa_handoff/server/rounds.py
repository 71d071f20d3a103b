"""What must be looked at every few seconds because nothing rings for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from rasa_handoff.store.tasks import ended
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.log_values import get_log

log = get_log(__name__)

EVERY: Final = 5.0
"""Seconds between two rounds: a department added by the command, an expected wait, a session that ran out."""


LOOK_EVERY: Final = 0.25
"""Seconds between two looks for what another process changed: a session that the command line ended, a revoked token."""


class Rounds:
    """Goes round while it is entered: ``async with Rounds([...])``."""

    def __init__(
        self, looks: Sequence[Callable[[], Awaitable[object]]], changes: Callable[[], Awaitable[str]] | None = None
    ) -> None:
        """``changes`` gives another text when another process changed something; then the round begins at once."""
        self._looks, self._changes, self._seen = looks, changes, ""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Rounds":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        await ended(self._task)

    async def _run(self) -> None:
        while True:
            await self._wait()
            for look in self._looks:
                try:
                    await look()
                except Unreachable as problem:  # said once by the database
                    log.debug("A look failed: %s", problem)
                except Exception:
                    log.exception("A look failed; the next round is in %g s.", EVERY)

    async def _wait(self) -> None:
        """Until the next round is due, or another process changed something."""
        due = time.monotonic() + EVERY
        while time.monotonic() < due:
            await asyncio.sleep(LOOK_EVERY)
            if self._changes is not None and await self._changed(self._changes):
                return

    async def _changed(self, changes: Callable[[], Awaitable[str]]) -> bool:
        try:
            now = await changes()
        except Exception as problem:  # the round itself says what is wrong
            log.debug("Looking for changes failed: %s", problem)
            return False
        before, self._seen = self._seen, now
        return now != before
