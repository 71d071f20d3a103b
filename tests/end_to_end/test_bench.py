"""``make bench`` runs and produces figures, and says what it can't produce. No figure is judged here.

Both servers in the test's own loop, and small numbers; a round trip is tried with the processes of the command too.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer
from rasa_handoff.testing.waiting import eventually
from tools.bench import figures_table
from tools.bench.bench import Bench, Sizes
from tools.bench.command import FIGURES, main, produce
from tools.bench.counting import counted
from tools.bench.measure import (
    FigureError,
    Row,
    Target,
    at_least,
    at_most,
    memory_bytes,
    processor_seconds,
    told_in_time,
    wait_until_quiet,
    wants_processor,
)
from tools.bench.plain_rasa import CHANNELS, repeated
from tools.bench.stack import ServerProcess, Setup, credentials, prepare, transactions_of

SMALL = Sizes(
    customers=(2, 3),
    few=1,
    many=2,
    ended=50,
    writers=2,
    messages=(1, 3),
    events=30,
    tracker_delay=0.1,
    rush=3,
    live=3,
    idle=1,
    busy=2,
    conversations=3,
    connections=3,
    waiting=3,
    lines=5,
)
starting = asyncio.Lock()
"""Held while a system starts: Sanic's methods, which our systems patch and plain Rasa doesn't, are one process's for all."""
COMPUTES = "input()\nwhile True: pass"
BRIEF = 0.05
"""Seconds that each figure measures; each side has its turn all the same."""


@pytest.fixture(autouse=True)
def as_little_as_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.bench.measure.LEAST_TURNS", 1)
    monkeypatch.setattr("tools.bench.take_figure.IDLE_FOR", 0.05)
    monkeypatch.setattr(sys.modules[__name__], "starting", asyncio.Lock())
    monkeypatch.setattr("tools.bench.measure.LOOK_EVERY", 0.05)
    monkeypatch.setattr("tools.bench.live.WARM_UP", 1)
    monkeypatch.setattr("tools.bench.history.ROUND_TRIPS", 2)
    monkeypatch.setattr("tools.bench.memory_figure.WARM_UP", 2)
    monkeypatch.setattr("tools.bench.desk_figure.KEYS", 1)
    monkeypatch.setattr("tools.bench.desk_figure.MESSAGES", 1)
    monkeypatch.setattr("tools.bench.turn_figures.TURNS", 2)
    monkeypatch.setattr("tools.bench.message_figure.EVERY", 0.1)


class InProcess:
    """As ``Stack`` is, in this process."""

    def __init__(self, folder: Path, model: Path, setup: Setup) -> None:
        self.server = self._server(folder, setup)
        prepare(self.server.database, setup)
        self.folder, self._model, self._setup = folder, model, setup
        self._stack = contextlib.AsyncExitStack()
        self.url = self.desk_url = ""

    def _server(self, folder: Path, setup: Setup) -> Any:
        return DeskServer(folder)

    async def __aenter__(self) -> "InProcess":
        async with starting:
            await self._start()
        return self

    @property
    def urls(self) -> list[str]:
        return [self.url]

    @property
    def desk_urls(self) -> list[str]:
        return [self.desk_url]

    async def _start(self) -> None:
        self.desk_url = (await self._stack.enter_async_context(self.server)).url
        channels = credentials(self.folder, self.desk_url, self._setup.settings)
        self._counted = [
            self._stack.enter_context(counted(transactions_of(self.folder, name), f"{self.folder.name}/{name}"))
            for name in ("relay.db", "desk.db")
        ]
        rasa = RasaServer(self._model, self.folder, channels)
        self.url = (await self._stack.enter_async_context(rasa)).url

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    def memory(self) -> dict[str, int]:
        return dict.fromkeys(("Rasa", "server"), memory_bytes(os.getpid()))

    def transactions(self) -> int:
        return sum(one.count() for one in self._counted)

    def processor(self) -> dict[str, float]:
        return dict.fromkeys(("Rasa", "server"), processor_seconds(os.getpid()))

    def wants_processor(self) -> bool:
        return wants_processor(os.getpid())


class WithServerProcess(InProcess):
    """With the live-agent server as a process, which may be killed."""

    def _server(self, folder: Path, setup: Setup) -> Any:
        return ServerProcess(folder, setup)


