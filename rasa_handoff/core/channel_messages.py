"""What is said to a customer as the messages of their channel, each of which the vendor takes as one.

What a channel can't show natively is said in words: a picture or a file by its name and address, choices as numbered lines, a
card as its text, picture and buttons. Texts that are too long are cut (``text_cutting.py``). The limits are those of
:mod:`~rasa_handoff.protocol.channel_capabilities`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from rasa_handoff.core.native_messages import (
    ChannelMessage,
    buttons_message,
    card_message,
    custom_message,
    file_message,
    image_message,
    type_of,
)
from rasa_handoff.core.text_cutting import cut
from rasa_handoff.protocol.channel_capabilities import ChannelCapabilities, ShownButtons, Takes
from rasa_handoff.protocol.message_parts import (
    AnyPart,
    AudioPart,
    ButtonsPart,
    CardPart,
    CustomPart,
    FilePart,
    ImagePart,
    Media,
    MediaPart,
    MessageButton,
    TextPart,
    VideoPart,
    in_words,
)
from rasa_handoff.protocol.text import in_paragraphs

AddressOf = Callable[[Media], str | None]
"""Returns the address at which a customer, or their vendor, finds a picture or file; None if there is none."""
Escape = Callable[[str], str]
"""Returns a text so that the channel shows it as it is."""

WITHOUT_TEXT: Final = "\u2026"
"""What buttons are shown with that come without a text: most vendors refuse them without one."""
PLAIN_FIELDS: Final = frozenset({"text", "buttons", "quick_replies"})
"""The fields of a message that is nothing but a text with choices."""
UNSEEN_FIELDS: Final = frozenset({"utter_action", "metadata"})
"""Fields that no channel shows."""
PLAIN_BUTTON: Final = frozenset({"title", "payload"})


class Piece(NamedTuple):
    """One message to the vendor. ``otherwise``: what is said in its place if the vendor refuses it; None: nothing is."""

    message: ChannelMessage
    otherwise: str | None = None


def address_elsewhere(media: Media) -> str | None:
    """Return the address of a picture or file that isn't stored here."""
    return media.url


def pieces_of(
    parts: Iterable[AnyPart],
    able: ChannelCapabilities,
    address_of: AddressOf = address_elsewhere,
    escape: Escape = str,
) -> list[Piece]:
    """Return a message with these parts as the messages of a channel, in order."""
    composed = _Composition(able, address_of, escape)
    for part in parts:
        composed.add(part)
    composed.end()
    return composed.pieces


def pieces_of_notice(message: ChannelMessage, able: ChannelCapabilities) -> list[Piece]:
    """Return a message of Rasa's as the messages of a channel: what the project wrote for it natively stays as it is."""
    shown = {name: value for name, value in message.items() if value and name not in UNSEEN_FIELDS}
    if shown.keys() <= PLAIN_FIELDS and _has_plain_buttons(shown):
        message = shown
        buttons = tuple(
            MessageButton(title=str(one["title"]), payload=str(one["payload"]))
            for one in (*message.get("buttons", ()), *message.get("quick_replies", ()))
        )
        asked = (ButtonsPart(buttons=buttons, quick="quick_replies" in message),) if buttons else ()
        composed = _Composition(able, address_elsewhere, str, is_notice=True)
        composed.add(TextPart(text=str(message.get("text") or "")))
        for part in asked:
            composed.add(part)
        composed.end()
        return composed.pieces
    text = message.get("text")
    if not isinstance(text, str) or able.longest_text is None or able.longest_text.fits(text):
        return [Piece(message)]
    *first, last = cut(text, able.longest_text.most, able.longest_text.of)
    return [*(Piece({"text": one}) for one in first), Piece({**message, "text": last})]


def _has_plain_buttons(message: Mapping[str, Any]) -> bool:
    listed = [message.get(name) or () for name in ("buttons", "quick_replies")]
    return all(
        isinstance(buttons, list | tuple)
        and all(isinstance(one, dict) and one.keys() == PLAIN_BUTTON and one["title"] for one in buttons)
        for buttons in listed
    )


def _fits(media: Media, largest: int | None) -> bool:
    return largest is None or (media.size or 0) <= largest


