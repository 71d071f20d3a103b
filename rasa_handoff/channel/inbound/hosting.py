"""Hosting: makes the project's channels from the settings and mounts them at their ordinary addresses.

To Rasa, HandoffChannel is one channel; its blueprint mounts those of the hosted channels beside its own, as Rasa would have.

Which of several Rasa processes takes a message makes no difference where they share a Postgres database; with SQLite one process
has all conversations, and a second one is refused (``several_processes.py``, ``store/sole_use.py``).
"""

from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import rasa.shared.utils.common
from rasa.core.channels import BUILTIN_CHANNELS
from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.shared.exceptions import RasaException

from rasa_handoff.channel import message_ids
from rasa_handoff.channel.compat import http_answers, vendor_calls
from rasa_handoff.channel.compat.blueprints import ChannelBlueprint, OnMessage
from rasa_handoff.channel.compat.rasa_channels import class_names
from rasa_handoff.channel.hosted.customer_authentication import CustomerAuthentication
from rasa_handoff.channel.hosted.customer_media import CustomerMedia
from rasa_handoff.channel.hosted.request_bodies import refuse_other_than_objects
from rasa_handoff.channel.hosted.socketio import HandoffSocketIO
from rasa_handoff.channel.inbound.mailbox_requests import MailboxRequests
from rasa_handoff.guard.guard import Guard
from rasa_handoff.protocol.channel_capabilities import STOCK_CHANNELS
from rasa_handoff.protocol.channel_settings import CHANNEL_NAME
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.names import PARTS_KEY, PLATFORM_CHANNELS, UNREAD_KEY
from rasa_handoff.protocol.text import valid

log = get_log(__name__)

ReceiveMessage = Callable[[str, UserMessage], Awaitable[None]]


CORRECTED: Final[Mapping[str, str]] = {
    "rasa.core.channels.slack.SlackInput": "rasa_handoff.channel.compat.slack.HandoffSlack",
    "rasa.core.channels.socketio.SocketIOInput": "rasa_handoff.channel.hosted.socketio.HandoffSocketIO",
    "rasa.core.channels.telegram.TelegramInput": "rasa_handoff.channel.compat.telegram.HandoffTelegram",
    "rasa.core.channels.twilio.TwilioInput": "rasa_handoff.channel.compat.twilio.HandoffTwilio",
    "rasa.core.channels.twilio_voice.TwilioVoiceInput": "rasa_handoff.channel.compat.twilio.HandoffTwilioVoice",
    "rasa.core.channels.webexteams.WebexTeamsInput": "rasa_handoff.channel.compat.webex.HandoffWebexTeams",
}
"""Rasa's channels that are hosted corrected. By name: a vendor's SDK is loaded only when its channel is hosted."""

OURS: Final = frozenset({PARTS_KEY, UNREAD_KEY})
"""Keys of a message's metadata that tell the transcript what the customer sent."""
KNOWN_SETTINGS: Mapping[type[InputChannel], tuple[str, ...]] = {
    HandoffSocketIO: (
        "user_message_evt",
        "bot_message_evt",
        "namespace",
        "session_persistence",
        "socketio_path",
        "jwt_key",
        "jwt_method",
        "metadata_key",
    ),
}
"""The settings of channels for which a misspelled name, which Rasa ignores, does the most harm."""


def make_channels(settings: Mapping[str, Mapping[str, Any] | None]) -> dict[str, InputChannel]:
    """Make the hosted channels; return them by name, in the order of the settings.

    Raises:
        SettingsError: a name is unknown, can't be hosted or occurs twice, or a channel refuses its settings.
    """
    channels: dict[str, InputChannel] = {}
    for key, credentials in settings.items():
        channel = _make(key, dict(credentials) if credentials is not None else None)
        if channel.name() in channels:
            raise SettingsError(
                f"{CHANNEL_NAME}: the channel '{channel.name()}' stands twice under 'channels' (again as '{key}'): keep one."
            )
        channels[channel.name()] = channel
    return channels


def _make(key: str, credentials: dict[str, Any] | None) -> InputChannel:
    kind = _corrected(_channel_class(key))
    _check_settings(key, kind, credentials or {})
    try:
        return kind.from_credentials(credentials)
    except RasaException as problem:
        if not credentials:
            raise SettingsError(f"{CHANNEL_NAME}: channels.{key} needs settings: write them below it.") from problem
        raise SettingsError(f"{CHANNEL_NAME}: channels.{key}: {problem}") from problem
    except Exception as problem:  # a channel's constructor may do anything, the network included
        raise SettingsError(
            f"{CHANNEL_NAME}: channels.{key} can't be set up ({type(problem).__name__}: {problem}): correct its settings."
        ) from problem


