"""What each channel can do: one table, which the code reads and the documentation shows (``docs/host-channels.md``).

The limits are those of the vendors' documents in November 2026; none was tried at a vendor. A channel that isn't Rasa's has the
row :data:`OWN`, unless its class is derived from one of Rasa's.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from rasa_handoff.protocol.values import Value


class Arrives(str, enum.Enum):
    """When an agent's message reaches the customer."""

    PAGE = "at once while the page is connected"
    PUSHED = "pushed"
    FETCHED = "with the next request"


class Takes(str, enum.Enum):
    """How a channel shows a picture, a file or a card."""

    NATIVE = "native"
    PARTED = "as text, picture and buttons"
    LINK = "link"
    WORDS = "words"


class ShownButtons(str, enum.Enum):
    """How a channel shows choices."""

    NATIVE = "native"
    SPOKEN = "spoken"
    NUMBERED = "numbered lines"


class Receipts(str, enum.Enum):
    """What is known of a message's arrival."""

    READ = "delivered and read"
    TAKEN = "taken by the vendor"
    ANSWERED = "in an answer that was written"


class Formatting(str, enum.Enum):
    """What becomes of characters that are markup somewhere."""

    PLAIN = "as written"
    ESCAPED = "as written (escaped)"
    MARKDOWN = "Markdown"


class Unit(str, enum.Enum):
    """What a limit counts. ``CHARACTERS``: UTF-16 code units, of which an emoji has two or more."""

    CHARACTERS = "characters"
    BYTES = "bytes"


class Length(Value, frozen=True, kw_only=True):
    """A longest length. ``most``: that many; ``unit``: of what."""

    most: int
    unit: Unit = Unit.CHARACTERS

    def of(self, text: str) -> int:
        """Return the length of a text in this unit."""
        return len(text.encode()) if self.unit is Unit.BYTES else len(text) + sum(one > "\uffff" for one in text)

    def fits(self, text: str) -> bool:
        """Return whether a text is no longer."""
        return self.of(text) <= self.most


MB: Final = 1_000_000


MESSENGER_BUTTONS: Final = 3
"""So many buttons stay below a text in Facebook Messenger, and buttons of a card."""
MESSENGER_TEXT: Final = 640
"""UTF-16 units of the text above them."""


class ChannelCapabilities(Value, frozen=True, kw_only=True):
    """What one channel can do.

    ``name``: as in the settings. ``arrival``: when an agent's message arrives. ``typing``: whether each side sees the other type.
    ``images``, ``files``, ``cards``: how they are shown. ``custom``: whether JSON of an agent's is passed on as it is.
    ``buttons``: how choices are shown; ``most_buttons`` in one message, with titles of ``longest_title`` at most, else they are
    numbered lines. ``most_staying``: of more buttons than these, or below a text longer than ``longest_above``, all are gone once
    one is chosen. ``receipts``: what is known of a message's arrival. ``longest_text``, ``longest_payload``: of a message and of
    a button's payload; null: as long as a message may be. ``formatting``: what becomes of markup. ``largest_image``,
    ``largest_file``: bytes; a larger one is sent as a link. ``file_types``: those that are sent as files, by the beginning of
    their MIME types; any other is sent as a link. ``paragraphs``: whether each paragraph is a message of its own. ``costly``:
    whether each message costs money. ``own_client``: whether its client is the project's own, which knows where Rasa is;
    ``mailbox``: whether that may wait for messages, since the channel can't push.
    """

    name: str
    arrival: Arrives
    typing: bool = False
    images: Takes = Takes.NATIVE
    files: Takes = Takes.NATIVE
    buttons: ShownButtons = ShownButtons.NATIVE
    cards: Takes = Takes.PARTED
    custom: bool = False
    receipts: Receipts = Receipts.TAKEN
    longest_text: Length | None = None
    longest_payload: Length | None = None
    formatting: Formatting = Formatting.PLAIN
    most_buttons: int | None = None
    longest_title: Length | None = None
    most_staying: int | None = None
    longest_above: int | None = None
    largest_image: int | None = None
    largest_file: int | None = None
    file_types: tuple[str, ...] = ("",)
    paragraphs: bool = True
    costly: bool = False
    own_client: bool = False
    mailbox: bool = False

    @property
    def push(self) -> bool:
        """Whether a message can be delivered at any time."""
        return self.arrival is not Arrives.FETCHED

    @property
    def quiet(self) -> bool:
        """Whether customers hear of no new place in the queue: it costs money, or is old when they fetch it."""
        return self.costly or not self.push


