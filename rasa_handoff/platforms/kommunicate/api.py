"""Kommunicate's REST API, for what comes too late for an answer (https://docs.kommunicate.io/docs/api-detail)."""

import asyncio
from typing import Any, Final

import aiohttp

from rasa_handoff.platforms.kommunicate.assigning import AGENT, TEAM
from rasa_handoff.platforms.kommunicate.writing import Message
from rasa_handoff.vocabulary.errors import Unreachable

SEND: Final = "/rest/ws/message/v2/send"
ASSIGN: Final = "/rest/ws/group/assignee/change"
PATIENCE: Final = aiohttp.ClientTimeout(total=10)


class Api:
    """``key`` is the API key of the dashboard; it speaks for any of the application's bots."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url.rstrip("/"), key

    async def tell(self, bot_id: str, conversation_id: str, messages: list[Message]) -> None:
        """Say these in the bot's name, in order, taking each off the list that has been said.

        A handoff to an agent is an assignment there. Rules and teams can't be named in this API: those stay on the list.

        Raises:
            Unreachable: not answered, or not with 2xx; what is on the list hasn't been said.
        """
        headers = {"Api-Key": self._key, "Of-User-Id": bot_id}
        async with aiohttp.ClientSession(headers=headers, timeout=PATIENCE) as session:
            for message in list(messages):
                plain, agent = _apart(message)
                if plain is not None:
                    group: Any = int(conversation_id) if conversation_id.isdecimal() else conversation_id
                    body = {"groupId": group, "fromUserName": bot_id, **plain}
                    await self._call(session, "POST", SEND, json=body)
                if agent:
                    query = {"groupId": conversation_id, "assignee": agent, "takeOverFromBot": "true"}
                    await self._call(session, "PATCH", ASSIGN, params=query)
                if agent is None or agent:
                    messages.remove(message)
                else:
                    messages[messages.index(message)] = {"message": "", "metadata": message["metadata"]}

    async def _call(self, session: aiohttp.ClientSession, method: str, path: str, **more: Any) -> None:
        try:
            async with session.request(method, self._url + path, **more) as answer:
                if answer.status // 100 != 2:
                    raise Unreachable(f"Kommunicate answered {method} {path} with {answer.status}.")
        except (aiohttp.ClientError, asyncio.TimeoutError) as problem:
            raise Unreachable(f"Kommunicate can't be reached ({method} {path}: {type(problem).__name__}).") from problem


def _apart(message: Message) -> tuple[Message | None, str | None]:
    """What is to be said, if anything, and the agent it hands over to: None for no handoff, empty for rules and teams."""
    metadata = message.get("metadata")
    if not isinstance(metadata, dict) or not (AGENT in metadata or TEAM in metadata):
        return message, None
    rest = {name: value for name, value in metadata.items() if name not in (AGENT, TEAM)}
    said = {"message": message["message"], **({"metadata": rest} if rest else {})}
    return said if message["message"] or rest else None, str(metadata.get(AGENT) or "")
