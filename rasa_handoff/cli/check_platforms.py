"""Doctor's checks of the channels for platforms with a desk of their own, as far as they work without Rasa."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from rasa_handoff.cli.check_surroundings import check_rasas_stores
from rasa_handoff.cli.findings import Finding, mend, ok, warn
from rasa_handoff.cli.project import Project
from rasa_handoff.platforms.kommunicate import settings as kommunicate
from rasa_handoff.platforms.kommunicate.settings import KommunicateSettings
from rasa_handoff.platforms.liveperson import settings as liveperson
from rasa_handoff.platforms.platform_settings import PlatformSettings, serves_one_process
from rasa_handoff.protocol.errors import HandoffError, SettingsError


def check_platforms(project: Project) -> Iterator[Finding]:
    """Check the settings of each platform channel in ``credentials.yml``."""
    for name, check in CHECKS.items():
        if name in project.credentials:
            try:
                yield from check(project, project.credentials[name])
            except SettingsError as problem:
                yield mend(str(problem))


def _check_intents(channel: str, project: Project, settings: Mapping[str, str | None]) -> Iterator[Finding]:
    """Check that each intent in the channel's settings is in the bot's domain."""
    intents = {next(iter(one)) if isinstance(one, dict) else one for one in project.domain.get("intents") or ()}
    for key, intent in settings.items():
        if intent and not intent.startswith("/") and intent not in intents:
            yield mend(
                f"{channel}: {key} is '{intent}', and the domain has no such intent: the bot would get it as a message."
            )


def _check_database(channel: str, project: Project, settings: PlatformSettings) -> Iterator[Finding]:
    """Check that the database of a channel can be used, by as many Rasa servers as there are."""
    lock_store = (project.endpoints.get("lock_store") or {}).get("type")
    if lock_store == "redis" and serves_one_process(settings.database):
        yield mend(
            f"{channel}: endpoints.yml has a Redis lock store, which is for several Rasa servers, but the database serves one: "
            f"set 'database' to a Postgres that all of them use, or take lock_store out."
        )
    try:
        from rasa_handoff.store.database_url import read_url, without_password
        from rasa_handoff.store.postgres import postgres_engine
    except ModuleNotFoundError:  # the channel can't run here; another check reports the package
        return
    shown = without_password(settings.database)
    try:
        url = read_url(settings.database)
        if serves_one_process(settings.database):
            folder = (project.folder / (url.database or "")).parent
            if not folder.is_dir():
                yield mend(
                    f"{channel}: database is {shown}, and there is no folder {folder}: make it, or write another file."
                )
            return
        engine = postgres_engine(url)
        with engine.connect():
            pass
        engine.dispose()
        if project.channel is None:  # else its own check looks at them
            yield from check_rasas_stores(project)
    except HandoffError as problem:
        yield mend(f"{channel}: database: {problem}")
    except Exception as problem:  # the driver may be missing, or anything be wrong on the way
        reason = str(getattr(problem, "orig", None) or problem).splitlines()[0]
        yield mend(f"{channel}: the database {shown} can't be reached ({reason}): start it, or correct its address.")
    else:
        yield ok(f"{channel}: the database {shown} can be reached.")


def _kommunicate(project: Project, data: Any) -> Iterator[Finding]:
    settings = kommunicate.read_settings(data)
    mapped = {name: getattr(settings, name) for name in ("welcome", "attachment", "location", "talk_to_human")}
    events = {f"events.{name}": intent for name, intent in settings.events.items()}
    yield from _check_intents(kommunicate.CHANNEL_NAME, project, {**mapped, **events})
    yield from _check_database(kommunicate.CHANNEL_NAME, project, settings)
    if settings.api_url.startswith("http://"):
        yield warn(f"{kommunicate.CHANNEL_NAME}: api_url begins with http://, so the API key is sent unencrypted.")
    yield ok(f"KommunicateChannel answers for {', '.join(settings.bots)}; {_optional_parts(settings)}.")


def _liveperson(project: Project, data: Any) -> Iterator[Finding]:
    settings = liveperson.read_settings(data)
    names = ("welcome", "welcome_back", "attachment", "location", "rich_content")
    yield from _check_intents(liveperson.CHANNEL_NAME, project, {name: getattr(settings, name) for name in names})
    yield from _check_database(liveperson.CHANNEL_NAME, project, settings)
    served = [f"the Functions {', '.join(settings.functions)}"] if settings.functions else []
    if settings.endpoint is not None:
        served.append(f"Custom Endpoint's bots {', '.join(settings.endpoint.bots)}")
        for name, bot in settings.endpoint.bots.items():
            if bot.checked_audience is None:
                yield warn(
                    f"{liveperson.CHANNEL_NAME}: endpoint.bots.{name} takes any audience, so any customer of LivePerson's may "
                    f"call it: write your account's id."
                )
    yield ok(f"LivePersonChannel answers {' and '.join(served)}.")


def _optional_parts(settings: KommunicateSettings) -> str:
    """Say what works by the optional keys, or doesn't work without them. "Too late" is after the response to a webhook."""
    api = (
        "what comes too late is said by the REST API"
        if settings.api_key
        else "without api_key, what comes too late waits"
    )
    account = (
        "agents' messages are seen" if settings.account_token else "without account_token, agents' messages aren't seen"
    )
    return f"{api}; {account}"


PlatformCheck = Callable[[Project, Any], Iterator[Finding]]

CHECKS: Final[Mapping[str, PlatformCheck]] = {
    kommunicate.CHANNEL_NAME: _kommunicate,
    liveperson.CHANNEL_NAME: _liveperson,
}
