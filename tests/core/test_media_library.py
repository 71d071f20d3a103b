"""A side's pictures and files: taken in within limits, cleaned, found by their conversation, and swept with it."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import exists, select
from sqlalchemy.engine import Connection

from rasa_handoff.media import folder_store, media_library
from rasa_handoff.media.media_errors import FULL, TOO_LARGE, TOO_MANY, MediaAway, MediaFull, MediaMissing, MediaRefused
from rasa_handoff.media.media_library import MediaLibrary
from rasa_handoff.media.media_store import new_id, open_media_store
from rasa_handoff.media.media_sweeper import MediaSweeper
from rasa_handoff.media.media_table import MediaOwner
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.media_limits import MediaLimits, read_media_limits
from rasa_handoff.relay import repository
from rasa_handoff.relay.repository import RelayStore
from tests.support.photos import MARKER, photo

THABO = MediaOwner(conversation_id="thabo")
LERATO = MediaOwner(conversation_id="lerato")
TABLE = repository.media
PDF = b"%PDF-1.7\n" + b"x" * 990


class Hour:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Side:
    """A library over the relay's database and a folder."""

    def __init__(self, store: RelayStore, folder: Path, limits: MediaLimits) -> None:
        self.clock, self.folder, self.store = Hour(), folder, store
        self.media_store = open_media_store(str(folder))
        self.library = MediaLibrary(store, TABLE, self.media_store, limits, self.clock)
        in_use = exists().where(repository.handoffs.c.conversation_id == TABLE.table.c.conversation_id)
        self.sweeper = MediaSweeper(self.library, store, in_use, 30 * 86_400, self.clock)

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    async def content(self, id: str, *which: Any) -> bytes:
        found = await self.library.find(id)
        return b"".join([piece async for piece in self.library.read(found, *which)])


@pytest.fixture
def limits() -> MediaLimits:
    return MediaLimits()


@pytest.fixture
async def side(store: RelayStore, tmp_path: Path, limits: MediaLimits) -> AsyncIterator[Side]:
    one = Side(store, tmp_path / "media", limits)
    async with one.library:
        yield one


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1_000_000):
        yield content[start : start + 1_000_000]


@pytest.mark.every_database
async def test_a_file_is_kept_as_it_is_and_found_by_its_conversation(side: Side) -> None:
    kept = await side.library.add(PDF, THABO, name="../invoice.pdf")
    assert (kept.name, kept.type, kept.size) == ("invoice.pdf", "application/pdf", len(PDF))
    assert await side.content(kept.id) == PDF
    assert await side.content(kept.id, 9, 3) == b"xxx"
    other = await side.library.add(PDF, LERATO)
    assert set(await side.library.find_all(THABO, [kept.id, other.id, "nonsense"])) == {kept.id}
    assert await side.library.find_all(THABO, []) == {}


async def test_a_phones_photo_of_25_megabytes_is_upright_and_without_its_place(side: Side) -> None:
    content = photo((8160, 6120), orientation=6, bytes_at_least=25_000_000)
    assert len(content) >= 25_000_000
    kept = await side.library.add(in_pieces(content), THABO, name="IMG_1.jpg")
    written = await side.content(kept.id)
    assert (kept.type, kept.size) == ("image/jpeg", len(written))
    assert MARKER not in written
    with Image.open(io.BytesIO(written)) as picture:
        assert picture.size == (3060, 4080)
        assert not picture.getexif()
    assert [path.name for path in side.files()] == [kept.id]


async def test_what_has_come_from_the_other_side_stays_as_it_is_unless_its_type_is_another(side: Side) -> None:
    first = await side.library.add(photo((64, 48), orientation=6), THABO)
    content = await side.content(first.id)
    kept = await side.library.add(content, LERATO, is_clean=True)
    assert await side.content(kept.id) == content
    target = io.BytesIO()
    Image.new("RGB", (20, 20)).save(target, "BMP")
    assert (await side.library.add(target.getvalue(), LERATO, is_clean=True)).type == "image/png"


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"<html><script>alert(1)</script>", "photo.png"), (b"<svg onload='alert(1)'/>", "drawing.svg")],
)
async def test_html_and_svg_are_kept_as_bytes_to_be_saved(side: Side, content: bytes, name: str) -> None:
    kept = await side.library.add(content, THABO, name=name)
    assert (kept.type, kept.name) == ("application/octet-stream", name)


async def test_a_file_that_comes_twice_under_its_id_is_kept_once_and_by_one_conversation(side: Side) -> None:
    id = new_id()
    kept = await side.library.add(PDF, THABO, name="a.pdf", id=id)
    assert await side.library.add(b"other", THABO, name="b.pdf", id=id) == kept
    with pytest.raises(MediaRefused):
        await side.library.add(PDF, LERATO, id=id)
    for wrong in ("../../etc/passwd", "short", "x" * 65, ""):
        with pytest.raises(MediaRefused):
            await side.library.add(PDF, THABO, id=wrong)
        with pytest.raises(MediaMissing):
            await side.library.find(wrong)
    assert len(side.files()) == 1


