"""``make rolling``: a rolling update with live chats. Each process is replaced by another version in turn, and nobody notices.

The older version is an earlier commit, whose processes run beside those of this checkout; at the end it comes back.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.rolling.chats import Chats
from tests.rolling.earlier import NoEarlier, earlier_commit, git, lay_out
from tests.rolling.fleet import NEW, Fleet
from tests.support.postgres_server import Postgres
from tests.support.redis import RedisServer
from tests.support.trained_bots import train
from tools.rasa_command import RASA

SHOWN_AFTER: Final = 3.0
"""Seconds without a connection after which the desk and the example page say so."""


class Report:
    """What a run found, and what it measured. ``lines``: for people."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)
        print(line, flush=True)


async def rolling_update(fleet: Fleet, chats: int, trees: Sequence[Path]) -> Report:
    """Let chats go on while all processes are replaced by each of these versions in turn; return what was found."""
    report = Report()
    async with Chats(fleet, chats) as people:
        people.talk()
        await people.go_on()
        for tree in trees:
            report.note(f"All processes become those of {tree}")
            for url in fleet.urls:
                began = time.monotonic()
                code = await fleet.replace(url, tree)
                await people.go_on()
                word, seconds = people.slowest_since()
                took = f"replaced after {time.monotonic() - began:.1f} s"
                report.note(
                    f"  {fleet.name(url)}: ended with {code}, {took}; the slowest took {seconds:.1f} s ({word})"
                )
                if code != 0:
                    report.findings.append(f"{fleet.name(url)} ended with the code {code}")
        await people.stop()
        report.findings += await people.findings()
        report.findings += [line for line in fleet.said().splitlines() if "Traceback" in line]
        said = sum(len(chat.asked) + len(chat.answered) for chat in people.chats)
        away = max(person.longest_away for person in (*people.agents, *(chat.customer for chat in people.chats)))
        word, seconds = people.slowest
        report.note(f"{said} messages in {chats} chats; the slowest took {seconds:.1f} s ({word})")
        report.note(f"The longest time that a page or desk was without a connection: {away:.1f} s")
        if away > SHOWN_AFTER:
            report.findings.append(f"a page or desk was without a connection for {away:.1f} s, which its person sees")
    for finding in report.findings:
        report.note(f"FOUND {finding}")
    return report


async def from_earlier(folder: Path, model: Path, commit: str, chats: int, postgres: Postgres) -> Report:
    """Update a fleet of this commit to this checkout, and go back."""
    earlier = lay_out(commit, folder)
    with RedisServer() as redis:
        async with Fleet(folder, model, RASA, earlier, postgres, redis) as fleet:
            return await rolling_update(fleet, chats, [NEW, earlier])


def main() -> int:
    """Run the command and return its exit code: 1 on any finding, 2 if the earlier commit isn't here."""
    parser = argparse.ArgumentParser(prog="make rolling", description=__doc__)
    parser.add_argument(
        "--from", dest="commit", help="the commit to update from (default: the furthest that must work)"
    )
    parser.add_argument("--chats", type=int, default=10, help="live chats (default: 10)")
    options = parser.parse_args()
    logging.getLogger("engineio").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="rolling-"))
    try:
        commit = earlier_commit(options.commit)
    except NoEarlier as problem:
        print(problem, file=sys.stderr)
        return 2
    print(f"From {git('log', '-1', '--oneline', commit)}\nLogs: {folder}", flush=True)
    with Postgres() as postgres:
        report = asyncio.run(from_earlier(folder, train("small", folder), commit, options.chats, postgres))
    print("Nobody noticed." if not report.findings else f"{len(report.findings)} findings.")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