def _channel_class(key: str) -> type[InputChannel]:
    if key == "cmdline":
        raise SettingsError(f"{CHANNEL_NAME}: 'cmdline' can't be hosted, it collides with rest: remove it.")
    if key == CHANNEL_NAME:
        raise SettingsError(f"{CHANNEL_NAME} can't host itself: list the project's own channels under 'channels'.")
    if key in PLATFORM_CHANNELS:
        raise SettingsError(
            f"{CHANNEL_NAME} can't host {key}, which has a desk of its own: move it beside {CHANNEL_NAME}."
        )
    if key in BUILTIN_CHANNELS:
        builtin: type[InputChannel] = BUILTIN_CHANNELS[key]
        return builtin
    if "." not in key:
        near = get_close_matches(key, STOCK_CHANNELS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"it may be one of: {', '.join(STOCK_CHANNELS)}."
        raise SettingsError(f"{CHANNEL_NAME} knows no channel '{key}': {hint}")
    try:
        kind = rasa.shared.utils.common.class_from_module_path(key)
    except (ImportError, AttributeError, RasaException) as problem:
        raise SettingsError(
            f"{CHANNEL_NAME}: the channel '{key}' can't be imported ({problem}): write the path of its class, such as "
            f"my_package.my_module.MyInput."
        ) from problem
    if not (isinstance(kind, type) and issubclass(kind, InputChannel)):
        raise SettingsError(f"{CHANNEL_NAME}: '{key}' is not a channel: it must be a subclass of Rasa's InputChannel.")
    return kind


def _corrected(kind: type[InputChannel]) -> type[InputChannel]:
    """Return the corrected class for a channel; a project's own subclass of a corrected channel is combined with it."""
    names = class_names(kind)
    for name in names:
        if name in CORRECTED:
            corrected: type[InputChannel] = rasa.shared.utils.common.class_from_module_path(CORRECTED[name])
            if issubclass(kind, corrected):
                return kind
            if name == names[0]:
                return corrected
            return type(kind.__name__, (corrected, kind), {"__module__": kind.__module__})
    return kind


def _check_settings(key: str, kind: type[InputChannel], credentials: Mapping[str, Any]) -> None:
    known = KNOWN_SETTINGS.get(kind)
    for name in credentials if known else ():
        if known and name not in known:
            near = get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"it may be one of: {', '.join(sorted(known))}."
            raise SettingsError(f"{CHANNEL_NAME}: channels.{key} has no setting '{name}': {hint}")


class HostBlueprint(ChannelBlueprint):
    """HandoffChannel's blueprint, which mounts those of the hosted channels where Rasa would have: ``/webhooks/<name>``."""

    def host_channels(
        self,
        channels: Mapping[str, InputChannel],
        receive: ReceiveMessage,
        authentication: CustomerAuthentication,
        guard: Guard,
        mailbox_requests: MailboxRequests,
        media: CustomerMedia,
    ) -> None:
        """Host these channels. Messages that ``authentication`` admits go to ``receive``, with the channel's name.

        ``mailbox_requests`` have an address of their own at channels that can't push, ``media`` at each.
        """
        for name, channel in channels.items():
            blueprint = channel.blueprint(_named(name, receive))
            vendor_calls.tell_apart(blueprint, channel)
            self.mount(channel, blueprint)
            refuse_other_than_objects(blueprint, channel, guard)
            message_ids.watch(blueprint, channel)
            authentication.check_requests(blueprint, channel)
            mailbox_requests.mount(blueprint, channel)
            http_answers.watch(blueprint)
            self.mount(channel, media.blueprint_of(channel))


def _make_valid(message: UserMessage) -> None:
    """Repair invalid text before Rasa stores it: a lone surrogate in a tracker makes the bot fail at every later message.

    What this package writes into a message's metadata, a front end can't.
    """
    for attribute in ("text", "sender_id", "message_id", "input_channel", "metadata", "parse_data"):
        setattr(message, attribute, valid(getattr(message, attribute)))
    if isinstance(message.metadata, Mapping) and not OURS.isdisjoint(message.metadata):
        message.metadata = {key: value for key, value in message.metadata.items() if key not in OURS}


def _named(name: str, receive: ReceiveMessage) -> OnMessage:
    """Return a handler that passes messages to ``receive``, with the channel's name and the sender's message id."""

    async def on_message(message: UserMessage) -> None:
        _make_valid(message)
        message_ids.message_facts().give_id(message)
        await receive(name, message)

    return on_message
