"""The record of what both ends sent and really received. The checks read this, and no state of the product."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rasa_handoff.protocol.logs import short_id

Outcome = Literal["unsure", "accepted", "refused"]


@dataclass
class Said:
    """A numbered message. ``accepted`` and ``refused``: the sender was answered so; ``unsure``: no answer came, so it may
    have arrived or not."""

    word: str
    conversation: str
    number: int
    handoff_id: str | None = None
    outcome: Outcome = "unsure"
    reason: str = ""
    at: float = field(default_factory=time.time)


@dataclass
class ReceivedText:
    """A message that a customer's end showed.

    ``kind``: agent, notice or bot; ``response``: which notice; ``asked``: when the request was sent that it answers, None if it
    was pushed.
    """

    at: float
    text: str
    kind: str
    response: str = ""
    asked: float | None = None


@dataclass
class Table:
    """A conversation at the desk, as its agents saw it: the customer's messages in the order shown, and the states of the
    agents'.

    ``seen``: when the first agent learned of it; ``resolved``: when the first agent asked to end it.
    """

    handoff_id: str
    conversation: str
    shown: list[str] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)
    """By message, as the desk last showed them."""
    takes: int = 0
    words: int = 0
    ended: bool = False
    seen: float = field(default_factory=time.time)
    resolved: float | None = None


@dataclass
class SentFile:
    """A file that was taken by its sender's side, to go with a message.

    ``digest``: of its content. ``ends``: what became of it at its reader's: ``whole``, ``changed``, ``gone``, or ``told``, if
    words took its place.
    """

    id: str
    word: str
    digest: str
    ends: set[str] = field(default_factory=set)
    details: list[str] = field(default_factory=list)


class Book:
    """The whole record: in memory for the checks, and line by line in ``ends.jsonl`` for people who look for a cause."""

    def __init__(self, folder: Path) -> None:
        self.customers: dict[str, dict[str, Said]] = {}
        self.agents: dict[str, Said] = {}
        self.received: dict[str, list[ReceivedText]] = {}
        self.tables: dict[str, Table] = {}
        self.channels: dict[str, str] = {}
        self.failures: dict[str, list[float]] = {}
        self.kills: list[float] = []
        self.asked: dict[str, list[float]] = {}
        self.left: dict[str, list[float]] = {}
        self.findings: list[tuple[str, str, str]] = []
        self.files: dict[str, SentFile] = {}
        """By id."""
        self.refused_files: list[str] = []
        """The codes with which files were refused, which their senders were told."""
        self.strange_files: list[tuple[str, str]] = []
        """Who was given a file that nobody sent, or one of another message, and which."""
        self._log = (folder / "ends.jsonl").open("a")

    def close(self) -> None:
        self._log.close()

    def note(self, what: str, who: str, **more: Any) -> None:
        """Write an event to the log, which no check reads."""
        self._log.write(json.dumps({"at": round(time.time(), 3), "what": what, "who": who, **more}) + "\n")
        self._log.flush()

    def customer(self, name: str, channel: str) -> None:
        self.channels[name], self.asked[name], self.left[name] = channel, [], []
        self.customers[name], self.received[name], self.failures[name] = {}, [], []

    def called(self, short: str) -> str:
        """Return the customer whose id the desk shows in this short form."""
        return next((name for name in self.channels if short_id(name) == short), short)

    def customer_says(self, conversation: str, word: str) -> Said:
        said = Said(word, conversation, len(self.customers[conversation]) + 1)
        self.customers[conversation][word] = said
        self.note("says", conversation, word=word)
        return said

    def agent_says(self, table: Table, agent: str, behind: str = "") -> Said:
        """Return the agent's next numbered message; ``behind``: a text that follows the number, as it must arrive."""
        word = f"{agent}-{table.conversation}-{table.handoff_id[:8]}-{table.words + 1}{behind}"
        table.words += 1
        self.agents[word] = said = Said(word, table.conversation, table.words, table.handoff_id)
        self.note("says", agent, word=word, conversation=table.conversation)
        return said

    def settle(self, said: Said, outcome: Outcome, reason: str = "") -> None:
        said.outcome, said.reason = outcome, reason
        self.note(outcome, said.conversation, word=said.word, reason=reason)

    def hears(self, conversation: str, received: ReceivedText) -> None:
        self.received[conversation].append(received)
        self.note("hears", conversation, kind=received.kind, text=received.text)

    def failed(self, conversation: str, why: str) -> None:
        """Note that a request of this customer, or an answer to a push, failed: messages may be lost or doubled around now."""
        self.failures[conversation].append(time.time())
        self.note("failed", conversation, why=why)

    # Files

    def sends_file(self, said: Said, id: str, digest: str) -> None:
        """Note that a file was taken, which goes with this message."""
        self.files[id] = SentFile(id, said.word, digest)
        self.note("file", said.conversation, word=said.word, id=id)

    def file_refused(self, said: Said, code: str, expected: bool) -> None:
        """Note that the sender was told that a file isn't taken. ``expected``: whether that may be."""
        self.refused_files.append(code)
        self.note("file refused", said.conversation, word=said.word, code=code)
        if not expected:
            self.finding("file refused", said.conversation, f"{said.word}: {code}")

    def got_file(self, id: str, who: str, digest: str) -> None:
        """Note that a reader has fetched a file."""
        file = self.files.get(id)
        if file is None:
            self.strange_files.append((who, f"{id} was sent by nobody"))
            return
        self._end_of_file(file, "whole" if file.digest == digest else "changed", who)

    def file_beside(self, id: str, word: str, who: str) -> None:
        """Note that a reader is shown a file beside the words of a message."""
        if (file := self.files.get(id)) is not None and file.word != word:
            self.strange_files.append((who, f"the file of {file.word} stands beside {word}"))

    def file_gone(self, id: str, who: str, why: str) -> None:
        """Note that a reader was given a file that isn't there."""
        if id in self.files:
            self._end_of_file(self.files[id], "gone", f"{who}: {why}")

    def told_of_file(self, word: str, why: str) -> None:
        """Note that a reader has words in the place of the file of this message."""
        for file in [file for file in self.files.values() if file.word == word and "told" not in file.ends]:
            # What was stored and isn't there any more is lost, though it is told: nothing takes it away in a run.
            self._end_of_file(file, "gone" if "isn't there any more" in why else "told", why)

    def _end_of_file(self, file: SentFile, end: str, detail: str) -> None:
        if end not in file.ends:
            self.note(f"file {end}", file.word, detail=detail)
        file.ends.add(end)
        file.details.append(f"{end}: {detail}")

    def table(self, handoff_id: str, conversation: str) -> Table:
        return self.tables.setdefault(handoff_id, Table(handoff_id, conversation))

    def asks(self, conversation: str) -> None:
        """Note that the customer begins to ask for a person. Asking again before one is there isn't noted."""
        self.asked[conversation].append(time.time())
        self.note("asks", conversation)

    def leaves(self, conversation: str) -> None:
        """Note that the customer sends the leaving word that ends the handoff: the second one, if an agent has joined."""
        self.left[conversation].append(time.time())
        self.note("leaves", conversation)

    def resolves(self, table: Table, agent: str) -> None:
        """Note that the agent is about to end the conversation."""
        table.resolved = table.resolved or time.time()
        self.note("resolves", agent, handoff=table.handoff_id)

    def finding(self, kind: str, who: str, detail: str) -> None:
        self.findings.append((kind, who, detail))