@pytest.mark.parametrize("limits", [MediaLimits(file_bytes=999_000)])
async def test_a_file_that_is_too_large_is_refused_while_it_comes(side: Side) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100_000
            yield b"x" * 100_000

    with pytest.raises(MediaRefused, match=r"at most 0\.999 MB are taken") as refused:
        await side.library.add(endless(), THABO)
    assert refused.value.code == TOO_LARGE
    assert sent == 1_000_000
    assert side.files() == []


async def test_an_empty_file_is_refused(side: Side) -> None:
    with pytest.raises(MediaRefused, match="empty"):
        await side.library.add(b"", THABO)


@pytest.mark.parametrize("limits", [MediaLimits(conversation_bytes=2_500)])
async def test_a_conversation_has_a_limit(side: Side) -> None:
    await side.library.add(PDF, THABO)
    await side.library.add(PDF, THABO)
    with pytest.raises(MediaRefused, match="in words") as refused:
        await side.library.add(PDF, THABO)
    assert refused.value.code == TOO_MANY
    await side.library.add(PDF, LERATO)


@pytest.mark.parametrize("limits", [MediaLimits(day_bytes=2_500)])
async def test_a_day_has_a_limit(side: Side) -> None:
    await side.library.add(PDF, THABO)
    await side.library.add(PDF, LERATO)
    with pytest.raises(MediaRefused, match="tomorrow"):
        await side.library.add(PDF, MediaOwner(conversation_id="third"))
    side.clock.now += 86_401
    await side.library.add(PDF, THABO)


@pytest.mark.parametrize("limits", [MediaLimits(total_bytes=1_500)])
async def test_a_full_store_is_said_and_takes_files_again_when_others_are_gone(side: Side) -> None:
    await side.library.add(PDF, THABO)
    with pytest.raises(MediaFull, match="no room") as refused:
        await side.library.add(PDF, LERATO)
    assert refused.value.code == FULL
    await side.store.write(lambda connection: TABLE.drop(connection, "thabo"))
    assert await side.sweeper.sweep() == 1
    await side.library.add(PDF, LERATO)


