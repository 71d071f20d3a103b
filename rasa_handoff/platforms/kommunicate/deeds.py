"""What an action wants done beside words: the directives (``vocabulary/directives.py``) in Kommunicate's terms.

- ``handoff_close: {}``: it is resolved;
- ``handoff_assign: thandi``: it is given to an agent, by the name in the settings or Kommunicate's id, or to a bot, by its id;
- ``handoff_transfer: {bot: my-bot-id}``: the same, of a bot.
"""

from collections.abc import Mapping
from typing import Any

from rasa_handoff.platforms.kommunicate.api import Api
from rasa_handoff.platforms.kommunicate.assigning import AGENT, details
from rasa_handoff.platforms.kommunicate.writing import Message
from rasa_handoff.vocabulary.directives import (
    Assign,
    Close,
    Directive,
    SetPriority,
    Transfer,
    key_of,
    read_directives,
    without_directives,
)
from rasa_handoff.vocabulary.errors import MarkerError, Unreachable
from rasa_handoff.vocabulary.kommunicate import KommunicateSettings
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.marker import HandoffRequest
from rasa_handoff.vocabulary.values import Value

log = get_log(__name__)


class Deed(Value, frozen=True):
    """``assign``: an agent's or bot's id at Kommunicate; None: resolve."""

    assign: str | None = None


def apart(message: Mapping[str, Any], settings: KommunicateSettings) -> tuple[Mapping[str, Any], list[Deed]]:
    """One of Rasa's messages without its directives, and what they ask for. What doesn't fit is logged and left out."""
    custom = message.get("custom")
    if not isinstance(custom, Mapping):
        return message, []
    try:
        deeds = [deed for one in read_directives(custom) if (deed := _deed(one, settings))]
    except MarkerError as problem:
        log.error("A directive can't be read: %s", problem)
        deeds = []
    # To resolve comes last: what is done in a resolved conversation opens it again.
    return {**message, "custom": without_directives(custom)}, sorted(deeds, key=lambda deed: deed.assign is None)


def _deed(directive: Directive, settings: KommunicateSettings) -> Deed | None:
    if isinstance(directive, Close):
        return Deed()
    if isinstance(directive, Assign):
        return Deed(assign=str(settings.agents.get(directive.to, directive.to)))
    if isinstance(directive, Transfer) and directive.bot in settings.bots:
        return Deed(assign=directive.bot)
    if isinstance(directive, Transfer):
        log.error("The bot %r doesn't stand under 'bots': nothing is transferred.", directive.bot or directive.skill)
        return None
    if isinstance(directive, SetPriority):
        log.info("Kommunicate knows no priority: it stands in the handoff's details at most.")
        return None
    log.error("Kommunicate's channel can't do what %s asks for.", key_of(directive))
    return None


async def do(
    deeds: list[Deed], api: Api | None, bot_id: str, conversation_id: str, words: list[Message]
) -> list[Message]:
    """Say the words and do the deeds, in this order: Kommunicate opens a resolved conversation again if it is spoken in.

    Returns what is left for an answer: words that couldn't be said, and an assignment that couldn't be made. A conversation
    that couldn't be resolved stays open, and the log says so.
    """
    left = list(words)
    try:
        if api is None:
            raise Unreachable("There is no api_key in the settings.")
        await api.tell(bot_id, conversation_id, left)
        for deed in list(deeds):
            await _do(deed, api, bot_id, conversation_id)
            deeds.remove(deed)
    except Unreachable as problem:
        if left:
            log.warning("%s messages for %s are left for an answer: %s", len(left), short_id(conversation_id), problem)
        for deed in deeds:
            what = f"assigned to {deed.assign!r} by the API" if deed.assign else "resolved"
            log.error("The conversation %s wasn't %s: %s", short_id(conversation_id), what, problem)
        left += [{"message": "", "metadata": {AGENT: deed.assign}} for deed in deeds if deed.assign]
    return left


async def _do(deed: Deed, api: Api, bot_id: str, conversation_id: str) -> None:
    if deed.assign is not None:
        await api.assign(bot_id, conversation_id, deed.assign)
    else:
        await api.resolve(bot_id, conversation_id)
    log.info(
        "The conversation %s was %s.",
        short_id(conversation_id),
        f"given to {deed.assign}" if deed.assign else "resolved",
    )


async def describe(api: Api, user_id: str, request: HandoffRequest) -> None:
    """Write what the bot says about a handoff to the customer's details; if it can't be, the log says so."""
    if known := details(request):
        try:
            await api.describe(user_id, known)
        except Unreachable as problem:
            log.warning("What the bot says about a handoff didn't reach the customer's details: %s", problem)
