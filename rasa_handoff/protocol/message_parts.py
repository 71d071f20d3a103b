"""The parts of a message: text, pictures, files, places, contacts, buttons, cards, and JSON of the project's own.

A message that is only text has none: its ``text`` says all. Any other has its parts in the order in which they are read, and its
``text`` says them in words (:func:`in_words`), for a reader without pictures: a bot's NLU, a peer of protocol 1, Botlhale's
clients, a Tkinter window.
"""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Final, TypeAlias

import msgspec
from msgspec import Meta

from rasa_handoff.protocol.limits import LONGEST_FIELD, LONGEST_ID, LONGEST_MESSAGE

MOST_PARTS: Final = 20
"""Parts of one message; what goes beyond is told in words only."""
MOST_BUTTONS: Final = 50
"""Buttons of one part."""
LONGEST_PART: Final = 100_000
"""Bytes of one part as JSON; a larger one is told in words only."""
LONGEST_ADDRESS: Final = 2_000
"""Characters of an address."""
AT_VENDOR: Final = "vendor:"
"""How an address begins that only the channel's own side can fetch, by the vendor's id of the file: ``vendor:telegram/<id>``."""
ONLY_IN_WINDOW: Final = "[a message only the chat window can show]"
"""The words for JSON of the project's own that has no text."""

Field = Annotated[str, Meta(max_length=LONGEST_FIELD)]
LongText = Annotated[str, Meta(max_length=LONGEST_MESSAGE)]
Address = Annotated[str, Meta(max_length=LONGEST_ADDRESS)]


class _Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of everything here: what isn't known isn't written."""


class Media(_Value, frozen=True, kw_only=True):
    """Where a picture or file is, and what is known of it.

    ``id``: its name in the media stores of both sides. ``url``: its address elsewhere, if it isn't stored. ``name``: as its
    sender named it. ``type``: its MIME type, by its content once it is stored. ``size``: bytes.
    """

    id: Annotated[str, Meta(max_length=LONGEST_ID)] | None = None
    url: Address | None = None
    name: Field | None = None
    type: Field | None = None
    size: Annotated[int, Meta(ge=0)] | None = None

    @property
    def words(self) -> str:
        """Return its name and its address, as far as they are known; else its type."""
        address = None if self.url is None or self.url.startswith(AT_VENDOR) else self.url
        return " ".join(one for one in (self.name or (None if address else self.type or "a file"), address) if one)


class MessageButton(_Value, frozen=True, kw_only=True):
    """A button or quick reply.

    ``title``: what the customer reads. ``payload``: what pressing it sends; null: the title. ``url``: the page that it opens
    instead.
    """

    title: Field
    payload: LongText | None = None
    url: Address | None = None

    @property
    def meaning(self) -> str:
        """Return what pressing it sends."""
        return self.title if self.payload is None else self.payload


Buttons = Annotated[tuple[MessageButton, ...], Meta(max_length=MOST_BUTTONS)]


class Part(_Value, frozen=True, kw_only=True, tag_field="type"):
    """Base of the parts, which are told apart by ``type``."""

    @property
    def words(self) -> str:
        """Return the part in words; empty if there is nothing to read."""
        raise NotImplementedError


class TextPart(Part, frozen=True, kw_only=True, tag="text"):
    """Words. ``text``: as a person reads them."""

    text: LongText

    @property
    def words(self) -> str:
        """Return the text."""
        return self.text


class MediaPart(Part, frozen=True, kw_only=True):
    """Base of the parts that have a file. ``label``: what their words call it. ``media``: where it is."""

    label: ClassVar[str] = ""

    media: Media

    @property
    def words(self) -> str:
        """Return what kind of file it is, and which."""
        return f"[{self.label}: {self.media.words}]"


class ImagePart(MediaPart, frozen=True, kw_only=True, tag="image"):
    """A picture. ``media``: where it is."""

    label = "Image"


class FilePart(MediaPart, frozen=True, kw_only=True, tag="file"):
    """A file. ``media``: where it is."""

    label = "Attachment"


class AudioPart(MediaPart, frozen=True, kw_only=True, tag="audio"):
    """A voice note, or another recording. ``media``: where it is."""

    label = "Audio"


class VideoPart(MediaPart, frozen=True, kw_only=True, tag="video"):
    """A film. ``media``: where it is."""

    label = "Video"


class LocationPart(Part, frozen=True, kw_only=True, tag="location"):
    """A place. ``latitude``, ``longitude``: in degrees (WGS 84). ``name``, ``address``: as far as they are known."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    name: Field | None = None
    address: Field | None = None

    @property
    def words(self) -> str:
        """Return its name and address, and its degrees."""
        degrees = f"{self.latitude:g}, {self.longitude:g}"
        return f"[Location: {', '.join(one for one in (self.name, self.address, degrees) if one)}]"


