"""Doctor's checks of the databases and buses of both sides: which they are, and whether a bus carries messages."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rasa_handoff.cli.database import relays_database
from rasa_handoff.cli.findings import Finding, ok, warn
from rasa_handoff.cli.project import Project
from rasa_handoff.protocol.channel_settings import read_settings
from rasa_handoff.protocol.errors import HandoffError, SettingsError

ALONE: Final = "one process works with it"
KINDS: Final = {"sqlite": "SQLite", "postgresql": "Postgres"}


def check_relays_database(project: Project) -> Iterator[Finding]:
    """Say which database and which bus the relay has, and try the bus."""
    try:
        settings = read_settings(project.channel)
    except SettingsError:  # another check reports it
        return
    url = relays_database(project)
    from rasa_handoff.store.database_url import without_password  # init and doctor run where SQLAlchemy isn't installed

    shown = without_password(url)
    if not url.startswith("postgresql"):
        yield ok(f"The relay's database is {shown}: {ALONE}.")
        return
    try:
        from rasa_handoff.store.bus import try_bus

        bus = asyncio.run(try_bus(settings.bus, url))
    except ModuleNotFoundError:  # no relay can run here; another check reports the package
        return
    except HandoffError as problem:
        yield ok(f"The relay's database is {shown}: several Rasa processes may work with it.")
        yield warn(f"The relay: {problem}")
    else:
        yield ok(
            f"The relay's database is {shown}: several Rasa processes may work with it, and the bus {bus} carries messages."
        )


def servers_database(url: str, health: Mapping[str, Any]) -> Iterator[Finding]:
    """Say which database and which bus the live-agent server at this URL has; nothing of one too old to tell."""
    kind = health.get("database")
    if kind not in KINDS:
        return
    whose = f"The database of the live-agent server at {url} is {KINDS[kind]}"
    bus = health.get("bus")
    if bus is None:
        yield ok(f"{whose}: {ALONE}.")
        return
    shared = (
        f"{whose}: several servers may work with it, and they tell each other by {'Redis' if bus == 'redis' else 'it'}"
    )
    if health.get("bus_is_heard"):
        yield ok(f"{shared}, which is heard.")
    else:
        yield warn(f"{shared}, which isn't heard: what the others do is noticed up to three seconds late. See its log.")