def _in_pages(name: str, arrival: Arrives, receipts: Receipts) -> ChannelCapabilities:
    """Return what a front end of the project's own can do, which gets everything as JSON."""
    return ChannelCapabilities(
        name=name,
        arrival=arrival,
        typing=arrival is Arrives.PAGE,
        cards=Takes.NATIVE,
        custom=True,
        receipts=receipts,
        own_client=name != "rasa",
        mailbox=name == "rest",
    )


_SMS: Final = ChannelCapabilities(
    name="twilio",
    arrival=Arrives.PUSHED,
    images=Takes.LINK,
    files=Takes.LINK,
    buttons=ShownButtons.NUMBERED,
    longest_text=Length(most=1_600),
    costly=True,
)
WHATSAPP: Final = ChannelCapabilities(
    name="twilio, by WhatsApp",
    arrival=Arrives.PUSHED,
    buttons=ShownButtons.NUMBERED,
    longest_text=Length(most=1_600),
    largest_image=5 * MB,
    largest_file=16 * MB,
    file_types=("application/pdf", "audio/", "video/mp4"),
    costly=True,
)
OWN: Final = ChannelCapabilities(
    name="a channel of your own", arrival=Arrives.PUSHED, paragraphs=False, own_client=True
)
"""One that defines ``get_output_channel``, and whose output class defines all that Rasa's outputs may."""
OWN_THAT_FETCHES: Final = replace(OWN, arrival=Arrives.FETCHED, receipts=Receipts.ANSWERED, mailbox=True)
LEAST_OF_OWN: Final = replace(OWN_THAT_FETCHES, images=Takes.LINK, files=Takes.LINK, buttons=ShownButtons.NUMBERED)
"""One whose classes define nothing of that."""

STOCK: Final = (
    _in_pages("socketio", Arrives.PAGE, Receipts.READ),
    _in_pages("rest", Arrives.FETCHED, Receipts.ANSWERED),
    _in_pages("rasa", Arrives.FETCHED, Receipts.ANSWERED),
    _in_pages("callback", Arrives.PUSHED, Receipts.TAKEN),
    ChannelCapabilities(
        name="telegram",
        arrival=Arrives.PUSHED,
        longest_text=Length(most=4_096),
        longest_payload=Length(most=64, unit=Unit.BYTES),
        largest_image=5 * MB,
        largest_file=20 * MB,
        file_types=("application/pdf", "application/zip", "image/gif", "audio/", "video/mp4"),
    ),
    ChannelCapabilities(
        name="slack",
        arrival=Arrives.PUSHED,
        longest_text=Length(most=3_000),
        longest_payload=Length(most=2_000),
        formatting=Formatting.ESCAPED,
        most_buttons=5,
        longest_title=Length(most=75),
    ),
    ChannelCapabilities(
        name="facebook",
        arrival=Arrives.PUSHED,
        cards=Takes.NATIVE,
        longest_text=Length(most=2_000),
        longest_payload=Length(most=1_000),
        most_buttons=13,
        longest_title=Length(most=20),
        most_staying=MESSENGER_BUTTONS,
        longest_above=MESSENGER_TEXT,
        largest_image=8 * MB,
        largest_file=25 * MB,
    ),
    _SMS,
    ChannelCapabilities(
        name="mattermost",
        arrival=Arrives.PUSHED,
        longest_text=Length(most=16_383),
        formatting=Formatting.MARKDOWN,
    ),
    ChannelCapabilities(
        name="rocketchat",
        arrival=Arrives.PUSHED,
        longest_text=Length(most=5_000),
        formatting=Formatting.MARKDOWN,
    ),
    ChannelCapabilities(
        name="webexteams",
        arrival=Arrives.PUSHED,
        buttons=ShownButtons.NUMBERED,
        longest_text=Length(most=7_439, unit=Unit.BYTES),
        largest_image=100 * MB,
        largest_file=100 * MB,
    ),
    ChannelCapabilities(
        name="botframework",
        arrival=Arrives.PUSHED,
        cards=Takes.NATIVE,
        longest_text=Length(most=20_000, unit=Unit.BYTES),
        formatting=Formatting.MARKDOWN,
        most_buttons=6,
    ),
    ChannelCapabilities(
        name="hangouts",
        arrival=Arrives.FETCHED,
        files=Takes.LINK,
        receipts=Receipts.ANSWERED,
        paragraphs=False,
    ),
    ChannelCapabilities(
        name="twilio_voice",
        arrival=Arrives.FETCHED,
        images=Takes.WORDS,
        files=Takes.WORDS,
        buttons=ShownButtons.SPOKEN,
        cards=Takes.WORDS,
        receipts=Receipts.ANSWERED,
        longest_text=Length(most=4_096),
        costly=True,
    ),
)
"""Rasa's channels."""

