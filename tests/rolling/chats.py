"""Live chats that go on while processes are replaced, and the checks of what everybody said and heard."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

import aiohttp

from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.testing.slowness import slowness
from rasa_handoff.testing.waiting import eventually
from tests.rolling.fleet import AGENTS, Fleet
from tests.rolling.people import Agent, Customer

PAUSE: Final = 0.4
"""Seconds between two messages of one person in one chat."""
ARRIVES_WITHIN: Final = 60.0
NOTICED: Final = 6.0
"""Seconds after which somebody would wonder. After a kill what the process had begun takes longer; after an end it mustn't."""


class Chat:
    """One customer and one agent, who talk all the while. ``before``: what the customer heard before the chat."""

    def __init__(self, customer: Customer, agent: Agent, handoff_id: str) -> None:
        self.customer, self.agent, self.handoff_id = customer, agent, handoff_id
        self.before = list(customer.received)
        self.asked: list[str] = []
        self.answered: list[str] = []


class Chats:
    """``async with Chats(fleet, number) as chats``: so many customers talk to agents at both servers until ``stop``.

    ``slowest``: the message that took longest to arrive, with its seconds.
    """

    def __init__(self, fleet: Fleet, number: int) -> None:
        self.fleet, self.number = fleet, number
        self.chats: list[Chat] = []
        self.slowest = self._slowest_now = ("", 0.0)
        self._said_at: dict[str, float] = {}
        self._arrived: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []
        self._going = True
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Chats":
        async with contextlib.AsyncExitStack() as stack:
            people = [Agent(name, f"{name}@example.org", self.fleet.desk.url) for name in AGENTS[:2]]
            self.agents = [await stack.enter_async_context(one) for one in people]
            for number in range(self.number):
                customer = Customer(f"customer-{number}", self.fleet.bot.url)
                await stack.enter_async_context(customer)
                self.chats.append(await self._begin(customer, self.agents[number % len(self.agents)]))
            stack.push_async_callback(self._end)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    async def _end(self) -> None:
        await cancel_all(*self._tasks)

    async def _begin(self, customer: Customer, agent: Agent) -> Chat:
        known = set(agent.queue)
        await customer.say("/greet")
        await eventually(lambda: "Hello." in customer.received, 60, what=f"the bot greets {customer.name}")
        await customer.say("/execute_handoff")
        arrived = await eventually(lambda: agent.queue - known, 60, what=f"the handoff of {customer.name}")
        handoff_id = str(next(iter(arrived)))
        await agent.take(handoff_id)
        await eventually(lambda: any("joined" in text or agent.name.title() in text for text in customer.received), 60)
        chat = Chat(customer, agent, handoff_id)
        customer.on_received = agent.on_shown = self._note_arrival
        return chat

    def talk(self) -> None:
        """Let everybody begin to talk."""
        for chat in self.chats:
            self._tasks += [asyncio.create_task(self._ask(chat)), asyncio.create_task(self._answer(chat))]

    async def _ask(self, chat: Chat) -> None:
        while self._going:
            word = _question(chat, len(chat.asked) + 1)
            chat.asked.append(word)
            self._said_at[word] = time.monotonic()
            await chat.customer.say(word)
            await asyncio.sleep(PAUSE)

    async def _answer(self, chat: Chat) -> None:
        while self._going:
            word = _answer(chat, len(chat.answered) + 1)
            chat.answered.append(word)
            self._said_at[word] = time.monotonic()
            await chat.agent.say(chat.handoff_id, word)
            await asyncio.sleep(PAUSE)

    def _note_arrival(self, word: str) -> None:
        self._arrived[word] += 1
        said_at = self._said_at.get(word)
        if said_at is not None and self._arrived[word] == 1:
            this = word, time.monotonic() - said_at
            self.slowest = max(self.slowest, this, key=lambda one: one[1])
            self._slowest_now = max(self._slowest_now, this, key=lambda one: one[1])

    def slowest_since(self) -> tuple[str, float]:
        """Return the message that took longest of those that arrived since this was asked last, with its seconds."""
        slowest, self._slowest_now = self._slowest_now, ("", 0.0)
        return slowest

    async def go_on(self) -> None:
        """Wait until two more messages have arrived in each chat each way, which are said from now on."""
        for chat in self.chats:
            wanted = {_question(chat, len(chat.asked) + 2), _answer(chat, len(chat.answered) + 2)}
            await eventually(
                lambda wanted=wanted: wanted <= self._arrived.keys(), ARRIVES_WITHIN, what=f"{wanted} arrive"
            )

    async def stop(self) -> None:
        """Let everybody finish what they say, and wait until it has arrived."""
        self._going = False
        await asyncio.gather(*self._tasks)
        for chat in self.chats:
            await eventually(
                lambda chat=chat: chat.answered[-1] in chat.customer.received, ARRIVES_WITHIN, what=chat.answered[-1]
            )
            await eventually(lambda chat=chat: self._is_shown(chat), ARRIVES_WITHIN, what=chat.asked[-1])

    def _is_shown(self, chat: Chat) -> bool:
        return any(message["text"] == chat.asked[-1] for message in chat.agent.shown[chat.handoff_id].values())

    async def findings(self) -> list[str]:
        """Return what was lost, doubled or reordered, what the bot said, and what anybody would have noticed."""
        people = [*self.agents, *(chat.customer for chat in self.chats)]
        found = [problem for person in people for problem in person.problems]
        word, seconds = self.slowest
        if seconds > NOTICED * slowness():
            found.append(f"{word!r} took {seconds:.1f} s")
        async with aiohttp.ClientSession() as http:
            for chat in self.chats:
                found += await self._findings_of(chat, http)
        return found

    async def _findings_of(self, chat: Chat, http: aiohttp.ClientSession) -> list[str]:
        name = chat.customer.name
        pushed = [message for _, message in sorted(chat.agent.shown[chat.handoff_id].items())]
        opened = (await chat.agent.conversation(chat.handoff_id))["messages"]
        await eventually(lambda: self._tracker_is_in_step(chat, http), ARRIVES_WITHIN, what=f"the tracker of {name}")
        compared = {
            "the customer heard": (chat.customer.received[len(chat.before) :], chat.answered),
            "the desk showed": (_said_by("customer", pushed), chat.asked),
            "the desk shows": (_said_by("customer", opened), chat.asked),
            "the desk has of the agent": (_said_by("agent", opened), chat.answered),
        }
        return [
            f"{name}: {what} {_difference(found, wanted)}"
            for what, (found, wanted) in compared.items()
            if found != wanted
        ]

    async def _tracker_is_in_step(self, chat: Chat, http: aiohttp.ClientSession) -> bool:
        url = f"{self.fleet.bot.url}/conversations/{chat.customer.name}/tracker?include_events=ALL"
        async with http.get(url) as answer:
            events = (await answer.json())["events"]
        users = [event["text"] for event in events if event["event"] == "user" and event["text"] in set(chat.asked)]
        agents = [event["text"] for event in events if event["event"] == "agent"]
        return users == chat.asked and agents == chat.answered


def _question(chat: Chat, number: int) -> str:
    return f"{chat.customer.name} asks {number}"


def _answer(chat: Chat, number: int) -> str:
    return f"{chat.agent.name} answers {chat.customer.name} {number}"


def _said_by(speaker: str, messages: Sequence[dict[str, Any]]) -> list[str]:
    return [message["text"] for message in messages if message["speaker"] == speaker]


def _difference(found: Sequence[str], wanted: Sequence[str]) -> str:
    lost = [word for word in wanted if word not in found]
    strange = [word for word in found if word not in wanted]
    doubled = [word for word, times in Counter(found).items() if times > 1]
    return f"{len(found)} of {len(wanted)}: lost {lost}, not said {strange}, doubled {doubled}, else reordered"
