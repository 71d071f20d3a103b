"""What both ends said and really received. The checks read this and nothing of the product's own memory."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rasa_handoff.vocabulary.log_values import short_id

Fate = Literal["unsure", "accepted", "refused"]


@dataclass
class Said:
    """A numbered word. ``accepted``: the sender was told so; ``unsure``: no answer came, it may have arrived or not."""

    word: str
    conversation: str
    number: int
    handoff_id: str | None = None
    fate: Fate = "unsure"
    reason: str = ""
    at: float = field(default_factory=time.time)


@dataclass
class Heard:
    """Something that a customer's end showed. ``kind``: agent, notice or bot. ``response``: which notice. ``asked``: when the
    request was sent whose answer brought it; None if it was pushed."""

    at: float
    text: str
    kind: str
    response: str = ""
    asked: float | None = None


@dataclass
class Table:
    """A conversation at the desk, as its agents saw it: customers' words in the order shown, and how agents' words fared.
    ``seen``: when the first of them heard of it; ``resolved``: when the first of them asked to end it."""

    handoff_id: str
    conversation: str
    shown: list[str] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)
    """By word, as the desk last showed it."""
    takes: int = 0
    words: int = 0
    ended: bool = False
    seen: float = field(default_factory=time.time)
    resolved: float | None = None


class Book:
    """Everything, in memory for the checks and line by line in ``ends.jsonl`` for whoever looks for the cause."""

    def __init__(self, folder: Path) -> None:
        self.customers: dict[str, dict[str, Said]] = {}
        self.agents: dict[str, Said] = {}
        self.heard: dict[str, list[Heard]] = {}
        self.tables: dict[str, Table] = {}
        self.channels: dict[str, str] = {}
        self.failures: dict[str, list[float]] = {}
        self.kills: list[float] = []
        self.asked: dict[str, list[float]] = {}
        self.left: dict[str, list[float]] = {}
        self.findings: list[tuple[str, str, str]] = []
        self._log = (folder / "ends.jsonl").open("a")

    def close(self) -> None:
        self._log.close()

    def note(self, what: str, who: str, **more: Any) -> None:
        """Write down that something happened, for reading only."""
        self._log.write(json.dumps({"at": round(time.time(), 3), "what": what, "who": who, **more}) + "\n")
        self._log.flush()

    def customer(self, name: str, channel: str) -> None:
        self.channels[name], self.asked[name], self.left[name] = channel, [], []
        self.customers[name], self.heard[name], self.failures[name] = {}, [], []

    def called(self, short: str) -> str:
        """The customer whose id the desk shows so."""
        return next((name for name in self.channels if short_id(name) == short), short)

    def customer_says(self, conversation: str, word: str) -> Said:
        said = Said(word, conversation, len(self.customers[conversation]) + 1)
        self.customers[conversation][word] = said
        self.note("says", conversation, word=word)
        return said

    def agent_says(self, table: Table, agent: str, behind: str = "") -> Said:
        """The agent's next numbered word; ``behind``: a text that follows it, as it must arrive."""
        word = f"{agent}-{table.conversation}-{table.handoff_id[:8]}-{table.words + 1}{behind}"
        table.words += 1
        self.agents[word] = said = Said(word, table.conversation, table.words, table.handoff_id)
        self.note("says", agent, word=word, conversation=table.conversation)
        return said

    def settle(self, said: Said, fate: Fate, reason: str = "") -> None:
        said.fate, said.reason = fate, reason
        self.note(fate, said.conversation, word=said.word, reason=reason)

    def hears(self, conversation: str, heard: Heard) -> None:
        self.heard[conversation].append(heard)
        self.note("hears", conversation, kind=heard.kind, text=heard.text)

    def failed(self, conversation: str, why: str) -> None:
        """A request of this customer's, or an answer to a push, went wrong: their channel may lose or double around now."""
        self.failures[conversation].append(time.time())
        self.note("failed", conversation, why=why)

    def table(self, handoff_id: str, conversation: str) -> Table:
        return self.tables.setdefault(handoff_id, Table(handoff_id, conversation))

    def asks(self, conversation: str) -> None:
        """The customer begins to ask for a person; asking again until one is there is no new beginning."""
        self.asked[conversation].append(time.time())
        self.note("asks", conversation)

    def leaves(self, conversation: str) -> None:
        """The customer says the leaving word that ends it: the second one, where somebody has come."""
        self.left[conversation].append(time.time())
        self.note("leaves", conversation)

    def resolves(self, table: Table, agent: str) -> None:
        """The agent is about to end it."""
        table.resolved = table.resolved or time.time()
        self.note("resolves", agent, handoff=table.handoff_id)

    def finding(self, kind: str, who: str, detail: str) -> None:
        self.findings.append((kind, who, detail))
