"""The files that the parts of a message name, and parts with other files in their place."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from rasa_handoff.protocol.message_parts import (
    AnyPart,
    AudioPart,
    CardPart,
    FilePart,
    ImagePart,
    Media,
    MediaPart,
    TextPart,
    VideoPart,
)

KINDS: Final[Mapping[type[MediaPart], str]] = {ImagePart: "image/", AudioPart: "audio/", VideoPart: "video/"}
"""Parts of one kind of file, by the beginning of its MIME type."""
EachMedia = Callable[[Media, str], Awaitable[Media | str]]
"""Takes a file, and the words for it; returns the file to put in its place, or the words."""


def media_of(part: AnyPart) -> Media | None:
    """Return the file that a part has; None if it has none."""
    if isinstance(part, MediaPart):
        return part.media
    return part.image if isinstance(part, CardPart) else None


def media_ids(parts: Iterable[AnyPart]) -> frozenset[str]:
    """Return the ids of the files that these parts name."""
    return frozenset(media.id for part in parts if (media := media_of(part)) is not None and media.id is not None)


def of_its_kind(part: MediaPart, media: Media) -> AnyPart:
    """Return the part of a stored file: what isn't of the kind that the part says is a file, whatever it is.

    One that stays elsewhere, whose type nobody has learnt, remains of its kind. A file of which its vendor has told nothing but
    where it is, is of the kind that it turns out to be.
    """
    if isinstance(part, FilePart) and part.media == Media(url=part.media.url):
        found: type[MediaPart] = next(
            (known for known, begin in KINDS.items() if (media.type or "").startswith(begin)), FilePart
        )
        return found(media=media)  # type: ignore[return-value]  # one of AnyPart
    kind = next((begin for known, begin in KINDS.items() if isinstance(part, known)), "")
    shown = media.type is None or media.type.startswith(kind)
    return replace(part, media=media) if shown else FilePart(media=media)  # type: ignore[return-value]  # one of AnyPart


async def with_each_media(parts: Sequence[AnyPart], each: EachMedia) -> tuple[AnyPart, ...]:
    """Return the parts with what ``each`` returns in the place of their files. A card without its picture keeps the rest."""
    found: list[AnyPart] = []
    for part in parts:
        if isinstance(part, MediaPart):
            got = await each(part.media, part.words)
            found.append(TextPart(text=got) if isinstance(got, str) else of_its_kind(part, got))
        elif isinstance(part, CardPart) and part.image is not None:
            got = await each(part.image, ImagePart(media=part.image).words)
            found.append(replace(part, image=None if isinstance(got, str) else got))
            if isinstance(got, str):
                found.append(TextPart(text=got))
        else:
            found.append(part)
    return tuple(found)
