"""Customers and agents that measure: the tests' python-socketio clients, which react to events and don't poll."""

import asyncio
import socket
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import socketio

from rasa_handoff.protocol.logs import short_id
from rasa_handoff.testing.recording_client import PATIENCE, RecordingClient
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.slowness import slowness
from rasa_handoff.testing.waiting import eventually
from tools.bench.measure import FigureError, Samples

T = TypeVar("T")

AT_A_TIME = 8
"""Customers who come in at once."""
SHOWN_EVERY = 100
"""Customers between two lines about those who came."""
RECEIVED_AT = 128
"""Where the number of bytes received stands in Linux's ``struct tcp_info``."""


def answer_to(text: str) -> str:
    """Return what an agent says to a customer's text."""
    return f"answer to {text}"


async def promised(awaited: "asyncio.Future[T]", what: str, patience: float) -> T:
    """Return the result of a future that comes within ``patience`` seconds, more on a slow machine.

    ``what``: its name, for the error.

    Raises:
        FigureError: it doesn't come.
    """
    try:
        return await asyncio.wait_for(awaited, patience * slowness())
    except asyncio.TimeoutError:
        raise FigureError(f"{what} didn't come within {patience * slowness():g} s.") from None


async def few_at_a_time(comes: Callable[[str], Awaitable[T]], names: Sequence[str]) -> list[T]:
    """Let these customers come, a few at a time and in this order, and print now and then how many have come."""
    places, there = asyncio.Semaphore(AT_A_TIME), 0

    async def one(name: str) -> T:
        nonlocal there
        async with places:
            came = await comes(name)
        there += 1
        if there % SHOWN_EVERY == 0:
            print(f"  {there:,} of {len(names):,} customers", file=sys.stderr, flush=True)
        return came

    return list(await asyncio.gather(*(one(name) for name in names)))


async def answered(client: RecordingClient, event: str, body: Any, what: str) -> Any:
    """Send an event and return its acknowledgement. ``what``: its name, for the error.

    Raises:
        FigureError: it doesn't come.
    """
    try:
        return await client.call(event, body)
    except socketio.exceptions.TimeoutError:
        raise FigureError(f"{what} didn't come within {client.patience * slowness():g} s.") from None


def received_bytes(client: RecordingClient) -> int:
    """Return how many bytes this client's connection has received, by the kernel's count."""
    connection = client.sio.eio.ws.get_extra_info("socket")
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, RECEIVED_AT + 8)
    return int.from_bytes(info[RECEIVED_AT : RECEIVED_AT + 8], sys.byteorder)


class Customer(RecordingClient):
    """A customer on socketio with acknowledgements, as the example page is. ``notices``: messages that were no agent's answer."""

    events = ("session_confirm", "bot_uttered", "handoff_state")

    def __init__(self, name: str, patience: float = PATIENCE) -> None:
        super().__init__("/")
        self.name, self.patience = name, patience
        self.notices = 0
        self._awaited: dict[str, asyncio.Future[float]] = {}
        self._with_bot, self._bot_spoke = asyncio.Event(), asyncio.Event()
        self._said = 0

    async def connect(self, url: str) -> None:
        """Connect, and wait until the session is confirmed."""
        await self.sio.connect(url, transports=["websocket"], wait_timeout=PATIENCE)
        await self.emit("session_request", {"session_id": self.name, "acks": True})
        await eventually(lambda: self.all("session_confirm"))

    async def send(self, text: str) -> None:
        """Say something, and wait until it is accepted.

        Raises:
            FigureError: it is refused, or there is no answer.
        """
        body = {"session_id": self.name, "message": text, "id": uuid.uuid4().hex}
        answer = await answered(self, "user_uttered", body, f"The acceptance of what {self.name} said")
        if not isinstance(answer, dict) or not answer.get("ok"):
            raise FigureError(f"The words of {self.name} were refused: {answer}.")

    async def ask_for_person(self) -> None:
        """Ask for a person, and wait until that is accepted, which is when the turn has ended."""
        self._with_bot.clear()
        self._bot_spoke.clear()
        await self.send("/execute_handoff")

    async def back_with_bot(self) -> None:
        """Wait until the bot has the conversation again."""
        await promised(asyncio.ensure_future(self._with_bot.wait()), f"The return of {self.name}", self.patience)

    async def spoken_to_by_bot(self) -> None:
        """Wait until the bot, which has the conversation again, has said its first words."""
        await promised(asyncio.ensure_future(self._bot_spoke.wait()), f"The bot's words to {self.name}", self.patience)

    async def round_trip(self) -> float:
        """Say something, and return the seconds until the agent's answer to it is here."""
        self._said += 1
        text = f"{self.name} says {self._said}"
        received = self.hears(answer_to(text))
        began = time.perf_counter()
        sent = asyncio.ensure_future(self.send(text))
        try:
            heard_at: float = await promised(received, f"The agent's answer to '{text}'", self.patience)
            return heard_at - began
        finally:
            await sent

    def hears(self, text: str) -> "asyncio.Future[float]":
        """Return a future of the time at which an agent's message with this text comes; it is no notice."""
        received = self._awaited[text] = asyncio.get_running_loop().create_future()
        received.add_done_callback(lambda _: self._awaited.pop(text, None))
        return received

    def on_event(self, event: str, body: Any) -> Any:
        """Keep only the events that are waited for, since there will be many."""
        if event in ("session_confirm", "connect_error"):
            self.received.append((event, body))
        elif event == "handoff_state" and body.get("active") == "bot":
            self._with_bot.set()
        elif event == "bot_uttered":
            received = self._awaited.get(body.get("text", ""))
            if received is None:
                self.notices += 1
                if "handoff_speaker" not in body:
                    self._bot_spoke.set()
            elif not received.done():
                received.set_result(time.perf_counter())
        return {"ok": True}


