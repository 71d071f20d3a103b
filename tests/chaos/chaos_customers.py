"""Customers, whatever their channel. They ask for a person, talk, are answered, and come again."""

import abc
import asyncio
import random
import time

from tests.chaos import phrases
from tests.chaos.book import Book, ReceivedText, Said
from tests.chaos.chaos_texts import decorate

PATIENCE = 10.0
"""Seconds after which a customer asks for a person again, if there is no answer."""


class Customer(abc.ABC):
    """A customer, who acts in ``live()`` until ``stopping`` is set.

    The channel decides how a text is sent and when it is accepted.
    """

    channel: str
    types_into_a_page = False

    def __init__(self, name: str, book: Book, rng: random.Random, pace: float) -> None:
        self.name, self.book, self.rng, self.pace = name, book, rng, pace
        self.stopping = False
        self.with_desk, self.joined = False, False
        self.handoffs = 0
        self.words = 0
        self._asking = False
        self._heard_something = asyncio.Event()
        book.customer(name, self.channel)

    @abc.abstractmethod
    async def send(self, text: str) -> bool:
        """Send a text, and return True once it is accepted; False if it was refused (socketio) or nobody knows (elsewhere)."""

    async def open(self) -> None:  # noqa: B027 - not every channel has it
        """Open the channel."""

    async def close(self) -> None:  # noqa: B027 - not every channel has it
        """Close the channel."""

    def drop(self) -> None:  # noqa: B027 - not every channel has it
        """Break the connection, if there is one."""

    def reload(self) -> None:  # noqa: B027 - not every channel has it
        """Reload the page, if there is one."""

    def close_tab(self, seconds: float) -> None:  # noqa: B027 - not every channel has it
        """Close the page, if there is one, and open it again after so many seconds."""

    def go_deaf(self) -> None:  # noqa: B027 - not every channel has it
        """Stop reading the connection, as if the network were lost; the page connects again."""

    def state(self) -> str:
        """Return details for people who look for the cause of a stuck customer."""
        return type(self).__name__

    async def live(self) -> None:
        """Talk to the bot, ask for a person, talk to them, and again."""
        while not self.stopping:
            if self.with_desk:
                await self.talk()
            else:
                await self.ask()
            await self.wait(self.rng.expovariate(1.0 / self.pace))

    async def ask(self) -> None:
        """Ask for a person, sometimes after a message to the bot."""
        if self.handoffs and self.rng.random() < 0.5:
            await self.say()
        self.handoffs += 1
        if not self._asking:
            self._asking = True
            self.book.asks(self.name)
        await self.send("/execute_handoff")
        deadline = time.monotonic() + PATIENCE
        while not self.with_desk and not self.stopping and time.monotonic() < deadline:
            await self.wait(0.5)

    async def talk(self) -> None:
        """Send a message; now and then two in a row, or the leaving word twice."""
        chance = self.rng.random()
        if chance < 0.02:
            await self.leave()
        elif chance < 0.25:
            await self.say_two()
        else:
            await self.say()

    async def leave(self) -> None:
        """Send the leaving word twice: the first one ends the handoff if no agent has joined, else the second."""
        for ends in (not self.joined, True):
            if ends:
                self.book.leaves(self.name)
            await self.send("disconnect")

    async def say(self) -> Said:
        """Send a new numbered message, sometimes with a text of any kind behind it, and return it."""
        sent, said = self._next()
        if await self.send(sent):
            self.book.settle(said, "accepted")
        elif self.channel == "socketio":
            self.book.settle(said, "refused")
        return said

    async def say_two(self) -> None:
        """Send two messages without a pause between them."""
        await self.say()
        await self.say()

    def hear(self, text: str, asked: float | None = None) -> None:
        """Note what is shown to the customer. ``asked``: when the request was sent that it answers, if it answers one."""
        kind, response = phrases.kind_of(text)
        self.book.hears(self.name, ReceivedText(time.time(), text, kind, response, asked))
        if response in phrases.STARTS or response == phrases.JOINS:
            self.with_desk, self.joined = True, response == phrases.JOINS
        elif response in phrases.ENDS or (kind == "bot" and self.channel == "rest"):
            self._asking = self._asking and not self.with_desk
            self.with_desk, self.joined = False, False
        elif response in phrases.PASSES:
            self.joined = False
        self._heard_something.set()

    async def wait(self, seconds: float) -> None:
        """Wait, but not longer than the run."""
        until = time.monotonic() + seconds
        while not self.stopping and (left := until - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left, 0.2))

    def _next(self) -> tuple[str, Said]:
        self.words += 1
        word = f"{self.name}-h{self.handoffs}-{self.words}"
        sent, arrives = decorate(word, self.rng, self.types_into_a_page)
        return sent, self.book.customer_says(self.name, arrives)
