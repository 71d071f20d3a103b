"""The checks of a run, once everything has been delivered. They read what both ends really received."""

import asyncio
import math
from typing import Any

import aiohttp

from tests.chaos import phrases
from tests.chaos.book import Book, Said
from tests.chaos.chaos_customers import Customer
from tests.chaos.chaos_files import apart
from tests.chaos.mailbox import ANSWER_WITHIN
from tests.chaos.poison import Poison
from tests.chaos.world import World

AROUND = 20.0
"""Seconds around a failed answer or a kill in which a vendor's customer may get a message twice."""


class Trackers:
    """Every conversation's tracker, as the HTTP API shows it."""

    def __init__(self, events: dict[str, list[dict[str, Any]]]) -> None:
        self.events = events

    @classmethod
    async def read(cls, world: World) -> "Trackers":
        found = {}
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            for name in world.book.channels:
                url = f"{world.rasa_url}/conversations/{name}/tracker?include_events=ALL"
                async with http.get(url) as answer:
                    found[name] = (await answer.json())["events"]
        return cls(found)

    def to_bot(self, conversation: str) -> list[str]:
        """Return the customer's messages that the bot was given."""
        texts = (event["text"] for event in self._users(conversation) if _handoff(event) is None)
        return [apart(text)[0] for text in texts if text]

    def of_handoff(self, conversation: str, handoff_id: str) -> tuple[list[str], list[str]]:
        """Return the customer's and the agents' messages of a handoff."""
        customer = [event["text"] for event in self._users(conversation) if _handoff(event) == handoff_id]
        agents = [
            event["text"]
            for event in self.events[conversation]
            if event["event"] == "agent" and _handoff(event) == handoff_id
        ]
        customer = [text for text in customer if not text.startswith("EXTERNAL")]
        return [apart(text)[0] for text in customer], [apart(text)[0] for text in agents]

    def handoffs(self) -> dict[str, str]:
        """Return the conversation of each handoff in the trackers."""
        return {
            id: conversation
            for conversation, events in self.events.items()
            for event in events
            if (id := _handoff(event)) is not None
        }

    def _users(self, conversation: str) -> list[dict[str, Any]]:
        return [event for event in self.events[conversation] if event["event"] == "user"]


def _handoff(event: dict[str, Any]) -> str | None:
    found: str | None = (event.get("metadata") or {}).get("handoff_id")
    return found


def words_arrived(book: Book, trackers: Trackers) -> None:
    """Check that each accepted message of a customer reached one side, once.

    Each of an agent reached the customer, once, or is shown as failed.
    """
    for conversation, words in book.customers.items():
        arrived = trackers.to_bot(conversation)
        for table in book.tables.values():
            arrived += table.shown if table.conversation == conversation else []
        for said in words.values():
            count = arrived.count(said.word)
            if count == 0 and said.outcome == "accepted":
                book.finding("lost", conversation, f"{said.word} was accepted and reached neither agent nor bot")
            if count > 1:
                book.finding("doubled", conversation, f"{said.word} arrived {count} times")
    for said in book.agents.values():
        _agent_word_arrived(book, said)


def _agent_word_arrived(book: Book, said: Said) -> None:
    channel = book.channels[said.conversation]
    at = [received.at for received in book.received[said.conversation] if received.text == said.word]
    failed = book.tables[str(said.handoff_id)].statuses.get(said.word) == "failed"
    broke_off = channel == "rest" and _may_have_broken_off(book, said)
    if not at and said.outcome == "accepted" and not failed and not broke_off:
        status = book.tables[str(said.handoff_id)].statuses.get(said.word)
        detail = f"{said.word} was accepted and never heard; the desk shows it as {status}"
        book.finding("lost", said.conversation, detail)
    if at and failed:
        book.finding("failed, though heard", said.conversation, said.word)
    excused = broke_off or (channel in ("callback", "rest") and _troubled(book, said.conversation, at[1:]))
    if len(at) > 1 and not excused:
        book.finding("doubled", said.conversation, f"{said.word} was heard {len(at)} times")


def _may_have_broken_off(book: Book, said: Said) -> bool:
    """Return whether an answer that may have held the message broke off: after it was sent, and before a later one arrived."""
    after = {word for word, other in book.agents.items() if _is_after(other, said)}
    received = [one.at for one in book.received[said.conversation] if one.text in after]
    latest = min(received, default=math.inf) + ANSWER_WITHIN  # that long an answer beside it may be waited for in vain
    return any(said.at < failure < latest for failure in book.failures[said.conversation])


def _is_after(other: Said, said: Said) -> bool:
    return other.handoff_id == said.handoff_id and other.number > said.number


