"""An agent's side of one conversation."""

import asyncio
import random
import uuid
from typing import Any, Protocol

from tests.chaos import chaos_files
from tests.chaos.book import Book, Said, Table
from tests.chaos.chaos_texts import decorate


class Sitter(Protocol):
    """The agent who has the conversation."""

    name: str
    book: Book
    rng: random.Random
    pace: float
    stopping: bool

    async def ask(self, event: str, **body: Any) -> dict[str, Any]: ...

    async def add_file(self, said: Said) -> dict[str, Any] | None: ...

    def fetch_file(self, handoff_id: str, id: str) -> None: ...


def read_message(book: Book, message: dict[str, Any], agent: Sitter, handoff_id: str) -> str:
    """Return the word of a customer's message; its files are fetched, and words in their place noted."""
    word, why = chaos_files.apart(message["text"])
    if why is not None:
        book.told_of_file(word, why)
    for id in chaos_files.media_in(message):
        book.file_beside(id, word, agent.name)
        agent.fetch_file(handoff_id, id)
    return word


class Seat:
    """An agent's conversation: it shows the customer's messages in the server's order, answers them, and ends."""

    def __init__(self, table: Table, agent: Sitter) -> None:
        self.agent, self.table = agent, table
        self.task: asyncio.Task[None] | None = None
        self._last = 0
        self._stale = asyncio.Event()
        self._stale.set()
        self._unanswered = 0
        self._left = agent.rng.randint(2, 9)

    def look(self) -> None:
        """Note that the desk may have more messages than are shown here."""
        self._stale.set()

    def show(self, message: dict[str, Any]) -> None:
        """Show a message that the desk pushes; if messages before it are missing, have them all fetched instead."""
        if message["seq"] > self._last + 1:
            self._stale.set()
        elif message["seq"] == self._last + 1:
            self._last = message["seq"]
            if message["speaker"] == "customer":
                word = read_message(self.agent.book, message, self.agent, self.table.handoff_id)
                self.table.shown.append(word)
                self._unanswered += 1
                self.agent.book.note("shown", self.agent.name, word=word, handoff=self.table.handoff_id)

    async def serve(self) -> None:
        """Fetch what is missing, answer, and at last resolve, until the conversation has ended."""
        agent = self.agent
        while not self.table.ended:
            if self._stale.is_set():
                self._stale.clear()
                await self._fetch()
            elif agent.stopping or (self._left <= 0 and not self._unanswered):
                await self._resolve()
            elif self._unanswered or agent.rng.random() < 0.02:
                self._unanswered = max(0, self._unanswered - 1)
                self._left -= 1
                await self._say()
                await asyncio.sleep(agent.rng.expovariate(1.0 / agent.pace))
            else:
                await asyncio.sleep(0.1)

    async def _fetch(self) -> None:
        answer = await self.agent.ask("open", handoff_id=self.table.handoff_id, after=self._last)
        if not answer.get("ok"):
            self.table.ended = True
            return
        conversation = answer["conversation"]
        for message in conversation["messages"]:
            self.show(message)
        if conversation["state"] == "ended":
            self.table.ended = True

    async def _say(self) -> None:
        book = self.agent.book
        sent, arrives = decorate("", self.agent.rng)
        said = book.agent_says(self.table, self.agent.name, arrives)
        text = said.word.removesuffix(arrives) + sent
        file = await self.agent.add_file(said) if self.agent.rng.random() < chaos_files.EVERY else None
        body: dict[str, Any] = {"text": text}
        if file is not None:
            body = {"text": "", "parts": [{"type": "text", "text": text}, file]}
        answer = await self.agent.ask("message", handoff_id=self.table.handoff_id, id=uuid.uuid4().hex, **body)
        if answer.get("ok"):
            book.settle(said, "accepted")
        else:
            book.settle(said, "refused", str(answer.get("code")))
            self.look()

    async def _resolve(self) -> None:
        if self.agent.rng.random() < 0.1 and not self.agent.stopping:
            self._left = 3
            return
        self.agent.book.resolves(self.table, self.agent.name)
        answer = await self.agent.ask(
            "resolve", handoff_id=self.table.handoff_id, outcome="resolved", note=None, slots={}
        )
        self.agent.book.note("resolve", self.agent.name, handoff=self.table.handoff_id, answer=answer.get("code", "ok"))
        await self._fetch()
        self.table.ended = True