async def test_a_disk_without_room_is_said_and_leaves_nothing(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(folder_store.shutil, "copyfileobj", full)
        with pytest.raises(MediaFull):
            await side.library.add(PDF, THABO)
    assert side.files() == []
    assert (await side.store.write(lambda connection: TABLE.use(connection, THABO, 0))).total == 0
    side.clock.now += 3_601  # until then the same file may come again
    await side.sweeper.sweep()
    assert await side.store.write(count) == 0
    await side.library.add(PDF, THABO)


def count(connection: Connection) -> int:
    return len(connection.execute(select(TABLE.table)).all())


@pytest.mark.every_database
async def test_a_file_that_could_not_be_stored_may_come_again_at_once(side: Side) -> None:
    """Under its id, as a relay brings it: before anything is swept, and while another attempt hangs."""
    id, put, hangs, ends = new_id(), side.media_store.put, asyncio.Event(), asyncio.Event()

    async def fails(id: str, file: Path) -> None:
        raise MediaAway

    async def hangs_and_fails(id: str, file: Path) -> None:
        hangs.set()
        await ends.wait()
        raise MediaAway

    side.media_store.put = fails  # type: ignore[method-assign]
    with pytest.raises(MediaAway):
        await side.library.add(PDF, THABO, id=id)
    side.media_store.put = hangs_and_fails  # type: ignore[method-assign]
    late = asyncio.create_task(side.library.add(PDF, THABO, id=id))
    await hangs.wait()
    side.media_store.put = put  # type: ignore[method-assign]
    assert (await side.library.add(PDF, THABO, id=id)).id == id
    ends.set()
    with pytest.raises(MediaAway):
        await late
    await side.sweeper.sweep()
    assert await side.content(id) == PDF


async def test_the_log_says_once_that_nothing_can_be_kept_and_what_to_do(
    side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    put = side.media_store.put

    async def fails(id: str, file: Path) -> None:
        raise MediaAway(f"NoSuchBucket, asked for {id}", "make the bucket")

    side.media_store.put = fails  # type: ignore[method-assign]
    for _ in range(3):
        with pytest.raises(MediaAway):
            await side.library.add(PDF, THABO)
    assert caplog.text.count("can't be used, and each file tries it again: make the bucket (NoSuchBucket") == 1
    side.media_store.put = put  # type: ignore[method-assign]
    await side.library.add(PDF, THABO)
    await side.library.add(PDF, THABO)
    assert caplog.text.count("can be used again") == 1


async def test_a_disk_that_fills_up_while_a_file_comes_is_said(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk doesn't take is tried once more when the file is closed."""

    def full(path: Any, *_: Any, **__: Any) -> Any:
        return open("/dev/full", "wb")

    monkeypatch.setattr(media_library, "open", full, raising=False)
    with pytest.raises(MediaFull):
        await side.library.add(PDF, THABO)


@pytest.mark.every_database
async def test_files_are_swept_with_their_conversation_and_unused_ones_after_a_time(side: Side) -> None:
    kept = await side.library.add(PDF, THABO, name="mine.pdf")
    used = await side.library.add(PDF, LERATO)
    await side.store.write(_handoff_of_lerato)
    assert await side.sweeper.sweep() == 0
    side.clock.now += 29 * 86_400
    assert await side.sweeper.sweep() == 0
    side.clock.now += 2 * 86_400
    assert await side.sweeper.sweep() == 1
    with pytest.raises(MediaMissing):
        await side.library.find(kept.id)
    assert await side.content(used.id) == PDF
    assert await side.store.write(lambda connection: TABLE.drop(connection, "lerato")) == 1
    (row,) = await side.store.write(lambda connection: connection.execute(select(TABLE.table)).all())
    assert (row.conversation_id, row.name) == ("", None)  # until the file is deleted
    with pytest.raises(MediaMissing):
        await side.library.find(used.id)
    assert await side.sweeper.sweep() == 1
    assert side.files() == []
    assert await side.store.write(count) == 0


def _handoff_of_lerato(connection: Connection) -> None:
    row = {"handoff_id": "h", "conversation_id": "lerato", "sent": 0, "offer": "{}", "started_at": 0.0}
    connection.execute(repository.handoffs.insert().values(**row))


async def test_what_came_only_half_is_swept_after_an_hour(side: Side) -> None:
    kept = await side.library.add(PDF, THABO)
    columns = TABLE.table.update().values(state="coming")
    await side.store.write(lambda connection: connection.execute(columns).rowcount)
    assert await side.sweeper.sweep() == 0
    with pytest.raises(MediaMissing):
        await side.library.find(kept.id)
    side.clock.now += 3_601
    assert await side.sweeper.sweep() == 1
    assert side.files() == []


async def test_a_conversation_that_is_forgotten_while_a_file_comes_has_it_not(side: Side) -> None:
    forgotten = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield PDF
        await forgotten.wait()

    await side.library.add(PDF, THABO)
    put = side.library._media_store.put

    async def put_late(id: str, file: Path) -> None:
        await put(id, file)
        await side.store.write(lambda connection: TABLE.drop(connection, "thabo"))

    side.library._media_store.put = put_late  # type: ignore[method-assign]
    coming = asyncio.ensure_future(side.library.add(slow(), THABO))
    forgotten.set()
    with pytest.raises(MediaMissing):
        await coming
    assert await side.sweeper.sweep() == 2
    assert side.files() == []


async def test_an_address_is_for_one_file_and_ends(side: Side) -> None:
    addresses = await side.library.addresses()
    id = new_id()
    query = dict(one.split("=") for one in addresses.query(id).split("&"))
    expires, signature = query["expires"], query["signature"]
    assert addresses.fits(id, expires, signature)
    for place in range(len(id)):
        other = id[:place] + ("A" if id[place] != "A" else "B") + id[place + 1 :]
        assert not addresses.fits(other, expires, signature)
    for place in range(len(signature)):
        other = signature[:place] + ("A" if signature[place] != "A" else "B") + signature[place + 1 :]
        assert not addresses.fits(id, expires, other)
    for other in (str(int(expires) + 1), f"0{expires}", f"+{expires}", f"{expires} ", "٣" + expires, "", None, 5):
        assert not addresses.fits(id, other, signature)
    for other in (None, "", signature + "=", signature[:-1], "é"):
        assert not addresses.fits(id, expires, other)
    side.clock.now = float(expires) - 0.5
    assert addresses.fits(id, expires, signature)
    side.clock.now = float(expires)
    assert not addresses.fits(id, expires, signature)


async def test_an_address_holds_after_a_restart_and_at_no_other_side(side: Side, tmp_path: Path) -> None:
    id = new_id()
    query = dict(one.split("=") for one in (await side.library.addresses()).query(id).split("&"))
    again = MediaLibrary(side.store, TABLE, open_media_store(str(tmp_path)), now=side.clock)
    assert (await again.addresses()).fits(id, query["expires"], query["signature"])
    url = f"sqlite:///{tmp_path}/other.db"
    async with RelayStore(url, repository.metadata, repository.SIDE, repository.SCHEMA) as other:
        elsewhere = MediaLibrary(other, TABLE, open_media_store(str(tmp_path)), now=side.clock)
        assert not (await elsewhere.addresses()).fits(id, query["expires"], query["signature"])


def test_limits_are_read_with_their_units() -> None:
    assert read_media_limits(["file_bytes=10M", "total_bytes=2G"]) == MediaLimits(
        file_bytes=10_000_000, total_bytes=2_000_000_000
    )
    for wrong in ("file_bytes", "file_bytes=0", "file_bytes=ten", "file_byte=1", "=", "day_bytes=-1", "day_bytes=٣"):
        with pytest.raises(SettingsError):
            read_media_limits([wrong])
