"""The gateway of the namespace ``/desk``: agents' browsers (docs/protocol.md). Every event is checked against its sender."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace
from socketio import AsyncServer
from socketio.exceptions import ConnectionRefusedError
from starlette.requests import cookie_parser

from rasa_handoff.guard.guard import Guard
from rasa_handoff.protocol.desk_payloads import (
    ARRIVAL,
    AgentMessagePayload,
    ConversationAnswer,
    DeletedPayload,
    FollowedUpPayload,
    Me,
    MediaAnswer,
    MediaPayload,
    Message,
    MessageAnswer,
    OpenPayload,
    PresencePayload,
    ReadyPayload,
    ReminderPayload,
    ResolvePayload,
    ShownMessagePayload,
    TakePayload,
    TransferPayload,
    WholeConversation,
)
from rasa_handoff.protocol.errors import Refused, Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.names import DESK_NAMESPACE
from rasa_handoff.protocol.payloads import (
    AVAILABILITY,
    Acknowledgement,
    MessageStatusPayload,
    ReadPayload,
    TypingPayload,
)
from rasa_handoff.protocol.values import Value, plain, read
from rasa_handoff.server import accounts, rights
from rasa_handoff.server.accounts import Account, Role
from rasa_handoff.server.gateways.event_answers import (
    EventHandler,
    answer_unknown,
    check_is_connected,
    listen,
    refusal,
)
from rasa_handoff.server.gateways.open_conversations import OpenConversations, Outdated, Owners
from rasa_handoff.server.http import sign_in
from rasa_handoff.server.http.sign_in import Browsers
from rasa_handoff.server.rights import Asker
from rasa_handoff.server.service import availability, summaries
from rasa_handoff.server.service.agent_operations import AgentService
from rasa_handoff.server.service.media_operations import MediaService
from rasa_handoff.server.service.presence import Presence
from rasa_handoff.server.service.publications import (
    AgentRead,
    Arrival,
    AvailabilityChanged,
    Changed,
    Completed,
    CustomerTyping,
    Deleted,
    InConversation,
    Marked,
    Overdue,
    PresenceChanged,
    Publication,
    Said,
)
from rasa_handoff.server.service.unit_of_work import UnitOfWork
from rasa_handoff.store.failures import isolated

log = get_log(__name__)

FAILED: Final = refusal("failed", "That didn't work. Please try again in a moment.")
STRANGER: Final = "Please sign in again."
OWN_PAGE: Final = "The desk is only for its own page. Please load it again."
EVERYBODY: Final = "everybody"
MOST_SHOWN_AT_ONCE: Final = 50
"""Conversations that are read for colleagues in one transaction."""


class SignedIn(Value, frozen=True, kw_only=True):
    """The agent of a desk, the hash of its session and when that ends, and the role in which the desk was shown last."""

    agent: str
    session: str
    until: float
    role: Role


class DeskService(AgentService, MediaService):
    """What desks ask for."""


class DeskGateway:
    """Serves desks, and sends them what is published. Each agent has a Socket.IO room, so that all their tabs show the same."""

    def __init__(
        self,
        sio: AsyncServer,
        conversations: DeskService,
        presence: Presence,
        browsers: Browsers,
        guard: Guard,
        media_address: Callable[[str], Awaitable[str]],
        largest_file: int | None = None,
    ) -> None:
        """``media_address``: returns the signed address of a file. ``largest_file``: bytes of the largest that is kept; None if
        none is.
        """
        self._media_address, self._largest_file = media_address, largest_file
        self._sio, self._conversations, self._presence, self._browsers = sio, conversations, presence, browsers
        self._guard = guard
        self._desks: dict[str, SignedIn] = {}
        self._open_conversations, self._outdated, self._owners = OpenConversations(), Outdated(), Owners()
        # With several servers: what was published since a desk has begun to connect, by its socket.
        self._meanwhile: dict[str, list[tuple[str, Any]]] = {}
        conversations.publisher.listeners.append(self._publish)
        sio.on("connect", self._connect, namespace=DESK_NAMESPACE)
        sio.on("disconnect", self._disconnect, namespace=DESK_NAMESPACE)
        sio.on("*", answer_unknown, namespace=DESK_NAMESPACE)
        handlers = {
            "presence": self._choose,
            "take": self._take,
            "open": self._open,
            "message": self._message,
            "media": self._media,
            "typing": self._typing,
            ReadPayload.event: self._read,
            "transfer": self._transfer,
            "resolve": self._resolve,
            "followed_up": self._followed_up,
        }
        listen(sio, DESK_NAMESPACE, {name: self._checked(name, one) for name, one in handlers.items()}, FAILED)

    def _checked(self, name: str, handler: EventHandler) -> EventHandler:
        """Return the handler behind the question who may send this event."""

        async def checked(sid: str, data: Any) -> Acknowledgement | None:
            desk, asker = self._desks.get(sid), Asker.NOBODY
            if desk is not None and time.time() < desk.until:
                asker = Asker(desk.role.value)
            rights.check(rights.event(DESK_NAMESPACE, name), asker)
            return await handler(sid, data)

        return checked

    async def close_ended(self) -> None:
        """Inform desks whose session has ended, and disconnect them."""
        holding = await self._conversations.do(lambda unit: sign_in.session_hashes(unit.connection))
        for sid, desk in list(self._desks.items()):
            if desk.session not in holding:
                self._forget(sid)
                with isolated(log, "A desk whose session has ended can't be disconnected."):
                    await self._presence.signed_out(desk.agent)
                    await self._sio.emit("signed_out", {}, to=sid, namespace=DESK_NAMESPACE)
                    await self._sio.disconnect(sid, namespace=DESK_NAMESPACE)

    async def follow_roles(self) -> None:
        """Show desks anew what they may see, if their account was given another role."""
        roles = await self._conversations.do(lambda unit: accounts.roles(unit.connection))
        for sid, desk in list(self._desks.items()):
            role = roles.get(desk.agent, desk.role)
            if role is not desk.role and sid in self._desks:
                self._desks[sid] = replace(desk, role=role)
                with isolated(log, "A desk whose account has another role can't be shown anew."):
                    await self._conversations.do(partial(self._show, sid, desk.agent))

    def _show(self, sid: str, agent: str, unit: UnitOfWork) -> None:
        ready = _ready(unit, agent, self._largest_file)

        async def send() -> None:
            if sid in self._desks:
                await self._sio.emit(ready.event, plain(ready), to=sid, namespace=DESK_NAMESPACE)

        unit.afterwards.append(send)

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        address = self._guard.address(environ)
        if not self._browsers.has_own_origin(environ.get("HTTP_ORIGIN"), environ.get("HTTP_HOST"), address):
            raise ConnectionRefusedError(OWN_PAGE)
        try:
            await self._enter(sid, environ, auth.get("csrf") if isinstance(auth, dict) else None)
        except Unreachable as problem:
            self._forget(sid)
            # With a code, so that the desk tries again by itself.
            raise ConnectionRefusedError(str(problem), {"code": "unavailable"}) from problem

    async def _enter(self, sid: str, environ: dict[str, Any], csrf: Any) -> None:
        cookies = cookie_parser(environ.get("HTTP_COOKIE") or "")
        token = self._browsers.cookie(cookies, sign_in.SESSION_COOKIE, environ["asgi.scope"]["scheme"])
        account, until = await self._conversations.do(
            lambda unit: (sign_in.account_of(unit.connection, token), sign_in.ends_at(unit.connection, token))
        )
        if account is None or token is None:
            raise self._refusal(environ, STRANGER, "no session, or one that has ended")
        if not await self._browsers.from_own_page(csrf, token):
            raise self._refusal(environ, OWN_PAGE, f"{account.email}'s session, but not from the desk's own page")
        check_is_connected(self._sio, sid, DESK_NAMESPACE)
        self._desks[sid] = SignedIn(agent=account.id, session=accounts.hashed(token), until=until, role=account.role)
        await self._presence.came(account.id, sid)
        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        if self._conversations.shares:
            self._meanwhile[sid] = []

        def work(unit: UnitOfWork) -> None:
            ready = _ready(unit, account.id, self._largest_file)
            unit.afterwards.append(partial(self._welcome, sid, account.id, ready, answered))

        try:
            await self._conversations.do(work)
        finally:
            # python-socketio acknowledges the connect when this handler returns, in the same step of the event loop. `_welcome`
            # goes on in the next step, so nothing overtakes the acknowledgement.
            loop.call_soon(answered.set_result, None)

    def _refusal(self, environ: dict[str, Any], sentence: str, why: str) -> ConnectionRefusedError:
        self._guard.refusals.note(self._guard.address(environ), "desk", f"a desk: {why}.")
        return ConnectionRefusedError(sentence)

    async def _disconnect(self, sid: str, *_: Any) -> None:
        self._forget(sid)

    def _forget(self, sid: str) -> None:
        self._open_conversations.leave(sid)
        self._meanwhile.pop(sid, None)
        desk = self._desks.pop(sid, None)
        if desk is not None:
            self._presence.went(desk.agent, sid)

    async def _welcome(self, sid: str, agent: str, ready: ReadyPayload, answered: "asyncio.Future[None]") -> None:
        """Send the desk its first state right after the transaction that read it, so that it misses no later change.

        What other servers have committed since may have been published before: the desk gets that too.
        """
        await answered
        if sid not in self._desks:  # the session has ended meanwhile: it may not see this
            return
        await self._sio.enter_room(sid, agent, namespace=DESK_NAMESPACE)
        await self._sio.enter_room(sid, EVERYBODY, namespace=DESK_NAMESPACE)
        await self._sio.emit(ready.event, plain(ready), to=sid, namespace=DESK_NAMESPACE)
        for event, payload in self._meanwhile.pop(sid, ()):
            await self._sio.emit(event, payload, to=sid, namespace=DESK_NAMESPACE)

    def _agent(self, sid: str) -> str:
        if sid not in self._desks:
            raise rights.refusal("signed_out")
        return self._desks[sid].agent

    async def _choose(self, sid: str, data: Any) -> None:
        await self._presence.choose(self._agent(sid), read(PresencePayload, data).online)

    async def _take(self, sid: str, data: Any) -> ConversationAnswer:
        whole = await self._conversations.take(self._agent(sid), read(TakePayload, data).handoff_id)
        return ConversationAnswer(ok=True, conversation=whole)

    async def _open(self, sid: str, data: Any) -> ConversationAnswer:
        opened, agent = read(OpenPayload, data), self._agent(sid)
        # First, so that no message falls between what is read and what is published.
        self._open_conversations.note(sid, opened.handoff_id)
        try:
            whole = await self._conversations.open(agent, opened.handoff_id, opened.after, self._loaded)
        except Refused:
            self._open_conversations.forget(sid, opened.handoff_id)
            raise
        if sid not in self._desks:
            self._open_conversations.leave(sid)
        return ConversationAnswer(ok=True, conversation=whole)

    async def _loaded(self, whole: WholeConversation) -> None:
        self._owners.note(whole)

    async def _message(self, sid: str, data: Any) -> MessageAnswer:
        said = read(AgentMessagePayload, data)
        agent = self._agent(sid)
        kept = await self._conversations.agent_said(agent, said.handoff_id, said.id, said.text, said.parts)
        return MessageAnswer(ok=True, message=kept)

    async def _media(self, sid: str, data: Any) -> MediaAnswer:
        asked = read(MediaPayload, data)
        kept = await self._conversations.kept_media(self._agent(sid), asked.handoff_id, asked.ids)
        return MediaAnswer(ok=True, addresses={id: await self._media_address(id) for id in kept})

    async def _typing(self, sid: str, data: Any) -> None:
        typing = read(TypingPayload, data)
        await self._conversations.agent_typing(self._agent(sid), typing.handoff_id, typing.on)

    async def _read(self, sid: str, data: Any) -> None:
        """Pass on what the agent has read, if they have the conversation: from memory, as it may be lost."""
        seen = read(ReadPayload, data)
        bot_id = self._owners.bot_of(seen.handoff_id, self._agent(sid))
        if bot_id is not None:
            receipt = AgentRead(bot_id=bot_id, handoff_id=seen.handoff_id, message_id=seen.id)
            self._conversations.publisher.publish([receipt])

    async def _transfer(self, sid: str, data: Any) -> None:
        transfer = read(TransferPayload, data)
        await self._conversations.transfer(self._agent(sid), transfer.handoff_id, transfer.department)

    async def _resolve(self, sid: str, data: Any) -> None:
        resolution = read(ResolvePayload, data)
        await self._conversations.resolve(
            self._agent(sid), resolution.handoff_id, resolution.outcome, resolution.note, resolution.slots
        )

    async def _followed_up(self, sid: str, data: Any) -> None:
        await self._conversations.follow_up(self._agent(sid), read(FollowedUpPayload, data).handoff_id)

    async def _publish(self, publication: Publication) -> None:
        self._note_owner(publication)
        emitted = _event_of(publication)
        if emitted is not None:
            event, payload = emitted
            rooms = [EVERYBODY] if isinstance(publication, AvailabilityChanged | Deleted) else list(publication.viewers)
            for sid, waiting in self._meanwhile.items():
                if rooms == [EVERYBODY] or self._desks[sid].agent in rooms:
                    waiting.append((event, plain(payload)))
            if isinstance(publication, InConversation):
                rooms += self._open_conversations.sockets(publication.handoff_id)
            if isinstance(publication, Said) and not publication.elsewhere:
                self._outdated.note(publication.handoff_id)
            if rooms:
                await self._sio.emit(event, plain(payload), room=rooms, namespace=DESK_NAMESPACE)

    def _note_owner(self, publication: Publication) -> None:
        if isinstance(publication, Arrival | Changed | Completed):
            self._owners.note(publication.summary, publication.viewers)
        elif isinstance(publication, Deleted):
            self._owners.forget(publication.handoff_ids)

    async def show_outdated(self) -> None:
        """Show colleagues the last messages of conversations that somebody has."""
        left: list[str] = []
        try:
            while handoff_ids := self._outdated.take(MOST_SHOWN_AT_ONCE):
                left += handoff_ids
                left = left[: -len(handoff_ids)] + await self._conversations.show_to_colleagues(handoff_ids)
        finally:  # the next round shows those that couldn't be shown now
            for handoff_id in left:
                self._outdated.note(handoff_id)

    async def close_forbidden(self) -> None:
        """Send nothing more of a conversation to desks that have it open and may no longer see it."""
        opened = self._open_conversations.all()
        for first in range(0, len(opened), MOST_SHOWN_AT_ONCE):
            seen_by = await self._conversations.viewers_of(opened[first : first + MOST_SHOWN_AT_ONCE])
            for handoff_id, agents in seen_by.items():
                for sid in self._open_conversations.sockets(handoff_id):
                    if sid not in self._desks or self._desks[sid].agent not in agents:
                        self._open_conversations.forget(sid, handoff_id)


def _event_of(publication: Publication) -> tuple[str, Struct] | None:
    """Return the desk's event for a publication, and its payload; None if it isn't for desks."""
    match publication:
        case Arrival():
            return ARRIVAL, publication.summary
        case Changed() | Completed():
            return publication.summary.event, publication.summary
        case Said():
            message = publication.message
            fields = {name: getattr(message, name) for name in Message.__struct_fields__}
            shown = ShownMessagePayload(**fields, handoff_id=publication.handoff_id)
            return shown.event, shown
        case Marked():
            status = MessageStatusPayload(
                handoff_id=publication.handoff_id,
                message_id=publication.message_id,
                status=publication.status,
                reason=publication.reason,
            )
            return status.event, status
        case CustomerTyping():
            typing = TypingPayload(handoff_id=publication.handoff_id, on=publication.on)
            return typing.event, typing
        case Overdue():
            reminder = ReminderPayload(handoff_id=publication.handoff_id, seconds=publication.seconds)
            return reminder.event, reminder
        case PresenceChanged():
            presence = PresencePayload(online=publication.online)
            return presence.event, presence
        case Deleted():
            deleted = DeletedPayload(handoff_ids=publication.handoff_ids)
            return deleted.event, deleted
        case AvailabilityChanged():
            return AVAILABILITY, publication.availability
    return None


def _ready(unit: UnitOfWork, agent: str, largest_file: int | None) -> ReadyPayload:
    account = accounts.by_id(unit.connection, agent)
    found = availability.availability(unit.connection, unit.now)
    lists = summaries.lists(unit.connection, agent)
    return ReadyPayload(
        me=_me(account) if account else None,
        departments=found.departments,
        staffed=found.staffed,
        queue=lists["queue"],
        mine=lists["mine"],
        others=lists["others"],
        messages=lists["messages"],
        follow_ups=lists["follow_ups"],
        largest_file=largest_file,
    )


def _me(account: Account) -> Me:
    return Me(
        id=account.id,
        name=account.name,
        email=account.email,
        online=account.online,
        departments=tuple(account.departments),
        role=account.role.value,
    )
