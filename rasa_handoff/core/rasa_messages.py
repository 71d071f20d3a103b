"""Rasa's messages and attachments as parts.

What a bot or a channel passes on is read tolerantly: a field may have any shape. What can't be read isn't there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from rasa_handoff.protocol.errors import MarkerError
from rasa_handoff.protocol.markers import read_directives, read_marker
from rasa_handoff.protocol.message_parts import (
    AnyPart,
    AudioPart,
    ButtonsPart,
    CardPart,
    CustomPart,
    FilePart,
    ImagePart,
    Media,
    MessageButton,
    TextPart,
    VideoPart,
    in_words,
)
from rasa_handoff.protocol.text import buttons_in, mappings, own_buttons
from rasa_handoff.protocol.values import ShownChoice

KINDS: Final[Mapping[str, type[ImagePart | AudioPart | VideoPart]]] = {
    "image": ImagePart,
    "audio": AudioPart,
    "video": VideoPart,
}
"""Parts by the first half of a MIME type, or by the word with which a platform names the kind; anything else is a file."""


# What the bot sends


def bot_parts(text: Any, data: Mapping[str, Any]) -> tuple[AnyPart, ...]:
    """Return a bot's message as parts. ``data``: everything beside its text, as in Rasa's ``BotUttered``.

    >>> [part.words for part in bot_parts("Which one?", {"buttons": [{"title": "Red", "payload": "/red"}, {"title": "Blue"}]})]
    ['Which one?', '[Red] [Blue]']
    """
    return tuple(_bot_parts(text, data))


def message_in_words(text: Any, data: Mapping[str, Any]) -> str:
    """Return a bot's message in words: its text, then a description of everything else.

    >>> message_in_words("Which one?", {"buttons": [{"title": "Red", "payload": "/red"}, {"title": "Blue"}]})
    'Which one? [Red] [Blue]'
    """
    return in_words(_bot_parts(text, data))


def _bot_parts(text: Any, data: Mapping[str, Any]) -> Iterator[AnyPart]:
    if text not in (None, ""):
        yield TextPart(text=str(text))
    for card in mappings(data.get("elements")):
        yield _card(card)
    if buttons := own_buttons(data):
        yield ButtonsPart(buttons=_buttons(buttons), quick=not buttons_in(data.get("buttons")))
    image, attachment = data.get("image"), data.get("attachment")
    if image:
        yield ImagePart(media=Media(url=str(image)))
    if attachment and attachment != image:  # Rasa stores an image as an attachment too
        yield from attachment_parts(attachment)
    if custom := _custom(data.get("custom")):
        yield custom


def _buttons(buttons: Iterable[Mapping[str, Any]]) -> tuple[MessageButton, ...]:
    return tuple(
        MessageButton(title=str(button["title"]), payload=_text(button.get("payload")), url=_text(button.get("url")))
        for button in buttons
    )


def _card(card: Mapping[str, Any]) -> CardPart:
    image = card.get("image_url")
    return CardPart(
        title=_text(card.get("title")),
        subtitle=_text(card.get("subtitle")),
        image=Media(url=str(image)) if image else None,
        buttons=_buttons(buttons_in(card.get("buttons"))),
    )


def _custom(custom: Any) -> CustomPart | None:
    """Return JSON of the project's own as a part; None for what is meant for this package."""
    try:
        if not custom or read_marker(custom) is not None or read_directives(custom):
            return None
    except MarkerError:
        return None
    return CustomPart(json=custom)


def _text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


# The choices among them


def choices_in(parts: Iterable[AnyPart]) -> tuple[ShownChoice, ...]:
    """Return the choices that a message shows, in the order in which they are numbered; what opens a page is none.

    >>> choices_in([ButtonsPart(buttons=(MessageButton(title="Red", payload="/red"), MessageButton(title="Blue")))])
    (ShownChoice(title='Red', payload='/red'), ShownChoice(title='Blue', payload='Blue'))
    """
    shown = (button for part in parts if isinstance(part, ButtonsPart | CardPart) for button in part.buttons)
    return tuple(ShownChoice(title=button.title, payload=button.meaning) for button in shown if not button.url)


# What customers send


def attachment_parts(attachments: Any) -> tuple[AnyPart, ...]:
    """Return the files that came with a customer's message, as their channel describes them.

    Microsoft Teams sends each text a second time as HTML, in an attachment without name and address: that is left out.

    >>> attachment_parts([{"contentType": "text/html", "content": "<p>Hi</p>"}, {"name": "a.pdf", "contentUrl": "https://x/a"}])
    (FilePart(media=Media(url='https://x/a', name='a.pdf')),)
    """
    files = attachments if isinstance(attachments, list | tuple) else [attachments]
    return tuple(part for file in files if (part := _file(file)) is not None)


def _file(file: Any) -> AnyPart | None:
    if not isinstance(file, Mapping):
        return FilePart(media=Media(url=str(file))) if isinstance(file, str | int) and file != "" else None
    inner = file.get("payload")  # Messenger has the address there
    holders = [file, inner] if isinstance(inner, Mapping) else [file]
    address = _first_text(holders, "contentUrl", "url", "file_url")
    name = _first_text(holders, "name", "title", "filename")
    kind = _first_text(holders, "contentType", "type")
    if name is None and address is None and kind is not None and kind.startswith("text/"):
        return None
    part: type[ImagePart | AudioPart | VideoPart | FilePart] = KINDS.get(
        (kind or "").partition("/")[0].lower(), FilePart
    )
    return part(media=Media(url=address, name=name, type=kind if kind and "/" in kind else None))


def _first_text(holders: Sequence[Mapping[str, Any]], *keys: str) -> str | None:
    found = (holder.get(key) for holder in holders for key in keys)
    return next((value for value in found if isinstance(value, str) and value), None)
