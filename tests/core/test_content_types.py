"""The type of a file by its content, its name, and how it is given out."""

import io
import zipfile

import pytest

from rasa_handoff.media.content_types import OCTETS, clean_name, download_headers, part_of, type_of
from rasa_handoff.protocol.message_parts import AudioPart, FilePart, ImagePart, Media, VideoPart

ACTIVE = {
    "HTML": b"<!DOCTYPE html><script>alert(1)</script>",
    "HTML after blanks": b"\n\n  <html><body onload=alert(1)>",
    "HTML after text": b"Dear customer,\n<script>alert(1)</script>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "XML": b'<?xml version="1.0"?><x:script xmlns:x="http://www.w3.org/1999/xhtml"/>',
    "HTML with a mark of its encoding": b"\xef\xbb\xbf<html>",
    "HTML in UTF-16": "<script>alert(1)</script>".encode("utf-16"),
    "HTML in UTF-7": b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-\x00",
    "an unknown one": b"\x7fELF\x02\x01\x01",
    "nothing": b"",
}
KNOWN = {
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/webp": b"RIFF\x00\x00\x00\x00WEBPVP8 ",
    "image/heic": b"\x00\x00\x00\x18ftypheic",
    "application/pdf": b"%PDF-1.7",
    "audio/ogg": b"OggS\x00\x02" + b"\0" * 20 + b"OpusHead",
    "audio/wav": b"RIFF\x00\x00\x00\x00WAVEfmt ",
    "audio/mpeg": b"ID3\x04",
    "audio/mp4": b"\x00\x00\x00\x18ftypM4A ",
    "audio/webm": b"\x1aE\xdf\xa3\x01\x00\x00\x00B\x82\x84webm" + b"\0" * 40 + b"A_OPUS",
    "video/webm": b"\x1aE\xdf\xa3\x01\x00\x00\x00B\x82\x84webm" + b"\0" * 40 + b"V_VP9A_OPUS",
    "video/mp4": b"\x00\x00\x00\x18ftypisom" + b"\0" * 40 + b"vide soun",
    "video/quicktime": b"\x00\x00\x00\x14ftypqt  ",
    "text/plain": "Ek't die boek nié ontvang < 5 dae gelede".encode(),
}


@pytest.mark.parametrize("name", ACTIVE)
def test_what_a_browser_could_run_has_no_type_of_its_own(name: str) -> None:
    assert type_of(ACTIVE[name], name="picture.jpg") == OCTETS


@pytest.mark.parametrize("type", KNOWN)
def test_the_type_is_found_by_the_content(type: str) -> None:
    assert type_of(KNOWN[type], name="page.html") == type


@pytest.mark.parametrize(
    ("inside", "type"), [("word/document.xml", "wordprocessingml.document"), ("xl/a.xml", "sheet")]
)
def test_an_office_file_is_known_from_another_archive(inside: str, type: str) -> None:
    def archive(*names: str) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as target:
            for name in names:
                target.writestr(name, "x")
        return packed.getvalue()

    assert type_of(archive("[Content_Types].xml", inside)).endswith(type)
    assert type_of(archive("index.html")) == "application/zip"


def test_a_sound_in_mp4_is_no_film() -> None:
    assert type_of(b"\x00\x00\x00\x18ftypmp42", b"moov hdlr soun") == "audio/mp4"


@pytest.mark.parametrize(
    ("given", "type", "expected"),
    [
        ("../../etc/passwd", OCTETS, "passwd"),
        ("C:\\photos\\dent.JPG", "image/jpeg", "dent.JPG"),
        ("page.html", "image/png", "page.html.png"),
        ("in‮gpj.exe", OCTETS, "ingpj.exe"),
        ("line\r\nSet-Cookie: x.pdf", "application/pdf", "lineSet-Cookie: x.pdf"),
        ("é" * 500 + ".pdf", "application/pdf", "é" * 146 + ".pdf"),
        ("..", OCTETS, None),
        (None, OCTETS, None),
        ("\ud83d.pdf", "application/pdf", "�.pdf"),
    ],
    ids=range(9),
)
def test_a_name_has_no_folders_and_no_hidden_characters(given: str | None, type: str, expected: str | None) -> None:
    assert clean_name(given, type) == expected


def test_only_what_is_harmless_is_shown_in_place() -> None:
    shown = {"image/png", "image/jpeg", "image/gif", "audio/ogg", "video/mp4"}
    for type in (*shown, "text/plain", "application/pdf", "image/svg+xml", "text/html", "image/heic", OCTETS):
        headers = download_headers(type, "x")
        assert headers["Content-Disposition"].startswith("inline" if type in shown else "attachment"), type
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("sandbox;")


def test_a_name_in_a_header_can_not_end_it() -> None:
    value = download_headers("application/pdf", 'a"; filename="b.html\r\n')["Content-Disposition"]
    assert value == "attachment; filename*=UTF-8''a%22%3B%20filename%3D%22b.html%0D%0A"


def test_a_part_is_of_the_kind_that_its_type_says() -> None:
    kinds = {
        "image/png": ImagePart,
        "audio/ogg": AudioPart,
        "video/mp4": VideoPart,
        "image/heic": FilePart,
        None: FilePart,
    }
    for type, kind in kinds.items():
        assert isinstance(part_of(Media(id="x", type=type)), kind)
