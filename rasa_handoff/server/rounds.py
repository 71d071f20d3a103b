"""What must be looked at every few seconds because nothing rings for it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from rasa_handoff.store.tasks import ended
from rasa_handoff.vocabulary.errors import Unreachable

log = logging.getLogger(__name__)

EVERY: Final = 5.0
"""Seconds between two rounds: a department added by the command, an expected wait, a session that ran out."""


class Rounds:
    """Goes round while it is entered: ``async with Rounds([...])``."""

    def __init__(self, looks: Sequence[Callable[[], Awaitable[object]]]) -> None:
        self._looks = looks
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Rounds":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        await ended(self._task)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            for look in self._looks:
                try:
                    await look()
                except Unreachable as problem:  # said once by the database
                    log.debug("A look failed: %s", problem)
                except Exception:
                    log.exception("A look failed; the next round is in %g s.", EVERY)
