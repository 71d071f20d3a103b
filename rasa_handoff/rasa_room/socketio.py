"""Rasa's socketio channel, mended: same events, same payloads, same address, same output class.

Three things differ. ``enter_room`` became a coroutine in python-socketio 5.10 and Rasa calls it without ``await``, so that
with session persistence every reply was lost. Rasa listens in the configured namespace and emits outside it. And we know who
is connected: a word for a customer whose socket is away waits until the next ``session_request`` of that session.

A page may ask for more, which stock widgets never notice (``docs/reliability.md``): with ``acks: true`` in its
``session_request`` what it is told has an ``id`` and is told again until it acknowledges; what it says with an ``id`` is
acknowledged when it is accepted, and heard once.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from rasa.core.channels.channel import OutputChannel, UserMessage
from rasa.core.channels.socketio import SocketIOInput
from sanic import Blueprint

from rasa_handoff.desks.base import either
from rasa_handoff.guard.guard import Guard
from rasa_handoff.rasa_room.acknowledging import any_of, outcome, refusal
from rasa_handoff.rasa_room.customer_authentication import CustomerAuthentication
from rasa_handoff.rasa_room.incoming import LONGEST_ID, Sent, sending
from rasa_handoff.rasa_room.parts import Emission, Recorder, ids_of_parts
from rasa_handoff.rasa_room.socket_sessions import SocketSessions, call_connect, subject_of
from rasa_handoff.rasa_room.texts import preset_text
from rasa_handoff.vocabulary import names
from rasa_handoff.vocabulary.errors import Refused, StoreError, Unreachable, Waits
from rasa_handoff.vocabulary.names import STATE_KEY
from rasa_handoff.vocabulary.shapes import in_text
from rasa_handoff.vocabulary.text import valid

TYPING_EVENT = "typing"
"""An addition that stock widgets never notice, both ways: ``{"session_id": str, "on": bool}``."""
COPY_SECONDS: Final = 60.0
"""From a page without ``acks``: how long a message with the same id and the same text is a copy of the first."""
COPY_DIGITS: Final = 40
READ_EVENT: Final = "message_read"
"""From the page: ``{"session_id": str, "id": str}``, a message its customer has seen."""
STATE_EVENT: Final = STATE_KEY
"""To the page: ``{"session_id": str, "active": "bot", "waiting", "person" or "closed", "agent": str or null}``."""
ACK_SECONDS: Final = 5.0
"""How long a page has to acknowledge before it is told again."""

EVENTS_AT_ONCE: Final = 20
"""Of one page, whose messages wait for the bot's turns; typing doesn't wait for them."""

Handler = Callable[..., Awaitable[Any]]


def _with_valid_texts(handle: Handler) -> Handler:
    """The room of a session and the conversation's id are then the same text. An event has one payload: what a page sends beside
    it is left out, and None stands for one that is missing."""

    async def handle_valid(sid: str, *data: Any) -> Any:
        return await handle(sid, valid(data[0]) if data else None)

    return handle_valid


class HandoffSocketIO(SocketIOInput):
    """The socketio channel as HandoffChannel hosts it."""

    guard: Guard | None = None
    """Set before the blueprint is made; else one with the default limits."""

    on_present: Callable[[str], Awaitable[None]] | None = None
    """Called with the session's id after it was confirmed to a socket."""
    on_typing: Callable[[str, bool], Awaitable[None]] | None = None
    """Called with the conversation's id when its customer begins or stops to type."""

    on_read: Callable[[str, str], Awaitable[None]] | None = None
    """Called with the conversation's id and a message's when its customer has read that."""

    authentication: CustomerAuthentication
    """Who may use which session; set before the blueprint is made."""

    @property
    def _namespace(self) -> str:
        return self.namespace or "/"

    def connected(self, conversation_id: str) -> bool:
        """Whether a socket is there to hear what is emitted to this conversation."""
        return bool(self._sockets(conversation_id))

    def _sockets(self, conversation_id: str) -> list[str]:
        if self.sio is None:
            return []
        rooms = self.sio.manager.rooms.get(self._namespace, {})
        return list(rooms.get(conversation_id) or ())

    async def emit_typing(self, conversation_id: str, on: bool) -> None:
        """Tell the customer's page that the agent is typing."""
        if self.sio is not None:
            await self.sio.emit(TYPING_EVENT, {"session_id": conversation_id, "on": on}, room=conversation_id)

    async def emit_state(self, conversation_id: str, shown: Mapping[str, Any]) -> None:
        """Tell the customer's page whom they have now."""
        if self.sio is not None:
            await self.sio.emit(STATE_EVENT, {"session_id": conversation_id, **shown}, room=conversation_id)

    async def send(self, output: OutputChannel, conversation_id: str, message: dict[str, Any], id: str) -> None:
        """Send one of Rasa's message dicts to whoever is there; pages that acknowledge have to.

        Raises:
            Waits: everybody has gone before it was acknowledged.
            Unreachable: a page is there but hasn't acknowledged.
        """
        if not any(sid in self._acknowledging for sid in self._sockets(conversation_id)):
            await output.send_response(conversation_id, message)
            return
        recorder = Recorder()
        output.sio = recorder
        await output.send_response(conversation_id, message)
        for emission, part in zip(recorder.emitted, ids_of_parts(id, len(recorder.emitted)), strict=True):
            await self._tell(conversation_id, emission, part)

    async def _tell(self, conversation_id: str, emission: Emission, id: str) -> None:
        assert self.sio is not None
        event, data, more = emission
        named = {**data, "id": id} if isinstance(data, dict) else data
        sockets = self._sockets(conversation_id)
        asked = [self._ask(sid, event, named) for sid in sockets if sid in self._acknowledging]
        if not await any_of(asked):
            if not self.connected(conversation_id):
                raise Waits("The customer's page went away.")
            raise Unreachable("The customer's page is connected, but hasn't acknowledged it.")
        for sid in sockets:
            if sid not in self._acknowledging:
                await self.sio.emit(event, data, **{**more, "room": sid})

    async def _ask(self, sid: str, event: str, data: Any) -> bool:
        assert self.sio is not None
        gone = self._acknowledging.get(sid)
        if gone is None:  # it left before it could be asked
            return False
        call = asyncio.ensure_future(self.sio.call(event, data, to=sid, namespace=self._namespace, timeout=ACK_SECONDS))
        return await either(call, gone) and call.exception() is None

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Rasa's blueprint with the mends applied to its Socket.IO server."""
        self._acknowledging: dict[str, asyncio.Event] = {}
        self._guard = self.guard or Guard()
        self._sessions = SocketSessions(self.authentication, self._emit_to, self._leave_room, self._note)
        self.authentication.on_raised.append(self._recheck)
        blueprint = super().blueprint(on_new_message)
        self._mend()
        return blueprint

    def _mend(self) -> None:
        """On the server instance, so that a project's own subclass with a blueprint of its own is mended too."""
        sio = self.sio
        assert sio is not None, "a socketio channel keeps its server in 'sio', as Rasa's does"
        self._guard.protect(sio, EVENTS_AT_ONCE)
        sio.enter_room = self._enter_room
        sio.emit = self._emitting_in_our_namespace(sio.emit)
        handlers = sio.handlers.setdefault(self._namespace, {})
        mends = {
            "session_request": self._then_present,
            self.user_message_evt: self._accepting,
            "disconnect": self._then_gone,
        }
        for event, mend in mends.items():
            if event in handlers:
                sio.on(event, _with_valid_texts(mend(handlers[event])), namespace=self._namespace)
        sio.on("connect", self._adding(handlers.get("connect", _let_in)), namespace=self._namespace)
        sio.on(TYPING_EVENT, _with_valid_texts(self._customer_types), namespace=self._namespace)
        sio.on(READ_EVENT, _with_valid_texts(self._customer_has_read), namespace=self._namespace)

    def _emitting_in_our_namespace(self, emit: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def emit_here(event: str, *data: Any, namespace: str | None = None, **more: Any) -> None:
            await emit(event, *data, namespace=namespace or self._namespace, **more)

        return emit_here

    def _then_present(self, confirm: Handler) -> Handler:
        async def session_request(sid: str, data: Any) -> None:
            asked: dict[str, Any] = dict(data) if isinstance(data, dict) else {}
            if not self.session_persistence:
                await confirm(sid, asked)
                return
            if asked.get("acks") is True:
                self._acknowledging.setdefault(sid, asyncio.Event())
            if await self._sessions.join(sid, asked, lambda: confirm(sid, asked)) and self.on_present is not None:
                await self.on_present(asked["session_id"])

        return session_request

    def _adding(self, connect: Handler) -> Handler:
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

    def _then_gone(self, part: Handler) -> Handler:
        async def disconnect(sid: str, *reason: Any) -> None:
            self._sessions.remove(sid)
            if (gone := self._acknowledging.pop(sid, None)) is not None:
                gone.set()
            await part(sid)

        return disconnect

    def _accepting(self, handle: Handler) -> Handler:
        """A message with an id is answered: accepted, or why not; the page keeps it until it was. One without is refused in
        words."""

        async def user_uttered(sid: str, data: Any = None) -> dict[str, Any] | None:
            message = self._readable(data)
            about = self._about(sid, message)
            if self.session_persistence and not message.get("session_id"):
                return await self._refuse(sid, about, "The message names no session.")
            with sending(about):
                try:
                    message = await self._admit(about, sid, message)
                except (Refused, StoreError) as no:
                    if about.id is None:
                        await self._sessions.refuse(sid, message, no)
                    return await self._refuse(
                        sid, about, str(no), no.code if isinstance(no, Refused) else "unavailable"
                    )
                if about.id is None:
                    await handle(sid, message)
                    return None
                return await outcome(handle(sid, message), about)

        return user_uttered

    def _readable(self, data: Any) -> dict[str, Any]:
        """What a page has sent in the shape that Rasa reads; what it can't read, it drops in silence."""
        message = dict(data) if isinstance(data, dict) else {"message": data}
        message["message"] = in_text(message.get("message"))
        own = message.get(self.metadata_key)
        if isinstance(own, str):
            try:
                message[self.metadata_key] = json.loads(own)
            except (ValueError, RecursionError):
                message[self.metadata_key] = {"metadata": own}
        return message

    def _about(self, sid: str, message: dict[str, Any]) -> Sent:
        """By its id a copy is known. A widget that asks for no acknowledgements may mean something else by ``id``, such as the
        customer's: there it takes the same text too, within a time."""
        about = Sent(message.get("id"), keeps=sid in self._acknowledging)
        if about.keeps or about.id is None:
            return about
        digest = hashlib.sha256(f"{about.id}\0{message['message']}".encode(errors="surrogatepass")).hexdigest()
        return Sent(digest[:COPY_DIGITS], within=COPY_SECONDS)

    async def _admit(self, about: Sent, sid: str, message: dict[str, Any]) -> dict[str, Any]:
        """The message, if it is for the session that the socket has joined."""
        about.admitted = sid
        if not self.session_persistence:
            return message
        about.admitted = await self._sessions.admit(sid, message)
        await self._guard.conversations.of(about.admitted).wait()  # from however many sockets
        return {**message, "session_id": about.admitted}

    async def _refuse(self, sid: str, about: Sent, sentence: str, code: str = "invalid") -> dict[str, Any]:
        self._sessions.note(sid, f"a message on the channel {self.name()}: {sentence}")
        if about.id is None and self.sio is not None:
            words = {"text": preset_text(names.UTTER_NOT_TAKEN, {})}
            await self.sio.emit(self.bot_message_evt, words, room=sid)
        return refusal(code, sentence)

    async def _customer_types(self, sid: str, data: Any) -> None:
        conversation_id = self._own(sid, data)
        if self.on_typing is None or conversation_id is None:
            return
        await self.on_typing(conversation_id, bool(data.get("on")))

    def _own(self, sid: str, data: Any) -> str | None:
        """The conversation that a payload is about; None unless it is the socket's own, and not too fast."""
        if not isinstance(data, dict):
            return None
        if not self.session_persistence:
            return sid
        session_id = data.get("session_id")
        if not self._sessions.joined(sid, session_id) or not self._guard.conversations.of(str(session_id)).take():
            return None  # such events may be lost, so that a flood of them needs not be waited for
        return str(session_id)

    async def _customer_has_read(self, sid: str, data: Any) -> None:
        conversation_id = self._own(sid, data)
        if self.on_read is None or conversation_id is None:
            return
        with contextlib.suppress(StoreError):  # an agent can do without
            await self.on_read(conversation_id, str(data.get("id"))[:LONGEST_ID])

    def _note(self, address: str, sentence: str) -> None:
        self._guard.refusals.note(address, "customer", sentence)

    async def _emit_to(self, sid: str, event: str, data: Any) -> None:
        if self.sio is not None:
            await self.sio.emit(event, data, to=sid)

    def _leave_room(self, sid: str, room: str) -> None:
        if self.sio is not None:
            self.sio.manager.basic_leave_room(sid, self._namespace, room)

    async def _recheck(self, conversation_id: str) -> None:
        await self._sessions.recheck(conversation_id, self._sockets(conversation_id))

    def _enter_room(self, sid: str, room: str, namespace: str | None = None) -> "asyncio.Future[None]":
        """Enter at once, awaited or not."""
        assert self.sio is not None
        self.sio.manager.basic_enter_room(sid, namespace or self._namespace, room)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


async def _let_in(sid: str, environ: Any, auth: Any = None) -> None:
    """Where a channel has no handler of its own."""
