"""Pictures are written anew: upright, without metadata, and never too large to decode."""

import base64
import io
import stat
import struct
import zlib
from pathlib import Path
from typing import Final

import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from rasa_handoff.media import pictures
from rasa_handoff.media.content_types import type_of
from rasa_handoff.media.media_errors import DAMAGED, TOO_LARGE, MediaRefused
from tests.support.photos import MARKER, photo


def cleaned(tmp_path: Path, content: bytes) -> tuple[str, Image.Image]:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    type = pictures.clean(source, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600, "it is its owner's alone, wherever it comes"
    assert MARKER not in target.read_bytes()
    return type, Image.open(io.BytesIO(target.read_bytes()))


HEIC: Final = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAaFtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAA"
    "AAAERAAAIAAQAAAAABxQABAAAAAAAAAIQAAgAAAAACSQABAAAAAAAAALwAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVp"
    "bmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA4GlwcnAAAADAaXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGE"
    "ABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDCBBZbqSSmubgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAi"
    "QAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABgAAAAQAAAABBwaXhpAAAAAAMICAgAAAAJaXJvdAMAAAAYaXBtYQAAAAAAAAABAA"
    "EFgQIDBIUAAAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAUhtZGF0AAAAgCgBrwngx485dV///Rjf//wjTyH7XF1JBKf/1UKDv4VQ//7MxXUy"
    "4gheWAWAIbeQvbxhflEjorHp3SKppJI+FBVRF7778J8B8lFrFgSj8oHLxCZ2neM2pfw76n242eEkKcZtOynlg7VBrXJ9xn6aNt7dhlrZovhvVl"
    "1uYbIOV3yfAAAABkV4aWYAAE1NACoAAAAIAAQBDwACAAAABgAAAD4BEAACAAAACAAAAEQBEgADAAAAAQAGAACIJQAEAAAAAQAAAEwAAAAATWFr"
    "ZXIAUGhvbmUgNwAABAABAAIAAAACUwAAAAACAAUAAAADAAAAggADAAIAAAACRQAAAAAEAAUAAAADAAAAmgAAAAAAAAAhAAAAAQAAADcAAAABAA"
    "AAHQAAAAEAAAASAAAAAQAAABkAAAABAAAAGgAAAAE="
)
"""As an iPhone takes it: 96 by 64, held on its side, red on the left and blue on the right, with its device and place."""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright_and_has_no_metadata(tmp_path: Path, orientation: int) -> None:
    content = photo((64, 48), orientation=orientation)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    type, found = cleaned(tmp_path, content)
    assert type == "image/jpeg"
    assert found.size == upright.size
    assert not found.getexif()
    assert "icc_profile" not in found.info
    corner, expected = found.convert("RGB").getpixel((4, 4)), upright.convert("RGB").getpixel((4, 4))
    assert all(abs(one - other) < 40 for one, other in zip(corner, expected, strict=True))


def test_an_iphones_photo_becomes_an_upright_one_that_browsers_show_and_its_place_is_gone(tmp_path: Path) -> None:
    assert type_of(HEIC) == "image/heic"
    assert b"Phone 7" in HEIC
    type, found = cleaned(tmp_path, HEIC)
    assert (type, found.size) == ("image/jpeg", (64, 96))
    assert not found.getexif()
    top, bottom = found.getpixel((32, 8)), found.getpixel((32, 88))
    assert top[0] > 150 > top[2]
    assert bottom[2] > 150 > bottom[0]
    assert b"Phone 7" not in (tmp_path / "target").read_bytes()


def test_an_iphones_photo_that_is_cut_off_or_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for end in (40, 300, len(HEIC) - 60):
        with pytest.raises(MediaRefused) as refused:
            cleaned(tmp_path, HEIC[:end])
        assert refused.value.code == DAMAGED
    monkeypatch.setattr(pictures, "MOST_HEIC_PIXELS", 96 * 64 - 1)
    with pytest.raises(MediaRefused) as refused:
        cleaned(tmp_path, HEIC)
    assert refused.value.code == TOO_LARGE


def test_a_large_photo_is_made_smaller_and_keeps_its_shape(tmp_path: Path) -> None:
    type, found = cleaned(tmp_path, photo((8000, 6000), orientation=6))
    assert type == "image/jpeg"
    assert found.size == (3000, 4000)  # decoded at a half