class _Composition:
    """The messages that a message's parts become, one part after the other.

    ``_said``: the words of the next one so far. ``_numbered``: how many choices there were. ``_is_notice``: nobody has said
    whether its buttons stay.
    """

    def __init__(
        self, able: ChannelCapabilities, address_of: AddressOf, escape: Escape, is_notice: bool = False
    ) -> None:
        self.pieces: list[Piece] = []
        self._able, self._address_of, self._escape = able, address_of, escape
        self._is_notice = is_notice
        self._said: list[str] = []
        self._numbered = 0

    def add(self, part: AnyPart) -> None:
        """Add the next part."""
        if isinstance(part, ImagePart):
            able = self._able.images is Takes.NATIVE and _fits(part.media, self._able.largest_image)
            self._media(part, able, image_message)
        elif isinstance(part, FilePart | AudioPart | VideoPart):
            able = self._able.files is Takes.NATIVE and _fits(part.media, self._able.largest_file)
            self._media(part, able, file_message)
        elif isinstance(part, ButtonsPart):
            self._buttons(part)
        elif isinstance(part, CardPart):
            self._card(part)
        elif isinstance(part, CustomPart) and self._able.custom:
            self.end()
            self.pieces.append(Piece(custom_message(self._able.name, part.json)))
        else:
            self._said.append(part.words)

    def end(self, buttons: Sequence[MessageButton] = (), quick: bool = False) -> None:
        """End the text with which the next messages begin; the last of them has the buttons."""
        text = "\n".join(words for words in self._said if words)
        self._said = []
        if not text and not buttons:
            return
        *first, last = self._texts(text or WITHOUT_TEXT)
        self.pieces += [Piece({"text": self._escape(one)}) for one in first]
        message: ChannelMessage = {"text": self._escape(last)}
        if buttons:
            stays = None if self._is_notice and not quick else quick
            message = buttons_message(self._able.name, message["text"], buttons, stays)
        self.pieces.append(Piece(message))

    def _texts(self, text: str) -> list[str]:
        """Return a text as its paragraphs, where the channel parts them, none of them longer than it takes."""
        text = in_paragraphs(text)
        paragraphs = text.split("\n\n") if self._able.paragraphs else [text]
        longest = self._able.longest_text
        if longest is None:
            return paragraphs
        return [
            piece
            for one in paragraphs
            for piece in cut(one, longest.most, lambda shown: longest.of(self._escape(shown)))
        ]

    def _media(self, part: MediaPart, able: bool, make: Callable[[str, Any, str], ChannelMessage]) -> None:
        """Add a picture or a file: natively by ``make`` if the channel is ``able``, else as a link or in words."""
        address = self._address_of(part.media)
        # A client of the project's own follows an address without a host, a vendor's server doesn't.
        schemes = ("http://", "https://", *(("/",) if self._able.own_client else ()))
        if self._able.images is Takes.WORDS:  # nobody listens to an address
            self._said.append(replace(part, media=replace(part.media, url=None)).words)
            return
        if address is None or not address.startswith(schemes):
            self._said.append(part.words)
            return
        link = f"{part.media.name}: {address}" if part.media.name else address
        if not able or not self._takes_type(part, address):
            self._said.append(link)
            return
        self.end()
        self.pieces.append(Piece(make(self._able.name, part, address), otherwise=self._escape(link)))

    def _takes_type(self, part: MediaPart, address: str) -> bool:
        """Return whether the channel takes a file of this type. A picture is one."""
        if not isinstance(part, FilePart | AudioPart | VideoPart):
            return True
        return type_of(part, address).startswith(self._able.file_types)

    def _buttons(self, part: ButtonsPart) -> None:
        """Add buttons: natively, or as numbered lines. What opens a page is a line with its address."""
        able = self._able
        choices = part.buttons
        if not able.custom:
            choices = tuple(button for button in part.buttons if not button.url)
            self._said += [f"{button.title}: {button.url}" for button in part.buttons if button.url]
        if not choices:
            return
        titles_fit = able.longest_title is None or all(able.longest_title.fits(one.title) for one in choices)
        too_many = able.most_buttons is not None and len(choices) > able.most_buttons
        if able.buttons is ShownButtons.NUMBERED or too_many or not titles_fit:
            first = self._numbered + 1  # as they are counted where the answer is understood
            self._said.append("\n".join(f"{place}. {one.title}" for place, one in enumerate(choices, start=first)))
            self._numbered += len(choices)
            return self.end()
        self._numbered += len(choices)
        self.end(choices, part.quick)

    def _card(self, part: CardPart) -> None:
        """Add a card: natively, or as its text, its picture and its buttons."""
        picture = self._address_of(part.image) if part.image is not None else None
        native = card_message(self._able.name, part, picture) if self._able.cards is Takes.NATIVE else None
        if native is not None:
            self.end()
            self.pieces.append(Piece(native, otherwise=self._escape(in_words([part]))))
            return
        if part.image is not None:
            self.add(ImagePart(media=part.image))
        self._said.append("\n".join(one for one in (part.title, part.subtitle) if one))
        if part.buttons:
            self.add(ButtonsPart(buttons=part.buttons))
