"""The gateway of the namespaces ``/live_agent``, ``/live_server`` and ``/``: clients written for Botlhale's live agent.

A conversation usually has one socket, and a socket one conversation; ``botlhale_clients.py`` has the rules for several. Payloads
are read tolerantly and written strictly. A refusal goes into the acknowledgement. If a customer's message was refused, the
client gets a notice as ``to_user``, too, since such clients ask for no acknowledgement. A client that goes away keeps its
conversation: messages wait for its next connect.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from socketio import AsyncServer
from socketio.exceptions import ConnectionRefusedError

from rasa_handoff.core.assignment import Assignment, Stage
from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.recent import Recent
from rasa_handoff.guard.socketio_requests import is_local
from rasa_handoff.protocol.errors import Refused, Unreachable, Waits
from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.names import BOTLHALE_NAMESPACES, STATE_KEY
from rasa_handoff.protocol.payloads import (
    AcceptedPayload,
    Acknowledgement,
    CompletedPayload,
    CustomerSilentPayload,
    DeskStatusPayload,
    FailedPayload,
    MessagePayload,
    StatusPayload,
    TransferredPayload,
    UnansweredPayload,
)
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.protocol.values import Status, Value, plain
from rasa_handoff.server import accounts, rights
from rasa_handoff.server.gateways import botlhale_clients
from rasa_handoff.server.gateways.botlhale_clients import (
    BOTLHALE,
    NOT_PROVEN,
    Client,
    ClientSockets,
    Entered,
    EnteredAnswer,
)
from rasa_handoff.server.gateways.event_answers import EventHandler, check_is_connected, listen, refusal
from rasa_handoff.server.rights import Asker
from rasa_handoff.server.service.bot_operations import BotService
from rasa_handoff.server.service.deliveries import Mark
from rasa_handoff.server.service.unit_of_work import UnitOfWork
from rasa_handoff.server.storage import whereabouts
from rasa_handoff.server.storage.customer_entries import read_entry
from rasa_handoff.server.storage.tables import OUTBOX
from rasa_handoff.store.change_log import LoggedChange
from rasa_handoff.store.failures import isolated
from rasa_handoff.store.named_locks import Held, try_lock, when_free
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import begin

log = get_log(__name__)

NOT_OPEN: Final = (
    "This desk takes clients from other machines, through a proxy, or from pages of other sites only with auth.token "
    "(rasa-handoff token add)."
)
OVER: Final = "This conversation has ended, so your message wasn't read."
EMPTY: Final = "Your message was empty, so there was nothing to read. Please write it again."
TOO_LONG: Final = f"Your message is too long: at most {LONGEST_MESSAGE:,} characters can be read. Please shorten it."
TOO_MANY: Final = "Too many conversations were begun from your network. Please try again in a few minutes."
TRY_AGAIN: Final = "Your message couldn't be taken just now. Please send it again in a moment."
NOT_TAKEN: Final = "Your message couldn't be taken, so nobody has read it."
STATUS_TEXTS: Final[Mapping[type[StatusPayload], str]] = {
    UnansweredPayload: "Nobody has been free to answer yet. Your messages are kept, and you are still in the queue.",
    CustomerSilentPayload: "Are you still there? The conversation ends by itself if you don't answer.",
    FailedPayload: "This conversation has ended because nothing was said for a while.",
}
"""Notices for statuses: no bot stands behind this server that would send them."""
ENDINGS: Final = (CompletedPayload, FailedPayload)
CLIENT_LEFT: Final = "client"
"""The topic of a change that says that a client has left a server."""
END_TOLD_WITHIN: Final = 0.2
"""Seconds in which the end that waits for a socket is usually told to it."""
FAILED: Final = refusal("failed", "That couldn't be taken just now. Please try again in a moment.")
"""The acknowledgement when the server is stopping, or something unforeseen happened."""
UNKNOWN: Final = refusal("invalid", "This protocol has no such event.")


def apology(problem: Exception) -> str:
    """Return the notice for a customer whose message was refused; the reason is for the acknowledgement and the log."""
    if isinstance(problem, Unreachable) or not isinstance(problem, Refused):
        return TRY_AGAIN
    return {"ended": OVER, "empty": EMPTY, "too_long": TOO_LONG, "busy": TOO_MANY}.get(problem.code, NOT_TAKEN)


def active_after(status: DeskStatusPayload) -> dict[str, Any] | None:
    """Return who is active after this status; None if the status doesn't change it."""
    if isinstance(status, AcceptedPayload):
        return _active("person", status.agent.name)
    if isinstance(status, TransferredPayload):
        return _active("waiting")
    return _active("bot") if isinstance(status, ENDINGS) else None


