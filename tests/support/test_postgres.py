"""The Postgres of the tests: it can get into trouble as a real one can, and ends with its worker however that ends."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from rasa_handoff.testing.waiting import eventually
from tests.support.paths import ROOT
from tests.support.postgres_server import Database, children_of

WORKER = """
import subprocess, sys, time
from tests.support.postgres_server import Postgres
from tools import children

with Postgres() as server:
    database = server.fresh()
    database.execute("create table thing (id int)")
    sleeper = subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600 & wait"], start_new_session=True)
    children.end_with_us(sleeper.pid)
    if "stopped" in sys.argv:
        server.stop()
    print(server.process.pid, sleeper.pid, flush=True)
    time.sleep(600)
"""


def test_each_test_has_a_database_of_its_own(postgres: Database) -> None:
    postgres.execute("create table thing (id int)")
    assert postgres.server.fresh().execute("select count(*) from pg_class where relname = 'thing'") == [(0,)]


def test_it_can_be_stopped_and_cut(postgres: Database) -> None:
    with contextlib.closing(psycopg2.connect(postgres.url)) as connection:
        with postgres.server.stopped(), pytest.raises(psycopg2.OperationalError, match="timeout"):
            psycopg2.connect(f"{postgres.url}?connect_timeout=2")
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        connection.rollback()
        assert postgres.cut() == 1
        with pytest.raises(psycopg2.OperationalError), connection.cursor() as cursor:
            cursor.execute("select 1")


@pytest.mark.parametrize("how", ["running", "stopped"])
async def test_it_ends_with_its_worker_even_if_that_is_killed(how: str) -> None:
    """So do all children that are to, and what those started, also while they are stopped."""
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", WORKER, how],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        postmaster, sleeper = worker.stdout.readline().split()
        own = (int(postmaster), int(sleeper))
        ours = [*own, *(child for pid in own for child in children_of(pid))]
        assert len(ours) > 4
        worker.send_signal(signal.SIGKILL)
    await eventually(lambda: not [pid for pid in ours if _runs(pid)], seconds=20)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
