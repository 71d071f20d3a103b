"""Sessions of the sockets of a hosted socketio channel: which one each socket has joined, and with which proof.

A socket is in one session at a time. Its messages, typing and read marks count only there; with another session's id they are
refused.
"""

import asyncio
import inspect
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import rasa.core.channels.channel

from rasa_handoff.channel.compat.socketio_server import SocketHandler
from rasa_handoff.channel.hosted.customer_authentication import CustomerAuthentication, Proof
from rasa_handoff.protocol.errors import HandoffError, Refused, StoreError
from rasa_handoff.protocol.text import valid
from rasa_handoff.protocol.tokens import Issuer, expiry

TOKEN_EVENT: Final = "customer_token"
"""To a page that sent ``"token": null``, before ``session_confirm``: ``{"session_id": str, "token": str}``."""
REFUSED_EVENT: Final = "session_refused"
"""To the page instead of ``session_confirm``, or when it loses its session: ``{"session_id": str, "code": str, "error": str}``.
With the code ``unavailable`` it may ask again."""
EXPIRY_SLACK: Final = 0.05
"""Seconds after a token's expiry at which it is checked, since the event loop's clock isn't the one that tokens are made by."""
NOT_JOINED: Final = "not_joined"


class SocketSession:
    """The session of one socket. ``proof``: what it joined with; ``address``: the network address that its refusals count for."""

    def __init__(self, subject: str | None, address: str) -> None:
        self.address = address
        self.session_id: str | None = None
        self.proof = Proof(subject=subject)
        self.subject = subject
        self.joining = asyncio.Lock()
        self.timer: asyncio.TimerHandle | None = None
        self.expiring: asyncio.Future[None] | None = None

    def forget_expiry(self) -> None:
        """Stop the expiry timer: another token counts now, or the socket has disconnected."""
        if self.timer is not None:
            self.timer.cancel()


