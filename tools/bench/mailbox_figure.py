"""The figure ``mailbox``: an agent's words until a customer on ``rest`` has them who waits by long poll, beside ``socketio``."""

import asyncio
import contextlib
import time
import uuid
from types import TracebackType
from typing import Any

import aiohttp

from rasa_handoff.protocol.tokens import HEADER, make_token
from tools.bench.bench import Bench
from tools.bench.live import IDLE_PACE, IDLE_SLICE, WARM_UP
from tools.bench.measure import LEAST_TURNS, FigureError, Row, Samples, at_most, compared, in_turns
from tools.bench.measuring_people import promised
from tools.bench.stack import BOT_ID, Scene, Setup

SECRET = "s" * 32
SETTINGS = {"customer_tokens": "optional", "customer_token_secrets": [SECRET]}


class LongPoller:
    """A customer on ``rest``: ``async with LongPoller(url, name)``. A request waits for them all the time."""

    def __init__(self, url: str, name: str) -> None:
        self.name, self._url = name, f"{url}/webhooks/rest"
        self._last = ""
        self._awaited: dict[str, asyncio.Future[float]] = {}

    async def __aenter__(self) -> "LongPoller":
        self._http = aiohttp.ClientSession(headers={HEADER: make_token(SECRET, BOT_ID, self.name)})
        self._fetching = asyncio.create_task(self._fetch_for_ever())
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._fetching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._fetching
        await self._http.close()

    async def ask_for_person(self) -> None:
        """Ask for a person; what is answered comes to the request that waits."""
        metadata = {"handoff_after": self._last or None, "handoff_message_id": uuid.uuid4().hex}
        body = {"sender": self.name, "message": "/execute_handoff", "metadata": metadata}
        async with self._http.post(f"{self._url}/webhook", json=body) as answer:
            if answer.status != 200:
                raise FigureError(f"{self.name} was answered with {answer.status}: {await answer.text()}")

    def hears(self, text: str) -> "asyncio.Future[float]":
        """Return a future of the time at which a message with this text comes."""
        if self._fetching.done():
            self._fetching.result()
        received = self._awaited[text] = asyncio.get_running_loop().create_future()
        received.add_done_callback(lambda _: self._awaited.pop(text, None))
        return received

    async def _fetch_for_ever(self) -> None:
        while True:
            query = {"sender": self.name, "after": self._last}
            async with self._http.get(f"{self._url}/handoff/messages", params=query) as answer:
                if answer.status != 200:
                    raise FigureError(f"{self.name} was answered with {answer.status}: {await answer.text()}")
                messages: list[dict[str, Any]] = await answer.json()
            for message in messages:
                self._last = message["id"]
                received = self._awaited.get(message.get("text", ""))
                if received is not None and not received.done():
                    received.set_result(time.perf_counter())


class Side:
    """One side: a conversation in which the agent says something again and again. ``customer``: hears it."""

    def __init__(self, scene: Scene, customer: Any, handoff_id: str) -> None:
        self.scene, self.customer, self.handoff_id = scene, customer, handoff_id
        self.took = Samples()
        self._said = 0

    async def say(self) -> float:
        """Say something, and return the seconds until the customer has it."""
        self._said += 1
        text = f"to {self.customer.name}, {self._said}"
        received = self.customer.hears(text)
        began = time.perf_counter()
        body = {"handoff_id": self.handoff_id, "id": uuid.uuid4().hex, "text": text}
        sent = asyncio.ensure_future(self.scene.agent.must("message", **body))
        try:
            return await promised(received, f"'{text}'", self.scene.patience) - began
        finally:
            await sent

    async def talk(self, seconds: float) -> None:
        """Say something every ``IDLE_PACE`` seconds, for ``seconds``."""
        deadline = time.perf_counter() + seconds
        while (began := time.perf_counter()) < deadline:
            self.took.add(await self.say())
            await asyncio.sleep(max(0.0, began + IDLE_PACE - time.perf_counter()))


async def mailbox(bench: Bench) -> list[Row]:
    """Measure the way from an agent to a customer, nothing else going on."""
    async with (
        bench.scene("mailbox", Setup(settings=SETTINGS)) as scene,
        LongPoller(scene.stack.url, "fetches") as fetching,
    ):
        page, handoff_id = await scene.waits("page")
        await scene.agent.take(handoff_id)
        beside = Side(scene, page, handoff_id)
        await fetching.ask_for_person()
        handoff_id = (await scene.agent.arrival(fetching.name))[0]
        await scene.agent.take(handoff_id)
        ours = Side(scene, fetching, handoff_id)
        for side in (ours, beside):
            for _ in range(WARM_UP):
                await side.say()
        part = min(IDLE_SLICE, bench.seconds / LEAST_TURNS / 2)
        await in_turns(bench.seconds, [lambda: ours.talk(part), lambda: beside.talk(part)])
        what = "an agent's words by long poll, beside socketio"
        return [
            compared(f"{what}, p50", "ms", ours.took, beside.took, 0.5, at_most(2)),
            compared(f"{what}, p99", "ms", ours.took, beside.took, 0.99),
        ]
