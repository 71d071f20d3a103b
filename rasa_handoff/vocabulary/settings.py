"""The settings of HandoffChannel, as they stand in ``credentials.yml``.

``read_settings`` answers every mistake with one sentence that names the key, its nearest neighbour and what to write.
"""

import math
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from rasa_handoff.vocabulary.admin_token import check_admin_token
from rasa_handoff.vocabulary.customer_tokens import LEAST_SECRET
from rasa_handoff.vocabulary.errors import SettingsError
from rasa_handoff.vocabulary.limits import Limits, check_limits
from rasa_handoff.vocabulary.mistakes import check_keys, convert
from rasa_handoff.vocabulary.names import ENDED_INTENT, EXECUTE_INTENT, OPTIONS_INTENT
from rasa_handoff.vocabulary.values import Value
from rasa_handoff.vocabulary.variables import check_variables

CHANNEL_NAME: Final = "rasa_handoff.HandoffChannel"
DESK_TYPES: Final = ("rasa-handoff", "botlhale", "tkinter")


class DeskSettings(Value, frozen=True, forbid_unknown_fields=True):
    """Where the agents are. ``url`` without namespace; ``type`` is one of ``DESK_TYPES``, or the path of a class of your own
    (``my_package.MyDesk``), whose settings stand under ``settings``; it needs no ``url``.

    ``namespace`` is for ``type: botlhale`` alone, where servers differ: ``/live_agent`` or ``/live_server``. For
    ``type: tkinter`` alone, which needs no ``url``: ``admin_port``, where the admin window listens, and ``listen_port``,
    which it speaks to.
    """

    url: str = ""
    token: str | None = None
    type: str = "rasa-handoff"
    namespace: str = "/live_agent"
    admin_port: int = 3000
    listen_port: int = 4000
    settings: dict[str, Any] = {}


class IntentSettings(Value, frozen=True, forbid_unknown_fields=True):
    """The intents watched for, under the names the project gives them."""

    options: str = OPTIONS_INTENT
    execute: str = EXECUTE_INTENT
    ended: str = ENDED_INTENT


class TimerSettings(Value, frozen=True, forbid_unknown_fields=True):
    """How long each state may last, in seconds; ``null`` switches a timer off, ``silence`` can't be.

    Our own server's timers act first; these are the longer backstop, and all there is toward a foreign desk.
    ``nobody_takes_then``: what happens to a customer who, asked, doesn't choose: ``wait``, ``message`` or ``bot``.
    """

    nobody_takes: float | None = 900
    nobody_takes_then: str = "wait"
    agent_silent: float | None = 3600
    customer_silent: float | None = 1800
    desk_away: float | None = 600
    message: float | None = 600
    silence: float = 86400

    def seconds(self, kind: str) -> float | None:
        """How long the timer of this kind runs; None if it is off."""
        value: float | None = FIXED_TIMERS[kind] if kind in FIXED_TIMERS else getattr(self, kind)
        return value


FIXED_TIMERS: Final = {"story": 30.0, "start": 60.0, "returning": 300.0}
"""Seconds for what has nothing to choose among the timers: a tracker that can't be read (``story_timeout`` is the setting), a
start whose process ended, a tracker that can't be written."""

AFTER_NOBODY: Final = ("wait", "message", "bot")


