"""Doctor's checks of the project's surroundings: stores, workers, action server and live-agent server."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rasa_handoff.cli.check_databases import servers_database
from rasa_handoff.cli.check_project import choice_of, departments_named
from rasa_handoff.cli.database import relays_database
from rasa_handoff.cli.findings import Finding, mend, ok, warn
from rasa_handoff.cli.project import Project
from rasa_handoff.protocol.channel_settings import CHANNEL_NAME, Settings, read_settings
from rasa_handoff.protocol.errors import HandoffError, Refused, SettingsError
from rasa_handoff.protocol.handshake import FORMAT, PROTOCOL, are_compatible, is_our_format, what_to_update
from rasa_handoff.protocol.names import EXECUTE_ACTION, OPTIONS_ACTION, RELAY_TOKEN_PATH
from rasa_handoff.protocol.payloads import RelayTokenAnswer
from rasa_handoff.protocol.values import find_department, read

IN_MEMORY: Final = (None, "InMemory", "in_memory")
"""The types of a tracker store that a restart forgets."""
TIMEOUT: Final = 5.0
"""Seconds to wait for a server's answer."""


def check_tracker_store(project: Project) -> Iterator[Finding]:
    """Check that conversations survive a restart of Rasa."""
    kind = (project.endpoints.get("tracker_store") or {}).get("type")
    if kind in IN_MEMORY:
        yield warn("endpoints.yml has no tracker_store: a restart of Rasa forgets conversations and half-filled forms.")
    else:
        yield ok(f"Conversations are kept ({kind}).")


def check_workers(project: Project) -> Iterator[Finding]:
    """Check that several Rasa processes, if there are to be several, share what they must."""
    settings = _settings(project)
    if settings is None:
        return
    workers = _workers()
    locks = (project.endpoints.get("lock_store") or {}).get("type")
    if not settings.store.startswith("postgres"):
        advice = f"give {CHANNEL_NAME} a Postgres database under 'store'"
        if workers > 1:
            yield mend(f"SANIC_WORKERS is {workers}, but SQLite serves one process: {advice}, or set SANIC_WORKERS=1.")
        if locks == "redis":
            yield mend(
                f"endpoints.yml has a Redis lock store, which is for several Rasa servers, but SQLite serves one: {advice}, "
                "or take lock_store out."
            )
        return
    yield from check_rasas_stores(project)


def check_rasas_stores(project: Project) -> Iterator[Finding]:
    """Check that Rasa's own stores are shared where several Rasa processes share our database."""
    locks = (project.endpoints.get("lock_store") or {}).get("type")
    several = _workers() > 1
    if locks is None and several:
        yield mend("endpoints.yml has no lock_store that several Rasa processes share: write one of type redis.")
    trackers = project.endpoints.get("tracker_store") or {}
    kind, dialect = trackers.get("type"), trackers.get("dialect", "sqlite")
    in_one_process = kind in IN_MEMORY or (str(kind).lower() == "sql" and dialect == "sqlite")
    if in_one_process and (several or locks is not None):
        yield mend(
            "endpoints.yml has a tracker_store that one Rasa process has to itself: write one of type SQL with the dialect "
            "postgresql, redis, mongod or dynamo."
        )


def _workers() -> int:
    workers = os.environ.get("SANIC_WORKERS", "1").strip()
    return int(workers) if workers.isdigit() else 1


def check_desk(project: Project) -> Iterator[Finding]:
    """Check that the live-agent server answers and speaks our protocol."""
    settings = _settings(project)
    if settings is None or settings.desk.type != "rasa-handoff":
        return
    url = settings.desk.url.rstrip("/")
    try:
        health = _get(f"{url}/health")
    except (OSError, ValueError) as problem:
        yield mend(
            f"The live-agent server at {url} doesn't answer ({_reason(problem)}): start it with rasa-handoff serve."
        )
        return
    yield _server_finding(url, health)
    if isinstance(health, dict):
        yield from servers_database(url, health)
    yield from _check_relay(project, settings, url)
    letters = health.get("dead_letters") if isinstance(health, dict) else None
    if isinstance(letters, int) and letters > 0:
        yield warn(_dead_letters(letters, f"the live-agent server at {url}", "rasa-handoff dead-letters list"))


def _check_relay(project: Project, settings: Settings, url: str) -> Iterator[Finding]:
    """Check that the live-agent server takes the token and has the departments; a server too old to be asked has no finding."""
    headers = {"Authorization": f"Bearer {settings.desk.token}"} if settings.desk.token else {}
    try:
        asked = {"bot_id": settings.bot_id, **_epoch(project)}
        answer = read(RelayTokenAnswer, _get(f"{url}{RELAY_TOKEN_PATH}?{urllib.parse.urlencode(asked)}", headers))
        if answer.refusal is not None:
            yield mend(f"The live-agent server at {url} refuses this project's Rasa server: {answer.refusal}")
        yield from _check_departments(project, settings, url, answer)
    except urllib.error.HTTPError as problem:
        if problem.code == 403:
            reason = f"isn't a token of the bot '{settings.bot_id}'" if settings.desk.token else "is missing"
            yield mend(
                f"The live-agent server at {url} refuses the relay, since desk.token {reason}: make a token there by "
                f"rasa-handoff token add {settings.bot_id}, and write it into credentials.yml."
            )
    except (OSError, ValueError, Refused):
        return  # check_desk has reported that it doesn't answer, or isn't ours


