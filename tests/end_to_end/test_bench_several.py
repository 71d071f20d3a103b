"""The figure ``several`` of ``make bench``: it is produced by the command's own processes, and what it checks can fail."""

import threading
from functools import partial
from pathlib import Path

import psycopg2
import pytest

from rasa_handoff.testing.waiting import eventually_blocking
from tests.support.postgres_server import Database
from tools.bench.bench import Bench, Sizes
from tools.bench.command import produce
from tools.bench.live import Side
from tools.bench.measure import FigureError
from tools.bench.several_figure import compared_processor, locks_row, split_row
from tools.bench.shared_stack import LockWaits, SharedStack
from tools.bench.stack import Stack

BRIEF = 0.05
SEEN = 20
"""Looks at the transactions."""


async def test_two_of_each_side_beside_one(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.bench.measure.LEAST_TURNS", 1)
    monkeypatch.setattr("tools.bench.live.WARM_UP", 1)
    monkeypatch.setattr("tools.bench.shared_stack.LOOK_EVERY", 0.001)
    stack, shared = partial(Stack, forked=True), partial(SharedStack, forked=True)
    sizes = Sizes(customers=(4,))
    rows, failures = await produce(Bench(tmp_path, small_model, BRIEF, sizes, stack=stack, shared=shared), ["several"])
    assert not failures
    # No transaction may have waited, and Postgres counts transactions a second late at times.
    surely = [row for row in rows if row.unit != "%" and "transactions" not in row.what]
    assert [row for row in surely if not row.measured] == []
    assert all(min(row.samples) > 0 for row in rows)
    split = [row for row in rows if "beside the other" in row.what]
    assert [row.ratio >= 1 for row in split if row.ratio] == [True, True]
    targets = {str(target) for row in rows for target in row.targets}
    assert targets == {"<= 1.5x", "<= 1.1x", "<= 5 %"}


def test_a_transaction_that_waits_for_a_lock_is_seen(postgres: Database) -> None:
    postgres.execute("create table conversation (id integer primary key); insert into conversation values (1), (2)")
    lock = "select id from conversation where id = {} for update"
    waits, calm = LockWaits([postgres]), LockWaits([postgres])
    with psycopg2.connect(postgres.url) as holder, psycopg2.connect(postgres.url) as waiter:
        holder.cursor().execute(lock.format(1))
        waiter.cursor().execute(lock.format(2))
        with calm.watched():
            eventually_blocking(lambda: calm.looks >= SEEN)
        waiting = threading.Thread(target=lambda: waiter.cursor().execute(lock.format(1)))
        waiting.start()
        eventually_blocking(lambda: postgres.execute("select 1 from pg_stat_activity where wait_event_type = 'Lock'"))
        with waits.watched():
            eventually_blocking(lambda: waits.looks >= SEEN)
        holder.rollback()
        waiting.join()
    assert (calm.percent(), waits.percent()) == (0, 50)  # of two transactions one waits
    assert locks_row("locks", calm, calm).met
    assert locks_row("locks", waits, calm).met is False


def test_transactions_of_another_database_do_not_count(postgres: Database) -> None:
    waits = LockWaits([postgres])
    with waits.watched():
        eventually_blocking(lambda: waits.looks >= 1)
    with pytest.raises(FigureError, match="No transaction"):
        waits.percent()


def side(**spent: float) -> Side:
    return Side(None, spent={name.replace("_", " "): seconds for name, seconds in spent.items()}, counted=100)  # type: ignore[arg-type]


@pytest.mark.parametrize(("busier", "met"), [(1.09, True), (1.12, False)])
def test_an_uneven_load_is_missed(busier: float, met: bool) -> None:
    row = split_row("split", side(Rasa_1=1.0, Rasa_2=busier, server_1=5.0), "Rasa")
    assert row.ratio == pytest.approx(busier)
    assert row.met is met
    with pytest.raises(FigureError, match="one server only"):
        split_row("split", side(Rasa_1=1.0, Rasa_2=busier, server_1=5.0), "server")


@pytest.mark.parametrize(("second", "met"), [(0.9, True), (1.2, False)])
def test_too_much_processor_is_missed(second: float, met: bool) -> None:
    two, one = side(Rasa_1=0.5, Rasa_2=second, Postgres=9.0), side(Rasa_1=1.0, Postgres=1.0)
    assert compared_processor("processor", two, one, "Rasa", "server", most=1.5).met is met
