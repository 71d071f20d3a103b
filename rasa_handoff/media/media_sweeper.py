"""Deletes pictures and files whose conversation was deleted, that no conversation uses, or that never came whole."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from rasa_handoff.media.media_library import MediaLibrary
from rasa_handoff.protocol.errors import StoreError, Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.store.engine import Store
from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.store.troubles import TROUBLES

log = get_log(__name__)

CHECK_SECONDS: Final = 5.0
"""Seconds between two looks for what is to be deleted; a look finds it by an index."""
UNUSED_SECONDS: Final = 3_600.0
"""Seconds between two looks for files that nothing uses."""
TOO_LONG: Final = 3_600.0
"""Seconds after which a file that was coming counts as left by a process that has ended."""


class MediaSweeper:
    """Sweeps while it is entered: ``async with MediaSweeper(...)``. Several processes of a side may sweep at the same time.

    ``in_use``: SQLAlchemy's condition on a row of the table, true while something uses its file. ``unused_seconds``: how long a
    file that nothing uses is kept: its message may still come.
    """

    def __init__(
        self,
        library: MediaLibrary,
        store: Store,
        in_use: Any,
        unused_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._library, self._store, self._in_use, self._now = library, store, in_use, now
        self._unused_seconds, self._next = unused_seconds, 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "MediaSweeper":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await cancel_all(self._task)

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except (Unreachable, StoreError, *TROUBLES) as problem:
                log.debug("Pictures and files can't be deleted now: %s", problem)
            except Exception:
                log.exception("Pictures and files can't be deleted; that is tried again later.")
            await asyncio.sleep(CHECK_SECONDS)

    async def sweep(self) -> int:
        """Delete what is to be deleted, and return how many files that were."""
        table, swept = self._library.table, 0
        if self._now() >= self._next:
            self._next = self._now() + UNUSED_SECONDS
            await self._library.sweep_incoming()
            before = self._now() - self._unused_seconds
            while await self._store.write(lambda connection: table.drop_unused(connection, before, self._in_use)):
                pass
        while ids := await self._store.write(lambda connection: table.gone(connection, self._now() - TOO_LONG)):
            await self._library.sweep(ids)
            swept += len(ids)
        return swept
