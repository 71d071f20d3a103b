"""The command ``make bench``: measures the chosen figures one after the other. If one fails, the others go on."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tests.support.trained_bots import train
from tools.bench import figures_table
from tools.bench.bench import Bench, Sizes
from tools.bench.churn import churn
from tools.bench.desk_figure import desk
from tools.bench.history import ended
from tools.bench.kill_figure import kill
from tools.bench.live import round_trip, throughput
from tools.bench.mailbox_figure import mailbox
from tools.bench.measure import Row
from tools.bench.memory_figure import memory
from tools.bench.message_figure import message
from tools.bench.plain_rasa import PlainRasa
from tools.bench.rush import rush
from tools.bench.several_figure import several
from tools.bench.shared_stack import SharedStack
from tools.bench.stack import Stack
from tools.bench.take_figure import take
from tools.bench.turn_figures import long_handoff, turn

FIGURES: Final[dict[str, Callable[[Bench], Awaitable[list[Row]]]]] = {
    "message": message,
    "turn": turn,
    "long-handoff": long_handoff,
    "round-trip": round_trip,
    "throughput": throughput,
    "mailbox": mailbox,
    "take": take,
    "ended": ended,
    "rush": rush,
    "kill": kill,
    "churn": churn,
    "several": several,
    "memory": memory,
    "desk": desk,
}
SECONDS: Final = 60.0
QUICK_SECONDS: Final = 3.0
QUICK_SIZES: Final = Sizes(
    customers=(25, 50),
    few=10,
    many=100,
    ended=10_000,
    messages=(10, 100),
    tracker_delay=2.0,
    rush=30,
    live=60,
    idle=30,
    busy=30,
    conversations=500,
    connections=200,
    waiting=200,
    lines=400,
)
"""The sizes of `make bench ARGS=quick`, which takes about two minutes. Its figures show only what has doubled."""
MOST_LOADS: Final = 2
"""How often a figure measures for its seconds, at most: the throughput is measured with two numbers of customers."""
OVERHEAD: Final = 480.0
"""Seconds that a figure may take in addition to those that it measures: to start, to connect all customers, to end a turn."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="make bench", description="Figures of the live path, each beside its reference."
    )
    parser.add_argument("how", nargs="?", choices=["quick"], help="quick: two minutes, with fewer customers")
    parser.add_argument("--only", default=",".join(FIGURES), help="figures, with commas between (default: all)")
    parser.add_argument(
        "--seconds", type=float, help=f"for each figure (default: {SECONDS:g}; quick: {QUICK_SECONDS:g})"
    )
    parser.add_argument("--json", type=Path, help="where the result is written as JSON, too (default: beside the logs)")
    options = parser.parse_args(arguments)
    quick = options.how == "quick"
    seconds = options.seconds if options.seconds is not None else QUICK_SECONDS if quick else SECONDS
    names = [name.strip() for name in options.only.split(",") if name.strip()]
    for name in names:
        if name not in FIGURES:
            parser.error(f"there is no figure '{name}'; there are {', '.join(FIGURES)}")
    if seconds <= 0:
        parser.error("SECONDS is how long each figure measures: a number above 0")
    folder, load_before = Path(tempfile.mkdtemp(prefix="bench-")), figures_table.load()
    print(f"Logs and databases: {folder}\nTraining the small bot (about half a minute) ...", flush=True)
    model = train("small", folder)
    bench = Bench(folder, model, seconds)
    if quick:
        stack, plain, shared = (partial(kind, forked=True) for kind in (Stack, PlainRasa, SharedStack))
        bench = Bench(folder, model, seconds, QUICK_SIZES, stack=stack, plain=plain, shared=shared)
    rows, failures = asyncio.run(produce(bench, names))
    print(figures_table.text(rows, failures, seconds, load_before))
    written = options.json or folder / "bench.json"
    written.write_text(figures_table.as_json(rows, failures, seconds, load_before))
    print(f"\nAs JSON: {written}")
    return 1 if failures else 0


async def produce(bench: Bench, names: Sequence[str]) -> tuple[list[Row], dict[str, str]]:
    """Return the rows of these figures, and for each that failed, why."""
    rows: list[Row] = []
    failures: dict[str, str] = {}
    within = MOST_LOADS * bench.seconds + OVERHEAD
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            produced = await asyncio.wait_for(FIGURES[name](bench), within)
        except asyncio.TimeoutError:
            failures[name] = f"It didn't come to an end within {within:g} s. See the logs in {bench.folder}."
        except Exception as problem:  # whatever it is, it is reported, and the next figure has its turn
            failures[name] = f"{str(problem) or repr(problem)} See the logs in {bench.folder}."
        else:
            rows += produced
            print(figures_table.table(produced), file=sys.stderr, flush=True)
    return rows, failures