def png(size: tuple[int, int], mode: str = "RGBA", **options: object) -> bytes:
    target = io.BytesIO()
    Image.new(mode, size).save(target, "PNG", **options)
    return target.getvalue()


def test_a_picture_with_transparency_stays_a_png_without_its_text(tmp_path: Path) -> None:
    notes = PngInfo()
    notes.add_text("Comment", MARKER.decode())
    type, found = cleaned(tmp_path, png((40, 30), pnginfo=notes))
    assert (type, found.mode) == ("image/png", "RGBA")


def test_what_follows_a_picture_is_not_kept(tmp_path: Path) -> None:
    cleaned(tmp_path, png((40, 30)) + b"<script>" + MARKER)
    cleaned(tmp_path, photo((40, 30)) + MARKER)


@pytest.mark.parametrize("format", ["WEBP", "BMP"])
def test_other_formats_become_what_every_channel_shows(tmp_path: Path, format: str) -> None:
    target = io.BytesIO()
    Image.open(io.BytesIO(photo((64, 48)))).save(target, format)
    type, found = cleaned(tmp_path, target.getvalue())
    assert type == "image/jpeg"
    assert found.size == (64, 48)


def gif(frames: int, size: tuple[int, int] = (20, 20)) -> bytes:
    target = io.BytesIO()
    pictures_of_it = [Image.new("RGB", size, (number * 20 % 256, 0, number % 256)) for number in range(frames)]
    pictures_of_it[0].save(
        target, "GIF", save_all=True, append_images=pictures_of_it[1:], duration=80, comment=MARKER.decode()
    )
    return target.getvalue()


def test_a_gif_keeps_its_movement(tmp_path: Path) -> None:
    type, found = cleaned(tmp_path, gif(5))
    assert type == "image/gif"
    assert found.n_frames == 5
    assert found.size == (20, 20)


def test_of_a_gif_with_too_many_frames_the_first_is_kept(tmp_path: Path) -> None:
    type, found = cleaned(tmp_path, gif(pictures.MOST_FRAMES + 2))
    assert (type, found.size) == ("image/png", (20, 20))


def test_a_photo_with_a_preview_behind_it_is_one_photo(tmp_path: Path) -> None:
    target = io.BytesIO()
    first, preview = Image.open(io.BytesIO(photo((64, 48)))), Image.open(io.BytesIO(photo((32, 24))))
    first.save(target, "MPO", save_all=True, append_images=[preview])
    assert Image.open(io.BytesIO(target.getvalue())).format == "MPO"
    type, found = cleaned(tmp_path, target.getvalue())
    assert (type, found.format, found.size) == ("image/jpeg", "JPEG", (64, 48))


def test_a_progressive_jpeg_has_the_limit_of_what_is_decoded_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MOST_PIXELS", 1_000)
    cleaned(tmp_path, photo((64, 48)))
    target = io.BytesIO()
    Image.open(io.BytesIO(photo((64, 48)))).save(target, "JPEG", progressive=True)
    with pytest.raises(MediaRefused, match="smaller one"):
        cleaned(tmp_path, target.getvalue())


def test_grey_of_16_bits_is_scaled(tmp_path: Path) -> None:
    target = io.BytesIO()
    Image.new("I;16", (30, 20), 0x8000).save(target, "PNG")
    _, found = cleaned(tmp_path, target.getvalue())
    assert found.convert("L").getpixel((3, 3)) == 128


def bomb(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes that says it has so many pixels, and has them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(30_000, 30_000), (2_000_000_000, 2), (7_000, 6_000)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(MediaRefused, match="smaller one") as refused:
        cleaned(tmp_path, bomb(*size))
    assert refused.value.code == TOO_LARGE


@pytest.mark.parametrize(
    "content",
    [
        photo((64, 48))[:400],
        png((40, 30))[:60],
        b"\x89PNG\r\n\x1a\n<script>",
        b"GIF89a",
        b"BM" + b"\xff" * 60,
        b"\xff\xd8\xff",
    ],
)
def test_what_can_not_be_decoded_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(MediaRefused, match="damaged") as refused:
        cleaned(tmp_path, content)
    assert refused.value.code == DAMAGED


def test_a_format_for_which_nobody_asked_is_not_decoded(tmp_path: Path) -> None:
    target = io.BytesIO()
    Image.new("RGB", (20, 20)).save(target, "TIFF")
    with pytest.raises(MediaRefused):
        cleaned(tmp_path, target.getvalue())
