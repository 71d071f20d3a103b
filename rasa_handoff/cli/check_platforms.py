"""Checks of the channels of platforms with a desk of their own, as far as can be seen without Rasa."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from rasa_handoff.cli.findings import Finding, mend, ok, warn
from rasa_handoff.cli.project import Project
from rasa_handoff.vocabulary import kommunicate, liveperson
from rasa_handoff.vocabulary.errors import SettingsError
from rasa_handoff.vocabulary.kommunicate import KommunicateSettings


def check_platforms(project: Project) -> Iterator[Finding]:
    """Each that stands in ``credentials.yml`` has settings that are right."""
    for name, check in CHECKS.items():
        if name in project.credentials:
            try:
                yield from check(project, project.credentials[name])
            except SettingsError as problem:
                yield mend(str(problem))


def _check_intents(channel: str, project: Project, heard: Mapping[str, str | None]) -> Iterator[Finding]:
    """What the bot hears in an event's place is an intent of its domain."""
    intents = {next(iter(one)) if isinstance(one, dict) else one for one in project.domain.get("intents") or ()}
    for key, intent in heard.items():
        if intent and not intent.startswith("/") and intent not in intents:
            yield mend(
                f"{channel}: {key} is '{intent}', and the domain has no such intent: the bot would hear it as words."
            )


def _kommunicate(project: Project, data: Any) -> Iterator[Finding]:
    settings = kommunicate.read_settings(data)
    heard = {name: getattr(settings, name) for name in ("welcome", "attachment", "location", "talk_to_human")}
    events = {f"events.{name}": intent for name, intent in settings.events.items()}
    yield from _check_intents(kommunicate.CHANNEL_NAME, project, {**heard, **events})
    if settings.api_url.startswith("http://"):
        yield warn(f"{kommunicate.CHANNEL_NAME}: api_url begins with http://, so the API key is sent unencrypted.")
    yield ok(f"KommunicateChannel answers for {', '.join(settings.bots)}; {_beside(settings)}.")


def _liveperson(project: Project, data: Any) -> Iterator[Finding]:
    settings = liveperson.read_settings(data)
    names = ("welcome", "welcome_back", "attachment", "location", "rich_content")
    yield from _check_intents(liveperson.CHANNEL_NAME, project, {name: getattr(settings, name) for name in names})
    doors = [f"the Functions {', '.join(settings.functions)}"] if settings.functions else []
    if settings.endpoint is not None:
        doors.append(f"Custom Endpoint's bots {', '.join(settings.endpoint.bots)}")
        for name, bot in settings.endpoint.bots.items():
            if bot.checked_audience is None:
                yield warn(
                    f"{liveperson.CHANNEL_NAME}: endpoint.bots.{name} takes any audience, so any customer of LivePerson's may "
                    f"call it: write your account's id."
                )
    yield ok(f"LivePersonChannel answers {' and '.join(doors)}.")


def _beside(settings: KommunicateSettings) -> str:
    api = (
        "what comes too late is said by the REST API"
        if settings.api_key
        else "without api_key, what comes too late waits"
    )
    account = "agents' words are seen" if settings.account_token else "without account_token, agents' words aren't seen"
    return f"{api}; {account}"


Check = Callable[[Project, Any], Iterator[Finding]]

CHECKS: Final[Mapping[str, Check]] = {
    kommunicate.CHANNEL_NAME: _kommunicate,
    liveperson.CHANNEL_NAME: _liveperson,
}
