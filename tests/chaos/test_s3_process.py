"""The S3 server of the chaos runs keeps what it has acknowledged, and refuses what it has no room for."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rasa_handoff.media.media_errors import MediaAway, MediaFull, MediaMissing
from rasa_handoff.media.media_store import MediaStore, new_id, open_media_store
from rasa_handoff.testing.ports import free_port
from tests.support.paths import ROOT
from tests.support.s3_server import BUCKET, CREDENTIALS
from tests.support.started_processes import Process

CONTENT = b"content" * 20_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def media_store(port: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MediaStore]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    async with open_media_store(f"s3://{BUCKET}/desk?endpoint_url=http://127.0.0.1:{port}&region=us-east-1") as store:
        yield store


def serving(port: int, folder: Path) -> Process:
    command = [sys.executable, "-m", "tests.chaos.s3_process", str(port), str(folder / "objects"), BUCKET]
    return Process(command, folder, f"http://127.0.0.1:{port}/", PYTHONPATH=str(ROOT))


async def content_of(media_store: MediaStore, id: str) -> bytes:
    return b"".join([piece async for piece in media_store.read(id)])


async def test_objects_outlive_a_kill(media_store: MediaStore, port: int, file: Path, tmp_path: Path) -> None:
    kept, removed = new_id(), new_id()
    async with serving(port, tmp_path) as process:
        for id in (kept, removed):
            await media_store.put(id, file)
        await media_store.delete(removed)
        process.kill()
        with pytest.raises(MediaAway):
            await media_store.put(new_id(), file)
    async with serving(port, tmp_path):
        assert await content_of(media_store, kept) == CONTENT
        with pytest.raises(MediaMissing):
            await content_of(media_store, removed)


async def test_what_there_is_no_room_for_is_refused(
    media_store: MediaStore, port: int, file: Path, tmp_path: Path
) -> None:
    async with serving(port, tmp_path):
        (tmp_path / "objects").rename(tmp_path / "aside")
        (tmp_path / "objects").write_bytes(os.urandom(1))  # nothing can be written there
        refused = new_id()
        with pytest.raises(MediaFull):
            await media_store.put(refused, file)
        with pytest.raises(MediaMissing):
            await content_of(media_store, refused)
