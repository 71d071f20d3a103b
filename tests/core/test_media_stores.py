"""The media stores pass one contract: a folder, and a bucket of moto's server."""

import errno
import os
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.media.folder_store import FolderStore
from rasa_handoff.media.media_errors import MediaAway, MediaFull, MediaMissing
from rasa_handoff.media.media_store import MediaStore, folder_beside, new_id, open_media_store
from rasa_handoff.protocol.errors import SettingsError
from tests.support.s3_server import S3Server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(params=["folder", "S3"])
async def media_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MediaStore]:
    is_folder = request.param == "folder"
    where = str(tmp_path / "media") if is_folder else request.getfixturevalue("s3").address("handoff/media")
    async with open_media_store(where) as one:
        yield one


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 1_000)
    return path


@pytest.fixture
def other_file(tmp_path: Path) -> Path:
    path = tmp_path / "other"
    path.write_bytes(b"other")
    return path


async def all_of(store: MediaStore, id: str, *which: Any) -> bytes:
    return b"".join([piece async for piece in store.read(id, *which)])


async def test_what_is_put_is_read_whole_or_in_part_until_it_is_deleted(media_store: MediaStore, file: Path) -> None:
    id, content = new_id(), bytes(range(256)) * 1_000
    await media_store.put(id, file)
    await media_store.put(id, file)  # it is still there
    assert await all_of(media_store, id) == content
    assert await all_of(media_store, id, 1_000, 70_000) == content[1_000:71_000]
    assert await all_of(media_store, id, 255_999) == content[-1:]
    await media_store.delete(id)
    await media_store.delete(id)
    with pytest.raises(MediaMissing):
        await all_of(media_store, id)


async def test_a_second_copy_takes_the_place_of_the_first(
    media_store: MediaStore, file: Path, other_file: Path
) -> None:
    id = new_id()
    await media_store.put(id, file)
    await media_store.put(id, other_file)
    assert await all_of(media_store, id) == b"other"


async def test_an_id_that_nobody_has_is_missing(media_store: MediaStore) -> None:
    with pytest.raises(MediaMissing):
        await all_of(media_store, new_id())
    await media_store.delete(new_id())


async def test_a_folder_is_its_owners_alone_and_leaves_no_pieces(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "deep" / "media"
    async with FolderStore(folder) as store:
        await store.put("a" * 32, file)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "aa" / ("a" * 32)).stat().st_mode) == 0o600
        assert list(store.incoming.iterdir()) == []
        left = store.incoming / "left"
        left.write_bytes(b"half")
        os.utime(left, (1, 1))
    async with FolderStore(folder) as store:
        assert list(store.incoming.iterdir()) == []


async def test_what_was_coming_to_a_killed_process_is_deleted_in_time(
    media_store: MediaStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also at S3, whose files come to a folder of this user among the system's temporary ones."""
    monkeypatch.setattr(media_store, "incoming", tmp_path / "incoming")
    media_store.make_incoming()
    assert stat.S_IMODE(media_store.incoming.stat().st_mode) == 0o700
    left, coming = media_store.incoming / "left", media_store.incoming / "coming"
    for one in (left, coming):
        one.write_bytes(b"x")
    os.utime(left, (time.time() - 3_700,) * 2)
    media_store.sweep_incoming()
    assert list(media_store.incoming.iterdir()) == [coming]
    async with media_store:  # at each start
        os.utime(coming, (time.time() - 3_700,) * 2)
    async with media_store:
        assert list(media_store.incoming.iterdir()) == []


async def test_a_temporary_folder_that_others_can_enter_is_not_used(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with open_media_store(s3.address("handoff/media")) as store:
        store.incoming.mkdir(mode=0o777)
        store.incoming.chmod(0o777)
        with pytest.raises(PermissionError, match="this user alone"):
            store.make_incoming()
        store.incoming.rmdir()
        store.incoming.symlink_to(tmp_path)
        with pytest.raises(PermissionError, match="this user alone"):
            store.make_incoming()


async def test_a_store_is_tried_with_a_small_file_that_doesnt_stay(media_store: MediaStore, s3: S3Server) -> None:
    await media_store.probe()
    if isinstance(media_store, FolderStore):
        assert list(media_store.incoming.iterdir()) == []
    else:
        assert s3.keys("handoff/media/probe") == []


@pytest.mark.parametrize(
    ("where", "advice"),
    [
        ("/proc/nope/media", "name a folder that is there or can be made"),
        ("{tmp}/file", "name a folder that is there or can be made"),
        ("s3://no-such-bucket/x?endpoint_url={s3}", "make the bucket no-such-bucket, or name another one"),
        ("s3://bucket/x?endpoint_url=http://127.0.0.1:9", ""),
    ],
)
async def test_a_store_that_cant_be_used_says_what_to_do(
    tmp_path: Path, file: Path, s3: S3Server, where: str, advice: str
) -> None:
    async with open_media_store(where.format(tmp=tmp_path, s3=s3.url), hurried=True) as store:
        with pytest.raises(MediaAway) as away:
            await store.probe()
        with pytest.raises(MediaAway) as again:
            await store.put(new_id(), file)
    assert away.value.advice == again.value.advice == advice
    assert away.value.reason


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_told_from_one_that_is_away(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    async with FolderStore(tmp_path / "media") as store:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(number, "no")))
            with pytest.raises(MediaFull, match="in words"):
                await store.put(new_id(), file)
        assert [path for path in (tmp_path / "media").rglob("*") if path.is_file()] == []
    (tmp_path / "file2").write_text("")
    async with FolderStore(tmp_path / "file2" / "media") as store:
        with pytest.raises(MediaAway):
            await store.put(new_id(), file)


async def test_s3_that_is_away_refuses_or_is_full_is_told(s3: S3Server, file: Path) -> None:
    async with open_media_store("s3://bucket/x?endpoint_url=http://127.0.0.1:9") as store:
        with pytest.raises(MediaAway):
            await store.put(new_id(), file)
        with pytest.raises(MediaAway):
            await all_of(store, new_id())
    async with open_media_store(s3.address("x").replace("handoff-media", "no-such-bucket")) as store:
        with pytest.raises(MediaAway) as away:
            await store.put(new_id(), file)
    assert "NoSuchBucket" in away.value.reason


@pytest.mark.parametrize(
    "address",
    [
        "s3://",
        "s3://key:secret@bucket/x",
        "s3://bucket/x?acl=public",
        "s3://bucket?endpoint_url=nonsense",
        "gs://bucket",
        "s3://Bad_Bucket!/x",
    ],
)
def test_an_address_that_can_not_be_used_is_refused_in_a_sentence_without_secrets(address: str) -> None:
    with pytest.raises(SettingsError) as refused:
        open_media_store(address)
    assert "secret" not in str(refused.value)
    assert "s3://bucket/prefix" in str(refused.value)


def test_a_folder_stands_beside_a_file_only() -> None:
    assert folder_beside("sqlite:////var/lib/x/desk.db") == "/var/lib/x/desk.media"
    assert folder_beside("sqlite:///handoff.db?synchronous=FULL") == "handoff.media"
    assert folder_beside("postgresql://here/x") is None
    assert folder_beside("sqlite://") is None
