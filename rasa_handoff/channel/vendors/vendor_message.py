"""One message of a customer's as a vendor's request has it, and what the readers of requests share.

A vendor may send anything, so a reader reads tolerantly: a field may have any shape, and what can't be read isn't there. A reader
that fails leaves the request to Rasa's channel as it came.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from rasa.core.channels.channel import InputChannel

from rasa_handoff.protocol.limits import LONGEST_FIELD, LONGEST_MESSAGE
from rasa_handoff.protocol.message_parts import (
    LONGEST_ADDRESS,
    AnyPart,
    AudioPart,
    ContactPart,
    FilePart,
    ImagePart,
    LocationPart,
    Media,
    TextPart,
    VideoPart,
    in_words,
)
from rasa_handoff.protocol.text import valid

VendorFields = Mapping[str, Any]
AnyFile: TypeAlias = ImagePart | AudioPart | VideoPart | FilePart
KINDS: Final[Mapping[str, type[ImagePart | AudioPart | VideoPart]]] = {
    "image": ImagePart,
    "audio": AudioPart,
    "video": VideoPart,
}
"""Parts by the first half of a MIME type; anything else is a file."""


@dataclass(frozen=True)
class VendorMessage:
    """One message of a customer's.

    ``id``: the vendor's, the same one if it calls again. ``body``: the request's body as Rasa's channel gets it for this message;
    None: as it came. ``words``: its words for a person; None: the text that Rasa's channel makes of it. ``parts``: what it has
    beside words. ``for_person``: the bot doesn't get it, since Rasa's channel would drop it; a person reads it. ``is_change``: it
    tells of a change to an earlier message, which is news only for somebody who reads along.
    """

    id: Any = None
    body: VendorFields | None = None
    words: str | None = None
    parts: tuple[AnyPart, ...] = ()
    for_person: bool = False
    is_change: bool = False


ReadVendorMessages = Callable[[VendorFields, InputChannel], list[VendorMessage]]
"""Reads the messages in a request's body, in their order. A message that nobody is to hear of has a body that says nothing."""


def change(words: str, id: Any, body: VendorFields) -> VendorMessage:
    """Return what tells of a change to an earlier message."""
    return VendorMessage(id=id, body=body, words=words, for_person=True, is_change=True)


def edited(words: str) -> str:
    """Return the words of an edited message."""
    return f"[Edited: {words}]"


def unknown(kind: str) -> TextPart:
    """Return what stands for something that can't be shown.

    >>> unknown("dice").text
    '[Something that can only be seen in the customer\\'s app: dice]'
    """
    return TextPart(text=f"[Something that can only be seen in the customer's app: {kind[:LONGEST_FIELD]}]")


def words_of(parts: Iterable[AnyPart], words: str | None = None) -> str:
    """Return a message in words, never empty: Rasa's channels drop one without text."""
    text = (TextPart(text=words),) if words else ()
    return in_words([*text, *parts]) or "[a message without text]"


def file_part(kind: str | None, **known: Any) -> AnyFile:
    """Return the part for a file. ``kind``: its MIME type, or the word by which the vendor names what it is."""
    made: type[AnyFile] = KINDS.get((kind or "").partition("/")[0].lower(), FilePart)
    return made(media=media(type=kind if kind and "/" in kind else None, **known))


def media(**known: Any) -> Media:
    """Return where a file is and what is known of it, without what can't be: the vendor may have sent anything there."""
    longest = {"url": LONGEST_ADDRESS, "name": LONGEST_FIELD, "type": LONGEST_FIELD}
    found: dict[str, Any] = {name: text(known.get(name)) for name in longest}
    kept = {name: value[: longest[name]] for name, value in found.items() if value}
    if len(found["url"] or "") > LONGEST_ADDRESS:
        del kept["url"]  # half of an address leads nowhere
    size = known.get("size")
    known_size = int(size) if isinstance(size, int | str) and str(size).isdecimal() else None
    return Media(**kept, size=known_size)


def place(latitude: Any, longitude: Any, name: Any = None, address: Any = None) -> LocationPart | None:
    """Return a place; None if these are no degrees."""
    try:
        north, east = float(latitude), float(longitude)
    except (TypeError, ValueError):
        return None
    if not (math.isfinite(north) and math.isfinite(east) and abs(north) <= 90 and abs(east) <= 180):
        return None
    return LocationPart(latitude=north, longitude=east, name=short(name), address=short(address))


def contact(name: Any = None, phone: Any = None, email: Any = None) -> ContactPart:
    """Return somebody's contact."""
    return ContactPart(name=short(name), phone=short(phone), email=short(email))


def text(value: Any) -> str | None:
    """Return a text with something in it, made valid and no longer than a message may be; None for anything else."""
    return valid(value)[:LONGEST_MESSAGE] if isinstance(value, str) and value.strip() else None


def short(value: Any) -> str | None:
    """Return a text as a field takes it."""
    found = text(value)
    return found[:LONGEST_FIELD] if found else None


def fields(value: Any) -> VendorFields:
    """Return a mapping; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[VendorFields]:
    """Return the mappings in a list; none for anything else."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []
