"""Checks of the channels of platforms with a desk of their own, as far as can be seen without Rasa."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from rasa_handoff.cli.findings import Finding, mend, ok, warn
from rasa_handoff.cli.project import Project
from rasa_handoff.vocabulary import kommunicate
from rasa_handoff.vocabulary.errors import SettingsError
from rasa_handoff.vocabulary.kommunicate import KommunicateSettings


def check_platforms(project: Project) -> Iterator[Finding]:
    """Each that stands in ``credentials.yml`` has settings that are right."""
    for name, check in CHECKS.items():
        if name in project.credentials:
            try:
                yield from check(project.credentials[name])
            except SettingsError as problem:
                yield mend(str(problem))


def _kommunicate(data: Any) -> Iterator[Finding]:
    settings = kommunicate.read_settings(data)
    if settings.api_url.startswith("http://"):
        yield warn(f"{kommunicate.CHANNEL_NAME}: api_url begins with http://, so the API key is sent unencrypted.")
    yield ok(f"KommunicateChannel answers for {', '.join(settings.bots)}; {_beside(settings)}.")


def _beside(settings: KommunicateSettings) -> str:
    api = (
        "what comes too late is said by the REST API"
        if settings.api_key
        else "without api_key, what comes too late waits"
    )
    account = "agents' words are seen" if settings.account_token else "without account_token, agents' words aren't seen"
    return f"{api}; {account}"


Check = Callable[[Any], Iterator[Finding]]

CHECKS: Final[Mapping[str, Check]] = {kommunicate.CHANNEL_NAME: _kommunicate}
