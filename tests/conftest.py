"""What several folders of tests share: the small bot, trained once per run, and an end to whatever hangs."""

import faulthandler
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

import pytest

from tests.support.bots import trained_once
from tests.support.postgres import Database, Postgres

AFTER_ITS_TIMEOUT: Final = 90.0
"""Seconds a test that ran into its timeout may take to tidy up; pytest-timeout doesn't watch that any more."""
HANGS: Final = pytest.StashKey[TextIO]()


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bot with the preset and without an action server."""
    return trained_once("small", tmp_path_factory)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A real Postgres, started when the first test of this worker asks for it."""
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: Postgres) -> Iterator[Database]:
    """A database of its own on the real Postgres."""
    database = postgres_server.fresh()
    yield database
    postgres_server.go_on()
    postgres_server.drop(database)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database for SQLAlchemy: a test that asks for it runs on SQLite and on Postgres."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'x.db'}"
    return str(request.getfixturevalue("postgres").url)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[Any]:
    """What hangs ends its worker, with all its threads' stacks in ``.pytest_cache/hangs.txt``."""
    own = item.get_closest_marker("timeout")
    _watch(item, float(own.args[0] if own else item.config.getini("timeout")) + AFTER_ITS_TIMEOUT)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[Any]:
    """The watch goes on: pytest calls it off when a test fails."""
    _watch(item, AFTER_ITS_TIMEOUT)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _watch(item: pytest.Item, seconds: float) -> None:
    stash = item.config.stash
    if HANGS not in stash:
        folder = item.config.rootpath / ".pytest_cache"
        folder.mkdir(exist_ok=True)
        stash[HANGS] = (folder / "hangs.txt").open("a")
        item.config.add_cleanup(stash[HANGS].close)
    faulthandler.dump_traceback_later(seconds, exit=True, file=stash[HANGS])