def _epoch(project: Project) -> dict[str, str]:
    """Return the epoch of the relay's database, by which the server tells it from another one; nothing if it can't be read."""
    try:
        from rasa_handoff.store.moving import identity_of

        return {"epoch": identity_of(relays_database(project))["epoch"]}
    except (ModuleNotFoundError, HandoffError):  # not there yet, or reported by another check
        return {}


def _check_departments(project: Project, settings: Settings, url: str, answer: RelayTokenAnswer) -> Iterator[Finding]:
    """Check that the desk has each department which the settings, a marker or a button names."""
    if answer.departments is None:
        return
    named = [(f"{CHANNEL_NAME}: default_department", settings.default_department)]
    named += [
        (f"domain.yml: {response}", said) for response, said in departments_named(project, settings.intents.execute)
    ]
    known = ", ".join(sorted(department.name for department in answer.departments)) or "none"
    for where, said in named:
        if said is not None and find_department(answer.departments, said) is None:
            yield mend(
                f"{where} names the department '{said}', and the desk at {url} doesn't have it: write one of those it has "
                f"({known}), or add it there by rasa-handoff department add."
            )


def check_dead_letters(project: Project) -> Iterator[Finding]:
    """Warn of entries that the relay couldn't deliver."""
    if _settings(project) is None:
        return
    try:
        from rasa_handoff.cli.dead_letters import count_dead_letters

        letters = count_dead_letters(relays_database(project))
    except ModuleNotFoundError:  # no relay can run here; another check reports the package
        return
    if letters:
        yield warn(_dead_letters(letters, "the relay", "rasa-handoff dead-letters list --side relay"))


def _dead_letters(letters: int, whose: str, command: str) -> str:
    """Return the sentence about dead letters. ``command``: the one that lists them."""
    what = "1 entry" if letters == 1 else f"{letters:,} entries"
    waits = "waits" if letters == 1 else "wait"
    return f"{what} of {whose} couldn't be delivered and {waits} for you: {command}"


def check_action_server(project: Project) -> Iterator[Finding]:
    """Check that the running action server has the package's actions, if config.yml says ``actions: true``."""
    url = (project.endpoints.get("action_endpoint") or {}).get("url")
    if not url or not _wants_actions(project):
        return
    server = str(url).removesuffix("/webhook").rstrip("/")
    try:
        known = {str(action["name"]) for action in _get(f"{server}/actions")}
    except (OSError, ValueError, TypeError, KeyError) as problem:
        yield warn(
            f"The action server at {server} doesn't answer ({_reason(problem)}): start it with rasa run actions."
        )
        return
    missing = [name for name in (OPTIONS_ACTION, EXECUTE_ACTION) if name not in known]
    if missing:
        yield mend(f"The action server at {server} has no {missing[0]}: restart it after adding rasa_handoff.actions.")
    else:
        yield ok(f"The action server at {server} has the package's actions.")


def _wants_actions(project: Project) -> bool:
    try:
        return choice_of(project).actions
    except SettingsError:
        return False


def _server_finding(url: str, health: Any) -> Finding:
    """Return what the answer of ``/health`` says of the server at this URL."""
    protocol = health.get("protocol") if isinstance(health, dict) else None
    if not isinstance(protocol, int):
        return mend(
            f"What answers at {url} is no live-agent server of rasa-handoff: check desk.url in credentials.yml."
        )
    if not is_our_format(health):
        return mend(
            f"The live-agent server at {url} doesn't name the format '{FORMAT}', so it is from before the first release: "
            "update rasa-handoff there."
        )
    if not are_compatible(protocol, PROTOCOL):
        return mend(
            f"The live-agent server at {url} speaks protocol {protocol}, this package {PROTOCOL}: "
            f"{what_to_update(relays=PROTOCOL, servers=protocol)}."
        )
    if health.get("status") != "ok":
        return mend(f"The live-agent server at {url} is unavailable: {health.get('reason') or 'see its log'}.")
    return ok(f"The live-agent server at {url} answers (version {health.get('version')}, protocol {protocol}).")


def _get(url: str, headers: Mapping[str, str] | None = None) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=dict(headers or {})), timeout=TIMEOUT) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as problem:
        if problem.code == 503:  # the server's status when its database can't be reached; the body says more
            return json.load(problem)
        raise


def _reason(problem: Exception) -> str:
    cause = getattr(problem, "reason", problem)
    return str(getattr(cause, "strerror", None) or cause)


def _settings(project: Project) -> Settings | None:
    try:
        return read_settings(project.channel)
    except SettingsError:
        return None
