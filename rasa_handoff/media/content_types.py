"""The type of a file by its content, never by its name or by what its sender says; and how it is given out.

Only what is listed here has a type of its own. All else, and whatever a browser could run (HTML, SVG, XML, scripts), is
``application/octet-stream``. Nothing but pictures, sound and films is shown in place; anything else is only ever saved.
"""

import re
import unicodedata
from pathlib import Path
from typing import Final
from urllib.parse import quote

from rasa_handoff.protocol.message_parts import (
    AnyPart,
    AudioPart,
    FilePart,
    ImagePart,
    Media,
    MediaPart,
    VideoPart,
)
from rasa_handoff.protocol.text import valid_text

OCTETS: Final = "application/octet-stream"
LOOKED_AT: Final = 262_144
"""Bytes at the beginning and at the end that are looked at."""
LONGEST_NAME: Final = 150

_BEGINNINGS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"fLaC", "audio/flac"),
    (b"#!AMR", "audio/amr"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\x1f\x8b", "application/gzip"),
)
_IN_ZIP: Final[tuple[tuple[bytes, str], ...]] = (
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)
_OPEN_DOCUMENT: Final = re.compile(rb"mimetype(application/vnd\.oasis\.opendocument\.[a-z]{4,12})", re.ASCII)
_OLD_OFFICE: Final = {
    ".doc": "application/msword",
    ".xls": "application/vnd.ms-excel",
    ".ppt": "application/vnd.ms-powerpoint",
}
_HEIC: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})
_MARKUP: Final = re.compile(r"<\s*[a-z!?/]", re.IGNORECASE)

PICTURES: Final = frozenset(
    {"image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp", "image/avif", "image/heic"}
)
"""What is cleaned as a picture (``pictures.py``)."""
SHOWN: Final = re.compile(
    r"image/(jpeg|png|gif)|audio/(mpeg|aac|flac|amr|ogg|wav|mp4|webm)|video/(mp4|webm|ogg|quicktime|3gpp)"
)
"""What is shown or played in place."""
EXTENSIONS: Final = {
    "image/jpeg": (".jpg", ".jpeg"),
    "image/png": (".png",),
    "image/gif": (".gif",),
    "application/pdf": (".pdf",),
    "audio/mpeg": (".mp3", ".mpga"),
    "audio/aac": (".aac",),
    "audio/ogg": (".ogg", ".oga", ".opus"),
    "audio/wav": (".wav",),
    "audio/mp4": (".m4a", ".mp4"),
    "audio/webm": (".weba", ".webm"),
    "audio/amr": (".amr",),
    "audio/flac": (".flac",),
    "video/mp4": (".mp4", ".m4v"),
    "video/webm": (".webm",),
    "video/ogg": (".ogv", ".ogg"),
    "video/quicktime": (".mov", ".qt"),
    "video/3gpp": (".3gp",),
}
"""The endings that a name of this type may have; the first one is added to a name with another."""


def type_of(head: bytes, tail: bytes = b"", name: str | None = None) -> str:
    """Return the type of a file with this beginning and end.

    ``name``: tells Word, Excel and PowerPoint of before 2007 apart, which begin alike; nothing else.

    >>> type_of(b"%PDF-1.7 ...")
    'application/pdf'
    >>> type_of(b"<html><script>alert(1)</script>")
    'application/octet-stream'
    """
    if head.startswith(b"RIFF"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12], OCTETS)
    if head.startswith(b"OggS"):
        return "video/ogg" if b"theora" in head[:4096] else "audio/ogg"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return _type_of_webm(head)
    if head[4:8] == b"ftyp":
        return _type_of_mp4(head, tail)
    if head.startswith(b"PK\x03\x04"):
        return _type_of_zip(head, tail)
    found = next((kind for beginning, kind in _BEGINNINGS if head.startswith(beginning)), None)
    if found == "application/x-ole-storage":
        return _OLD_OFFICE.get(Path(name or "").suffix.lower(), OCTETS)
    return found or ("text/plain" if _is_plain_text(head) else OCTETS)


def _type_of_webm(head: bytes) -> str:
    if b"webm" not in head[:64]:
        return OCTETS
    return "video/webm" if any(codec in head for codec in (b"V_VP8", b"V_VP9", b"V_AV1")) else "audio/webm"


def _type_of_mp4(head: bytes, tail: bytes) -> str:
    brand = head[8:12]
    if brand == b"avif":
        return "image/avif"
    if brand in _HEIC:
        return "image/heic"
    if brand == b"qt  ":
        return "video/quicktime"
    if brand.startswith(b"M4A") or (b"soun" in head + tail and b"vide" not in head + tail):
        return "audio/mp4"
    return "video/3gpp" if brand.startswith(b"3g") else "video/mp4"


def _type_of_zip(head: bytes, tail: bytes) -> str:
    opened = _OPEN_DOCUMENT.search(head[:200])
    if opened:
        return opened[1].decode("ascii")
    if b"[Content_Types].xml" in head + tail:
        return next((kind for folder, kind in _IN_ZIP if folder in head + tail), "application/zip")
    return "application/zip"


def _is_plain_text(head: bytes) -> bool:
    """Return whether this is text that no browser takes for markup."""
    try:
        text = head[: LOOKED_AT - 4].decode("utf-8")
    except UnicodeDecodeError:
        return False
    controls = any(ord(one) < 32 and one not in "\t\r\n\f" for one in text)
    return bool(text) and not controls and not _MARKUP.search(text)


def part_of(media: Media) -> AnyPart:
    """Return the part that shows a file of this type: picture, sound, film, or a file to be saved.

    >>> part_of(Media(id="x", type="audio/ogg")).words
    '[Audio: audio/ogg]'
    """
    kinds: dict[str, type[MediaPart]] = {"image": ImagePart, "audio": AudioPart, "video": VideoPart}
    shown = media.type is not None and SHOWN.fullmatch(media.type)
    part: type[MediaPart] = kinds[str(media.type).partition("/")[0]] if shown else FilePart
    return part(media=media)  # type: ignore[return-value]  # each is one of AnyPart


def clean_name(name: str | None, type: str) -> str | None:
    """Return a file's name without folders, control characters and marks that turn writing around; None if nothing is left.

    Its ending says what it is, where that is known.

    >>> clean_name("C:\\\\photos\\\\../my dent.HEIC", "image/jpeg")
    'my dent.HEIC.jpg'
    """
    last = re.split(r"[/\\]", valid_text(name or ""))[-1]
    kept = "".join(one for one in last if unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    kept = " ".join(kept.split()).strip(". ")
    if not kept:
        return None
    endings = EXTENSIONS.get(type)
    ending = "" if endings is None or kept.lower().endswith(endings) else endings[0]
    stem, suffix = Path(kept).stem, Path(kept).suffix
    longest = LONGEST_NAME - len(ending)
    if len(kept) > longest:
        kept = stem[: max(1, longest - len(suffix))] + suffix[: longest - 1]
    return kept + ending


def download_headers(type: str, name: str | None) -> dict[str, str]:
    """Return the headers with which a file is given out: shown only if it is harmless, and never run.

    >>> download_headers("text/plain", "note.txt")["Content-Disposition"]
    "attachment; filename*=UTF-8''note.txt"
    """
    shown = SHOWN.fullmatch(type) is not None
    disposition = "inline" if shown else "attachment"
    if name:
        disposition += f"; filename*=UTF-8''{quote(name, safe='')}"
    return {
        "Content-Type": type,
        "Content-Disposition": disposition,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex",
    }
