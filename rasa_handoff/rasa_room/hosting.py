"""Hosting: the project's channels under their ordinary addresses, made from the settings.

HandoffChannel is one channel to Rasa; its blueprint mounts those of the hosted channels beside its own, as Rasa would have.
"""

from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import urljoin

import rasa.shared.utils.common
from rasa.core.channels import BUILTIN_CHANNELS
from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.core.channels.socketio import SocketIOInput
from rasa.core.channels.telegram import TelegramInput
from rasa.core.channels.twilio import TwilioInput
from rasa.core.channels.twilio_voice import TwilioVoiceInput
from rasa.shared.exceptions import RasaException
from sanic import Blueprint, Sanic
from sanic_routing.exceptions import RouteExists  # type: ignore[import-untyped]

from rasa_handoff.rasa_room import answers, incoming
from rasa_handoff.rasa_room.customer_authentication import CustomerAuthentication
from rasa_handoff.rasa_room.socketio import HandoffSocketIO
from rasa_handoff.rasa_room.telegram import HandoffTelegram
from rasa_handoff.rasa_room.twilio import HandoffTwilio
from rasa_handoff.rasa_room.twilio_voice import HandoffTwilioVoice
from rasa_handoff.vocabulary.errors import SettingsError
from rasa_handoff.vocabulary.names import PLATFORM_CHANNELS, STOCK_CHANNELS
from rasa_handoff.vocabulary.settings import CHANNEL_NAME
from rasa_handoff.vocabulary.text import valid


class HandoffSettingsError(RasaException):
    """What is wrong with the settings, in one sentence. Rasa prints it as itself: it prints other errors as tracebacks, and
    hides ``ImportError`` and ``AttributeError`` behind "Unknown input channel"."""


OnMessage = Callable[[UserMessage], Awaitable[Any]]
Receive = Callable[[str, UserMessage], Awaitable[None]]


MENDED: Mapping[type[InputChannel], type[InputChannel]] = {
    SocketIOInput: HandoffSocketIO,
    TelegramInput: HandoffTelegram,
    TwilioInput: HandoffTwilio,
    TwilioVoiceInput: HandoffTwilioVoice,
}

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
"""Settings of channels whose mistakes Rasa passes over in silence and that cost most when misspelled."""


def make_channels(settings: Mapping[str, Mapping[str, Any] | None]) -> dict[str, InputChannel]:
    """The hosted channels by name, in the order of the settings.

    Raises:
        SettingsError: for a name that is unknown, can't be hosted or comes twice, and for settings a channel refuses.
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
    kind = _mended(_channel_class(key))
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


def _mended(kind: type[InputChannel]) -> type[InputChannel]:
    """The class with our mends; a project's own subclass of a channel we mend gets them too, and stays what it is."""
    for stock, mended in MENDED.items():
        if kind is stock:
            return mended
        if issubclass(kind, stock) and not issubclass(kind, mended):
            both: type[InputChannel] = type(kind.__name__, (mended, kind), {"__module__": kind.__module__})
            return both
    return kind


def _check_settings(key: str, kind: type[InputChannel], credentials: Mapping[str, Any]) -> None:
    known = KNOWN_SETTINGS.get(kind)
    for name in credentials if known else ():
        if known and name not in known:
            near = get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"it may be one of: {', '.join(sorted(known))}."
            raise SettingsError(f"{CHANNEL_NAME}: channels.{key} has no setting '{name}': {hint}")


class HostBlueprint(Blueprint):
    """Mounts the hosted channels' blueprints where Rasa would have: ``/webhooks/<name>``.

    A ``BlueprintGroup`` would answer 404, since Rasa's channels pass their module's name as a prefix.
    """

    def take_in(
        self, channels: Mapping[str, InputChannel], receive: Receive, authentication: CustomerAuthentication
    ) -> None:
        """Take these channels in; their messages go to ``receive`` with the channel's name, if ``authentication`` lets them."""
        self.ctx.hosted = [(channel, channel.blueprint(_named(name, receive))) for name, channel in channels.items()]
        _check_apart(self.ctx.hosted)
        for channel, blueprint in self.ctx.hosted:
            incoming.watch(blueprint, channel)
            authentication.watch(blueprint, channel)
            answers.watch(blueprint)

    def register(self, app: Sanic, options: dict[str, Any]) -> None:
        """Mount everything. ``options['url_prefix']`` is our own address below Rasa's ``/webhooks/``."""
        super().register(app, options)
        own = options.get("url_prefix") or self.url_prefix or "/webhooks/handoff"
        app.blueprints = _Mounted(
            app.blueprints, {blueprint.name: channel.name() for channel, blueprint in self.ctx.hosted}
        )
        for channel, blueprint in self.ctx.hosted:
            try:
                app.blueprint(blueprint, url_prefix=urljoin(own, channel.url_prefix()))
            except RouteExists as problem:
                raise HandoffSettingsError(
                    f"{CHANNEL_NAME}: an address of channels.{channel.name()} is taken ({problem}): give it another one, a "
                    f"second socketio for example a 'socketio_path' of its own."
                ) from problem


def _check_apart(hosted: list[tuple[InputChannel, Blueprint]]) -> None:
    seen: dict[str, str] = {}
    for channel, blueprint in hosted:
        if other := seen.get(blueprint.name):
            raise HandoffSettingsError(
                f"{CHANNEL_NAME}: the channels '{other}' and '{channel.name()}' both call their blueprint "
                f"'{blueprint.name}': keep one, or name one's blueprint otherwise."
            )
        seen[blueprint.name] = channel.name()


class _Mounted(dict[str, Blueprint]):
    """An application's blueprints, of which some are hosted channels.

    Sanic looks a blueprint up by name only when it is registered and the name is there already, to assert that it is the same
    one. For a hosted channel that means it stands in credentials.yml too, before or after us.
    """

    def __init__(self, blueprints: Mapping[str, Blueprint], hosted: Mapping[str, str]) -> None:
        super().__init__(blueprints)
        self._hosted = hosted

    def __getitem__(self, name: str) -> Blueprint:
        if name in self._hosted:
            raise HandoffSettingsError(
                f"The channel '{self._hosted[name]}' stands twice in credentials.yml, by itself and under {CHANNEL_NAME}: "
                f"keep the one under {CHANNEL_NAME}."
            )
        return super().__getitem__(name)


def _make_valid(message: UserMessage) -> None:
    """Before Rasa keeps anything of it: half a character in a tracker would make the bot fail at every later message."""
    for attribute in ("text", "sender_id", "message_id", "input_channel", "metadata", "parse_data"):
        setattr(message, attribute, valid(getattr(message, attribute)))


def _named(name: str, receive: Receive) -> OnMessage:
    async def on_message(message: UserMessage) -> None:
        _make_valid(message)
        incoming.sent().name(message)
        await receive(name, message)

    return on_message
