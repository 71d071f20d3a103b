"""Rasa's socketio channel, corrected: same events, same payloads, same address, same output class.

Its Socket.IO server is corrected (``compat/socketio_server.py``), and the channel knows who is connected: a message for a
customer whose socket is away waits for the next ``session_request`` of that session.

A page may ask for more, which stock widgets never notice (``docs/front-ends.md``). With ``acks: true`` in its
``session_request``, each message to it has an ``id`` and is repeated until the page acknowledges it. A message from it with an
``id`` is acknowledged once it is accepted, and handled once.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from rasa.core.channels.channel import OutputChannel, UserMessage
from rasa.core.channels.socketio import SocketIOInput
from sanic import Blueprint
from socketio.exceptions import SocketIOError

from rasa_handoff.channel.compat import socketio_server
from rasa_handoff.channel.compat.rasa_channels import Emission, emissions_of, ids_of_parts
from rasa_handoff.channel.compat.socketio_server import SocketHandler
from rasa_handoff.channel.hosted.customer_authentication import CustomerAuthentication
from rasa_handoff.channel.hosted.socket_sessions import SocketSessions, call_connect, subject_of
from rasa_handoff.channel.message_ids import MessageFacts, handling, outcome, refusal
from rasa_handoff.core.native_messages import PAYLOAD
from rasa_handoff.guard.calls import Calls, NotAcknowledged
from rasa_handoff.guard.guard import Guard
from rasa_handoff.presets.responses import preset_text
from rasa_handoff.protocol import names
from rasa_handoff.protocol.errors import Refused, StoreError, Unreachable, Waits
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.names import SPEAKER_KEY, STATE_KEY
from rasa_handoff.protocol.text import in_text, valid

TYPING_EVENT = "typing"
"""Both ways, ignored by stock widgets: ``{"session_id": str, "on": bool}``."""
COPY_SECONDS: Final = 60.0
"""How long a second message with the same id and text counts as a copy, if it is from a page without ``acks``."""
COPY_DIGITS: Final = 40
"""Hexadecimal digits of the digest by which such a copy is recognised."""
READ_EVENT: Final = "message_read"
"""``{"session_id": str, "id": str}``. From the page: a message that its customer has seen. To pages with ``acks``: a message of
theirs that the agent has read, with all before it."""
STATE_EVENT: Final = STATE_KEY
"""To the page: ``{"session_id": str, "active": "bot", "waiting", "person" or "closed", "agent": str or null}``; while the
customer waits with ``position`` and ``wait``, too."""
ACK_SECONDS: Final = 5.0
"""How long a page has to acknowledge a message before the message is repeated."""
EVENTS_AT_ONCE: Final = 20
"""Events of one page that are handled at once: messages wait for the bot's turns, typing doesn't wait for messages."""


def _with_valid_texts(handle: SocketHandler) -> SocketHandler:
    """Wrap a handler so that it gets one payload with valid texts only: None if there is none, the first if there are several.

    A session's room in Socket.IO and the conversation's id are then the same text.
    """

    async def handle_valid(sid: str, *data: Any) -> Any:
        return await handle(sid, valid(data[0]) if data else None)

    return handle_valid


class HandoffSocketIO(SocketIOInput):
    """The socketio channel as HandoffChannel hosts it."""

    guard: Guard | None = None
    """Set before the blueprint is made; otherwise one with the default limits is used."""
    on_present: Callable[[str], Awaitable[None]] | None = None
    """Called with the session's id after the session was confirmed to a socket."""
    on_gone: Callable[[str], None] | None = None
    """Called with the id of a session that one of its sockets has left; others may still be in it."""
    on_typing: Callable[[str, bool], Awaitable[None]] | None = None
    """Called with the conversation's id when its customer begins or stops to type."""
    on_read: Callable[[str, str], Awaitable[None]] | None = None
    """Called with the ids of a conversation and of a message that its customer has read."""
    authentication: CustomerAuthentication
    """Decides who may use which session; set before the blueprint is made."""

    @property
    def _namespace(self) -> str:
        return self.namespace or "/"

    def connected(self, conversation_id: str) -> bool:
        """Return whether a socket has joined this conversation."""
        return bool(self._sockets(conversation_id))

    def _sockets(self, conversation_id: str) -> list[str]:
        if self.sio is None:
            return []
        return socketio_server.sockets_in(self.sio, self._namespace, conversation_id)

    def close_connections(self) -> None:
        """Begin to close all pages' connections, so that the pages connect again."""
        if self.sio is not None:
            socketio_server.close_connections(self.sio)

    async def end_tasks(self) -> None:
        """End what the Socket.IO server still does in the background, when the last page has gone."""
        if self.sio is not None:
            await self._tasks.end()

    async def emit_typing(self, conversation_id: str, on: bool) -> None:
        """Tell the customer's page whether the agent is typing."""
        if self.sio is not None:
            await self.sio.emit(TYPING_EVENT, {"session_id": conversation_id, "on": on}, room=conversation_id)

    def acknowledges(self, conversation_id: str) -> bool:
        """Return whether a page of this conversation acknowledges its messages, and so gives its own an id."""
        return any(sid in self._acknowledging for sid in self._sockets(conversation_id))

    async def emit_read(self, conversation_id: str, id: str) -> None:
        """Tell the customer's pages that the agent has read this message of theirs, and all before it."""
        for sid in self._sockets(conversation_id):
            if sid in self._acknowledging:
                await self._emit_to(sid, READ_EVENT, {"session_id": conversation_id, "id": id})

    async def emit_state(self, conversation_id: str, shown: Mapping[str, Any]) -> None:
        """Tell the customer's page who is active now."""
        if self.sio is not None:
            await self.sio.emit(STATE_EVENT, {"session_id": conversation_id, **shown}, room=conversation_id)

    async def send(self, output: OutputChannel, conversation_id: str, message: dict[str, Any], id: str) -> None:
        """Send one of Rasa's message dicts to the connected pages; wait for the acknowledgement of those that send one.

        With ``SPEAKER_KEY`` in the message, each of its parts says who speaks, which stock widgets ignore. With ``PAYLOAD`` it is
        sent as it is.

        Raises:
            Waits: no page is connected any more, or all disconnected before they acknowledged.
            Unreachable: a page is connected but hasn't acknowledged in time.
        """
        speaker = {SPEAKER_KEY: message.pop(SPEAKER_KEY)} if SPEAKER_KEY in message else {}
        if not self.connected(conversation_id):  # while the message's files were made ready
            raise Waits("The customer's page went away.")
        waits_for_acknowledgement = any(sid in self._acknowledging for sid in self._sockets(conversation_id))
        if not waits_for_acknowledgement and not speaker and PAYLOAD not in message:
            await output.send_response(conversation_id, message)
            return
        emissions = [
            (event, {**data, **speaker} if isinstance(data, dict) else data, more)
            for event, data, more in await self._emissions(output, conversation_id, message)
        ]
        if not waits_for_acknowledgement:
            assert self.sio is not None
            for event, data, more in emissions:
                await self.sio.emit(event, data, **more)
            return
        for emission, part in zip(emissions, ids_of_parts(id, len(emissions)), strict=True):
            await self._emit_part(conversation_id, emission, part)

    async def _emissions(
        self, output: OutputChannel, conversation_id: str, message: dict[str, Any]
    ) -> Sequence[Emission]:
        if PAYLOAD in message:
            return [(self.bot_message_evt, message[PAYLOAD], {"room": conversation_id})]
        return await emissions_of(output, conversation_id, message)

    async def _emit_part(self, conversation_id: str, emission: Emission, id: str) -> None:
        assert self.sio is not None
        event, data, more = emission
        named = {**data, "id": id} if isinstance(data, dict) else data
        sockets = self._sockets(conversation_id)
        calls = [self._call(sid, event, named) for sid in sockets if sid in self._acknowledging]
        if not await _any_of(calls):  # one page that acknowledges suffices: the customer has the message
            if not self.connected(conversation_id):
                raise Waits("The customer's page went away.")
            raise Unreachable("The customer's page is connected, but hasn't acknowledged it.")
        for sid in sockets:
            if sid not in self._acknowledging:
                await self.sio.emit(event, data, **{**more, "room": sid})

    async def _call(self, sid: str, event: str, data: Any) -> bool:
        """Emit an event to one socket and return whether its page has acknowledged it."""
        assert self.sio is not None
        calls = self._acknowledging.get(sid)
        if calls is None:  # it disconnected before the call
            return False
        try:
            await calls.call(partial(self.sio.emit, event, data, to=sid, namespace=self._namespace), ACK_SECONDS)
        except (NotAcknowledged, SocketIOError):
            return False
        return True

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Make Rasa's blueprint and correct its Socket.IO server."""
        self._acknowledging: dict[str, Calls] = {}
        self._guard = self.guard or Guard()
        self._sessions = SocketSessions(self.authentication, self._emit_to, self._leave_room, self._note)
        self.authentication.on_more_proof_needed.append(self._recheck)
        blueprint = super().blueprint(on_new_message)
        self._wrap_handlers()
        return blueprint

    def _wrap_handlers(self) -> None:
        """Correct the Socket.IO server and wrap its handlers: those of a project's own subclass too."""
        sio = self.sio
        assert sio is not None, "a socketio channel keeps its server in 'sio', as Rasa's does"
        self._guard.protect(sio, EVENTS_AT_ONCE)
        self._tasks = socketio_server.correct_server(sio, self._namespace)
        handlers = socketio_server.handlers_of(sio, self._namespace)
        wrappers = {
            "session_request": self._joining,
            self.user_message_evt: self._accepting,
            "disconnect": self._disconnecting,
        }
        for event, wrap in wrappers.items():
            if event in handlers:
                sio.on(event, _with_valid_texts(wrap(handlers[event])), namespace=self._namespace)
        sio.on("connect", self._connecting(handlers.get("connect", _accept_connection)), namespace=self._namespace)
        sio.on(TYPING_EVENT, _with_valid_texts(self._customer_types), namespace=self._namespace)
        sio.on(READ_EVENT, _with_valid_texts(self._customer_has_read), namespace=self._namespace)

    def _joining(self, confirm: SocketHandler) -> SocketHandler:
        async def session_request(sid: str, data: Any) -> None:
            asked: dict[str, Any] = dict(data) if isinstance(data, dict) else {}
            if not self.session_persistence:
                await confirm(sid, asked)
                return
            if asked.get("acks") is True:
                self._acknowledging.setdefault(sid, Calls())
            if await self._sessions.join(sid, asked, lambda: confirm(sid, asked)) and self.on_present is not None:
                await self.on_present(asked["session_id"])

        return session_request

    def _connecting(self, connect: SocketHandler) -> SocketHandler:
        async def connected(sid: str, environ: Any, auth: Any = None) -> Any:
            answer = await call_connect(connect, sid, environ, auth)
            address = self._guard.address(environ)
            if answer is False:
                self._note(
                    address, f"a page of the channel {self.name()}: its handshake isn't one that the channel takes."
                )
            else:
                self._sessions.add(sid, address, subject_of(auth, self.jwt_key, self.jwt_algorithm or "HS256"))
            return answer

        return connected

    def _disconnecting(self, handle: SocketHandler) -> SocketHandler:
        async def disconnect(sid: str, *reason: Any) -> None:
            session_id = self._sessions.remove(sid)
            if (calls := self._acknowledging.pop(sid, None)) is not None:
                calls.close()
            await handle(sid)
            self._note_gone(session_id if self.session_persistence else sid)

        return disconnect

    def _accepting(self, handle: SocketHandler) -> SocketHandler:
        """Wrap the handler of messages so that a message with an id is acknowledged: accepted, or refused and why.

        The page keeps such a message until it is accepted. If one without an id is refused, the page gets a text.
        """

        async def user_uttered(sid: str, data: Any = None) -> dict[str, Any] | None:
            message = self._readable(data)
            facts = self._facts_of(sid, message)
            if self.session_persistence and not message.get("session_id"):
                return await self._refuse(sid, facts, "The message names no session.")
            try:
                facts.add_parts(message)
            except Refused as no:
                return await self._refuse(sid, facts, str(no), no.code)
            with handling(facts):
                try:
                    message = await self._admit(facts, sid, message)
                except (Refused, StoreError) as no:
                    if facts.id is None:
                        await self._sessions.refuse(sid, message, no)
                    return await self._refuse(
                        sid, facts, str(no), no.code if isinstance(no, Refused) else "unavailable"
                    )
                if facts.id is None:
                    await handle(sid, message)
                    return None
                return await outcome(handle(sid, message), facts)

        return user_uttered

    def _readable(self, data: Any) -> dict[str, Any]:
        """Return what a page sent in the shape that Rasa reads, since Rasa silently drops anything else."""
        message = dict(data) if isinstance(data, dict) else {"message": data}
        message["message"] = in_text(message.get("message"))
        own = message.get(self.metadata_key)
        if isinstance(own, str):
            try:
                message[self.metadata_key] = json.loads(own)
            except (ValueError, RecursionError):
                message[self.metadata_key] = {"metadata": own}
        return message

    def _facts_of(self, sid: str, message: dict[str, Any]) -> MessageFacts:
        """Return the facts about this message, with the id by which a copy of it is recognised.

        A widget that asks for no acknowledgements may mean something else by ``id``, such as the customer's. There a copy must
        also have the same text, and arrive within ``COPY_SECONDS``.
        """
        facts = MessageFacts(message.get("id"), acknowledges=sid in self._acknowledging)
        if facts.acknowledges or facts.id is None:
            return facts
        digest = hashlib.sha256(f"{facts.id}\0{message['message']}".encode(errors="surrogatepass")).hexdigest()
        return MessageFacts(digest[:COPY_DIGITS], within=COPY_SECONDS)

    async def _admit(self, facts: MessageFacts, sid: str, message: dict[str, Any]) -> dict[str, Any]:
        """Return the message if it is for the session that the socket has joined.

        Raises:
            Refused: it is for another session.
        """
        facts.admitted = sid  # without session_persistence, the socket's id is the conversation's
        if not self.session_persistence:
            return message
        facts.admitted = await self._sessions.admit(sid, message)
        await self._guard.conversations.of(facts.admitted).wait()  # one limit for all of its sockets
        return {**message, "session_id": facts.admitted}

    async def _refuse(self, sid: str, facts: MessageFacts, sentence: str, code: str = "invalid") -> dict[str, Any]:
        self._sessions.note(sid, f"a message on the channel {self.name()}: {sentence}")
        if facts.id is None and self.sio is not None:
            notice = {"text": preset_text(names.UTTER_NOT_TAKEN, {})}
            await self.sio.emit(self.bot_message_evt, notice, room=sid)
        return refusal(code, sentence)

    async def _customer_types(self, sid: str, data: Any) -> None:
        conversation_id = self._own(sid, data)
        if self.on_typing is None or conversation_id is None:
            return
        await self.on_typing(conversation_id, bool(data.get("on")))

    def _own(self, sid: str, data: Any) -> str | None:
        """Return the conversation of a payload; None unless it is the socket's own and within the rate limit."""
        if not isinstance(data, dict):
            return None
        if not self.session_persistence:
            return sid
        session_id = data.get("session_id")
        if not self._sessions.joined(sid, session_id) or not self._guard.conversations.of(str(session_id)).take():
            return None  # such events may be dropped, so a flood of them needn't wait
        return str(session_id)

    async def _customer_has_read(self, sid: str, data: Any) -> None:
        conversation_id = self._own(sid, data)
        if self.on_read is None or conversation_id is None:
            return
        with contextlib.suppress(StoreError):  # a lost "read" mark does no harm
            await self.on_read(conversation_id, str(data.get("id"))[:LONGEST_ID])

    def _note(self, address: str, sentence: str) -> None:
        self._guard.refusals.note(address, "customer", sentence)

    async def _emit_to(self, sid: str, event: str, data: Any) -> None:
        if self.sio is not None:
            await self.sio.emit(event, data, to=sid)

    def _leave_room(self, sid: str, room: str) -> None:
        if self.sio is not None:
            socketio_server.leave_room(self.sio, self._namespace, sid, room)
        self._note_gone(room)

    def _note_gone(self, session_id: str | None) -> None:
        if self.on_gone is not None and session_id is not None:
            self.on_gone(session_id)

    async def _recheck(self, conversation_id: str) -> None:
        await self._sessions.recheck(conversation_id, self._sockets(conversation_id))


async def _accept_connection(sid: str, environ: Any, auth: Any = None) -> None:
    """Accept every connection: for a channel without a handler of its own."""


async def _any_of(asked: list[Any]) -> bool:
    """Return whether one of these awaitables returns true; the others are cancelled."""
    if len(asked) == 1:
        return bool(await asked[0])
    tasks = [asyncio.ensure_future(one) for one in asked]
    try:
        for next_one in asyncio.as_completed(tasks):
            if await next_one:
                return True
        return False
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