class Settings(Value, frozen=True, forbid_unknown_fields=True):
    """All settings of HandoffChannel.

    ``slots``: the only ones an agent sees. ``settable_slots``: the only ones an agent may set. ``leaving_words``: by
    language; the whole message, trimmed and without regard to case. ``language``: of customers about whom nothing else is
    known; ``language_slot`` says where the bot keeps it. ``departments``: offered when the desk can't say what it has.
    ``start_timeout``: seconds the desk has to accept. ``story_timeout``: seconds a handoff waits for a transcript that can't be
    read now. ``delivery_timeout``: seconds until a message that a channel doesn't take
    has failed; ``null``: never. ``show_marker``: the marker reaches the customer's front end too. ``state_messages``: the hosted
    channels on which a ``custom`` message tells whom the customer has, at each change. ``trigger_text``: a front end
    that finds its desk by itself, on ``rest``, is answered with this instead of being handed over. ``customer_tokens``: one
    of ``CUSTOMER_TOKENS``; ``customer_token_secrets``: the first one signs, each is taken. ``admin_token``: who shows it may give
    commands over HTTP; None: nobody may.
    """

    bot_id: str
    desk: DeskSettings
    channels: dict[str, dict[str, Any] | None]
    store: str = "sqlite:///handoff.db"
    intents: IntentSettings = IntentSettings()
    slots: tuple[str, ...] = ()
    settable_slots: tuple[str, ...] = ()
    leaving_words: dict[str, str] = msgspec.field(default_factory=lambda: {"en": "disconnect"})
    language: str = "en"
    language_slot: str = "language"
    departments: tuple[str, ...] = ()
    start_timeout: float = 5.0
    story_timeout: float = FIXED_TIMERS["story"]
    delivery_timeout: float | None = 3600.0
    timers: TimerSettings = TimerSettings()
    limits: Limits = Limits()
    show_marker: bool = False
    state_messages: tuple[str, ...] = ()
    trigger_text: str | None = None
    customer_tokens: str = "off"
    customer_token_secrets: tuple[str, ...] = ()
    admin_token: str | None = None

    def leaving_word(self, language: str | None) -> str:
        """The word that leaves a live chat in this language (``zu-ZA`` falls back to ``zu``, then to the default)."""
        for tag in (language, (language or "").split("-")[0], self.language):
            if tag and tag in self.leaving_words:
                return self.leaving_words[tag]
        return next(iter(self.leaving_words.values()), "disconnect")


SECRETS_EXAMPLE: Final = '["${HANDOFF_CUSTOMER_SECRET}"]'
"""How ``customer_token_secrets`` is written: within brackets YAML takes a variable only in quotes."""
CUSTOMER_TOKENS: Final = ("off", "optional", "required")

EXAMPLES: Final = {
    "bot_id": "bot_id: my-bot",
    "desk": 'desk: {url: "http://localhost:5065"}',
    "channels": "channels: {rest: }",
    "url": "url: http://localhost:5065",
}


def read_settings(data: Any) -> Settings:
    """Read what stands under ``rasa_handoff.HandoffChannel``.

    Raises:
        SettingsError: one sentence with the key, its nearest neighbour and what to write.
    """
    if not isinstance(data, Mapping):
        raise SettingsError(f"{CHANNEL_NAME} needs settings: write at least bot_id, desk and channels below it.")
    check_variables(CHANNEL_NAME, data)
    check_keys(CHANNEL_NAME, Settings, data, "", EXAMPLES)
    for name, kind in (
        ("desk", DeskSettings),
        ("intents", IntentSettings),
        ("timers", TimerSettings),
        ("limits", Limits),
    ):
        if isinstance(data.get(name), Mapping):
            check_keys(CHANNEL_NAME, kind, data[name], f"{name}.", EXAMPLES)
    if data.get("customer_tokens") is False:  # what some readers of YAML make of the word off
        data = {**data, "customer_tokens": "off"}
    settings = convert(CHANNEL_NAME, Settings, data)
    _check_values(settings)
    return settings


def unknown_slots(settings: Settings, known: Collection[str]) -> list[str]:
    """A sentence for each name under ``slots`` and ``settable_slots`` that isn't among the domain's."""
    found = []
    for key in ("slots", "settable_slots"):
        for name in getattr(settings, key):
            if name not in known:
                near = get_close_matches(name, known, n=1, cutoff=0.5)
                hint = f"did you mean '{near[0]}'?" if near else f"write one of: {', '.join(sorted(known)) or 'none'}."
                found.append(f"{CHANNEL_NAME}: {key} names '{name}', and the domain has no such slot: {hint}")
    return found