def _troubled(book: Book, conversation: str, at: list[float]) -> bool:
    """Return whether each of these moments is near a kill or a failed answer."""
    troubles = (*book.failures[conversation], *book.kills)
    return all(any(abs(moment - trouble) < AROUND for trouble in troubles) for moment in at)


def order_held(book: Book, trackers: Trackers) -> None:
    """Check that numbers rise in each conversation and direction; to the bot, those of the accepted messages."""
    for conversation, words in book.customers.items():
        given = [words[text] for text in trackers.to_bot(conversation) if text in words]
        _check_rising(book, conversation, "given to the bot", [said for said in given if said.outcome == "accepted"])
    for table in book.tables.values():
        own = book.customers.get(table.conversation, {})
        shown = [own[word] for word in table.shown if word in own]
        _check_rising(
            book, table.conversation, "shown to the agent", [said for said in shown if not _given_up(book, said)]
        )
    for conversation, received in book.received.items():
        firsts = list(dict.fromkeys(one.text for one in received if one.kind == "agent"))
        for handoff_id in {said.handoff_id for said in book.agents.values() if said.conversation == conversation}:
            words = [book.agents[text] for text in firsts if text in book.agents]
            _check_rising(book, conversation, "heard", [said for said in words if said.handoff_id == handoff_id])


def _check_rising(book: Book, conversation: str, where: str, words: list[Said]) -> None:
    numbers = [said.number for said in words]
    distinct = list(dict.fromkeys(numbers))
    if distinct != sorted(distinct):
        book.finding("reordered", conversation, f"{where}: {[said.word for said in words]}")


def _given_up(book: Book, said: Said) -> bool:
    """Return whether a client without ids got no answer to this, and went on: it may lie with a server that stands still."""
    return said.outcome == "unsure" and book.channels[said.conversation] in ("callback", "rest")


def joined_once(book: Book) -> None:
    """Check that web chat shows each notice exactly once: an agent joins as often as conversations were taken."""
    for conversation, received in book.received.items():
        if book.channels[conversation] not in ("socketio", "mailbox"):
            continue
        joins = sum(1 for one in received if one.response == phrases.JOINS)
        takes = sum(table.takes for table in book.tables.values() if table.conversation == conversation)
        if joins > takes:
            book.finding("doubled", conversation, f"{joins} times an agent joined, {takes} took it")


def trackers_in_step(book: Book, trackers: Trackers) -> None:
    """Check that the tracker has each handoff's messages in order, once: those that the desk has, and those delivered to
    customers."""
    for table in book.tables.values():
        customer, agents = trackers.of_handoff(table.conversation, table.handoff_id)
        if customer != table.shown:
            detail = f"{table.handoff_id}: customer, tracker {customer}, desk {table.shown}"
            book.finding("tracker out of step", table.conversation, detail)
        mine = [said for said in book.agents.values() if said.handoff_id == table.handoff_id]
        reported = {
            said.word for said in mine if said.outcome == "accepted" and table.statuses.get(said.word) != "failed"
        }
        known = {said.word for said in mine}
        if [word for word in agents if word in known] != sorted(reported, key=lambda word: book.agents[word].number):
            detail = f"{table.handoff_id}: agent, tracker {agents}, said {sorted(reported)}"
            book.finding("tracker out of step", table.conversation, detail)


def poison_was_set_aside(book: Book, poison: Poison) -> None:
    """Check that everything that can't be delivered is a dead letter: none of it waits, and none disappeared."""
    for one in poison.left():
        book.finding("stuck", "a poisoned entry", f"still waits in its lane: {one}")
    for one in poison.missing():
        book.finding("lost", "a poisoned entry", f"is neither in its lane nor a dead letter: {one}")


async def nobody_is_stuck(world: World, within: float) -> None:
    """Check that the bot answers every customer again at the end."""
    answers = await asyncio.gather(*(_is_answered(customer, within) for customer in world.customers))
    for customer, answered in zip(world.customers, answers, strict=True):
        if not answered:
            world.book.finding("stuck", customer.name, "the bot doesn't answer after everything has ended")


async def _is_answered(customer: Customer, within: float) -> bool:
    """Return whether the bot answers this customer's greeting."""
    before = len(customer.book.received[customer.name])
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while loop.time() < deadline:
        await asyncio.wait({asyncio.ensure_future(customer.send("/greet"))}, timeout=10)
        for _ in range(20):
            if any(received.text == "Hello." for received in customer.book.received[customer.name][before:]):
                return True
            await asyncio.sleep(0.1)
    return False