class ContactPart(Part, frozen=True, kw_only=True, tag="contact"):
    """Somebody's contact. ``name``, ``phone``, ``email``: as far as they are known."""

    name: Field | None = None
    phone: Field | None = None
    email: Field | None = None

    @property
    def words(self) -> str:
        """Return what is known of them."""
        known = ", ".join(one for one in (self.name, self.phone, self.email) if one)
        return f"[Contact: {known or 'nothing is known'}]"


class ButtonsPart(Part, frozen=True, kw_only=True, tag="buttons"):
    """Buttons, of which the customer may choose one.

    ``buttons``: in their order. ``quick``: whether they vanish once one is chosen.
    """

    buttons: Buttons
    quick: bool = False

    @property
    def words(self) -> str:
        """Return their titles."""
        return " ".join(f"[{button.title}]" for button in self.buttons)


class CardPart(Part, frozen=True, kw_only=True, tag="card"):
    """A card. ``title``, ``subtitle``: its lines. ``image``: its picture. ``buttons``: in their order."""

    title: Field | None = None
    subtitle: Field | None = None
    image: Media | None = None
    buttons: Buttons = ()

    @property
    def words(self) -> str:
        """Return its lines, its picture and the titles of its buttons."""
        lines = ": ".join(one for one in (self.title, self.subtitle) if one)
        picture = ImagePart(media=self.image).words if self.image is not None else ""
        return " ".join(one for one in (lines, picture, ButtonsPart(buttons=self.buttons).words) if one)


class CustomPart(Part, frozen=True, kw_only=True, tag="custom"):
    """JSON of the project's own, which its front end knows. ``json``: as it is sent."""

    json: Any

    @property
    def words(self) -> str:
        """Return its text, if it has one."""
        text = self.json.get("text") if isinstance(self.json, dict) else None
        return str(text) if text else ONLY_IN_WINDOW


AnyPart: TypeAlias = (
    TextPart
    | ImagePart
    | FilePart
    | AudioPart
    | VideoPart
    | LocationPart
    | ContactPart
    | ButtonsPart
    | CardPart
    | CustomPart
)
"""A part of any type."""
Parts = Annotated[tuple[AnyPart, ...], Meta(max_length=MOST_PARTS)]
"""The parts of a message."""


def in_words(parts: Iterable[AnyPart]) -> str:
    """Return a message in words.

    >>> place = LocationPart(latitude=-33.92, longitude=18.42)
    >>> in_words([TextPart(text="Here:"), ImagePart(media=Media(name="dent.jpg")), place])
    'Here: [Image: dent.jpg] [Location: -33.92, 18.42]'
    """
    return " ".join(words for part in parts if (words := part.words))


def worth_keeping(parts: Sequence[AnyPart]) -> tuple[AnyPart, ...]:
    """Return the parts that a message has beside its words; none if they say all.

    What a peer couldn't read, and what goes beyond ``MOST_PARTS``, becomes a part of words: who shows parts shows all.
    """
    kept = [part if _can_be_read(part) else _said(part.words) for part in parts]
    if len(kept) > MOST_PARTS:
        kept[MOST_PARTS - 1 :] = [_said(in_words(kept[MOST_PARTS - 1 :]))]
    return () if all(isinstance(part, TextPart) for part in kept) else tuple(kept)


def read_parts(stored: Any) -> tuple[AnyPart, ...]:
    """Return parts that were stored as JSON-ready data; none of what can't be read, since the message's words say it."""
    listed = stored if isinstance(stored, list | tuple) else ()
    found = []
    for one in listed:
        with contextlib.suppress(msgspec.ValidationError):
            found.append(msgspec.convert(one, AnyPart))
    return tuple(found)


def size_of(parts: Sequence[AnyPart]) -> int:
    """Return the bytes that parts take in a payload; 0 for none."""
    return len(_encode(parts)) if parts else 0


def _said(words: str) -> TextPart:
    return TextPart(text=words if len(words) <= LONGEST_MESSAGE else f"{words[: LONGEST_MESSAGE - 1]}…")


def _can_be_read(part: AnyPart) -> bool:
    try:
        encoded = _encode(part)
        msgspec.json.decode(encoded, type=AnyPart)
    except (ValueError, TypeError, RecursionError, msgspec.MsgspecError):
        return False
    return len(encoded) <= LONGEST_PART


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)