class PlainInProcess(RasaServer):
    """As ``PlainRasa`` is, in this process."""

    def __init__(self, folder: Path, model: Path) -> None:
        super().__init__(model, folder, CHANNELS)

    async def __aenter__(self) -> "PlainInProcess":
        async with starting:
            await super().__aenter__()
        return self

    def processor(self) -> dict[str, float]:
        return {"Rasa": processor_seconds(os.getpid())}


def bench(folder: Path, model: Path, **more: Any) -> Bench:
    return Bench(folder, model, BRIEF, SMALL, **{"stack": InProcess, "plain": PlainInProcess, **more})


@pytest.mark.parametrize(
    "names",
    [
        ("message",),
        ("turn",),
        ("long-handoff",),
        ("throughput",),
        ("mailbox",),
        ("take",),
        ("ended",),
        ("rush",),
        ("churn",),
        ("memory",),
        ("desk",),
    ],
    ids="-".join,
)
async def test_figures_are_produced(names: tuple[str, ...], small_model: Path, tmp_path: Path) -> None:
    rows, failures = await produce(bench(tmp_path, small_model), names)
    assert not failures
    assert len(rows) > len(names)
    shown = figures_table.text(rows, failures, BRIEF, figures_table.load())
    for row in rows:
        assert min(row.samples[: 1 if row.reference is None else 2]) > 0
        assert row.measured > 0 or row.unit in ("each", "KB") or "processor" in row.what
        assert f"| {row.what} | {row.unit} |" in shown
    written = json.loads(figures_table.as_json(rows, failures, BRIEF, figures_table.load()))
    assert [(one["what"], one["ratio"]) for one in written["figures"]] == [(row.what, row.ratio) for row in rows]


async def test_a_killed_server_is_started_again_and_all_talk(small_model: Path, tmp_path: Path) -> None:
    rows, failures = await produce(bench(tmp_path, small_model, stack=WithServerProcess), ["kill"])
    assert not failures
    assert [row.samples for row in rows] == [(SMALL.live, SMALL.live)] * 2
    assert all(row.measured > 0 and row.targets == (at_most(5, "s"),) for row in rows[:1])


async def test_a_round_trip_through_the_commands_own_processes(small_model: Path, tmp_path: Path) -> None:
    rows, failures = await produce(Bench(tmp_path, small_model, BRIEF, SMALL), ["round-trip"])
    assert not failures
    assert [row.unit for row in rows] == ["ms", "ms"]
    assert all(row.measured > 0 and min(row.samples) > 0 for row in rows)


async def test_a_load_after_which_somebody_waits_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.bench.measure.TOLD_WITHIN", 0.05)
    answered = asyncio.Event()

    async def answers() -> None:
        answered.set()

    async def never_answers() -> None:
        await asyncio.Event().wait()

    async def refused() -> None:
        raise FigureError("It was refused.")

    with pytest.raises(FigureError, match="1 of 2 weren't told everything"):
        await told_in_time(0.01, [answers(), never_answers()])
    assert answered.is_set()
    with pytest.raises(FigureError, match="It was refused"):
        await told_in_time(0.01, [answers(), refused()])


def test_repeated_events_are_of_the_same_session() -> None:
    """Rasa loads what came after the start of the session, by its time, in the order of the times."""
    began = time.time() - 0.01
    turn = [(kind, began, None, None, f'{{"timestamp": {began}}}') for kind in ("user", "bot")]
    events = repeated(turn, 101)
    times = [event[1] for event in events]
    assert began < times[0] < times[-1] < time.time()
    assert times == sorted(set(times)) == [json.loads(event[-1])["timestamp"] for event in events]
    assert [event[0] for event in events[:4]] == ["user", "bot"] * 2


class Starved:
    """It has something to do, and no core to do it: what it uses shows nothing of it.

    ``looks``: how often it was looked at; ``reported``: how many of its messages have come.
    """

    def __init__(self) -> None:
        self.looks, self.reported = 0, 0

    def processor(self) -> dict[str, float]:
        return {"server": 0.0}

    def wants_processor(self) -> bool:
        self.looks += 1
        self.reported += self.looks in (3, 4)  # not seen waiting, and yet something came
        return self.looks <= 2