class SocketSessions:
    """The sessions of one channel's sockets.

    ``emit`` sends an event to one socket; ``leave`` removes it from a session's Socket.IO room; ``note`` logs a refusal with the
    address it counts for, within limits.
    """

    def __init__(
        self,
        authentication: CustomerAuthentication,
        emit: Callable[[str, str, Any], Awaitable[None]],
        leave: Callable[[str, str], None],
        note: Callable[[str, str], None],
    ) -> None:
        self._authentication, self._emit, self._leave, self._note = authentication, emit, leave, note
        self._sessions: dict[str, SocketSession] = {}

    def add(self, sid: str, address: str, subject: str | None = None) -> None:
        """Add a socket that has connected. Its address and subject stay those of the first call."""
        self._sessions.setdefault(sid, SocketSession(subject, address))

    def note(self, sid: str, sentence: str) -> None:
        """Log that something from this socket was refused."""
        session = self._sessions.get(sid)
        self._note("unknown" if session is None else session.address, sentence)

    def remove(self, sid: str) -> str | None:
        """Forget a socket that has disconnected, and return the session that it had joined."""
        session = self._sessions.pop(sid, None)
        if session is None:
            return None
        session.forget_expiry()
        return session.session_id

    def joined(self, sid: str, session_id: Any) -> bool:
        """Return whether the socket has joined this session."""
        session = self._sessions.get(sid)
        return session is not None and session.session_id is not None and session.session_id == as_id(session_id)

    async def join(self, sid: str, data: dict[str, Any], confirm: Callable[[], Awaitable[None]]) -> bool:
        """Let the socket join the session it asks for and ``confirm`` that, or send the reason why not; return whether it joined.

        ``data`` gets the session's id.
        """
        session = self._sessions.get(sid)
        if session is None:
            return False
        async with session.joining:  # the socket's next messages wait for it
            session_id = uuid.uuid4().hex if data.get("session_id") is None else as_id(data["session_id"])
            token = data.get("token")
            wants = "token" in data and token is None
            proof = Proof(token=None if token is None else str(token), wants_token=wants, subject=session.subject)
            before, session.proof = session.proof, proof
            try:
                if session_id is None or session_id in self._sessions:  # a socket's id is the name of its own room
                    raise Refused("invalid", "A session_id is a text.")
                issued = await self._authentication.admit(session_id, proof)
            except (Refused, StoreError) as no:
                session.proof = before
                await self._refuse(sid, session_id, no)
                return False
            if self._sessions.get(sid) is not session:  # it has disconnected meanwhile
                return False
            if session.session_id not in (None, session_id):
                self._leave(sid, str(session.session_id))
            session.session_id = data["session_id"] = session_id
            if issued is not None:
                session.proof = Proof(token=issued, subject=session.subject)
                await self._emit(sid, TOKEN_EVENT, {"session_id": session_id, "token": issued})
            self._watch_expiry(sid, session)
            await confirm()
            return True

    async def admit(self, sid: str, data: dict[str, Any]) -> str:
        """Return the conversation of this message.

        Raises:
            Refused: the socket hasn't joined that session, or may no longer use it.
            StoreUnavailable: that can't be checked now.
        """
        session = self._sessions.get(sid)
        if session is not None:
            async with session.joining:  # wait until a join under way has ended
                pass
        session_id = as_id(data.get("session_id"))
        if session is None or session_id is None or session.session_id != session_id:
            raise Refused(NOT_JOINED, "This connection hasn't joined this session: send session_request first.")
        if session.proof.token is None and data.get("token") is not None:
            before, session.proof = session.proof, Proof(token=str(data["token"]), subject=session.subject)
            try:
                await self._authentication.admit(session_id, session.proof)
            except (Refused, StoreError):
                session.proof = before
                raise
            self._watch_expiry(sid, session)
        elif self._authentication.check(session_id, session.proof) is not Issuer.BACKEND:
            # Look up what is needed now: the backend's is the highest proof, and needs no look-up.
            await self._authentication.admit(session_id, session.proof)
        return session_id

    def _watch_expiry(self, sid: str, session: SocketSession) -> None:
        session.forget_expiry()
        if session.proof.token is not None and (at := expiry(session.proof.token)) is not None:

            def expire() -> None:
                session.expiring = asyncio.ensure_future(self._expire(sid, session))

            delay = max(0.0, at - time.time()) + EXPIRY_SLACK
            session.timer = asyncio.get_running_loop().call_later(delay, expire)

    async def _expire(self, sid: str, session: SocketSession) -> None:
        if session.session_id is not None:
            await self.recheck(session.session_id, [sid])
        if session.session_id is not None and self._sessions.get(sid) is session:
            self._watch_expiry(sid, session)

    async def recheck(self, session_id: str, sids: list[str]) -> None:
        """Check the proof of these sockets again, since the session needs more than before; those without it leave."""
        for sid in sids:
            session = self._sessions.get(sid)
            if session is None or session.session_id != session_id:
                continue
            try:
                await self._authentication.admit(session_id, session.proof)
            except (Refused, StoreError) as no:
                if session.session_id == session_id:
                    session.session_id = None
                    self._leave(sid, session_id)
                    await self._refuse(sid, session_id, no)

    async def refuse(self, sid: str, data: Any, no: HandoffError) -> None:
        """Send a refusal to a page that asked for no acknowledgement."""
        await self._refuse(sid, data.get("session_id") if isinstance(data, dict) else None, no)

    async def _refuse(self, sid: str, session_id: Any, no: HandoffError) -> None:
        code = no.code if isinstance(no, Refused) else "unavailable"
        self.note(sid, f"a page: {no}")
        await self._emit(sid, REFUSED_EVENT, {"session_id": as_id(session_id), "code": code, "error": str(no)})


def as_id(given: Any) -> str | None:
    """Return a session's id as text; None for anything that is no id."""
    usable = isinstance(given, str | int) and not isinstance(given, bool) and given != ""
    return str(given) if usable else None


async def call_connect(handle: SocketHandler, sid: str, environ: Any, auth: Any) -> Any:
    """Call Rasa's or a project's own handler of connections, which may or may not take ``auth``."""
    takes_auth = len(inspect.signature(handle).parameters) > 2
    return await (handle(sid, environ, auth) if takes_auth else handle(sid, environ))


def subject_of(auth: Any, key: str | None, method: str) -> str | None:
    """Return the ``sub`` of the JSON web token that a socket connected with and Rasa's channel has just accepted."""
    payload = web_token(auth.get("token") if isinstance(auth, dict) else None, key, method)
    subject = payload.get("sub") if payload else None
    return valid(subject) if isinstance(subject, str) and subject else None


def web_token(token: Any, key: str | None, method: str) -> dict[str, Any] | None:
    """Return what a JSON web token says; None for one that Rasa's channel wouldn't accept."""
    if not key or not token:
        return None
    payload: dict[str, Any] | None = rasa.core.channels.channel.decode_bearer_token(token, key, method)
    return payload
