"""The gateway of the namespace ``/relay``: relays of HandoffChannel (docs/protocol.md)."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from msgspec.structs import replace
from socketio import AsyncServer
from socketio.exceptions import ConnectionRefusedError, SocketIOError
from sqlalchemy.engine import Connection

from rasa_handoff import __version__
from rasa_handoff.core.assignment_events import CustomerEnded, CustomerWrote
from rasa_handoff.guard.calls import Calls, NotAcknowledged
from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.recent import Recent
from rasa_handoff.guard.socketio_requests import is_local
from rasa_handoff.protocol.errors import Refused, Unforeseen, Unreachable
from rasa_handoff.protocol.handshake import (
    ANOTHER_RELAY,
    FORMAT,
    PROTOCOL,
    are_compatible,
    is_our_format,
    what_to_update,
)
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.names import RELAY_NAMESPACE
from rasa_handoff.protocol.payloads import (
    AVAILABILITY,
    Acknowledgement,
    CustomerPresencePayload,
    DeskStatusPayload,
    EndedPayload,
    FindPayload,
    FoundAnswer,
    HelloPayload,
    KnownHandoffPayload,
    MessagePayload,
    MessageStatusPayload,
    OfferPayload,
    OpenHandoffPayload,
    QueuedAnswer,
    RatingPayload,
    ReadPayload,
    RelayAuthPayload,
    RelayStatusPayload,
    TranscriptPayload,
    TypingPayload,
    WelcomePayload,
)
from rasa_handoff.protocol.values import Speaker, Status, plain, read
from rasa_handoff.server import accounts, rights
from rasa_handoff.server.gateways.event_answers import EventHandler, answer_unknown, check_is_connected, listen
from rasa_handoff.server.rights import Asker
from rasa_handoff.server.service.bot_operations import BotService
from rasa_handoff.server.service.deliveries import Lost, Mark
from rasa_handoff.server.service.publications import AgentRead, AgentTyping, AvailabilityChanged, Publication
from rasa_handoff.server.service.relay_owner import RelayOwner
from rasa_handoff.server.storage import handoffs, whereabouts
from rasa_handoff.server.storage.customer_entries import read_entry
from rasa_handoff.server.storage.handoffs import RELAY
from rasa_handoff.store.change_log import LoggedChange
from rasa_handoff.store.engine import Store
from rasa_handoff.store.failures import isolated
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import begin

log = get_log(__name__)

TOO_LATE: Final = ("ended", "unknown_handoff")
"""Refusals that aren't about the entry: the bot has its conversation back, or never knew it."""
ANSWER_WITHIN: Final = 5.0
"""Seconds a relay may take to acknowledge an entry before it is sent again."""
PRESENT_WITHIN: Final = 2.0
"""Seconds a relay may take to answer that it is there, while another one waits to be let in."""
STRANGER: Final = (
    f"This server speaks with relays that name their format '{FORMAT}', and this one doesn't: it is from before the first "
    "release, or something else. Update rasa-handoff beside Rasa."
)