class Agent(ScriptedAgent):
    """An agent at the desk, who answers each message of those whom they have taken at once, if ``answers``.

    ``counts``: events from the server, by name. ``acknowledged``: seconds until each answer was accepted.
    """

    def __init__(self, url: str, name: str, answers: bool = True, patience: float = PATIENCE) -> None:
        super().__init__(url, f"{name}@example.org", reconnects=True)
        self.answers, self.patience = answers, patience
        # As browsers, which have no limit: with 10,000 conversations a desk is sent more than aiohttp's four million bytes.
        self.sio.eio.websocket_extra_options = {"max_msg_size": 0}
        self.counts: Counter[str] = Counter()
        self.acknowledged = Samples()
        self._arrived: dict[str, asyncio.Future[tuple[str, float]]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._taken: set[str] = set()
        self._answered: dict[str, str] = {}
        self._staffed: tuple[bool, asyncio.Future[float]] | None = None

    async def arrival(self, conversation_id: str) -> tuple[str, float]:
        """Wait for the handoff of a customer who asked; return its id, and when it was shown. Each is returned once."""
        shown = await promised(
            self._arrival(short_id(conversation_id)), f"The arrival of {conversation_id}", self.patience
        )
        del self._arrived[short_id(conversation_id)]
        return shown

    async def take(self, handoff_id: str) -> float:
        """Take a conversation, and answer in it from then on; return the seconds until the server answered."""
        self._taken.add(handoff_id)
        return await self.timed("take", handoff_id=handoff_id)

    async def set_presence(self, online: bool) -> float:
        """Be online or away from now on; return the seconds until the desks are told who is there."""
        self._staffed = online, asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        await self.must("presence", online=online)
        return await promised(self._staffed[1], "Who is there", self.patience) - began

    async def must(self, event: str, **body: Any) -> dict[str, Any]:
        """Send an event that the server has no reason to refuse, and return its answer.

        Raises:
            FigureError: it was refused.
        """
        answer = await answered(self, event, body, f"The desk's answer to {event}")
        if not isinstance(answer, dict) or not answer.get("ok"):
            raise FigureError(f"The desk refused {event}: {answer}.")
        return answer

    async def timed(self, event: str, **body: Any) -> float:
        """Send an event as :meth:`must` does, and return the seconds until it was answered."""
        began = time.perf_counter()
        await self.must(event, **body)
        return time.perf_counter() - began

    async def close(self) -> None:
        """Leave, with what is still being answered."""
        await asyncio.gather(*self._answering, return_exceptions=True)
        await super().close()

    def on_event(self, event: str, body: Any) -> Any:
        """Count the event, and answer a customer's message."""
        self.counts[event] += 1
        if event in ("ready", "connect_error"):
            self.received.append((event, body))
            for summary in body["mine"] if event == "ready" else ():
                if (last := summary["last"]) is not None:  # what came while this desk wasn't connected
                    self._consider(summary["handoff_id"], last)
        elif event == "availability" and self._staffed is not None and body["staffed"] is self._staffed[0]:
            if not self._staffed[1].done():
                self._staffed[1].set_result(time.perf_counter())
        elif event == "arrival":
            shown = self._arrival(body["short_id"])
            if not shown.done():
                shown.set_result((body["handoff_id"], time.perf_counter()))
        elif event == "message":
            self._consider(body["handoff_id"], body)
        return {"ok": True}

    def _consider(self, handoff_id: str, message: dict[str, Any]) -> None:
        """Answer a message, if it is a customer's whom this agent has taken, and not answered yet."""
        if message["speaker"] != "customer" or not self.answers or handoff_id not in self._taken:
            return
        if self._answered.get(handoff_id) == message["id"]:
            return
        self._answered[handoff_id] = message["id"]
        task = asyncio.ensure_future(self._answer(handoff_id, message["text"]))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def _arrival(self, short: str) -> "asyncio.Future[tuple[str, float]]":
        if short not in self._arrived:
            self._arrived[short] = asyncio.get_running_loop().create_future()
        return self._arrived[short]

    async def _answer(self, handoff_id: str, text: str) -> None:
        body = {"handoff_id": handoff_id, "id": uuid.uuid4().hex, "text": answer_to(text)}
        self.acknowledged.add(await self.timed("message", **body))
