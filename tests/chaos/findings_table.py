"""The table at the end of a run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.book import Book
from tests.chaos.file_checks import files_in_words

LINE = 1000
"""Characters of a finding that are printed; the whole is in the folder."""
KINDS = (
    "lost",
    "doubled",
    "reordered",
    "file lost",
    "file changed",
    "bot spoke",
    "stuck",
    "tracker out of step",
)


@dataclass
class FaultCounts:
    """The faults of a run by kind: all of them, those that couldn't be made, and why some kinds were left out."""

    done: Mapping[str, int]
    failed: Mapping[str, int]
    missing: Mapping[str, str]


@dataclass
class Report:
    """What happened in a run.

    ``times``: seconds under faults and in all. ``starts``: of each server. ``pages``: in Chromium. ``uptime``: the share of the
    time that each kind of process was up, where it was measured.
    """

    seed: int
    folder: Path
    machine: str
    times: tuple[float, float]
    faults: FaultCounts
    book: Book
    starts: Mapping[str, int]
    pages: int
    uptime: Mapping[str, float]

    @property
    def findings(self) -> list[tuple[str, str, str]]:
        return self.book.findings

    def found(self, kind: str) -> int:
        """Return how many findings are of this kind."""
        return sum(1 for each, _, _ in self.findings if each == kind)

    def text(self) -> str:
        """Return the table's lines."""
        sections = [self._faults(), self._traffic(), self._findings()]
        return "\n\n".join("\n".join(lines) for lines in sections)

    def _faults(self) -> list[str]:
        done, failed = self.faults.done, self.faults.failed
        lines = [f"{'fault':<42}{'count':>6}"]
        for kind, count in sorted(done.items(), key=lambda pair: -pair[1]):
            lines.append(f"{kind:<42}{count:>6}" + (f"  {failed[kind]} couldn't be made" if failed.get(kind) else ""))
        lines += [f"{'all':<42}{sum(done.values()):>6}"]
        return lines + [f"left out: {kind}: {why}" for kind, why in self.faults.missing.items()]

    def _traffic(self) -> list[str]:
        book, (under_faults, whole) = self.book, self.times
        channels = Counter(book.channels.values())
        spoken = [said for words in book.customers.values() for said in words.values()]
        accepted = Counter(said.outcome for said in (*spoken, *book.agents.values()))
        kinds = ", ".join(f"{count} on {name}" for name, count in channels.items())
        return [
            f"customers {len(book.channels)} ({kinds}; {self.pages} in Chromium), conversations with agents {len(book.tables)}",
            f"words {len(spoken) + len(book.agents)} (customers {len(spoken)}, agents {len(book.agents)}); accepted "
            f"{accepted['accepted']}, refused aloud {accepted['refused']}, unsure {accepted['unsure']}",
            *files_in_words(book),
            "starts: " + ", ".join(f"{name} {count}" for name, count in self.starts.items()),
            f"{under_faults / 60:.1f} minutes under faults, {whole / 60:.1f} in all; {self.machine}",
            *(f"up {share:.0%} of the time: {kind}" for kind, share in self.uptime.items()),
        ]

    def _findings(self) -> list[str]:
        counts = Counter(kind for kind, _, _ in self.findings)
        lines = [f"{kind:<42}{counts.pop(kind, 0):>6}" for kind in KINDS]
        lines += [f"{kind:<42}{count:>6}" for kind, count in counts.items()]
        for kind, who, detail in self.findings[:60]:
            lines.append(f"  {kind}: {who}: {detail}"[:LINE])
        if self.findings:
            lines.append(
                f"Again: make chaos FAULTS={sum(self.faults.done.values())} SEED={self.seed}; see {self.folder}"
            )
        return lines
