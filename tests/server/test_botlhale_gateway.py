"""Botlhale's gateway when its client goes in the middle of a delivery, and when a client's words aren't taken."""

from typing import Any

import pytest
from socketio import AsyncServer

from rasa_handoff.guard.guard import Guard
from rasa_handoff.protocol.errors import Refused, Unreachable, Waits
from rasa_handoff.protocol.values import Status
from rasa_handoff.server.gateways.botlhale_clients import Client
from rasa_handoff.server.gateways.botlhale_gateway import NOT_TAKEN, OVER, TRY_AGAIN, BotlhaleGateway, Socket
from rasa_handoff.server.storage.tables import Unavailable
from rasa_handoff.store.outbox import Entry


class NotingService:
    """Stands for the service: keeps what it is told about messages."""

    def __init__(self) -> None:
        self.marks: list[Any] = []

    async def note(self, marks: Any) -> None:
        self.marks.extend(marks)


class Leaving(BotlhaleGateway):
    """A gateway whose client goes after so many messages."""

    def __init__(self, noting: NotingService, goes_after: int) -> None:
        super().__init__(AsyncServer(async_mode="asgi"), noting, open_live_agent=True, guard=Guard())
        self.sent: list[str] = []
        self.goes_after = goes_after

    async def _emit(self, sid: str, event: str, body: dict[str, Any]) -> None:
        self.sent.append(body["message"])
        if len(self.sent) == self.goes_after:
            self._sockets.clear()


def message(key: int) -> Entry:
    payload = {"id": f"m{key}", "number": key, "text": f"word {key}", "handoff_id": "h", "at": 1.0}
    body = {"bot_id": "b", "conversation_id": "c", "payload": payload}
    return Entry(target="botlhale", lane="h", name="message", body=body, key=key)


async def test_what_it_was_not_sent_is_not_delivered_and_nothing_is_sent_twice() -> None:
    noting = NotingService()
    gateway = Leaving(noting, goes_after=1)
    client = Client(bot_id="b", conversation_id="c")
    socket = Socket(namespace="/live_agent", token=None, address="127.0.0.1")
    gateway._sockets["s1"] = socket
    gateway._client_sockets.join("s1", client, proven=True)
    entries = [message(key) for key in (1, 2, 3)]
    with pytest.raises(Waits):
        await gateway.deliver("h", entries)
    assert [mark.status for mark in noting.marks] == [Status.DELIVERED, Status.WAITING, Status.WAITING]
    gateway.goes_after = 0
    gateway._client_sockets.leave("s1")
    gateway._sockets["s2"] = socket
    gateway._client_sockets.join("s2", client, proven=True)
    assert [mark.status for mark in await gateway.deliver("h", entries)] == [Status.DELIVERED] * 3
    assert gateway.sent == ["word 1", "word 2", "word 3"]


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (Unreachable("The server is stopping."), TRY_AGAIN),
        (Unavailable(), TRY_AGAIN),
        (ValueError("unforeseen"), TRY_AGAIN),
        (Refused("invalid", "No id."), NOT_TAKEN),
        (Refused("ended", OVER), OVER),
    ],
)
async def test_words_that_are_not_taken_are_refused_aloud_whatever_the_reason(problem: Exception, words: str) -> None:
    gateway = Leaving(NotingService(), goes_after=0)

    async def fails(*_: Any) -> None:
        raise problem

    with pytest.raises(type(problem)):
        await gateway._refusing("from_user", fails)("s1", {})
    with pytest.raises(type(problem)):
        await gateway._refusing("username", fails)("s1", {})
    assert gateway.sent == [words]