BY_NAME: Final[Mapping[str, ChannelCapabilities]] = {one.name: one for one in STOCK}
STOCK_CHANNELS: Final = tuple(sorted(BY_NAME))
"""Rasa 3.6's channels that can be hosted: all but ``cmdline``, which collides with ``rest``."""
ROWS: Final = (*STOCK, WHATSAPP, OWN)
"""The rows of the table."""

_BY_CLASS: Final[Mapping[str, str]] = {
    "rasa.core.channels.botframework.BotFrameworkInput": "botframework",
    "rasa.core.channels.callback.CallbackInput": "callback",
    "rasa.core.channels.facebook.FacebookInput": "facebook",
    "rasa.core.channels.hangouts.HangoutsInput": "hangouts",
    "rasa.core.channels.mattermost.MattermostInput": "mattermost",
    "rasa.core.channels.rasa_chat.RasaChatInput": "rasa",
    "rasa.core.channels.rest.RestInput": "rest",
    "rasa.core.channels.rocketchat.RocketChatInput": "rocketchat",
    "rasa.core.channels.slack.SlackInput": "slack",
    "rasa.core.channels.socketio.SocketIOInput": "socketio",
    "rasa.core.channels.telegram.TelegramInput": "telegram",
    "rasa.core.channels.twilio.TwilioInput": "twilio",
    "rasa.core.channels.twilio_voice.TwilioVoiceInput": "twilio_voice",
    "rasa.core.channels.webexteams.WebexTeamsInput": "webexteams",
}


def capabilities_of(class_names: Iterable[str], pushes: bool) -> ChannelCapabilities:
    """Return what a channel can do, by the names of its class and its bases, nearest first.

    ``pushes``: whether it has ``get_output_channel``, which counts if it isn't derived from one of Rasa's.
    """
    for name in class_names:
        if name in _BY_CLASS:
            known = BY_NAME[_BY_CLASS[name]]
            return replace(known, arrival=Arrives.PUSHED, mailbox=False) if pushes and not known.push else known
    return OWN if pushes else OWN_THAT_FETCHES


def for_recipient(capabilities: ChannelCapabilities, conversation_id: str) -> ChannelCapabilities:
    """Return what the channel can do for this customer: by Twilio come both SMS and WhatsApp."""
    is_whatsapp = capabilities is _SMS and conversation_id.startswith("whatsapp:")
    return WHATSAPP if is_whatsapp else capabilities
