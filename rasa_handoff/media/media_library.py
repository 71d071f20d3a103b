"""The pictures and files of one side: taken in within limits, cleaned, kept by a media store, and given out.

What is known of a file is a row of the side's database; the file itself is in the media store.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from pathlib import Path
from typing import IO, Final, TypeVar

from sqlalchemy.engine import Connection

from rasa_handoff.media import pictures
from rasa_handoff.media.content_types import LOOKED_AT, PICTURES, clean_name, type_of
from rasa_handoff.media.folder_store import as_media_error
from rasa_handoff.media.media_errors import (
    DAMAGED,
    TOO_LARGE,
    TOO_MANY,
    MediaAway,
    MediaFull,
    MediaMissing,
    MediaRefused,
)
from rasa_handoff.media.media_store import MEDIA_ID, MediaStore, new_id, private
from rasa_handoff.media.media_table import KeptMedia, MediaOwner, MediaTable
from rasa_handoff.media.signed_addresses import SignedAddresses, signing_key_of
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.media_limits import MediaLimits
from rasa_handoff.store.engine import Store
from rasa_handoff.store.tasks import cancel_all

T = TypeVar("T")

log = get_log(__name__)

DAY: Final = 86_400.0
GATHERED: Final = 1_048_576
"""Bytes that are written to the disk at once."""
MOST_COMING: Final = 50
"""Files that may come at the same time, in one process; others wait."""
EMPTY: Final = "This file is empty. Please choose another one."
TAKEN: Final = "This name belongs to another file."
BUSY_CONVERSATION: Final = (
    "This conversation has as many pictures and files as it may have. Please describe it in words."
)
BUSY_DAY: Final = "Too many pictures and files came today. Please try again tomorrow, or describe it in words."


class MediaLibrary:
    """The library of a side. Entered while the database is open: ``async with library``."""

    def __init__(
        self,
        store: Store,
        table: MediaTable,
        media_store: MediaStore,
        limits: MediaLimits = MediaLimits(),  # noqa: B008 - immutable
        now: Callable[[], float] = time.time,
        tried_at_start: bool = False,
    ) -> None:
        """``tried_at_start``: whether the log is to say at the start if the media store can't be used."""
        self.limits, self.table = limits, table
        self._tried_at_start = tried_at_start
        self._trying: asyncio.Task[None] | None = None
        self._trouble: str | None = None
        """What was last said of a media store that can't be used; None if it can."""
        self._store, self._media_store, self._now = store, media_store, now
        self._addresses: SignedAddresses | None = None
        self._coming = asyncio.Semaphore(MOST_COMING)
        # One at a time, and the others wait outside of the threads, which everything shares that blocks.
        self._cleaning = asyncio.Semaphore(1)

    async def __aenter__(self) -> "MediaLibrary":
        await self._media_store.__aenter__()
        if self._tried_at_start:
            self._trying = asyncio.create_task(self._try())
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._trying is not None:
            await cancel_all(self._trying)
        await self._media_store.__aexit__(*exception)

    async def _try(self) -> None:
        with contextlib.suppress(MediaRefused):
            async with self._noting_trouble():
                await self._media_store.probe()

    @contextlib.asynccontextmanager
    async def _noting_trouble(self) -> AsyncIterator[None]:
        """Log once that the media store can't be used and what to do, and once that it can be used again."""
        try:
            yield
        except MediaAway as problem:
            advice = problem.advice or "look whether it can be reached"
            self._say_trouble(f"can't be used, and each file tries it again: {advice}", problem.reason)
            raise
        except MediaFull as problem:
            if problem.reason:
                self._say_trouble("is full, so pictures and files are refused: make room", problem.reason)
            raise
        if self._trouble is not None:
            self._trouble = None
            log.warning("The media store can be used again.")

    def _say_trouble(self, trouble: str, reason: str) -> None:
        if trouble != self._trouble:
            log.error("The media store %s (%s).", trouble, reason)
        self._trouble = trouble

    async def addresses(self) -> SignedAddresses:
        """Return what makes and checks the addresses of files."""
        if self._addresses is None:
            key = await self._store.write(signing_key_of(self._store))
            self._addresses = SignedAddresses(key, self.limits.address_seconds, self._now)
        return self._addresses

    async def add(
        self,
        content: AsyncIterator[bytes] | bytes,
        owner: MediaOwner,
        name: str | None = None,
        id: str | None = None,
        is_clean: bool = False,
        announced: int = 1,
    ) -> KeptMedia:
        """Keep a file, and return what is known of it; one that is kept already under this id is returned as it is.

        ``name``: as its sender named it. ``id``: the name it has at the other side. ``is_clean``: the other side has written the
        picture anew, so it stays as it is. ``announced``: the bytes that are said to come; what would be
        too much isn't read at all.

        Raises:
            MediaRefused: it is too large or damaged, there is too much, or no room for it; the sentence is for its sender.
            MediaAway: the media store can't be reached now.
        """
        id = new_id() if id is None else id
        if not MEDIA_ID.fullmatch(id):
            raise MediaRefused(DAMAGED, TAKEN)
        known = await self._store.write(lambda connection: self.table.find(connection, id))
        if known is not None:
            if known.owner != owner:
                raise MediaRefused(DAMAGED, TAKEN)
            return known
        await self._store.write(lambda connection: self._check(connection, owner, announced))
        async with self._noting_trouble(), self._coming, _coming_file(self._media_store) as coming:
            await self._receive(content, coming)
            return await self._keep(coming, owner, name, id, is_clean)

    def _check(self, connection: Connection, owner: MediaOwner, size: int) -> None:
        """Check that a file of this size may be added.

        Raises:
            MediaRefused: it is too large, or there is too much already.
        """
        limits = self.limits
        self.check_size(size)
        use = self.table.use(connection, owner, self._now() - DAY)
        if use.conversation + size > limits.conversation_bytes:
            raise MediaRefused(TOO_MANY, BUSY_CONVERSATION)
        if use.since + size > limits.day_bytes:
            raise MediaRefused(TOO_MANY, BUSY_DAY)
        if limits.total_bytes is not None and use.total + size > limits.total_bytes:
            raise MediaFull

    def check_size(self, size: int) -> None:
        """Check a size that was announced.

        Raises:
            MediaRefused: it is too large.
        """
        if size > self.limits.file_bytes:
            shown = f"{self.limits.file_bytes / 1_000_000:g} MB"
            raise MediaRefused(
                TOO_LARGE, f"This file is too large: at most {shown} are taken. Please send a smaller one."
            )

    async def _receive(self, content: AsyncIterator[bytes] | bytes, coming: Path) -> None:
        """Write what comes into a file, as long as it isn't too much."""
        size, gathered = 0, bytearray()
        file = await _on_disk(lambda: open(coming, "xb", opener=private))  # noqa: SIM115 - closed below
        try:
            async for piece in _pieces(content):
                size += len(piece)
                self.check_size(size)
                gathered += piece
                if len(gathered) >= GATHERED:
                    await _write(file, gathered)
            await _write(file, gathered)
        finally:
            with contextlib.suppress(OSError):  # what a full disk didn't take is written once more
                file.close()
        if size == 0:
            raise MediaRefused(DAMAGED, EMPTY)

    async def _keep(self, coming: Path, owner: MediaOwner, name: str | None, id: str, is_clean: bool) -> KeptMedia:
        async with self._cleaning:
            file, type = await _on_disk(lambda: _cleaned(coming, name, is_clean))
        size = await _on_disk(lambda: file.stat().st_size)
        kept = KeptMedia(id=id, owner=owner, name=clean_name(name, type), type=type, size=size, at=self._now())

        def begin(connection: Connection) -> None:
            self._check(connection, owner, size)
            self.table.begin(connection, kept)

        await self._store.write(begin)
        try:
            await self._media_store.put(id, file)
        except BaseException:
            with contextlib.suppress(Exception):
                await self._store.write(lambda connection: self.table.fail(connection, id))
            raise
        if not await self._store.write(lambda connection: self.table.finish(connection, id)):
            raise MediaMissing
        return kept

    async def find(self, id: str) -> KeptMedia:
        """Return what is known of a file.

        Raises:
            MediaMissing: there is none.
        """
        found = None
        if MEDIA_ID.fullmatch(id):
            found = await self._store.write(lambda connection: self.table.find(connection, id))
        if found is None:
            raise MediaMissing
        return found

    async def find_all(self, owner: MediaOwner, ids: Collection[str]) -> dict[str, KeptMedia]:
        """Return those of these files that this conversation has, by their ids."""
        return await self._store.write(lambda connection: self.table.find_all(connection, owner, ids))

    def read(self, kept: KeptMedia, first: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield a file in pieces, ``length`` bytes from the one with number ``first`` on.

        Raises:
            MediaMissing: it isn't there any more.
            MediaAway: the media store can't be reached now.
        """
        return self._media_store.read(kept.id, first, length)

    async def sweep_incoming(self) -> None:
        """Delete what was still coming to a process that was killed."""
        await asyncio.to_thread(self._media_store.sweep_incoming)

    async def sweep(self, ids: Collection[str]) -> None:
        """Delete files from the media store, and then their rows.

        Raises:
            MediaAway: the media store can't be reached now.
        """
        for id in ids:
            await self._media_store.delete(id)
        await self._store.write(lambda connection: self.table.remove(connection, list(ids)))


@contextlib.asynccontextmanager
async def _coming_file(media_store: MediaStore) -> AsyncIterator[Path]:
    """Give the path of a file that doesn't exist yet; it and what begins with its name are deleted at the end."""
    path = media_store.incoming / f"rasa-handoff-{uuid.uuid4().hex}"
    try:
        await _on_disk(media_store.make_incoming)
        yield path
    finally:
        for one in (path, _cleaned_beside(path)):
            with contextlib.suppress(OSError):
                one.unlink()


def _cleaned_beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.cleaned")


def _cleaned(coming: Path, name: str | None, is_clean: bool) -> tuple[Path, str]:
    """Return the file to keep, and its type: a picture is written anew."""
    with coming.open("rb") as file:
        head = file.read(LOOKED_AT)
        size = coming.stat().st_size
        file.seek(max(LOOKED_AT, size - LOOKED_AT))
        type = type_of(head, file.read(), name)
    if type not in PICTURES or (is_clean and type in pictures.WRITTEN):
        return coming, type
    target = _cleaned_beside(coming)
    return target, pictures.clean(coming, target)


async def _on_disk(work: Callable[[], T]) -> T:
    """Run work with files in a thread.

    Raises:
        MediaFull: the disk has no room.
        MediaAway: it can't be used.
    """
    try:
        return await asyncio.to_thread(work)
    except OSError as problem:
        raise as_media_error(problem) from problem


async def _write(file: IO[bytes], gathered: bytearray) -> None:
    data = bytes(gathered)
    gathered.clear()
    await _on_disk(lambda: _write_out(file, data))


def _write_out(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()


async def _pieces(content: AsyncIterator[bytes] | bytes) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    async for piece in content:
        yield piece
