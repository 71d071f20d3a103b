"""``make bench`` runs and produces figures, and says what it can't produce. No figure is judged here.

Both servers in the test's own loop, and small numbers; a round trip is tried with the processes of the command too.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from tests.support.desk import DeskServer
from tools.bench import report
from tools.bench.bench import Bench, Sizes
from tools.bench.measure import Row, processor_seconds
from tools.bench.run import FIGURES, main, produce
from tools.bench.stack import credentials, prepare

SMALL = Sizes(customers=3, few=1, many=4, ended=300)


class InProcess:
    """As ``Stack`` is, in this process."""

    def __init__(self, folder: Path, model: Path, prepared: Callable[[str], None] | None = None) -> None:
        self._desk = DeskServer(folder)
        prepare(self._desk.database, prepared)
        self._folder, self._model = folder, model
        self._stack = contextlib.AsyncExitStack()
        self.url = self.desk_url = ""

    async def __aenter__(self) -> "InProcess":
        self.desk_url = (await self._stack.enter_async_context(self._desk)).url
        channels = credentials(self._folder, self.desk_url)
        rasa = RasaServer(self._model, self._folder, channels)
        self.url = (await self._stack.enter_async_context(rasa)).url
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    def processor(self) -> dict[str, float]:
        return dict.fromkeys(("Rasa", "server"), processor_seconds(os.getpid()))


def bench(folder: Path, model: Path, **more: Any) -> Bench:
    return Bench(folder, model, 0.2, SMALL, **{"stack": InProcess, **more})


@pytest.mark.parametrize("names", [("round-trip", "throughput"), ("take",), ("ended",)], ids="-".join)
async def test_figures_are_produced(names: tuple[str, ...], small_model: Path, tmp_path: Path) -> None:
    rows, failures = await produce(bench(tmp_path, small_model), names)
    assert not failures
    assert len(rows) > len(names)
    for row in rows:
        assert min(row.samples) > 0
        assert row.measured > 0 or row.unit == "each"
    shown = report.text(rows, failures, 0.2, report.load())
    assert all(f"| {row.what} | {row.unit} |" in shown for row in rows)


async def test_a_round_trip_through_the_commands_own_processes(small_model: Path, tmp_path: Path) -> None:
    rows, failures = await produce(Bench(tmp_path, small_model, 0.2, SMALL), ["round-trip"])
    assert not failures
    assert [row.unit for row in rows] == ["ms", "ms"]


async def test_an_agent_who_never_answers_is_a_failure(small_model: Path, tmp_path: Path) -> None:
    rows, failures = await produce(bench(tmp_path, small_model, answers=False, patience=0.5), ["round-trip"])
    assert rows == []
    assert "The agent's answer to 'c1 says 1' didn't come" in failures["round-trip"]
    assert "round-trip could not be produced" in report.text(rows, failures, 0.2, report.load())


def test_a_figure_that_fails_hides_no_other_and_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    async def none(_: Bench) -> list[Any]:
        raise OSError("no such thing")

    async def some(_: Bench) -> list[Any]:
        return [Row("some", "ms", 2.0, 1.0, (3, 4))]

    monkeypatch.setattr("tools.bench.run.train", lambda bot, folder: folder)
    monkeypatch.setitem(FIGURES, "take", none)
    monkeypatch.setitem(FIGURES, "ended", some)
    assert main(["--only", "ended"]) == 0
    assert main(["--only", "take,ended"]) == 1
    said = capsys.readouterr().out
    assert "take could not be produced**: no such thing" in said
    assert "| some | ms | 2 | 1 | 2 | 3 and 4 |" in said
    with pytest.raises(SystemExit):
        main(["--only", "tke"])
    assert "there is no figure 'tke'" in capsys.readouterr().err
