"""Customers, whatever their channel. They ask for a person, talk, are answered, and come again."""

import abc
import asyncio
import random
import time
from typing import Any

from tests.chaos import chaos_files, phrases
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
    sends_files = True

    def __init__(self, name: str, book: Book, rng: random.Random, pace: float) -> None:
        self.name, self.book, self.rng, self.pace = name, book, rng, pace
        self.stopping = False
        self.with_desk, self.joined = False, False
        self.handoffs = 0
        self.words = 0
        self._asking = False
        self._heard_something = asyncio.Event()
        self.fetches = chaos_files.Fetches(book, name)
        self.headers: dict[str, str] = {}
        book.customer(name, self.channel)

    @abc.abstractmethod
    async def send(self, text: str, file: str | None = None) -> bool:
        """Send a text, and return True once it is accepted; False if it was refused (socketio) or nobody knows (elsewhere).

        ``file``: the id of a file that goes with it.
        """

    @abc.abstractmethod
    def rasa(self) -> str:
        """Return the address at which this customer reaches Rasa."""

    async def open(self) -> None:  # noqa: B027 - not every channel has it
        """Open the channel."""

    async def close(self) -> None:
        """Close the channel."""
        await self.fetches.close()

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
        has_file = self.sends_files and self.rng.random() < chaos_files.EVERY
        if await self.send(sent, await self._add_file(said) if has_file else None):
            self.book.settle(said, "accepted")
        elif self.channel == "socketio":
            self.book.settle(said, "refused")
        return said

    async def say_two(self) -> None:
        """Send two messages without a pause between them."""
        await self.say()
        await self.say()

    async def _add_file(self, said: Said) -> str | None:
        """Add a file to the conversation, to go with the message, and return its id; None if the customer is told no."""
        name, content = chaos_files.new_file(said.word, self.rng)
        query = {"sender": self.name, "name": name}
        address = "/webhooks/{}/handoff/media".format({"mailbox": "rest"}.get(self.channel, self.channel))
        media, code = await chaos_files.add(
            lambda: chaos_files.post(self.rasa() + address, query, content, self.headers)
        )
        if media is None:
            self.book.file_refused(said, code, code in chaos_files.REFUSALS)
            return None
        self.book.sends_file(said, media["id"], chaos_files.digest(content))
        return str(media["id"])

    def show(self, message: dict[str, Any], asked: float | None = None) -> None:
        """Note a message that comes, and fetch its files. ``asked``: as in :meth:`hear`."""
        found = dict(chaos_files.addresses_in(message))
        for id, address in found.items():

            async def where(address: str = address) -> tuple[str, dict[str, str]]:
                return address if "://" in address else self.rasa() + address, {}

            self.fetches.begin(id, where)
        text = str(message.get("text") or "")
        if text and not any(address in text for address in found.values()):
            self.hear(text, asked)

    def hear(self, text: str, asked: float | None = None) -> None:
        """Note what is shown to the customer. ``asked``: when the request was sent that it answers, if it answers one."""
        text, why = chaos_files.apart(text)
        if why is not None:
            self.book.told_of_file(text, why)
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
