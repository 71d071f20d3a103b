"""Kommunicate's REST API, for messages and actions outside a webhook call.

https://docs.kommunicate.io/docs/api-detail and https://docs.kommunicate.io/docs/api-authentication. The API has no name for rules
and teams: a handoff to those waits for the next answer.

A call is tried a few times. One that may be done twice without harm is tried again after any failure. A message isn't such a
call: it is sent again only if it surely wasn't taken, since nobody listened or the answer was "not now". A refusal isn't tried
again. An answer with 200 may be a refusal too, which its body then says.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from rasa_handoff.platforms.kommunicate.handoff import (
    AGENT,
    CONTEXT,
    DeskAction,
    KommunicateMessage,
    assigns,
    details,
    handoff_metadata,
)
from rasa_handoff.platforms.kommunicate.settings import KommunicateSettings
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.logs import escaped, get_log, short_id
from rasa_handoff.protocol.markers import HandoffRequest
from rasa_handoff.protocol.text import valid

log = get_log(__name__)

SEND: Final = "/rest/ws/message/v2/send"
STATUS: Final = "/rest/ws/group/status/change"
ASSIGN: Final = "/rest/ws/group/assignee/change"
USER: Final = "/rest/ws/user/update"
RESOLVED: Final = "2"
"""The status of a resolved conversation."""

PATIENCE: Final = aiohttp.ClientTimeout(total=10)
PAUSES: Final = (0.3, 1.0)
"""Seconds before the second and the third try."""
NOT_NOW: Final = (429, 503)
"""Statuses after which any call may be repeated: the request wasn't taken."""
ENGAGED: Final = "AGENT_IS_ALREADY_ENGAGED"
"""In an answer with 200: the agent has as many conversations as allowed, and doesn't get this one."""
LONGEST_CODE: Final = 40
"""Characters of an error code that are logged."""


class _Again(Exception):
    """The call failed, and may work a moment later."""


class Caller:
    """Makes calls of the REST API, and repeats them by the rules above. ``key``: the API key from the dashboard."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url.rstrip("/"), key

    async def call(self, user: str, method: str, path: str, *, once: bool = False, **more: Any) -> None:
        """Make one call in the name of ``user``.

        ``once``: it must not be done twice. ``more``: ``json`` or ``params``.

        Raises:
            Unreachable: refused, or all tries failed; the sentence has status or error, and nothing of what was sent.
        """
        headers = {"Api-Key": self._key, "Of-User-Id": user}
        async with aiohttp.ClientSession(headers=headers, timeout=PATIENCE) as session:
            for pause in (*PAUSES, None):
                try:
                    return await self._try(session, method, path, once, more)
                except _Again as problem:
                    if pause is None:
                        raise Unreachable(f"{problem} It was tried {len(PAUSES) + 1} times.") from problem
                    await asyncio.sleep(pause)

    async def _try(
        self, session: aiohttp.ClientSession, method: str, path: str, once: bool, more: dict[str, Any]
    ) -> None:
        try:
            async with session.request(method, self._url + path, allow_redirects=False, **more) as answer:
                status, body = answer.status, await answer.read()
        except (aiohttp.ClientError, asyncio.TimeoutError) as problem:
            sentence = f"Kommunicate can't be reached ({method} {path}: {type(problem).__name__})."
            if once and not isinstance(problem, aiohttp.ClientConnectorError):
                raise Unreachable(sentence) from problem
            raise _Again(sentence) from problem
        except ValueError as problem:  # a user's id with a line feed, for example, which no header can carry
            raise Unreachable(f"{method} {path} of this user can't be sent to Kommunicate: {problem}") from problem
        if status in NOT_NOW or (status >= 500 and not once):
            raise _Again(f"Kommunicate answered {method} {path} with {status}.")
        if status // 100 != 2 or (why := _refusal(body)):
            detail = "" if status // 100 != 2 else f": {why}"
            raise Unreachable(f"Kommunicate answered {method} {path} with {status}{detail}.")


def _refusal(body: bytes) -> str | None:
    """Return the error codes of an answer with 200 that is a refusal; None if it isn't one."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    if answer.get("status") == "error":
        errors = answer.get("errorResponse")
        listed = errors if isinstance(errors, list) else []
        codes = [escaped(valid(error.get("errorCode")), LONGEST_CODE) for error in listed if isinstance(error, dict)]
        return ", ".join(codes) or "status error"
    return ENGAGED if answer.get("response") == ENGAGED else None


