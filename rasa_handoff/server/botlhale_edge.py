"""The namespaces ``/live_agent``, ``/live_server`` and ``/``: clients written for Botlhale's live agent.

One socket per conversation (reference/wire-formats.md, section 1). Read tolerantly, write strictly. What isn't taken is
refused aloud: in the acknowledgement, and customer's words by ``to_user`` too, since such a client asks for no acknowledgement.
A client that goes away keeps its conversation: what is said meanwhile waits for its next connect.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from socketio import AsyncServer
from socketio.exceptions import ConnectionRefusedError

from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.recent import Recent
from rasa_handoff.guard.requests import is_local
from rasa_handoff.server import accounts, clients
from rasa_handoff.server.answers import listen
from rasa_handoff.server.bot_side import BotSide
from rasa_handoff.server.client_sockets import NOT_PROVEN, ClientSockets
from rasa_handoff.server.client_words import (
    ENDINGS,
    FAILED,
    NOT_OPEN,
    OVER,
    TOO_MANY,
    UNKNOWN,
    WORDS,
    apology,
    whom,
    whom_by_status,
)
from rasa_handoff.server.clients import BOTLHALE, Client, Entered
from rasa_handoff.server.door import Mark
from rasa_handoff.server.resume_secrets import RESUME_KEY
from rasa_handoff.server.turn import Turn
from rasa_handoff.store.apart import apart
from rasa_handoff.store.outbox import Entry
from rasa_handoff.thinking.assignment import Stage
from rasa_handoff.vocabulary.errors import Refused, Unreachable, Waits
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.names import BOTLHALE_NAMESPACES, STATE_KEY
from rasa_handoff.vocabulary.text import valid_text
from rasa_handoff.vocabulary.values import Status, Value

log = get_log(__name__)

Heard = Callable[[str, Any], Awaitable[dict[str, Any] | None]]


class Socket(Value, frozen=True, kw_only=True):
    """A connected client: its namespace, its token if it needs one, and the address it counts for."""

    namespace: str
    token: str | None
    address: str


class BotlhaleEdge:
    """Hears the clients, and is the outbox target ``"botlhale"``. Which socket is told: ``client_sockets.py``."""

    batch: int = 100

    def __init__(self, sio: AsyncServer, conversations: BotSide, open_live_agent: bool, guard: Guard) -> None:
        self._sio, self._conversations, self._open, self._guard = sio, conversations, open_live_agent, guard
        self._sockets: dict[str, Socket] = {}
        self._places = ClientSockets()
        # The last entry told in each lane: what couldn't be noted as told isn't told twice.
        self._told: dict[str, int] = Recent()
        # Sockets that were told the end and aren't closed yet.
        self._dismissed: set[str] = set()
        for namespace in BOTLHALE_NAMESPACES:
            self._listen(namespace)

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> Sequence[Mark]:
        """Tell the socket that has the conversation; the protocol has no acknowledgement."""
        body = entries[0].body
        client = Client(bot_id=body["bot_id"], conversation_id=body["conversation_id"])
        sid = self._places.holder(client)
        for entry in entries:
            if entry.key <= self._told.get(lane, 0):
                continue
            if sid is None or sid not in self._sockets:
                await self._note(lane, entries)
                raise Waits("The client is away.")
            if entry.key > self._places.told(lane, sid):
                await self._tell(sid, entry.name, entry.body["say"])
            if self._places.counts(sid, client):
                self._told[lane] = entry.key
            else:
                self._places.note_told(lane, sid, entry.key)
        if not _marks(lane, [entry for entry in entries if entry.key > self._told.get(lane, 0)], Status.WAITING):
            self._places.forget(lane)
            return _marks(lane, entries, Status.DELIVERED)
        await self._note(lane, entries, NOT_PROVEN)
        if not any(entry.body["say"].get("status") in ENDINGS for entry in entries):
            raise Waits("Whether it reached the customer isn't known yet.")
        self._places.forget(lane)  # the end was told: it can't be told to anybody else
        return ()

    async def _note(self, lane: str, entries: Sequence[Entry], reason: str | None = None) -> None:
        """What was told and counts is delivered; the rest waits."""
        told = self._told.get(lane, 0)
        delivered = _marks(lane, [entry for entry in entries if entry.key <= told], Status.DELIVERED)
        waiting = _marks(lane, [entry for entry in entries if entry.key > told], Status.WAITING, reason)
        await self._conversations.note((*delivered, *waiting))

    async def close_revoked(self) -> None:
        """End the connections whose token was revoked."""
        holding = await self._conversations.do(lambda turn: accounts.token_hashes(turn.connection))
        for sid, socket in list(self._sockets.items()):
            if socket.token is not None and accounts.hashed(socket.token) not in holding:
                log.warning("The token of a client of Botlhale's protocol was revoked, so its connection is ended.")
                with apart(log, "A connection whose token was revoked doesn't close."):
                    await self._disconnect(sid)
                    await self._sio.disconnect(sid, namespace=socket.namespace)

    async def _tell(self, sid: str, name: str, say: dict[str, Any]) -> None:
        if name == "message":
            await self._emit(sid, "to_user", {"message": say["text"], "id": say["id"], "number": say["number"]})
            return
        status, active = say["status"], whom_by_status(say)
        if status in WORDS:
            await self._emit(sid, "to_user", {"message": WORDS[status], "id": say["id"], "number": say["number"]})
        if active is not None:
            await self._emit(sid, STATE_KEY, active)
        if status == "accepted":
            await self._emit(sid, "messages", {})
        elif status in ENDINGS:
            self._told.pop(say["handoff_id"], None)
            await self._dismiss(sid)

    def _listen(self, namespace: str) -> None:
        async def connect(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
            await self._connect(namespace, sid, environ, auth)

        heard: dict[str, Heard] = {
            "username": self._username,
            "from_user": self._from_user,
            "messages_to_client": self._messages_to_client,
        }
        self._sio.on("connect", connect, namespace=namespace)
        self._sio.on("disconnect", self._disconnect, namespace=namespace)
        listen(self._sio, namespace, {event: self._aloud(event, handler) for event, handler in heard.items()}, FAILED)
        self._sio.on("*", _unknown, namespace=namespace)

    def _aloud(self, event: str, handler: Heard) -> Heard:
        """The handler, whose refusals are logged; and of words that weren't taken the customer reads."""

        async def heard(sid: str, data: Any) -> dict[str, Any] | None:
            try:
                return await handler(sid, data)
            except Exception as no:
                if isinstance(no, Refused) and no.code != "busy":  # that the guard has noted already
                    socket = self._sockets.get(sid)
                    address = "unknown" if socket is None else socket.address
                    self._guard.refusals.note(address, "client", f"a client's {event}: {no}")
                if event == "from_user":
                    await self._emit(sid, "to_user", {"message": apology(no)})
                raise

        return heard

    async def _connect(self, namespace: str, sid: str, environ: dict[str, Any], auth: Any) -> None:
        token = None
        if not self._open and not is_local(environ):
            token = valid_text(str(auth.get("token") or "")) if isinstance(auth, dict) else ""
            try:
                fits = await self._conversations.do(lambda turn: accounts.token_fits(turn.connection, token))
            except Unreachable as problem:
                raise ConnectionRefusedError(str(problem)) from problem
            if not fits:
                self._guard.refusals.note(
                    self._guard.address(environ), "client", f"a client of {namespace}: {NOT_OPEN}"
                )
                raise ConnectionRefusedError(NOT_OPEN)
        self._sockets[sid] = Socket(namespace=namespace, token=token, address=self._guard.address(environ))
        # Emitted here it would overtake the connect's acknowledgement, which clients in Python don't survive.
        self._conversations.board.later(partial(self._emit, sid, "startConversation", {}))

    async def _disconnect(self, sid: str, *_: Any) -> None:
        self._sockets.pop(sid, None)
        self._dismissed.discard(sid)
        for client in self._places.leave(sid):
            if self._places.holder(client) is not None:  # what the one that went was told may be lost
                await self._conversations.pump.ring_all(BOTLHALE)
                break

    async def _username(self, sid: str, data: Any) -> dict[str, Any]:
        client, resume = clients.read_client(data, self._places.client(sid)), clients.read_resume(data)
        return await self._enter(sid, client, lambda turn: clients.enter(turn, client, self._may_begin(sid), resume))

    async def _from_user(self, sid: str, data: Any) -> dict[str, Any]:
        client, id, text, resume = (
            clients.read_client(data, self._places.client(sid)),
            clients.read_id(data),
            clients.read_text(data),
            clients.read_resume(data),
        )
        if sid in self._dismissed:  # it crossed with the end
            self._conversations.board.later(partial(self._dismiss, sid))  # after it was told
            raise Refused("ended", OVER)
        elsewhere = self._places.holder(client) not in (None, sid)
        return await self._enter(
            sid,
            client,
            lambda turn: clients.hear(turn, client, id, text, self._may_begin(sid), resume, elsewhere),
            speaks=True,
        )

    async def _messages_to_client(self, sid: str, data: Any) -> None:
        client, lines = clients.read_client(data, self._places.client(sid)), clients.read_lines(data)
        token, resume = self._token_of(sid), clients.read_resume(data)
        if self._places.holder(client) not in (None, sid):
            raise Refused("refused", "Another connection has this conversation.")

        def work(turn: Turn) -> None:
            _check_token(turn, token, client)
            clients.story(turn, client, lines, resume)

        await self._conversations.do(work)

    async def _enter(
        self, sid: str, client: Client, work: Callable[[Turn], Entered], speaks: bool = False
    ) -> dict[str, Any]:
        """Do what registers a socket; who speaks has the conversation from then on."""
        await self._guard.conversations.of(f"{client.bot_id} {client.conversation_id}").wait()
        token, new = self._token_of(sid), self._places.client(sid) != client

        def checked(turn: Turn) -> Entered:
            _check_token(turn, token, client)
            return work(turn)

        entered = await self._conversations.do(checked)
        record, answer = entered.record, {} if entered.secret is None else {RESUME_KEY: entered.secret}
        if sid not in self._sockets:
            return answer
        had = self._places.holder(client)
        if speaks and (told := self._places.told(record.handoff_id, sid)):  # it is alive, so it got that
            self._told[record.handoff_id] = max(told, self._told.get(record.handoff_id, 0))
        self._places.join(sid, client, proven=speaks or entered.own)
        has = self._places.holder(client) == sid
        if new and record.assignment.stage is not Stage.ENDED:  # else the end is told in its turn
            await self._emit(sid, STATE_KEY, whom(record.assignment, named=has))
        if new or had != sid or speaks:
            self._conversations.pump.ring([(BOTLHALE, record.handoff_id)])
        if new and has and not record.offer.transcript:
            await self._emit(sid, "messages", {})
        return answer

    def _may_begin(self, sid: str) -> Callable[[], None]:
        """Asked before a conversation is begun; refuses if this address has begun too many."""
        socket = self._sockets.get(sid)

        def may_begin() -> None:
            if socket is not None and not self._guard.may_begin(
                socket.address, f"a conversation on {socket.namespace}"
            ):
                raise Refused("busy", TOO_MANY)

        return may_begin

    def _token_of(self, sid: str) -> str | None:
        if sid not in self._sockets:
            raise Refused("refused", "This connection has closed.")
        return self._sockets[sid].token

    async def _dismiss(self, sid: str) -> None:
        self._dismissed.add(sid)
        await self._emit(sid, "disconnect_socket", {})

    async def _emit(self, sid: str, event: str, body: dict[str, Any]) -> None:
        socket = self._sockets.get(sid)
        if socket is not None:
            await self._sio.emit(event, body, to=sid, namespace=socket.namespace)


async def _unknown(event: str, sid: str, *_: Any) -> dict[str, Any]:
    log.info("A client's event %r is none of the protocol's: ignored.", str(event)[:40])
    return UNKNOWN


def _marks(lane: str, entries: Sequence[Entry], status: Status, reason: str | None = None) -> tuple[Mark, ...]:
    said = [entry.body["say"]["id"] for entry in entries if entry.name == "message"]
    return tuple(Mark(handoff_id=lane, message_id=id, status=status, reason=reason) for id in said)


def _check_token(turn: Turn, token: str | None, client: Client) -> None:
    if token is not None and not accounts.token_fits(turn.connection, token, client.bot_id):
        raise Refused("refused", f"The token isn't one of the bot '{client.bot_id}'.")
