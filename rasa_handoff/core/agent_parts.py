"""What an agent may send: words, files that are stored here, places, contacts, buttons and cards.

JSON of the project's own is nothing for agents: the channel would follow it as if the bot had sent it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from rasa_handoff.core.media_parts import KINDS, of_its_kind
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.message_parts import (
    AnyPart,
    ButtonsPart,
    CardPart,
    CustomPart,
    ImagePart,
    Media,
    MediaPart,
    MessageButton,
    TextPart,
    in_words,
    worth_keeping,
)

NOTHING: Final = "There is nothing to read in this message. Write something, and send it then."
NO_TITLE: Final = "A button has no title. Write one, or take the button away."
NO_CARD: Final = "There is nothing to read in this card. Give it a title."
NO_PICTURE: Final = "What this card is to show is no picture. Choose another one."
UNKNOWN_FILE: Final = "A file of this message isn't stored here any more. Choose it again."
NOT_FOR_AGENTS: Final = "JSON of the project's own can only be sent by the bot."
TOO_LONG: Final = f"This message is too long: {LONGEST_MESSAGE:,} characters are the most. Send it in several."


def agent_message(text: str, parts: Sequence[AnyPart], stored: Mapping[str, Media]) -> tuple[str, tuple[AnyPart, ...]]:
    """Return an agent's message as it is kept: its words, and its parts if the words don't say all.

    ``stored``: the files of this conversation by their ids; what a desk says of a file beside its id isn't believed.

    Raises:
        Refused: with code ``invalid``: there is nothing to read, or a part isn't for agents.
    """
    sent = tuple(_checked(part, stored) for part in parts if not (isinstance(part, TextPart) and not part.text.strip()))
    words = in_words(sent) if sent else text
    if not words.strip():
        raise Refused("invalid", NOTHING)
    if len(words) > LONGEST_MESSAGE:
        raise Refused("invalid", TOO_LONG)
    return words, worth_keeping(sent)


def _checked(part: AnyPart, stored: Mapping[str, Media]) -> AnyPart:
    if isinstance(part, CustomPart):
        raise Refused("invalid", NOT_FOR_AGENTS)
    if isinstance(part, ButtonsPart):
        return replace(part, buttons=_titled(part.buttons))
    if isinstance(part, CardPart):
        if not (part.title or "").strip():
            raise Refused("invalid", NO_CARD)
        image = None if part.image is None else _stored(part.image, stored)
        if image is not None and not (image.type or "").startswith(KINDS[ImagePart]):
            raise Refused("invalid", NO_PICTURE)
        return replace(part, buttons=_titled(part.buttons), image=image)
    return of_its_kind(part, _stored(part.media, stored)) if isinstance(part, MediaPart) else part


def _titled(buttons: Sequence[MessageButton]) -> tuple[MessageButton, ...]:
    if not all(button.title.strip() for button in buttons):
        raise Refused("invalid", NO_TITLE)
    return tuple(replace(button, title=button.title.strip()) for button in buttons)


def _stored(media: Media, stored: Mapping[str, Media]) -> Media:
    if media.id is None or media.id not in stored:
        raise Refused("invalid", UNKNOWN_FILE)
    return stored[media.id]
