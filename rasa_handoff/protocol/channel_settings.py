"""The settings of HandoffChannel in ``credentials.yml``.

:func:`read_settings` reports a mistake in one sentence that names the key, the nearest valid one and what to write.
"""

import math
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from rasa_handoff.protocol.channel_capabilities import STOCK
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.limits import Limits, check_limits
from rasa_handoff.protocol.media_limits import MediaLimits, check_media_limits
from rasa_handoff.protocol.names import ENDED_INTENT, EXECUTE_INTENT, OPTIONS_INTENT
from rasa_handoff.protocol.retention_settings import RetentionSettings, check_retention
from rasa_handoff.protocol.settings_errors import check_keys, check_variables, convert
from rasa_handoff.protocol.tokens import LEAST_SECRET, check_admin_token
from rasa_handoff.protocol.values import Value

CHANNEL_NAME: Final = "rasa_handoff.HandoffChannel"
DESK_TYPES: Final = ("rasa-handoff", "botlhale", "tkinter")
SECRETS_EXAMPLE: Final = '["${HANDOFF_CUSTOMER_SECRET}"]'
"""How ``customer_token_secrets`` is written: within brackets YAML takes a variable only in quotes."""
CUSTOMER_TOKENS: Final = ("off", "optional", "required")
START_PAYLOADS: Final = ("/get_started",)
"""The payload by which the usual web widgets begin a conversation (``initPayload``)."""
QUIET_CHANNELS: Final = tuple(one.name for one in STOCK if one.quiet)
"""The channels where messages cost money, or wait until the customer writes: a place in the queue is old by then."""
AFTER_NOBODY: Final = ("wait", "message", "bot")
"""The values of ``timers.nobody_takes_then``."""

FIXED_TIMERS: Final = {"story": 30.0, "start": 60.0, "returning": 300.0}
"""Seconds of the timers that aren't under ``timers``. ``story``: how long a handoff waits for a tracker that can't be read (the
default of ``story_timeout``). ``start``: for the desk's answer, when the process that offered the handoff has ended.
``returning``: for a tracker that can't be written."""

PUBLIC_URL: Final = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
EXAMPLES: Final = {
    "bot_id": "bot_id: my-bot",
    "desk": 'desk: {url: "http://localhost:5065"}',
    "channels": "channels: {rest: }",
    "url": "url: http://localhost:5065",
}
"""A line to write for each required setting, named in the error where it is missing."""


class DeskSettings(Value, frozen=True, forbid_unknown_fields=True):
    """The desk and how to reach it.

    ``url``: the server's address without namespace. ``type``: one of ``DESK_TYPES``, or the import path of your own class
    (``my_package.MyDesk``), which gets ``settings`` and needs no ``url``.

    ``namespace`` is only for ``type: botlhale``, where servers differ: ``/live_agent`` or ``/live_server``. The two ports are
    only for ``type: tkinter``, which needs no ``url``. ``admin_port``: the admin window listens on it, and we connect to it.
    ``listen_port``: we listen on it, and the window connects to it.
    """

    url: str = ""
    token: str | None = None
    type: str = "rasa-handoff"
    namespace: str = "/live_agent"
    admin_port: int = 3000
    listen_port: int = 4000
    settings: dict[str, Any] = {}


class IntentSettings(Value, frozen=True, forbid_unknown_fields=True):
    """The intents that the channel reacts to, by the names the project gives them."""

    options: str = OPTIONS_INTENT
    execute: str = EXECUTE_INTENT
    ended: str = ENDED_INTENT


class TimerSettings(Value, frozen=True, forbid_unknown_fields=True):
    """How long each state may last, in seconds; ``null`` switches a timer off, except ``silence``.

    Our own server has shorter timers, which act first; with a foreign desk these are the only ones. When nobody came, the
    customer is asked what to do. ``nobody_takes_then``: what happens if they don't answer: ``wait``, ``message`` or ``bot``.
    """

    nobody_takes: float | None = 900
    nobody_takes_then: str = "wait"
    agent_silent: float | None = 3600
    customer_silent: float | None = 1800
    desk_away: float | None = 600
    message: float | None = 600
    silence: float = 86400

    def seconds(self, kind: str) -> float | None:
        """Return how long a timer of this kind runs; None if it is switched off."""
        value: float | None = FIXED_TIMERS[kind] if kind in FIXED_TIMERS else getattr(self, kind)
        return value


DEFAULT_STORE: Final = "sqlite:///handoff.db"