def active_in(state: Assignment, named: bool = True) -> dict[str, Any]:
    """Return who is active in an open handoff: the body of ``handoff_state``, as on HandoffChannel's socketio.

    ``named``: whether the agent's name is in it.
    """
    if state.stage is not Stage.ASSIGNED or state.agent is None:
        return _active("waiting")
    return _active("person", state.agent.name if named else None)


def _active(active: str, agent: str | None = None) -> dict[str, Any]:
    return {"active": active, "agent": agent}


class Socket(Value, frozen=True, kw_only=True):
    """A connected client: its namespace, its token if it needs one, and its address for the guard."""

    namespace: str
    token: str | None
    address: str


class BotlhaleGateway:
    """Serves the clients, and is the outbox target ``"botlhale"``.

    ``botlhale_clients.py`` has the rules of which socket has a conversation.
    """

    batch: int = 100
    recognises = False

    def __init__(self, sio: AsyncServer, conversations: BotService, open_live_agent: bool, guard: Guard) -> None:
        self._sio, self._conversations, self._open, self._guard = sio, conversations, open_live_agent, guard
        self._sockets: dict[str, Socket] = {}
        self._client_sockets = ClientSockets()
        # The last entry delivered in each lane: it isn't sent twice if noting its delivery failed.
        self._delivered: dict[str, int] = Recent()
        # The client of each conversation.
        self._clients: dict[str, Client] = Recent()
        # Sockets that got the end and aren't closed yet.
        self._dismissed: set[str] = set()
        for namespace in BOTLHALE_NAMESPACES:
            self._listen(namespace)

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> Sequence[Mark]:
        """Send entries to the socket that has the conversation; the protocol has no acknowledgement."""
        bodies = {entry.key: read_entry(entry) for entry in entries}
        first = bodies[entries[0].key]  # all entries of a lane go to the same client
        client = Client(bot_id=first.bot_id, conversation_id=first.conversation_id)
        sid = self._client_sockets.holder(client)
        for entry in entries:
            if entry.key <= self._delivered.get(lane, 0):
                continue
            if sid is None or sid not in self._sockets:
                await self._note(lane, entries)
                raise Waits("The client is away.")
            last_sent = self._client_sockets.last_sent(lane, sid)
            if entry.key > last_sent:
                await self._tell(sid, bodies[entry.key].payload)
            if self._client_sockets.counts_as_delivered(sid, client):
                self._delivered[lane] = entry.key
            else:
                self._client_sockets.note_sent(lane, sid, max(entry.key, last_sent))
        left = [entry for entry in entries if entry.key > self._delivered.get(lane, 0)]
        if not any(entry.name == MessagePayload.event for entry in left):
            self._client_sockets.forget(lane)
            return _marks(lane, entries, Status.DELIVERED)
        await self._note(lane, entries, NOT_PROVEN)
        if not any(isinstance(body.payload, ENDINGS) for body in bodies.values()):
            raise Waits("Whether it reached the customer isn't known yet.")
        self._client_sockets.forget(lane)  # the end was sent: it can't be sent to another socket
        return ()

    async def process_of(self, lane: str) -> str | None:
        """Return another server that has the client of this conversation; None if there is none."""
        return await self._conversations.customer_elsewhere(lane)

    def keeps(self, lane: str) -> bool:
        """Return False: nothing that rests here is delivered in another way."""
        return False

    async def follow(self, changes: Sequence[LoggedChange]) -> None:
        """Take the conversations whose clients have left another server, if they are connected to this one too."""
        for lane in dict.fromkeys(change.subject for change in changes):
            await self._claim(lane)

    async def note_again(self) -> None:
        """Note anew which clients are connected here: this process has lost its rows."""
        for lane in list(self._clients):
            await self._claim(lane)

    async def _claim(self, lane: str) -> None:
        client = self._clients.get(lane)
        if client is not None and self._client_sockets.holder(client) is not None:
            await self._conversations.do(lambda unit: whereabouts.customer_came(unit.connection, lane, takes=False))
            self._conversations.dispatcher.notify([(BOTLHALE, lane)])

    async def _let_go(self, lanes: Sequence[str]) -> None:
        """Note that the clients of these conversations aren't connected here any more."""

        def work(unit: UnitOfWork) -> None:
            for lane in lanes:
                whereabouts.customer_went(unit.connection, lane)
                OUTBOX.change_log.note(unit.connection, CLIENT_LEFT, lane)

        if lanes and self._conversations.shares and not self._conversations.closing:
            await self._conversations.do(work)

    async def _note(self, lane: str, entries: Sequence[Entry], reason: str | None = None) -> None:
        """Mark messages up to the last delivered entry as delivered, the others as waiting."""
        last = self._delivered.get(lane, 0)
        delivered = _marks(lane, [entry for entry in entries if entry.key <= last], Status.DELIVERED)
        waiting = _marks(lane, [entry for entry in entries if entry.key > last], Status.WAITING, reason)
        await self._conversations.note((*delivered, *waiting))

    async def close_revoked(self) -> None:
        """End the connections whose token was revoked."""
        holding = await self._conversations.do(lambda unit: accounts.token_hashes(unit.connection))
        for sid, socket in list(self._sockets.items()):
            if socket.token is not None and accounts.hashed(socket.token) not in holding:
                log.warning("The token of a client of Botlhale's protocol was revoked, so its connection is ended.")
                with isolated(log, "A connection whose token was revoked can't be disconnected."):
                    await self._disconnect(sid)
                    await self._sio.disconnect(sid, namespace=socket.namespace)

    async def _tell(self, sid: str, payload: MessagePayload | DeskStatusPayload) -> None:
        said = {"id": payload.id, "number": payload.number}
        if isinstance(payload, MessagePayload):
            await self._emit(sid, "to_user", {"message": payload.text, **said})
            return
        text, active = STATUS_TEXTS.get(type(payload)), active_after(payload)
        if text is not None:
            await self._emit(sid, "to_user", {"message": text, **said})
        if active is not None:
            await self._emit(sid, STATE_KEY, active)
        if isinstance(payload, AcceptedPayload):
            await self._emit(sid, "messages", {})
        elif isinstance(payload, ENDINGS):
            self._delivered.pop(payload.handoff_id, None)
            await self._dismiss(sid)

    def _listen(self, namespace: str) -> None:
        async def connect(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
            await self._connect(namespace, sid, environ, auth)

        handlers: dict[str, EventHandler] = {
            "username": self._username,
            "from_user": self._from_user,
            "messages_to_client": self._messages_to_client,
        }
        self._sio.on("connect", connect, namespace=namespace)
        self._sio.on("disconnect", self._disconnect, namespace=namespace)
        listen(
            self._sio,
            namespace,
            {
                event: self._refusing(event, self._checked(namespace, event, handler))
                for event, handler in handlers.items()
            },
            FAILED,
        )
        self._sio.on("*", _unknown, namespace=namespace)

    def _refusing(self, event: str, handler: EventHandler) -> EventHandler:
        """Wrap a handler: log its refusals, and send the customer a notice if it was their message."""

        async def refusing(sid: str, data: Any) -> Acknowledgement | None:
            try:
                return await handler(sid, data)
            except Exception as no:
                if isinstance(no, Refused) and no.code != "busy":  # the guard has noted that already
                    socket = self._sockets.get(sid)
                    address = "unknown" if socket is None else socket.address
                    self._guard.refusals.note(address, "client", f"a client's {event}: {no}")
                if event == "from_user":
                    await self._emit(sid, "to_user", {"message": apology(no)})
                raise

        return refusing

    def _checked(self, namespace: str, event: str, handler: EventHandler) -> EventHandler:
        """Return the handler behind the question who may send this event."""

        async def checked(sid: str, data: Any) -> Acknowledgement | None:
            asker = Asker.BOT if sid in self._sockets else Asker.NOBODY
            rights.check(rights.event(namespace, event), asker)
            return await handler(sid, data)

        return checked

    async def _connect(self, namespace: str, sid: str, environ: dict[str, Any], auth: Any) -> None:
        token = None
        if not self._open and not is_local(environ):
            token = valid_text(str(auth.get("token") or "")) if isinstance(auth, dict) else ""
            try:
                fits = await self._conversations.do(lambda unit: accounts.token_fits(unit.connection, token))
            except Unreachable as problem:
                raise ConnectionRefusedError(str(problem)) from problem
            if not fits:
                self._guard.refusals.note(
                    self._guard.address(environ), "client", f"a client of {namespace}: {NOT_OPEN}"
                )
                raise ConnectionRefusedError(NOT_OPEN)
        check_is_connected(self._sio, sid, namespace)
        self._sockets[sid] = Socket(namespace=namespace, token=token, address=self._guard.address(environ))
        # Emitted here it would overtake the connect's acknowledgement, and clients in Python fail on that.
        self._conversations.publisher.later(partial(self._emit, sid, "startConversation", {}))

    async def _disconnect(self, sid: str, *_: Any) -> None:
        self._sockets.pop(sid, None)
        self._dismissed.discard(sid)
        left = self._client_sockets.leave(sid)
        gone = [client for client in left if self._client_sockets.holder(client) is None]
        if len(gone) < len(left):  # what the closed socket got last may be lost
            await self._conversations.dispatcher.notify_all(BOTLHALE)
        await self._let_go([lane for lane, client in self._clients.items() if client in gone])

    async def _username(self, sid: str, data: Any) -> EnteredAnswer:
        client, resume = (
            botlhale_clients.read_client(data, self._client_sockets.client(sid)),
            botlhale_clients.read_resume(data),
        )
        may_begin = self._may_begin(sid)
        return await self._enter(sid, client, lambda unit: botlhale_clients.enter(unit, client, may_begin, resume))

    async def _from_user(self, sid: str, data: Any) -> EnteredAnswer:
        client, id, text, resume = (
            botlhale_clients.read_client(data, self._client_sockets.client(sid)),
            botlhale_clients.read_id(data),
            botlhale_clients.read_text(data),
            botlhale_clients.read_resume(data),
        )
        if sid in self._dismissed:  # the message crossed with the end
            self._conversations.publisher.later(partial(self._dismiss, sid))  # after the refusal
            raise Refused("ended", OVER)
        elsewhere, may_begin = self._client_sockets.holder(client) not in (None, sid), self._may_begin(sid)
        return await self._enter(
            sid,
            client,
            lambda unit: botlhale_clients.keep_message(unit, client, id, text, may_begin, resume, elsewhere),
            speaks=True,
        )

    async def _messages_to_client(self, sid: str, data: Any) -> None:
        client, lines = (
            botlhale_clients.read_client(data, self._client_sockets.client(sid)),
            botlhale_clients.read_lines(data),
        )
        token, resume = self._token_of(sid), botlhale_clients.read_resume(data)
        if self._client_sockets.holder(client) not in (None, sid):
            raise Refused("refused", "Another connection has this conversation.")

        def work(unit: UnitOfWork) -> None:
            _check_token(unit, token, client)
            botlhale_clients.keep_transcript(unit, client, lines, resume)

        await self._conversations.do(work)

    async def _enter(
        self, sid: str, client: Client, work: Callable[[UnitOfWork], Entered], speaks: bool = False
    ) -> EnteredAnswer:
        """Run work that registers a socket. One that ``speaks`` has the conversation from then on."""
        # A socket may close while it waits for its conversation's rate limit. Its message is kept all the same, so the token is
        # read before.
        token = self._token_of(sid)
        await self._guard.conversations.of(f"{client.bot_id} {client.conversation_id}").wait()
        new = self._client_sockets.client(sid) != client

        def checked(unit: UnitOfWork) -> Entered | Held:
            # Of two sockets that begin a conversation at two servers, one joins it.
            if not try_lock(unit.connection, [f"client {client.bot_id} {client.conversation_id}"]):
                return Held.BY_ANOTHER_PROCESS
            _check_token(unit, token, client)
            entered = work(unit)
            whereabouts.customer_came(unit.connection, entered.record.handoff_id, takes=speaks or entered.own)
            return entered

        entered = await when_free(lambda: self._conversations.do(checked))
        record, answer = entered.record, EnteredAnswer(ok=True, resume=entered.secret)
        if sid not in self._sockets:
            if self._client_sockets.holder(client) is None:
                await self._let_go([record.handoff_id])
            return answer
        self._clients[record.handoff_id] = client
        holder_before = self._client_sockets.holder(client)
        last_sent = self._client_sockets.last_sent(record.handoff_id, sid)
        if speaks and last_sent:  # the socket is alive, so it got what was sent to it
            self._delivered[record.handoff_id] = max(last_sent, self._delivered.get(record.handoff_id, 0))
        self._client_sockets.join(sid, client, proven=speaks or entered.own)
        is_holder = self._client_sockets.holder(client) == sid
        if new and record.assignment.stage is not Stage.ENDED:  # else the end waits in the outbox
            await self._emit(sid, STATE_KEY, active_in(record.assignment, named=is_holder))
        if new or holder_before != sid or speaks:
            self._conversations.dispatcher.notify([(BOTLHALE, record.handoff_id)])
        if new and is_holder and not record.offer.transcript:
            await self._emit(sid, "messages", {})
        if new and record.assignment.stage is Stage.ENDED:
            begin(self._follow_end(sid, record.handoff_id))
        return answer

    async def _follow_end(self, sid: str, handoff_id: str) -> None:
        """Tell a socket that its conversation has ended, if it came just while another socket was told so."""
        while not self._conversations.closing and sid in self._sockets and sid not in self._dismissed:
            with contextlib.suppress(Unreachable):
                if not await self._conversations.do(lambda unit: botlhale_clients.has_waiting(unit, handoff_id)):
                    await self._emit(sid, STATE_KEY, _active("bot"))
                    await self._dismiss(sid)
                    return
            await asyncio.sleep(END_TOLD_WITHIN)

    def _may_begin(self, sid: str) -> Callable[[], None]:
        """Return a check to call before a conversation begins; it refuses if this address has begun too many.

        The address counts even if the socket has closed before the check is called.
        """
        socket = self._sockets.get(sid)

        def may_begin() -> None:
            if socket is not None and not self._guard.admit_conversation(
                socket.address, f"a conversation on {socket.namespace}"
            ):
                raise Refused("busy", TOO_MANY)

        return may_begin

    def _token_of(self, sid: str) -> str | None:
        if sid not in self._sockets:
            raise rights.refusal("refused")
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
    answer: dict[str, Any] = plain(UNKNOWN)
    return answer


def _marks(lane: str, entries: Sequence[Entry], status: Status, reason: str | None = None) -> tuple[Mark, ...]:
    said = [str(read_entry(entry).payload.id) for entry in entries if entry.name == MessagePayload.event]
    return tuple(Mark(handoff_id=lane, message_id=id, status=status, reason=reason) for id in said)


def _check_token(unit: UnitOfWork, token: str | None, client: Client) -> None:
    if token is not None and not accounts.token_fits(unit.connection, token, client.bot_id):
        raise Refused("refused", f"The token isn't one of the bot '{client.bot_id}'.")