class RelayGateway:
    """Serves relays, and is the outbox target ``"relay"``: one entry of a handoff at a time, until it is acknowledged."""

    batch: int = 1
    recognises = True

    def __init__(
        self,
        sio: AsyncServer,
        conversations: BotService,
        store: Store,
        now: Callable[[], float],
        guard: Guard,
        largest_file: int | None = None,
    ) -> None:
        """``largest_file``: bytes of the largest file that is kept here; None if none is."""
        self._largest_file = largest_file
        self._sio, self._conversations, self._store, self._now = sio, conversations, store, now
        self._guard = guard
        # The bot id of each socket.
        self._bots: dict[str, str] = {}
        # The hash of the token of each socket; empty if it gave none.
        self._tokens: dict[str, str] = {}
        # Sockets that said hello, oldest first, each with the events that wait for its acknowledgement.
        self._greeted: dict[str, Calls] = {}
        # The bot of each handoff that something was delivered of.
        self._bot_of: dict[str, str] = Recent()
        self.owner = RelayOwner(store, self._is_present, self._end, RELAY)
        """Says which database speaks for a bot; to be entered before the first relay comes."""
        conversations.publisher.listeners.append(self._publish)
        sio.on("connect", self._connect, namespace=RELAY_NAMESPACE)
        sio.on("disconnect", self._disconnect, namespace=RELAY_NAMESPACE)
        sio.on("*", answer_unknown, namespace=RELAY_NAMESPACE)
        handlers = {
            "hello": self._hello,
            "handoff.find": self._find,
            "handoff.initiate": self._initiate,
            "handoff.transcript": self._transcript,
            "handoff.status": self._status,
            "message": self._message,
            "message.status": self._message_status,
            RatingPayload.event: self._rating,
            "typing": self._typing,
            CustomerPresencePayload.event: self._customer_presence,
        }
        listen(sio, RELAY_NAMESPACE, {name: self._checked(name, one) for name, one in handlers.items()})
        self._events = tuple(handlers)

    def _checked(self, name: str, handler: EventHandler) -> EventHandler:
        """Return the handler behind the question who may send this event."""

        async def checked(sid: str, data: Any) -> Acknowledgement | None:
            asker = Asker.BOT if sid in self._bots else Asker.NOBODY
            rights.check(rights.event(RELAY_NAMESPACE, name), asker)
            return await handler(sid, data)

        return checked

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> Sequence[Mark | Lost]:
        """Send an entry to the newest relay of the bot, and wait for its acknowledgement."""
        (entry,) = entries
        body = read_entry(entry)
        sid = self._newest(body.bot_id)
        if sid is None:
            raise Unreachable(f"No relay of the bot {body.bot_id} is connected.")
        said = await self._call(sid, entry.name, plain(body.payload))
        try:
            answer = read(Acknowledgement, said)
        except Refused as problem:
            raise Unreachable(f"The relay answered {said!r}, which isn't an acknowledgement: {problem}") from problem
        return () if answer.ok else self._refused(lane, body.payload, answer)

    async def process_of(self, lane: str) -> str | None:
        """Return another server to which a relay of this handoff's bot is connected, if none is connected to this one."""
        if not self._store.shared:
            return None
        bot_id = self._bot_of.get(lane)
        if bot_id is not None and self._newest(bot_id) is not None:
            return None

        def work(connection: Connection) -> tuple[str | None, list[str]]:
            record = handoffs.look_at(connection, lane)
            return None if record is None else record.offer.bot_id, whereabouts.with_relay(connection, lane)

        bot_id, processes = await self._store.write(work)
        if bot_id is None:
            return None
        self._bot_of[lane] = bot_id
        if self._newest(bot_id) is not None:
            return None
        return next((process for process in processes if process != self._store.process), None)

    def keeps(self, lane: str) -> bool:
        """Return False: nothing that rests here is delivered in another way."""
        return False

    async def follow(self, changes: Sequence[LoggedChange]) -> None:
        """Pass on what waits here for a relay that has come to another server."""
        if any(self._newest(change.subject) is None for change in changes):
            await self._conversations.dispatcher.notify_all(RELAY)

    async def close_revoked(self) -> None:
        """End connections whose token was revoked, and those without one as soon as tokens are needed.

        A relay tries to connect again by itself; without a valid token it is refused with a sentence that says how to make one.
        """
        holding = await self._conversations.do(lambda unit: accounts.token_hashes(unit.connection))
        for sid, token in list(self._tokens.items()):
            if holding and token not in holding:
                log.warning(
                    "A relay of the bot %r has no token that is valid any more, so its connection is ended.",
                    self._bots[sid],
                )
                with isolated(log, "A relay whose token was revoked can't be disconnected."):
                    await self._disconnect(sid)
                    await self._sio.disconnect(sid, namespace=RELAY_NAMESPACE)

    def _refused(
        self, lane: str, payload: MessagePayload | DeskStatusPayload, answer: Acknowledgement
    ) -> Sequence[Mark | Lost]:
        """Return what the refusal of an entry says about its message and its handoff.

        Raises:
            Unreachable, Unforeseen, Refused: the entry isn't settled; the error's class says what the dispatcher does with it.
        """
        if answer.code is None:
            raise Unreachable("The relay refused it without saying why.")
        if answer.code == "unavailable":
            raise Unreachable(f"The relay can't take anything now: {answer.error}")
        if answer.code == "failed":
            raise Unforeseen(f"The relay failed on it: {answer.error}")
        if answer.code not in TOO_LATE:
            raise Refused(answer.code, f"The relay refused it: {answer.error} ({answer.code})")
        log.warning("The relay refused %s of %s: %s", payload.event, payload.handoff_id, answer.error)
        lost = (Lost(handoff_id=lane),) if answer.code == "unknown_handoff" else ()
        if not isinstance(payload, MessagePayload):
            return lost
        reason = answer.error or answer.code
        return Mark(handoff_id=lane, message_id=payload.id, status=Status.FAILED, reason=reason), *lost

    async def _call(self, sid: str, event: str, body: dict[str, Any]) -> Any:
        emit = partial(self._sio.emit, event, body, to=sid, namespace=RELAY_NAMESPACE)
        try:
            return await self._greeted[sid].call(emit, ANSWER_WITHIN)
        except (NotAcknowledged, SocketIOError) as problem:
            raise Unreachable(f"The relay didn't acknowledge {event}: {problem}.") from problem

    def _bot(self, sid: str) -> str:
        if sid not in self._bots:
            raise rights.refusal("refused")
        return self._bots[sid]

    def _newest(self, bot_id: str) -> str | None:
        return next((sid for sid in reversed(self._greeted) if self._bots[sid] == bot_id), None)

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        if environ.get("HTTP_ORIGIN") is not None:
            raise self._refusal(environ, "A relay is a program; a web page can't be one.")
        if not is_our_format(auth):
            raise self._refusal_logged_once(environ, STRANGER)
        try:
            offered = read(RelayAuthPayload, auth)
        except Refused as no:
            raise self._refusal(environ, str(no)) from no
        if not are_compatible(offered.protocol, PROTOCOL):
            raise self._refusal_logged_once(
                environ,
                f"This server speaks protocol {PROTOCOL}, the relay {offered.protocol}: "
                f"{what_to_update(relays=offered.protocol, servers=PROTOCOL)}.",
            )
        try:
            may = await self._conversations.do(
                lambda unit: accounts.may_relay(unit.connection, offered.token, offered.bot_id, local=is_local(environ))
            )
        except Unreachable as problem:
            raise ConnectionRefusedError(str(problem)) from problem
        if not may:
            raise self._refusal(
                environ,
                f"The token isn't one of the bot '{offered.bot_id}'. Make one: rasa-handoff token add {offered.bot_id}",
            )
        await self._let_in(sid, environ, offered.bot_id, offered.epoch)
        self._bots[sid] = offered.bot_id
        self._tokens[sid] = accounts.hashed(offered.token) if offered.token else ""
        self._guard.trust(self._sio, sid, RELAY_NAMESPACE)

    async def _let_in(self, sid: str, environ: dict[str, Any], bot_id: str, epoch: str | None) -> None:
        """Let a relay in, unless another one speaks for its bot."""
        try:
            refusal = await self.owner.let_in(sid, bot_id, epoch)
        except Unreachable as problem:
            raise ConnectionRefusedError(str(problem)) from problem
        if refusal is not None:
            raise self._refusal_logged_once(environ, refusal, ANOTHER_RELAY)
        try:
            check_is_connected(self._sio, sid, RELAY_NAMESPACE)
        except ConnectionRefusedError:
            self.owner.note_left(sid)
            raise

    async def _is_present(self, sid: str) -> bool:
        """Return whether the relay answers on its connection now."""
        try:
            await self._sio.call("present", to=sid, namespace=RELAY_NAMESPACE, timeout=PRESENT_WITHIN)
        except SocketIOError:
            return False
        return True

    async def _end(self, sid: str) -> None:
        await self._sio.disconnect(sid, namespace=RELAY_NAMESPACE)

    def _refusal(self, environ: dict[str, Any], sentence: str, code: str = "refused") -> ConnectionRefusedError:
        self._guard.refusals.note(self._guard.address(environ), "relay", f"a relay: {sentence}")
        return ConnectionRefusedError(sentence, {"code": code})

    def _refusal_logged_once(
        self, environ: dict[str, Any], sentence: str, code: str = "refused"
    ) -> ConnectionRefusedError:
        """Return the refusal of a relay that tries again every few seconds, until somebody does something about it."""
        self._guard.refusals.note_once(self._guard.address(environ), "relay", f"a relay: {sentence}")
        return ConnectionRefusedError(sentence, {"code": code})

    async def _disconnect(self, sid: str, *_: Any) -> None:
        self.owner.note_left(sid)
        self._bots.pop(sid, None)
        self._tokens.pop(sid, None)
        self._guard.trust(self._sio, sid, RELAY_NAMESPACE, False)
        calls = self._greeted.pop(sid, None)
        if calls is not None:
            calls.close()

    async def _hello(self, sid: str, data: Any) -> None:
        numbered = list(_numbered(read(HelloPayload, data or {}).open))
        caught_up = await self._conversations.catch_up(self._bot(sid), numbered)
        known = tuple(
            KnownHandoffPayload(handoff_id=handoff_id, last=id) for handoff_id, id in caught_up.received.items()
        )
        await self._conversations.refresh_availability()
        self._conversations.publisher.later(partial(self._welcome, sid, known, caught_up.unknown))

    async def _welcome(self, sid: str, known: tuple[KnownHandoffPayload, ...], unknown: tuple[str, ...]) -> None:
        if sid not in self._bots:
            return
        availability = self._conversations.last_availability  # a change since the hello was published only to others
        assert availability is not None
        welcome = WelcomePayload(
            protocol=PROTOCOL,
            server=__version__,
            epoch=self._store.epoch,
            departments=availability.departments,
            staffed=availability.staffed,
            open=known,
            unknown=unknown,
            transcript_follows=True,
            events=self._events,
            largest_file=self._largest_file,
        )
        await self._sio.emit(welcome.event, plain(welcome), to=sid, namespace=RELAY_NAMESPACE)
        self._greeted.pop(sid, None)
        self._greeted[sid] = Calls()
        await self.owner.note_ready(sid)
        await self._conversations.dispatcher.notify_all(RELAY)

    async def _initiate(self, sid: str, data: Any) -> QueuedAnswer:
        offered = read(OfferPayload, data)
        if offered.bot_id != self._bot(sid):
            raise Refused("refused", f"This connection isn't of the bot '{offered.bot_id}'.")
        return await self._conversations.initiate(offered.offer, offered.id, offered.resumed, offered.left)

    async def _transcript(self, sid: str, data: Any) -> None:
        await self._conversations.transcript_followed(self._bot(sid), read(TranscriptPayload, data))

    async def _find(self, sid: str, data: Any) -> FoundAnswer:
        sought = read(FindPayload, data)
        found = await self._conversations.find(self._bot(sid), sought.conversation_id)
        if found is None:
            return FoundAnswer(ok=True, handoff=None, agent=None)
        return FoundAnswer(ok=True, handoff=found.offer, agent=found.assignment.agent)

    async def _status(self, sid: str, data: Any) -> None:
        status: RelayStatusPayload = read(RelayStatusPayload, data)
        if not isinstance(status, EndedPayload):
            return await self._conversations.message_left(self._bot(sid), status)
        event = CustomerEnded(at=self._now(), reason=status.reason)
        await self._conversations.customer_ended(RELAY, self._bot(sid), status.handoff_id, event, status.id)

    async def _message(self, sid: str, data: Any) -> None:
        message = read(MessagePayload, data)
        if message.speaker is not Speaker.CUSTOMER:
            raise Refused("invalid", "A relay says only what the customer said: 'speaker' must be 'customer'.")
        event = CustomerWrote(at=message.at, id=message.id, text=message.text, parts=message.parts)
        await self._conversations.customer_said(RELAY, self._bot(sid), message.handoff_id, event)

    async def _message_status(self, sid: str, data: Any) -> None:
        report = read(MessageStatusPayload, data)
        mark = Mark(
            handoff_id=report.handoff_id,
            message_id=report.message_id,
            status=report.status,
            reason=report.reason,
            customer_is_away=report.customer_is_away,
        )
        await self._conversations.message_status(self._bot(sid), mark, report.id)

    async def _rating(self, sid: str, data: Any) -> None:
        await self._conversations.customer_rated(self._bot(sid), read(RatingPayload, data))

    async def _typing(self, sid: str, data: Any) -> None:
        typing = read(TypingPayload, data)
        await self._conversations.customer_typing(self._bot(sid), typing.handoff_id, typing.on)

    async def _customer_presence(self, sid: str, data: Any) -> None:
        presence = read(CustomerPresencePayload, data)
        await self._conversations.customer_presence(self._bot(sid), presence.handoff_id, presence.here)

    async def _publish(self, publication: Publication) -> None:
        if isinstance(publication, AvailabilityChanged):
            for sid in list(self._greeted):
                await self._sio.emit(AVAILABILITY, plain(publication.availability), to=sid, namespace=RELAY_NAMESPACE)
        elif isinstance(publication, AgentTyping) and publication.side == RELAY:
            typing = TypingPayload(handoff_id=publication.handoff_id, on=publication.on)
            await self._emit_to_newest(publication.bot_id, typing)
        elif isinstance(publication, AgentRead):
            seen = ReadPayload(handoff_id=publication.handoff_id, id=publication.message_id)
            if not await self._emit_to_newest(publication.bot_id, seen) and not publication.is_logged:
                begin(self._log(replace(publication, is_logged=True)))

    async def _emit_to_newest(self, bot_id: str, payload: TypingPayload | ReadPayload) -> bool:
        """Send what may be lost to the newest relay of a bot, and return whether one is connected here."""
        newest = self._newest(bot_id)
        if newest is not None:
            await self._sio.emit(payload.event, plain(payload), to=newest, namespace=RELAY_NAMESPACE)
        return newest is not None

    async def _log(self, publication: Publication) -> None:
        """Tell other servers what may be lost, if there are any: the relay may be connected to one of them."""
        if self._conversations.shares:
            with contextlib.suppress(Unreachable):
                await self._conversations.do(lambda unit: unit.publications.append(publication))


def _numbered(under_way: Sequence[Any]) -> Iterator[OpenHandoffPayload]:
    """Yield the handoffs of a hello that have numbers; one that can't be read is skipped, and doesn't keep the relay out."""
    for one in under_way:
        if not isinstance(one, str):  # a relay that keeps no numbers sends the ids alone
            try:
                yield read(OpenHandoffPayload, one)
            except Refused as problem:
                log.warning("An open handoff in a relay's hello can't be read, and is skipped: %s", problem)
