"""Our own live-agent server: one connection on ``/relay`` for all conversations (docs/protocol.md).

The handshake is explicit: the server answers ``hello`` with ``welcome``. A server that doesn't isn't ours, and nothing is sent to
it. A lost connection is reopened after growing pauses; the outbox sends again what wasn't acknowledged.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import socketio
from socketio.exceptions import SocketIOError

from rasa_handoff.core.control import Control, IllegalEvent
from rasa_handoff.desks.base import UNNOTICED_SECONDS, Attempts, Desk, retry_until_stored
from rasa_handoff.desks.ours_events import answer_to_offer, message_event, status_event
from rasa_handoff.desks.ours_media import MediaForServer
from rasa_handoff.guard.calls import Calls, NotAcknowledged
from rasa_handoff.guard.text_packets import TextPacket
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.errors import Refused, StoreError, Unforeseen, Unreachable
from rasa_handoff.protocol.features import YES, Feature
from rasa_handoff.protocol.handshake import (
    ANOTHER_RELAY,
    FORMAT,
    PROTOCOL,
    are_compatible,
    is_our_format,
    what_to_update,
)
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.names import RELAY_NAMESPACE
from rasa_handoff.protocol.payloads import (
    Acknowledgement,
    CustomerPresencePayload,
    DeskStatusPayload,
    FindPayload,
    FoundAnswer,
    HelloPayload,
    MessagePayload,
    OfferPayload,
    QueuedAnswer,
    RatingPayload,
    ReadPayload,
    RelayAuthPayload,
    TranscriptPayload,
    TypingPayload,
    WelcomePayload,
)
from rasa_handoff.protocol.values import Agent, Availability, Offer, plain, read
from rasa_handoff.relay.relay import DESK, Relay
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

ANSWER_SECONDS: Final = 5.0
OFFER: Final = OfferPayload.event
ACCEPTED: Final[dict[str, Any]] = plain(Acknowledgement(ok=True))
TOO_LATE: Final = ("ended", "unknown_handoff")
"""Refusals that are no fault of the entry: its handoff is over."""
STRANGER: Final = (
    f"its welcome doesn't name the format '{FORMAT}', so it is from before the first release, or something else: "
    "update rasa-handoff there."
)


def socketio_path(url: str) -> str:
    """Return the Socket.IO path below the path of this URL, which the client would leave out."""
    return f"{urlsplit(url).path.strip('/')}/socket.io".lstrip("/")


class OurDesk(Desk):
    """The connection to ``rasa-handoff serve``."""

    recognises = True
    takes_messages = True
    several_processes = True
    features = {
        Feature.INTENTS: YES,
        Feature.OPTIONS: "those that are open and staffed",
        Feature.DEPARTMENT: YES,
        Feature.AGENT: YES,
        Feature.RULES: "a queue by priority; agents take",
        Feature.TRANSCRIPT: YES,
        Feature.REASON: YES,
        Feature.RECOGNISED: YES,
        Feature.QUEUE: YES,
        Feature.ALERT: YES,
        Feature.RELAY: "this package",
        Feature.SEVERAL: YES,
        Feature.KEPT: "exactly once",
        Feature.STATUS: YES,
        Feature.TYPING: YES,
        Feature.TRACKED: YES,
        Feature.ACTIVE: YES,
        Feature.LEAVING: YES,
        Feature.TIMERS: "the desk's, then the relay's",
        Feature.BACK: "it speaks first",
        Feature.OUTCOME: YES,
        Feature.CLOSE: YES,
        Feature.SEVERAL_BOTS: YES,
        Feature.AUTHENTICATION: "a token per bot",
        Feature.ONCE: YES,
    }

    def __init__(self, settings: Settings, relay: Relay) -> None:
        super().__init__(settings, relay)
        self._client = socketio.AsyncClient(reconnection=False, logger=False, serializer=TextPacket)
        self._welcome: WelcomePayload | None = None
        # Why this server can't be used: its own error, or what is wrong with its welcome.
        self._why_unusable: str | None = None
        self._serves_another = False
        self._availability: Availability | None = None
        self._welcomed, self._lost, self._calls = asyncio.Event(), asyncio.Event(), Calls()
        self._task: asyncio.Task[None] | None = None
        self._absence: asyncio.Task[None] | None = None
        self._media = MediaForServer(settings.desk, settings.bot_id, relay)
        self._listen()

    @property
    def connected(self) -> bool:
        """Whether a server of ours has sent its welcome on this connection."""
        return self._welcome is not None

    @property
    def serves_another(self) -> bool:
        return self._serves_another

    @property
    def availability(self) -> Availability | None:
        """The availability that the server sent last; None before the first welcome and while disconnected."""
        return self._availability if self.connected else None

    async def open(self) -> None:
        """Begin to connect, and stay connected."""
        self._task = asyncio.create_task(self._stay_connected())

    async def close(self) -> None:
        """Disconnect, and stop connecting."""
        for task in (self._task, self._absence):
            if task is not None:
                await cancel_all(task)
        with contextlib.suppress(StoreError):
            await self.relay.others.note_desk_connected(False)
        await self._client.disconnect()
        await self._media.close()

    async def process_of(self, lane: str) -> str | None:
        """Return a process that is connected to the live-agent server, if this one isn't."""
        return None if self.connected else await self.relay.others.process_at_desk()

    def keeps(self, lane: str) -> bool:
        """Return False: what rests is for whichever process is connected."""
        return False

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> list[events.Event]:
        """Send an entry and wait for its acknowledgement."""
        (entry,) = entries
        handoff_id = str(entry.handoff_id)
        if entry.name == TranscriptPayload.event and self._welcome is not None and not self._welcome.transcript_follows:
            log.warning("The live-agent server is too old for a transcript that follows; %s has none.", short_id(lane))
            return []
        if (
            entry.name == RatingPayload.event
            and self._welcome is not None
            and entry.name not in (self._welcome.events or ())
        ):
            log.warning("The live-agent server is too old for a rating; that of %s is dropped.", short_id(lane))
            return []
        self._check_is_accepted(entry.name)
        body = await self._media.body_of(lane, entry, self._welcomed_by().largest_file)
        answer = await self._call(entry.name, body, QueuedAnswer if entry.name == OFFER else Acknowledgement)
        if answer.code == "unavailable":
            raise Unreachable(f"The live-agent server can't take anything now: {answer.error}")
        if answer.code == "failed":
            raise Unforeseen(f"The live-agent server failed on it: {answer.error}")
        if entry.name == OFFER:
            if not answer.ok:
                why = f"{answer.error} ({answer.code})"
                log.warning("The desk refused handoff %s of %s: %s", handoff_id, short_id(lane), why)
            if entry.body.get("left"):  # no state waits for the answer
                if not answer.ok:
                    raise Refused(str(answer.code), f"The desk refused a message that was left: {answer.error}")
                return []
            return [answer_to_offer(lane, handoff_id, answer)]
        if answer.code == "unknown_handoff" and entry.name == MessagePayload.event:
            return await self._offer_again(lane, handoff_id)
        if not answer.ok and answer.code not in TOO_LATE:
            raise Refused(str(answer.code), f"The desk refused it: {answer.error} ({answer.code})")
        if not answer.ok:
            log.warning(
                "The desk didn't take a '%s' of handoff %s: %s (%s)", entry.name, handoff_id, answer.error, answer.code
            )
        return []

    def _welcomed_by(self) -> WelcomePayload:
        """Return the server's welcome.

        Raises:
            Unreachable: no server is connected.
        """
        if self._welcome is None:
            raise Unreachable(f"The live-agent server at {self.settings.url} isn't connected.")
        return self._welcome

    async def take_media(self, id: str) -> AsyncGenerator[bytes, None]:
        """Yield a file that an agent sent."""
        async with contextlib.aclosing(self._media.server.take(id)) as pieces:
            async for piece in pieces:
                yield piece

    def _check_is_accepted(self, name: str) -> None:
        """Check that the server accepts this event: an older one may never answer it, and what comes after it would wait.

        Raises:
            Refused: it doesn't, so that the entry is set aside.
        """
        accepted = None if self._welcome is None else self._welcome.events
        if accepted is not None and name not in accepted:
            raise Refused("unknown_event", f"The live-agent server is too old for '{name}': update rasa-handoff there.")

    async def find(self, conversation_id: str) -> tuple[Offer, Agent | None] | None:
        """Ask the server for its open handoff of a conversation (``handoff.find``)."""
        sought = FindPayload(conversation_id=conversation_id)
        answer = await self._call(sought.event, plain(sought), FoundAnswer)
        if not isinstance(answer, FoundAnswer):
            raise Unreachable(f"The live-agent server can't look for it now: {answer.error}")
        return None if answer.handoff is None else (answer.handoff, answer.agent)

    async def _offer_again(self, conversation_id: str, handoff_id: str) -> list[events.Event]:
        """Offer a handoff again, after the server answered a message of it with ``unknown_handoff``.

        Returns only if the handoff is over: then the message is dropped, so that it doesn't hold up the next one.

        Raises:
            Unreachable: the handoff was offered again, or can't be now; the outbox sends the message again.
        """
        conversation = self.relay.conversation(conversation_id)
        if conversation.desk_active and conversation.handoff_id == handoff_id:
            await self.relay.reconnection.offer_again(conversation)
            raise Unreachable("The live-agent server didn't know the handoff; it is offered again.")
        left = await self.relay.reconnection.offer_of_message_left(handoff_id)
        if left is None:
            log.warning(
                "The live-agent server no longer knows handoff %s of %s.", handoff_id, short_id(conversation_id)
            )
            return []
        answer = await self._call(OFFER, plain(OfferPayload.of(left, resumed=True, left=True)), QueuedAnswer)
        if answer.code not in (None, "unavailable", "failed"):
            raise Refused(answer.code, f"The live-agent server refused a message that was left: {answer.error}")
        if not answer.ok:
            raise Unreachable(f"The live-agent server can't take a message left now: {answer.error}")
        raise Unreachable(
            "The live-agent server didn't know the message's handoff; it is offered, and the message comes again."
        )

    async def typing(self, handoff_id: str, on: bool) -> None:
        """Report the customer's typing, if connected."""
        if self.connected:
            with contextlib.suppress(SocketIOError):
                typing = TypingPayload(handoff_id=handoff_id, on=on)
                await self._client.emit(typing.event, plain(typing), namespace=RELAY_NAMESPACE)

    async def presence(self, handoff_id: str, here: bool) -> None:
        """Report whether the customer's page is open, if connected to a server that accepts it."""
        presence = CustomerPresencePayload(handoff_id=handoff_id, here=here)
        if self._welcome is not None and presence.event in (self._welcome.events or ()):
            with contextlib.suppress(SocketIOError):
                await self._client.emit(presence.event, plain(presence), namespace=RELAY_NAMESPACE)

    async def _call(self, name: str, body: dict[str, Any], accepted: type[Acknowledgement]) -> Acknowledgement:
        """Send an event and return its acknowledgement; if it was accepted, as ``accepted``."""
        if not self.connected:
            raise Unreachable(f"The live-agent server at {self.settings.url} isn't connected.")
        try:
            said = await self._calls.call(
                partial(self._client.emit, name, body, namespace=RELAY_NAMESPACE), ANSWER_SECONDS
            )
        except (NotAcknowledged, SocketIOError) as problem:
            raise Unreachable(f"The live-agent server didn't answer '{name}': {problem!r}") from problem
        try:
            answer = read(Acknowledgement, said)
            return read(accepted, said) if answer.ok else answer
        except Refused as problem:
            raise Unforeseen(f"The live-agent server's answer to '{name}' can't be read: {problem}") from problem

    # Staying connected

    async def _stay_connected(self) -> None:
        attempts = Attempts()
        while True:
            if self._absence is None:
                self._absence = asyncio.create_task(self._report_absence())
            try:
                await self._connect()
                if attempts.note_success():  # as loud as the failure was
                    log.warning("The live-agent server at %s is reachable again.", self.settings.url)
                await self._lost.wait()
            # The client raises more than its own errors, such as a TypeError for a socket closed at once.
            except Exception as problem:
                if attempts.note_failure(problem):
                    what = "refuses this Rasa server" if self._serves_another else "can't be reached"
                    log.error("The live-agent server at %s %s: %s", self.settings.url, what, problem)
                with contextlib.suppress(Exception):
                    await self._client.disconnect()
            self._welcome = None
            with contextlib.suppress(StoreError):
                await self.relay.others.note_desk_connected(False)
            await attempts.pause()

    async def _report_absence(self) -> None:
        """Report the desk as lost if it stays away: customers get a notice, and their timers run."""
        await asyncio.sleep(UNNOTICED_SECONDS)
        while await self._another_is_connected():  # noqa: ASYNC110 (what another process notes)
            await asyncio.sleep(UNNOTICED_SECONDS)
        await retry_until_stored(lambda: self.relay.reconnection.apply_to_all(events.DeskLost))

    async def _another_is_connected(self) -> bool:
        """Return whether another process that shares the database is connected to the desk: then it isn't away."""
        try:
            return await self.relay.others.process_at_desk() is not None
        except StoreError:  # it can't be known now
            return False

    async def _end_absence(self) -> None:
        """Stop the pending report of absence, before the conversations are notified that the desk is back."""
        absence, self._absence = self._absence, None
        if absence is not None:
            await cancel_all(absence)

    async def _connect(self) -> None:
        self._lost.clear()
        self._welcomed.clear()
        self._why_unusable = None
        auth = RelayAuthPayload(
            protocol=PROTOCOL, token=self.settings.token, bot_id=self.bot_id, epoch=self.relay.store.epoch
        )
        try:
            await self._client.connect(
                self.settings.url,
                auth=plain(auth),
                namespaces=[RELAY_NAMESPACE],
                transports=["websocket"],
                wait_timeout=5,
                socketio_path=socketio_path(self.settings.url),
            )
        except SocketIOError as problem:
            raise Unreachable(self._why_unusable or str(problem)) from problem
        hello = HelloPayload(open=tuple(await self.relay.reconnection.open_handoffs()))
        await self._client.emit(hello.event, plain(hello), namespace=RELAY_NAMESPACE)
        try:
            await asyncio.wait_for(self._welcomed.wait(), ANSWER_SECONDS)
        except asyncio.TimeoutError:
            raise Unreachable(
                "it answered, but not as a live-agent server of ours does; for a server of Botlhale's kind write 'type: botlhale'"
            ) from None
        if self._why_unusable is not None:
            raise Unreachable(self._why_unusable)
        self._serves_another = False
        log.info("Connected to the live-agent server at %s.", self.settings.url)
        await self.relay.others.note_desk_connected(True)
        if (welcome := self._welcome) is not None:
            await self._end_absence()
            await self.relay.reconnection.remove_acknowledged({known.handoff_id: known.last for known in welcome.open})
            await self.relay.reconnection.complete(welcome.epoch, welcome.unknown)
            await self._report_presence_since(hello)
        await self.relay.notify(DESK)

    async def _report_presence_since(self, hello: HelloPayload) -> None:
        """Report which customers came or went after the ``hello`` was made: before the ``welcome`` it couldn't be reported."""
        was_away = {known.handoff_id: known.customer_is_away for known in hello.open}
        is_away_now = await self.relay.reconnection.away_now()
        for conversation in self.relay.under_way:
            is_away = is_away_now(conversation.conversation_id)
            handoff_id = str(conversation.handoff_id)
            if was_away.get(handoff_id, is_away) is not is_away:
                await self.presence(handoff_id, not is_away)

    # Events from the server

    def _listen(self) -> None:
        for name, handler in (
            ("connect_error", self._on_refused),
            ("welcome", self._on_welcome),
            ("availability", self._on_availability),
            ("handoff.status", self._on_status),
            ("message", self._on_message),
            ("typing", self._on_typing),
            (ReadPayload.event, self._on_read),
            ("present", self._on_present),
            ("disconnect", self._on_disconnect),
        ):
            self._client.on(name, handler, namespace=RELAY_NAMESPACE)

    async def _on_refused(self, data: Any = None) -> None:
        said = data if isinstance(data, dict) else {}
        if said.get("message"):
            self._why_unusable = str(said["message"])
        more = said.get("data")
        self._serves_another = isinstance(more, dict) and more.get("code") == ANOTHER_RELAY

    async def _on_present(self, *_: Any) -> dict[str, Any]:
        """Answer that this relay is alive: the server asks when another relay claims to speak for this bot."""
        return dict(ACCEPTED)

    async def _on_welcome(self, data: Any) -> None:
        try:
            welcome = read(WelcomePayload, data) if is_our_format(data) else None
            if welcome is None:
                self._why_unusable = STRANGER
            elif are_compatible(welcome.protocol, PROTOCOL):
                self._welcome = self._availability = welcome
            else:
                self._why_unusable = (
                    f"it speaks protocol {welcome.protocol}, this package {PROTOCOL}: "
                    f"{what_to_update(relays=PROTOCOL, servers=welcome.protocol)}."
                )
        except Refused as problem:
            self._why_unusable = f"its welcome can't be read: {problem}"
        self._welcomed.set()

    async def _on_availability(self, data: Any) -> None:
        try:
            self._availability = read(Availability, data)
        except Refused as problem:
            log.warning("What the live-agent server says of who is there can't be read, and is ignored: %s", problem)

    async def _on_disconnect(self, *_: Any) -> None:
        self._welcome = None
        self._lost.set()
        self._calls.close()

    async def _on_typing(self, data: Any) -> None:
        if self.on_typing is not None:
            with contextlib.suppress(Refused):  # nobody waits for it
                typing = read(TypingPayload, data)
                conversation_id = await self.relay.conversation_of(typing.handoff_id)
                if conversation_id is not None:
                    await self.on_typing(conversation_id, typing.on)

    async def _on_read(self, data: Any) -> None:
        if self.on_read is not None:
            with contextlib.suppress(Refused, StoreError):  # nobody waits for it
                seen = read(ReadPayload, data)
                conversation_id = await self.relay.conversation_of(seen.handoff_id)
                if conversation_id is not None:
                    await self.on_read(conversation_id, seen.id)

    async def _on_status(self, data: Any) -> dict[str, Any]:
        return await self._take_in(data, DeskStatusPayload, status_event)

    async def _on_message(self, data: Any) -> dict[str, Any]:
        return await self._take_in(data, MessagePayload, message_event)

    def _is_early(self, conversation_id: str, handoff_id: str) -> bool:
        """Return whether an event belongs to an offer that isn't accepted here yet, because the answer was lost."""
        conversation = self.relay.conversation(conversation_id)
        return conversation.state is Control.REQUESTED and conversation.handoff_id == handoff_id

    async def _take_in(self, data: Any, kind: Any, event_of: Callable[[str, Any], events.Event]) -> dict[str, Any]:
        """Read, apply and acknowledge an event.

        Invalid and late ones are answered too, or the server would repeat them for ever. The answer is empty, so that the server
        sends the event again, in two cases: the database can't be used now, or the offer isn't accepted here yet.
        """
        try:
            payload = read(kind, data)
            conversation_id = await self.relay.conversation_of(payload.handoff_id)
            if conversation_id is None:
                raise Refused("unknown_handoff", f"This relay has no handoff {payload.handoff_id}.")
            event = event_of(conversation_id, payload)
            if self._is_early(conversation_id, payload.handoff_id):
                return {}
            await self.relay.apply(event)
        except Refused as problem:
            return _refusal(problem.code, str(problem))
        except IllegalEvent as problem:
            log.debug("%s", problem)
            return _refusal("ended", "The conversation is back with the bot.")
        except StoreError:
            return {}
        except Exception as problem:
            log.exception("An event of the live-agent server couldn't be applied.")
            return _refusal("failed", f"The relay failed on it ({type(problem).__name__}).")
        return dict(ACCEPTED)


def _refusal(code: str, sentence: str) -> dict[str, Any]:
    refusal: dict[str, Any] = plain(Acknowledgement(ok=False, code=code, error=sentence))
    return refusal
