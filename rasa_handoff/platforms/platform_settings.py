"""The settings that all platform channels share, and their checks."""

import os
from collections.abc import Mapping
from typing import Any, Final, Protocol

from rasa_handoff.protocol.channel_settings import IntentSettings
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.names import UTTER_ASSIGNED
from rasa_handoff.protocol.settings_errors import check_keys, check_variables
from rasa_handoff.protocol.values import Department, Value, find_department

DEFAULT_DATABASE: Final = "sqlite:///handoff-platform.db"
"""Where a channel keeps what it remembers: a file beside the relay's, which all platform channels of the project share."""
DATABASES: Final = ("sqlite", "postgresql")
"""How the address of a database may begin, before its driver."""


class SecretHeader(Value, frozen=True, forbid_unknown_fields=True):
    """The request header that authenticates a caller of the webhook: its name and its value."""

    header: str
    secret: str


class DepartmentTitle(Protocol):
    """A department of the settings, as far as the handoff options show it."""

    @property
    def title(self) -> str | None:
        """The title of its button."""


class PlatformSettings(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of every platform channel.

    ``welcome``, ``attachment``, ``location``: the intent or payload that the bot gets for such an event. ``handoff_response``:
    the response for a handoff whose turn says nothing else; ``null``: none. ``answer_seconds``: after so long a call is answered
    with what the bot has said so far. ``crossing_seconds``: for so long after a handoff a message counts as written before it.
    ``body_limit``: the largest request body, in bytes. ``database``: what the channel remembers of conversations; all Rasa
    processes with the same Postgres share it.

    Each platform has ``departments`` of its own, by name.
    """

    welcome: str | None = None
    attachment: str | None = None
    location: str | None = None
    handoff_response: str | None = UTTER_ASSIGNED
    intents: IntentSettings = IntentSettings()
    answer_seconds: float = 25.0
    crossing_seconds: float = 2.0
    body_limit: int = 1_000_000
    database: str = DEFAULT_DATABASE

    @property
    def offered(self) -> tuple[Department, ...]:
        """The departments, as the handoff options show them."""
        listed: Mapping[str, DepartmentTitle] = getattr(self, "departments", {})
        return tuple(Department(name=name, title=department.title) for name, department in listed.items())

    def department_name(self, said: str | None) -> str:
        """Return the name of the department that is meant by a name or a title; empty if there is none."""
        found = None if said is None else find_department(self.offered, said)
        return "" if found is None else found.name


def check_shape(
    channel: str,
    kind: type[PlatformSettings],
    data: Any,
    nested: Mapping[str, type[Value]],
    examples: Mapping[str, str],
) -> None:
    """Check that every key belongs to ``kind``, and that no environment variable is unset.

    ``nested`` names keys that hold mappings of mappings, each with the kind of its inner ones.

    Raises:
        SettingsError: one sentence with the key, the known key most like it, and what to write.
    """
    check_variables(channel, data)
    check_keys(channel, kind, data, "", examples)
    if isinstance(data.get("intents"), Mapping):
        check_keys(channel, IntentSettings, data["intents"], "intents.", examples)
    for name, inner_kind in nested.items():
        for key, inner in mapping(data.get(name)).items():
            check_keys(channel, inner_kind, mapping(inner), f"{name}.{key}.", examples)


def check_headers(channel: str, key: str, callers: Mapping[str, SecretHeader], write: str) -> None:
    """Check that no header and no secret is empty, as one from an unset environment variable is.

    ``key``: the key of the callers in the settings; ``write``: what to write instead.

    Raises:
        SettingsError: one sentence with the key and what to write.
    """
    for name, caller in callers.items():
        for part, value in (("header", caller.header), ("secret", caller.secret)):
            if not value.strip():
                raise SettingsError(
                    f"{channel}: {key}.{name}.{part} is empty: {write}, and set the variable if it comes from one."
                )


def mapping(data: Any) -> Mapping[Any, Any]:
    """Return a mapping as it is, and anything else as an empty one: ``convert`` reports it later, with a better sentence."""
    return data if isinstance(data, Mapping) else {}


def check_numbers(channel: str, settings: PlatformSettings, limit: float) -> None:
    """Check times and sizes. ``limit``: seconds after which the platform gives a call up.

    Raises:
        SettingsError: one sentence with what to write.
    """
    if not 0 < settings.answer_seconds < limit:
        raise SettingsError(
            f"{channel}: answer_seconds is {settings.answer_seconds}: the platform waits {limit:g} s: write less, such as 20."
        )
    if settings.crossing_seconds < 0:
        raise SettingsError(f"{channel}: crossing_seconds is {settings.crossing_seconds}: write seconds, such as 2.")
    if settings.body_limit <= 0:
        raise SettingsError(f"{channel}: body_limit is {settings.body_limit}: write bytes, such as 1000000.")


def serves_one_process(database: str) -> bool:
    """Return whether a database can be used by one process at a time alone."""
    return database.partition(":")[0].partition("+")[0] == "sqlite"


def check_database_url(channel: str, database: str) -> None:
    """Check that the database is of a known kind, and that several workers don't want one that serves one process.

    Raises:
        SettingsError: one sentence with what to write.
    """
    kind = database.partition(":")[0]
    if kind.partition("+")[0] not in DATABASES or ":" not in database:
        raise SettingsError(
            f"{channel}: database begins with '{kind[:20]}': write {DEFAULT_DATABASE}, or the address of a Postgres, "
            f"postgresql://..."
        )
    workers = os.environ.get("SANIC_WORKERS", "1").strip()
    if serves_one_process(database) and workers.isdigit() and int(workers) > 1:
        raise SettingsError(
            f"{channel}: SANIC_WORKERS is {workers}, but its database is a SQLite file, which serves one process: set "
            f"'database' to a Postgres (postgresql://...), or SANIC_WORKERS to 1."
        )
