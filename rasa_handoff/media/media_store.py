"""Where the bytes of pictures and files are kept, by opaque names; what is known of them is in the side's database.

A store is a folder (``folder_store.py``) or a bucket of S3 (``s3_store.py``), chosen by one setting.
"""

import abc
import contextlib
import os
import re
import secrets
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.store.sqlite import file_of

MEDIA_ID: Final = re.compile(r"[A-Za-z0-9_-]{22,64}", re.ASCII)
"""An opaque name, safe in a path and an address: random, or a digest of what names the file elsewhere. It alone opens nothing."""
PIECE: Final = 65_536
"""Bytes that are read or written at once."""
LEFT_BEHIND: Final = 3_600.0
"""Seconds after which a file that was still coming counts as left behind by a process that was killed."""
S3: Final = "s3://"
NOWHERE: Final = "off"
"""The setting of a side that keeps no files."""


def new_id() -> str:
    """Return a new opaque name."""
    return secrets.token_urlsafe(24)


def private(path: str | Path, flags: int) -> int:
    """Open a file that is its owner's alone: an ``opener`` for :func:`open`."""
    return os.open(path, flags, 0o600)


class MediaStore(abc.ABC):
    """Keeps files by their ids. Entered while it is used: ``async with store``.

    ``incoming``: the folder for files that are still coming; on the disk of the store itself, where it has one.
    """

    incoming: Path

    @abc.abstractmethod
    async def __aenter__(self) -> "MediaStore":
        """Prepare the store; one that can't be reached now is no error yet."""

    @abc.abstractmethod
    async def __aexit__(self, *_: object) -> None:
        """Close what is open."""

    @abc.abstractmethod
    def make_incoming(self) -> None:
        """Make the folder for files that are still coming, if it isn't there. Blocks: call it in a thread."""

    def sweep_incoming(self) -> None:
        """Delete what was still coming to a process that was killed. Blocks: call it in a thread."""
        with contextlib.suppress(OSError):
            for left in self.incoming.iterdir():
                if left.lstat().st_mtime < time.time() - LEFT_BEHIND:
                    left.unlink()

    @abc.abstractmethod
    async def probe(self) -> None:
        """Keep a small file, read it and delete it, to learn whether the store can be used.

        Raises:
            MediaFull: there is no room.
            MediaAway: it can't be used now, or until somebody follows the ``advice``.
        """

    @abc.abstractmethod
    async def put(self, id: str, file: Path) -> None:
        """Keep a copy of this file, all of it or nothing; one that has the id already is replaced.

        Raises:
            MediaFull: there is no room for it.
            MediaAway: the store can't be reached now.
        """

    @abc.abstractmethod
    def read(self, id: str, first: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a file in pieces, ``length`` of them from the one with number ``first`` on.

        Raises:
            MediaMissing: there is no such file; before anything is yielded.
            MediaAway: the store can't be reached now.
        """

    @abc.abstractmethod
    async def delete(self, id: str) -> None:
        """Delete a file; nothing happens if there is none.

        Raises:
            MediaAway: the store can't be reached now.
        """


def open_media_store(where: str, hurried: bool = False) -> MediaStore:
    """Return the store: a bucket by ``s3://bucket/prefix``, else the folder of this path.

    ``hurried``: a person waits, so a bucket that doesn't answer soon is away.

    Raises:
        SettingsError: the address can't be used; one sentence.
    """
    if where.startswith(S3):
        from rasa_handoff.media.s3_store import S3Store

        return S3Store(where, hurried)
    if "://" in where:
        raise SettingsError(
            f"The media store {where!r} isn't known: write a folder, or s3://bucket/prefix for one that speaks S3."
        )
    from rasa_handoff.media.folder_store import FolderStore

    return FolderStore(Path(where))


def folder_beside(database: str) -> str | None:
    """Return the folder for media beside a SQLite file; None for another database, which has no place on this machine.

    >>> folder_beside("sqlite:///handoff.db")
    'handoff.media'
    """
    file = file_of(database)
    return None if file is None else str(file.with_suffix(".media"))