def _check_values(settings: Settings) -> None:
    _check_desk(settings.desk)
    if not settings.bot_id.strip():
        raise SettingsError(f"{CHANNEL_NAME}: bot_id is empty: write '{EXAMPLES['bot_id']}'.")
    if not settings.channels:
        raise SettingsError(f"{CHANNEL_NAME}: no channel stands under 'channels': write 'channels: {{rest: }}'.")
    for name in settings.state_messages:
        if name not in settings.channels:
            known = ", ".join(settings.channels)
            raise SettingsError(
                f"{CHANNEL_NAME}: state_messages names '{name}', which isn't under 'channels': write one of: {known}."
            )
    _check_timers(settings.timers)
    check_limits(settings.limits, f"{CHANNEL_NAME}: limits.")
    _check_customer_tokens(settings)
    if settings.admin_token is not None:
        check_admin_token(settings.admin_token, f"{CHANNEL_NAME}: admin_token")
    if settings.trigger_text == "":
        raise SettingsError(
            f"{CHANNEL_NAME}: trigger_text is empty: write a text, such as Human Handoff, or leave it out."
        )
    for name in ("start_timeout", "story_timeout"):
        if not 0 < getattr(settings, name) < math.inf:
            example = 5 if name == "start_timeout" else 30
            raise SettingsError(
                f"{CHANNEL_NAME}: {name} is {getattr(settings, name)}: write seconds, such as {example}."
            )
    if settings.delivery_timeout is not None and settings.delivery_timeout <= 0:
        raise SettingsError(
            f"{CHANNEL_NAME}: delivery_timeout is {settings.delivery_timeout}: write seconds, or null to try for ever."
        )


def _check_desk(desk: DeskSettings) -> None:
    if "." in desk.type:
        return
    if desk.type not in DESK_TYPES:
        near = get_close_matches(desk.type, DESK_TYPES, n=1, cutoff=0.3)
        hint = (
            f"did you mean '{near[0]}'?" if near else f"write one of: {', '.join(DESK_TYPES)}, or the path of a class."
        )
        raise SettingsError(f"{CHANNEL_NAME} knows no desk.type '{desk.type}': {hint}")
    if desk.type == "tkinter":
        _check_ports(desk)
    elif not desk.url:
        raise SettingsError(f"{CHANNEL_NAME} needs the setting 'desk.url': write '{EXAMPLES['url']}'.")
    elif not re.match(r"https?://", desk.url):
        raise SettingsError(
            f"{CHANNEL_NAME}: desk.url is '{desk.url}', which has no http:// or https://: "
            f"write 'url: http://localhost:5065'."
        )


def _check_ports(desk: DeskSettings) -> None:
    for name in ("admin_port", "listen_port"):
        if not 0 < getattr(desk, name) < 65_536:
            raise SettingsError(f"{CHANNEL_NAME}: desk.{name} is {getattr(desk, name)}: write a port from 1 to 65535.")
    if desk.admin_port == desk.listen_port:
        raise SettingsError(
            f"{CHANNEL_NAME}: desk.admin_port and desk.listen_port are both {desk.admin_port}: write two, such as 3000 and 4000."
        )


def _check_customer_tokens(settings: Settings) -> None:
    if settings.customer_tokens not in CUSTOMER_TOKENS:
        known = ", ".join(CUSTOMER_TOKENS)
        raise SettingsError(f"{CHANNEL_NAME}: customer_tokens is '{settings.customer_tokens}': write one of: {known}.")
    if settings.customer_tokens != "off" and not settings.customer_token_secrets:
        raise SettingsError(
            f"{CHANNEL_NAME}: customer_tokens needs a secret: write customer_token_secrets: {SECRETS_EXAMPLE} "
            f"(rasa-handoff customer-token --new-secret makes one)."
        )
    for secret in settings.customer_token_secrets:
        if len(secret) < LEAST_SECRET:
            raise SettingsError(
                f"{CHANNEL_NAME}: a secret under customer_token_secrets has {len(secret)} characters, which can be guessed: "
                f"at least {LEAST_SECRET} are needed (rasa-handoff customer-token --new-secret makes one)."
            )


def _check_timers(timers: TimerSettings) -> None:
    if timers.nobody_takes_then not in AFTER_NOBODY:
        known = ", ".join(AFTER_NOBODY)
        raise SettingsError(
            f"{CHANNEL_NAME}: timers.nobody_takes_then is '{timers.nobody_takes_then}': write one of: {known}."
        )
    for name in TimerSettings.__struct_fields__:
        seconds = getattr(timers, name)
        if isinstance(seconds, int | float) and not 0 < seconds < math.inf:
            raise SettingsError(f"{CHANNEL_NAME}: timers.{name} is {seconds}: write seconds, or null to switch it off.")
