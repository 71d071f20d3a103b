"""A media store in a folder, which is its owner's alone. Several processes may share it, if it is on a disk that they share."""

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import IO, Final

from rasa_handoff.media.media_errors import MediaAway, MediaFull, MediaMissing
from rasa_handoff.media.media_store import PIECE, MediaStore, private

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_RIGHT: Final = "let the user of this process write there, or name another folder"
NO_FOLDER: Final = "name a folder that is there or can be made"
ADVICE: Final = {
    errno.EACCES: NO_RIGHT,
    errno.EPERM: NO_RIGHT,
    errno.EROFS: NO_RIGHT,
    errno.ENOENT: NO_FOLDER,
    errno.EEXIST: NO_FOLDER,
    errno.ENOTDIR: NO_FOLDER,
    errno.ENAMETOOLONG: NO_FOLDER,
}
"""What to do about an error of the disk that doesn't pass by itself."""
PROBE: Final = b"a file that shows that files can be kept here\n"


class FolderStore(MediaStore):
    """Files in folders by the first two characters of their ids, since a folder with very many files is slow on some systems."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.incoming = folder / "incoming"

    async def __aenter__(self) -> "FolderStore":
        await asyncio.to_thread(self.sweep_incoming)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close nothing: no file stays open."""

    def make_incoming(self) -> None:
        """Make the folders, when the first file comes."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self._folder, self.incoming):
            folder.mkdir(mode=0o700, exist_ok=True)

    def _path(self, id: str) -> Path:
        return self._folder / id[:2] / id

    async def probe(self) -> None:
        """Keep a small file, read it and delete it."""
        await asyncio.to_thread(self.probe_now)

    def probe_now(self) -> None:
        """Do so; blocks.

        Raises:
            MediaFull, MediaAway: as in :meth:`~rasa_handoff.media.media_store.MediaStore.probe`.
        """
        path = self.incoming / f"probe.{os.urandom(8).hex()}"
        try:
            self.make_incoming()
            try:
                with open(path, "xb", opener=private) as file:
                    file.write(PROBE)
                    file.flush()
                    os.fsync(file.fileno())
                if path.read_bytes() != PROBE:
                    raise OSError("What was written isn't read.")
            finally:
                path.unlink(missing_ok=True)
        except OSError as problem:
            raise as_media_error(problem) from problem

    async def put(self, id: str, file: Path) -> None:
        """Keep a copy of the file; it is on the disk when this returns, also after a power cut."""
        await asyncio.to_thread(self._put, id, file)

    def _put(self, id: str, file: Path) -> None:
        path, copy = self._path(id), self.incoming / f"{id}.{os.urandom(4).hex()}"
        try:
            self.make_incoming()
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with file.open("rb") as source, open(copy, "xb", opener=private) as target:
                shutil.copyfileobj(source, target, PIECE)
                target.flush()
                os.fsync(target.fileno())
            copy.replace(path)
            _sync_folder(path.parent)
        except OSError as problem:
            with contextlib.suppress(OSError):
                copy.unlink()
            raise as_media_error(problem) from problem

    async def read(self, id: str, first: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a file in pieces."""
        try:
            file = await asyncio.to_thread(self._open, id, first)
        except FileNotFoundError as problem:
            raise MediaMissing from problem
        except OSError as problem:
            raise MediaAway(str(problem)) from problem
        with file:
            left = length
            while left is None or left > 0:
                try:
                    piece = await asyncio.to_thread(file.read, PIECE if left is None else min(PIECE, left))
                except OSError as problem:
                    raise MediaAway(str(problem)) from problem
                if not piece:
                    return
                left = None if left is None else left - len(piece)
                yield piece

    def _open(self, id: str, first: int) -> IO[bytes]:
        file = self._path(id).open("rb")
        file.seek(first)
        return file

    async def delete(self, id: str) -> None:
        """Delete a file."""
        try:
            await asyncio.to_thread(self._path(id).unlink, missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as problem:
            raise MediaAway(str(problem)) from problem


def as_media_error(problem: OSError) -> MediaFull | MediaAway:
    """Return what an error of the disk means for who sends a file."""
    if problem.errno in NO_ROOM:
        return MediaFull(str(problem))
    return MediaAway(str(problem), ADVICE.get(problem.errno or 0, ""))


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some systems can't
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
