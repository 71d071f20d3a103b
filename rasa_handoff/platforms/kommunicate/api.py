"""Kommunicate's REST API, for what is no answer to a call (https://docs.kommunicate.io/docs/api-detail).

Rules and teams can't be named in it: a handoff to those waits for an answer.
"""

from collections.abc import Mapping
from typing import Any, Final

from rasa_handoff.platforms.kommunicate.assigning import AGENT, CONTEXT, assigns, handing
from rasa_handoff.platforms.kommunicate.calling import Caller
from rasa_handoff.platforms.kommunicate.writing import Message
from rasa_handoff.vocabulary.kommunicate import KommunicateSettings

SEND: Final = "/rest/ws/message/v2/send"
STATUS: Final = "/rest/ws/group/status/change"
ASSIGN: Final = "/rest/ws/group/assignee/change"
USER: Final = "/rest/ws/user/update"
RESOLVED: Final = "2"


class Api:
    """What may be said and done in a conversation. Every method raises Unreachable if it wasn't."""

    def __init__(self, settings: KommunicateSettings, key: str) -> None:
        self._caller, self._bots = Caller(settings.api_url, key), settings.bots
        self._user = settings.api_user

    async def tell(self, bot_id: str, conversation_id: str, messages: list[Message]) -> None:
        """Say these in the bot's name, in order, taking each off the list that has been said.

        A handoff to an agent is an assignment. One to rules or teams stays on the list, without its words.
        """
        for message in list(messages):
            plain, agent = _apart(message)
            if plain is not None:
                group: Any = int(conversation_id) if conversation_id.isdecimal() else conversation_id
                body = {"groupId": group, "fromUserName": bot_id, **plain}
                await self._caller.call(bot_id, "POST", SEND, once=True, json=body)
                if assigns(message):  # said; what is left is the handoff
                    place = messages.index(message)
                    message = messages[place] = {"message": "", "metadata": handing(message["metadata"])}
            if agent:
                await self.assign(bot_id, conversation_id, agent)
            if agent is None or agent:
                messages.remove(message)

    async def assign(self, bot_id: str, conversation_id: str, assignee: str) -> None:
        """The conversation is this agent's or bot's now. Bots stay in a conversation only if it is given to one of ours."""
        over = "false" if assignee in self._bots else "true"
        query = {"groupId": conversation_id, "assignee": assignee, "takeOverFromBot": over}
        await self._caller.call(self._user or bot_id, "PATCH", ASSIGN, params=query)

    async def resolve(self, bot_id: str, conversation_id: str) -> None:
        """The conversation is resolved."""
        query = {"groupId": conversation_id, "status": RESOLVED}
        await self._caller.call(self._user or bot_id, "PATCH", STATUS, params=query)

    async def describe(self, user_id: str, details: Mapping[str, Any]) -> None:
        """Write to a customer's details: ``displayName``, ``email``, ``metadata``."""
        await self._caller.call(user_id, "POST", USER, json=dict(details))


def _apart(message: Message) -> tuple[Message | None, str | None]:
    """What is to be said, if anything, and the agent it hands over to: None for no handoff, empty for rules and teams."""
    if not assigns(message):
        return message, None
    metadata = message["metadata"]
    rest = {name: value for name, value in metadata.items() if name not in handing(metadata) or name == CONTEXT}
    said = {"message": message["message"], **({"metadata": rest} if rest else {})}
    shown = message["message"] or set(rest) - {CONTEXT}
    return said if shown else None, str(metadata.get(AGENT) or "")
