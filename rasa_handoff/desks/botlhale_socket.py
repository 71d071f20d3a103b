"""One conversation's socket to a server that speaks Botlhale's protocol: the client side.

The resume secret is an addition to the protocol, used only if the server offers it, as our own does. The server sends it in the
acknowledgement of ``username``. It is stored and then sent with every event, so that another socket that knows the
ConversationID can't take this one's place.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import socketio
from socketio.exceptions import SocketIOError

from rasa_handoff.core.control import Control
from rasa_handoff.desks.base import UNNOTICED_SECONDS, Attempts, apply, wait_for_either
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import DeskSettings
from rasa_handoff.protocol.errors import StoreError, Unreachable
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.text import in_text, valid
from rasa_handoff.protocol.values import Line, Offer, Speaker
from rasa_handoff.relay import customer_ids
from rasa_handoff.relay.customer_ids import LONGEST_SECRET
from rasa_handoff.relay.relay import DESK, Relay
from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.store.troubles import TROUBLES

log = get_log(__name__)

RESUME_KEY: Final = "resume"
RESUME_REFUSED: Final = "resume_needed"
ANSWER_SECONDS: Final = 5.0
"""How long an acknowledgement is waited for before the message is sent again."""

OnEnd = Callable[[str], Awaitable[None]]


class BotlhaleSocket:
    """Connects, registers, sends the transcript when asked, and reconnects.

    ``registered``: the server has asked for the conversation and got its ids. ``on_end`` is called with the handoff's id.
    """

    def __init__(self, relay: Relay, settings: DeskSettings, offer: Offer, on_end: OnEnd) -> None:
        self.offer = offer
        self._relay, self._settings, self._on_end = relay, settings, on_end
        self._client = socketio.AsyncClient(reconnection=False)
        self._connect_acknowledged, self._lost = asyncio.Event(), asyncio.Event()
        self.registered, self._absent = asyncio.Event(), asyncio.Event()
        self._over = False
        self._asked_too_early = False
        self._resume_secret: str | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._incoming: asyncio.Queue[events.Event] = asyncio.Queue()
        self._event_fields: dict[str, Any] = {"conversation_id": offer.conversation_id, "handoff_id": offer.handoff_id}
        for name in ("connect", "startConversation", "messages", "to_user", "disconnect_socket", "disconnect"):
            self._client.on(name, getattr(self, f"_on_{name}"), namespace=settings.namespace)
        self._client.on("*", self._on_anything_else, namespace=settings.namespace)

    def start(self) -> None:
        """Connect and stay connected, in the background."""
        if not self._tasks:
            work = (self._stay_connected(), self._pass_on(), self._report_absence())
            self._tasks = [asyncio.create_task(one) for one in work]

    async def stop(self) -> None:
        """Disconnect for good."""
        self._over = True
        await cancel_all(*(task for task in self._tasks if task is not asyncio.current_task()))
        if self._keeping is not None:
            await cancel_all(self._keeping)
        await self._client.disconnect()

    async def say(self, text: str, **additions: Any) -> None:
        """Send a customer's message.

        It counts as sent once it is on a registered socket. If the server gave a resume secret, as our own does, it counts as
        sent once the server has acknowledged it. ``additions``: extra keys, which foreign servers ignore and by which our own
        recognises duplicates.

        Raises:
            Unreachable: the socket isn't registered, or was lost before the acknowledgement; the lane is notified when it is
                registered again.
        """
        if not self.registered.is_set():
            raise Unreachable(f"The live-agent server at {self._settings.url} isn't connected.")
        body = {"message": text, **self._ids(), **additions}
        if self._resume_secret is None:
            await self._emit("from_user", body)
            return
        answered = asyncio.Event()
        await self._emit("from_user", body, callback=lambda *_: answered.set())
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(wait_for_either(answered.wait(), self._lost), ANSWER_SECONDS)
        if not answered.is_set():
            raise Unreachable(f"The live-agent server at {self._settings.url} didn't acknowledge a message.")

    def _ids(self) -> dict[str, str]:
        return {"ConversationID": self.offer.conversation_id, "BotID": self.offer.bot_id, **self._secret()}

    def _secret(self) -> dict[str, str]:
        return {} if self._resume_secret is None else {RESUME_KEY: self._resume_secret}

    async def _emit(self, name: str, body: dict[str, Any], callback: Callable[..., None] | None = None) -> None:
        try:
            await self._client.emit(name, body, namespace=self._settings.namespace, callback=callback)
        except SocketIOError as problem:
            raise Unreachable(f"The connection to the live-agent server was lost: {problem!r}") from problem

    # Staying connected

    async def _stay_connected(self) -> None:
        attempts = Attempts()
        while not self._over:
            self._lost.clear()
            try:
                await self._connect()
                attempts.note_success()
                await self._lost.wait()
            # The client raises more than its own errors, such as a TypeError for a socket closed at once.
            except Exception as problem:
                if attempts.note_failure(problem):
                    log.warning("The live-agent server at %s can't be reached: %s", self._settings.url, problem)
                with contextlib.suppress(Exception):
                    await self._client.disconnect()
            self._connect_acknowledged.clear()
            self._set_registered(False)
            await attempts.pause()

    async def _connect(self) -> None:
        if self._resume_secret is None:
            self._resume_secret = await self._relay.store.write(
                lambda connection: customer_ids.find_secret(connection, self.offer.conversation_id)
            )
        await self._client.connect(
            self._settings.url, namespaces=[self._settings.namespace], transports=["websocket"], wait_timeout=5
        )

    async def _report_absence(self) -> None:
        """Report the desk as lost after ``UNNOTICED_SECONDS`` without registration, and as back afterwards."""
        while not self._over:
            try:
                await asyncio.wait_for(self.registered.wait(), UNNOTICED_SECONDS)
            except asyncio.TimeoutError:
                if self._is_current:
                    await apply(self._relay, events.DeskLost(**self._event_fields))
                await self.registered.wait()
            if self._is_current and self._relay.conversation(self.offer.conversation_id).desk_away:
                await apply(self._relay, events.DeskBack(**self._event_fields))
            await self._absent.wait()

    def _set_registered(self, registered: bool) -> None:
        """Set one of the events ``registered`` and ``_absent``, and clear the other."""
        to_set, to_clear = (self.registered, self._absent) if registered else (self._absent, self.registered)
        to_set.set()
        to_clear.clear()

    @property
    def _is_current(self) -> bool:
        """Whether this handoff is the conversation's current one, and with the desk."""
        conversation = self._relay.conversation(self.offer.conversation_id)
        return conversation.desk_active and conversation.handoff_id == self.offer.handoff_id

    async def _pass_on(self) -> None:
        """Apply the server's events in order, once the acceptance is stored: the server may write before that."""
        while not self._over:
            event = await self._incoming.get()
            await self._relay.wait_while(self.offer.conversation_id, {Control.REQUESTED})
            await apply(self._relay, event)
            if isinstance(event, events.HandoffCompleted):
                await self._on_end(self.offer.handoff_id)

    # Events from the server

    async def _on_connect(self) -> None:
        self._connect_acknowledged.set()

    async def _on_startConversation(self, *_: Any) -> None:  # noqa: N802 - the protocol's spelling
        # This may come before the connect is acknowledged, and python-socketio can't send until then.
        await self._connect_acknowledged.wait()
        with contextlib.suppress(Unreachable):  # disconnected again: the server will ask again
            await self._register()
            self._set_registered(True)
            await self._relay.notify(DESK, self.offer.conversation_id)

    async def _register(self) -> None:
        await self._emit("username", self._ids(), callback=self._on_registered)

    def _on_registered(self, answer: Any = None, *_: Any) -> None:
        """Handle the acknowledgement of ``username``; a foreign server sends none, or one that has no meaning here."""
        if isinstance(answer, dict) and not self._over:
            self._keeping = asyncio.create_task(self._keep_secret(answer))

    async def _keep_secret(self, answer: dict[str, Any]) -> None:
        """Store the secret before sending it: after the first use, the server accepts nothing without it."""
        given, conversation_id = answer.get(RESUME_KEY), self.offer.conversation_id
        try:
            if isinstance(given, str) and 0 < len(given) <= LONGEST_SECRET:
                await self._relay.store.write(
                    lambda connection: customer_ids.keep_secret(connection, conversation_id, given)
                )
                self._resume_secret = given
            elif answer.get("code") == RESUME_REFUSED and self._resume_secret is not None:
                await self._relay.store.write(
                    lambda connection: customer_ids.forget_secret(connection, conversation_id)
                )
                self._resume_secret = None
            else:
                return
            await self._register()
        except (StoreError, *TROUBLES) as problem:
            log.warning("The resume secret of %s can't be kept: %s", short_id(conversation_id), problem)
        except Unreachable:  # disconnected: it is sent with the next connect
            pass

    async def send_transcript(self, offer: Offer) -> None:
        """Take over the offer with its transcript; send it now if the server has asked for it already."""
        self.offer = offer
        if self._asked_too_early:
            await self._on_messages()

    async def _on_messages(self, *_: Any) -> None:
        self._asked_too_early = self.offer.transcript_follows
        if self._asked_too_early:
            return  # answered later: some servers accept only the first answer
        lines = [{"sender": _sender(line), "message": line.text} for line in self.offer.transcript]
        with contextlib.suppress(Unreachable):
            await self._emit("messages_to_client", {"messages": lines, "bot_id": self.offer.bot_id, **self._secret()})

    async def _on_to_user(self, data: Any = None, *_: Any) -> None:
        data = valid(data)
        body = data if isinstance(data, dict) else {"message": data}
        text = in_text(body.get("message")).strip()
        if not text:
            log.info(
                "The live-agent server sent no message to %s: its to_user is empty.",
                short_id(self.offer.conversation_id),
            )
            return
        # Our own server sends an id with a number; an "id" alone is a foreign server's, and may mean anything.
        id = str(body["id"]) if body.get("id") and "number" in body else uuid.uuid4().hex
        said: dict[str, Any] = {"id": id, "text": text, "at": time.time()}
        self._incoming.put_nowait(events.AgentSaid(**self._event_fields, **said))

    async def _on_anything_else(self, name: Any, *_: Any) -> None:
        log.info(
            "Ignoring the live-agent server's %r for %s.",
            str(name)[:40],
            short_id(self.offer.conversation_id),
        )

    async def _on_disconnect_socket(self, *_: Any) -> None:
        self._incoming.put_nowait(events.HandoffCompleted(**self._event_fields))

    async def _on_disconnect(self, *_: Any) -> None:
        self._set_registered(False)
        self._lost.set()


def _sender(line: Line) -> str:
    return "user" if line.speaker is Speaker.CUSTOMER else "bot"