class Settings(Value, frozen=True, forbid_unknown_fields=True):
    """All settings of HandoffChannel.

    ``slots``: the slots that agents see. ``settable_slots``: the slots that agents may set. ``leaving_words``: by language;
    compared with the whole message, trimmed and ignoring case. ``language``: of customers whose language isn't known;
    ``language_slot``: the slot where the bot keeps it. ``departments``: offered if the desk can't report its own.
    ``default_department``: gets a handoff whose department the desk doesn't know, or where nobody is there now.

    ``start_timeout``: seconds the desk has to accept. ``story_timeout``: seconds a handoff waits for a transcript that can't be
    read. ``delivery_timeout``: seconds for which a message is tried that its channel doesn't accept; then it has failed. None: it
    is tried for ever. ``tracker_delay``: seconds in which the messages of a live chat are collected
    before they are written to Rasa's tracker.

    ``show_marker``: the marker also reaches the customer's front end. ``state_messages``: the hosted channels on which a
    ``custom`` message reports who is active, at each change. ``trigger_text``: for a front end on ``rest`` that connects to its
    desk by itself when it is answered with this text. A request for a person is answered with it, and no handoff is made here.

    ``retention``: how long what is over is kept. ``bus``: the address of a Redis by which processes that share ``store`` tell
    each other to look at it; None: Postgres itself does it.

    ``start_payloads``: what a widget sends by itself when it is opened. In a live chat it is no message of the customer's.

    ``quiet_channels``: the channels where customers who wait hear of no new place in the queue.

    ``media``: where pictures and files are kept; None: beside a SQLite ``store``, else nowhere. ``media_limits``: how many.
    ``public_url``: the address at which vendors and customers reach this Rasa server; None: only pages that know it get files.

    ``customer_tokens``: one of ``CUSTOMER_TOKENS``. ``customer_token_secrets``: the first one signs, all are accepted.
    ``admin_token``: allows commands over HTTP; None: there are none.
    """

    bot_id: str
    desk: DeskSettings
    channels: dict[str, dict[str, Any] | None]
    store: str = DEFAULT_STORE
    bus: str | None = None
    intents: IntentSettings = IntentSettings()
    slots: tuple[str, ...] = ()
    settable_slots: tuple[str, ...] = ()
    leaving_words: dict[str, str] = msgspec.field(default_factory=lambda: {"en": "disconnect"})
    language: str = "en"
    language_slot: str = "language"
    departments: tuple[str, ...] = ()
    default_department: str | None = None
    start_timeout: float = 5.0
    story_timeout: float = FIXED_TIMERS["story"]
    delivery_timeout: float | None = 3600.0
    tracker_delay: float = 30.0
    timers: TimerSettings = TimerSettings()
    limits: Limits = Limits()
    retention: RetentionSettings = RetentionSettings()
    show_marker: bool = False
    state_messages: tuple[str, ...] = ()
    quiet_channels: tuple[str, ...] = QUIET_CHANNELS
    start_payloads: tuple[str, ...] = START_PAYLOADS
    trigger_text: str | None = None
    media: str | None = None
    media_limits: MediaLimits = MediaLimits()
    public_url: str | None = None
    customer_tokens: str = "off"
    customer_token_secrets: tuple[str, ...] = ()
    admin_token: str | None = None

    def leaving_word(self, language: str | None) -> str:
        """Return the word that ends a live chat in this language (``zu-ZA`` falls back to ``zu``, then to the default)."""
        for tag in (language, (language or "").split("-")[0], self.language):
            if tag and tag in self.leaving_words:
                return self.leaving_words[tag]
        return next(iter(self.leaving_words.values()), "disconnect")


def read_settings(data: Any) -> Settings:
    """Read the entry ``rasa_handoff.HandoffChannel`` of ``credentials.yml``.

    Raises:
        SettingsError: one sentence with the key, the nearest valid one and what to write.
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
        ("retention", RetentionSettings),
        ("media_limits", MediaLimits),
    ):
        if isinstance(data.get(name), Mapping):
            check_keys(CHANNEL_NAME, kind, data[name], f"{name}.", EXAMPLES)
    for name in ("customer_tokens", "media"):
        if data.get(name) is False:  # YAML 1.1 reads the word off as false
            data = {**data, name: "off"}
    settings = convert(CHANNEL_NAME, Settings, data)
    _check_values(settings)
    return settings


def read_store(data: Any) -> str:
    """Return the setting ``store`` alone, for commands that need nothing but the database.

    Raises:
        SettingsError: it isn't a text, or has a variable that isn't set.
    """
    stored = data.get("store") if isinstance(data, Mapping) else None
    if stored is None:
        return DEFAULT_STORE
    check_variables(CHANNEL_NAME, {"store": stored})
    if not isinstance(stored, str):
        raise SettingsError(f"{CHANNEL_NAME}: store isn't a text: write the address of a database in quotes.")
    return stored


def unknown_slots(settings: Settings, known: Collection[str]) -> list[str]:
    """Return a sentence for each name under ``slots`` and ``settable_slots`` that the domain doesn't have."""
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
    check_retention(settings.retention, f"{CHANNEL_NAME}: retention.")
    check_media_limits(settings.media_limits, f"{CHANNEL_NAME}: media_limits.")
    _check_public_url(settings.public_url)
    _check_customer_tokens(settings)
    if settings.admin_token is not None:
        check_admin_token(settings.admin_token, f"{CHANNEL_NAME}: admin_token")
    if settings.default_department is not None and not settings.default_department.strip():
        raise SettingsError(
            f"{CHANNEL_NAME}: default_department is empty: write a department's name, such as billing, or leave it out."
        )
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
    if not 0 <= settings.tracker_delay < math.inf:
        raise SettingsError(
            f"{CHANNEL_NAME}: tracker_delay is {settings.tracker_delay}: write seconds, such as 30, or 0 to write at once."
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


def _check_public_url(url: str | None) -> None:
    if url is not None and not PUBLIC_URL.fullmatch(url):
        raise SettingsError(
            f"{CHANNEL_NAME}: public_url is '{url}', which is no address that others can reach: write it as "
            "'public_url: https://bot.example.org', with the path below which Rasa is found, if there is one."
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
            otherwise = (
                "such as 86400" if name == "silence" else "or null to switch it off"
            )  # silence ends what nothing else ends
            raise SettingsError(f"{CHANNEL_NAME}: timers.{name} is {seconds}: write seconds, {otherwise}.")