class Api:
    """Messages and actions in a conversation. Every method raises Unreachable if the call failed."""

    def __init__(self, settings: KommunicateSettings, key: str) -> None:
        self._caller, self._bots = Caller(settings.api_url, key), settings.bots
        self._user = settings.api_user

    async def send(self, bot_id: str, conversation_id: str, messages: list[KommunicateMessage]) -> None:
        """Send messages in the bot's name, in order, and remove each from the list once it is sent.

        A handoff to an agent becomes an assignment. One to rules or teams stays on the list, without its text.
        """
        for message in list(messages):
            plain, agent = _split_handoff(message)
            if plain is not None:
                group: Any = int(conversation_id) if conversation_id.isdecimal() else conversation_id
                body = {"groupId": group, "fromUserName": bot_id, **plain}
                await self._caller.call(bot_id, "POST", SEND, once=True, json=body)
                if assigns(message):  # sent; the handoff is left
                    index = messages.index(message)
                    message = messages[index] = {"message": "", "metadata": handoff_metadata(message["metadata"])}
            if agent:
                await self.assign(bot_id, conversation_id, agent)
            if agent is None or agent:  # all is done; with an empty agent, the handoff to rules or a team is left
                messages.remove(message)

    async def assign(self, bot_id: str, conversation_id: str, assignee: str) -> None:
        """Give the conversation to an agent or a bot. Bots stay in a conversation only if it is given to one of ours."""
        over = "false" if assignee in self._bots else "true"
        query = {"groupId": conversation_id, "assignee": assignee, "takeOverFromBot": over}
        await self._caller.call(self._user or bot_id, "PATCH", ASSIGN, params=query)

    async def resolve(self, bot_id: str, conversation_id: str) -> None:
        """Resolve the conversation."""
        query = {"groupId": conversation_id, "status": RESOLVED}
        await self._caller.call(self._user or bot_id, "PATCH", STATUS, params=query)

    async def describe(self, user_id: str, details: Mapping[str, Any]) -> None:
        """Write to a customer's details: ``displayName``, ``email``, ``metadata``."""
        await self._caller.call(user_id, "POST", USER, json=dict(details))


def _split_handoff(message: KommunicateMessage) -> tuple[KommunicateMessage | None, str | None]:
    """Return the message to send, if anything is shown, and the agent it hands over to: None for no handoff, empty for rules and
    teams."""
    if not assigns(message):
        return message, None
    metadata = message["metadata"]
    rest = {
        name: value for name, value in metadata.items() if name not in handoff_metadata(metadata) or name == CONTEXT
    }
    plain = {"message": message["message"], **({"metadata": rest} if rest else {})}
    is_shown = message["message"] or set(rest) - {CONTEXT}
    return plain if is_shown else None, str(metadata.get(AGENT) or "")


async def carry_out(
    desk_actions: list[DeskAction],
    api: Api | None,
    bot_id: str,
    conversation_id: str,
    messages: list[KommunicateMessage],
) -> list[KommunicateMessage]:
    """Send the messages, then carry out the desk actions: a message in a resolved conversation opens it again.

    Returns what is left for an answer: messages that couldn't be sent, and an assignment that couldn't be made. A conversation
    that couldn't be resolved stays open, and the log says so.
    """
    left = list(messages)
    try:
        if api is None:
            raise Unreachable("There is no api_key in the settings.")
        await api.send(bot_id, conversation_id, left)
        for desk_action in list(desk_actions):
            await _do(desk_action, api, bot_id, conversation_id)
            desk_actions.remove(desk_action)
    except Unreachable as problem:
        if left:
            log.warning("%s messages for %s are left for an answer: %s", len(left), short_id(conversation_id), problem)
        for desk_action in desk_actions:
            what = f"assigned to {desk_action.assign!r} by the API" if desk_action.assign else "resolved"
            log.error("The conversation %s wasn't %s: %s", short_id(conversation_id), what, problem)
        left += [
            {"message": "", "metadata": {AGENT: desk_action.assign}}
            for desk_action in desk_actions
            if desk_action.assign
        ]
    return left


async def _do(desk_action: DeskAction, api: Api, bot_id: str, conversation_id: str) -> None:
    if desk_action.assign is not None:
        await api.assign(bot_id, conversation_id, desk_action.assign)
    else:
        await api.resolve(bot_id, conversation_id)
    log.info(
        "The conversation %s was %s.",
        short_id(conversation_id),
        f"given to {desk_action.assign}" if desk_action.assign else "resolved",
    )


async def write_details(api: Api, user_id: str, request: HandoffRequest) -> None:
    """Write a handoff request to the customer's details. If that fails, it is only logged."""
    if known := details(request):
        try:
            await api.describe(user_id, known)
        except Unreachable as problem:
            log.warning("The handoff request didn't reach the customer's details: %s", problem)