async def test_who_waits_for_a_core_is_not_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.bench.measure.LOOK_EVERY", 0.001)
    starved = Starved()
    await wait_until_quiet(starved, lambda: starved.reported, 10)
    assert (starved.looks, starved.reported) == (7, 2)


async def test_what_a_look_costs_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that looks at itself has more to read the more threads it has."""
    monkeypatch.setattr("tools.bench.measure.LOOK_EVERY", 0.001)

    class LooksAtItself(Starved):
        def processor(self) -> dict[str, float]:
            return {"server": float(self.looks)}

        def wants_processor(self) -> bool:
            self.looks += 1
            return False

    itself = LooksAtItself()
    await wait_until_quiet(itself, lambda: 0, 10)
    assert itself.looks == 2


async def test_what_is_still_busy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.bench.measure.LOOK_EVERY", 0.001)

    class NeverAtRest(Starved):
        def wants_processor(self) -> bool:
            return True

    with pytest.raises(FigureError, match=r"busy \(a thread wants to run\)"):
        await wait_until_quiet(NeverAtRest(), lambda: 0, 0.01)


async def test_a_process_that_computes_wants_a_core_and_one_that_waits_does_not() -> None:
    with subprocess.Popen([sys.executable, "-c", COMPUTES], stdin=subprocess.PIPE) as process:  # noqa: ASYNC220
        try:
            await eventually(lambda: not wants_processor(process.pid))
            process.stdin.write(b"\n")
            process.stdin.flush()
            await eventually(lambda: wants_processor(process.pid))
        finally:
            process.kill()


async def test_an_agent_who_never_answers_is_a_failure(small_model: Path, tmp_path: Path) -> None:
    rows, failures = await produce(bench(tmp_path, small_model, answers=False, patience=0.5), ["round-trip"])
    assert rows == []
    assert "The agent's answer to 'c1 says 1' didn't come" in failures["round-trip"]
    assert "round-trip could not be produced" in figures_table.text(rows, failures, BRIEF, figures_table.load())


@pytest.mark.parametrize(
    ("measured", "reference", "targets", "shown", "met"),
    [
        (2.0, 1.0, (at_most(2),), "| 2 | 1 | 2 | <= 2x | met |", True),
        (2.1, 1.0, (at_most(2),), "| 2.1 | 1 | 2.1 | <= 2x | missed |", False),
        (1.0, 5.0, (at_least(0.25),), "| 1 | 5 | 0.2 | >= 0.25x | missed |", False),
        (21.0, 20.0, (at_most(2), at_most(20, "ms")), "| 21 | 20 | 1.05 | <= 2x, <= 20 ms | missed |", False),
        (4.0, None, (at_most(5, "ms"),), "| 4 | - | - | <= 5 ms | met |", True),
        (4.0, 0.0, (at_most(2),), "| 4 | 0 | - | <= 2x | - |", None),
        (4.0, 2.0, (), "| 4 | 2 | 2 | - | - |", None),
        (-4.0, 2.0, (at_most(2),), "| -4 | 2 | - | <= 2x | - |", None),
    ],
)
def test_a_row_tells_whether_its_targets_are_met(
    measured: float, reference: float | None, targets: tuple[Target, ...], shown: str, met: bool | None
) -> None:
    row = Row("some", "ms", measured, reference, (3, 4), targets)
    assert shown in figures_table.table([row])
    written = json.loads(figures_table.as_json([row], {}, BRIEF, ""))["figures"][0]
    assert written["met"] is met
    assert written["targets"] == [str(target) for target in targets]


def test_a_figure_that_fails_hides_no_other_and_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    async def none(_: Bench) -> list[Any]:
        raise OSError("no such thing")

    async def some(_: Bench) -> list[Any]:
        return [Row("some", "ms", 2.0, 1.0, (3, 4))]

    monkeypatch.setattr("tools.bench.command.train", lambda bot, folder: folder)
    monkeypatch.setitem(FIGURES, "take", none)
    monkeypatch.setitem(FIGURES, "ended", some)
    assert main(["--only", "ended"]) == 0
    assert main(["--only", "take,ended"]) == 1
    said = capsys.readouterr().out
    assert "take could not be produced**: no such thing" in said
    assert "| some | ms | 2 | 1 | 2 | - | - | 3 and 4 |" in said
    with pytest.raises(SystemExit):
        main(["--only", "tke"])
    assert "there is no figure 'tke'" in capsys.readouterr().err
