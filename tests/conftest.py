"""Fixtures and hooks for all tests: the small bot, databases, cheap passwords, the order of files, and a watch for tests that
hang."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from argon2 import PasswordHasher
from hypothesis import settings

from rasa_handoff.server import accounts
from tests.support import event_loops
from tests.support.databases import FILES, KINDS, NOTIFY, REDIS, SQLITE, Databases, OnPostgres, using
from tests.support.hangs import HangWatch
from tests.support.postgres_server import Database, Postgres
from tests.support.redis import RedisServer, redis_program
from tests.support.trained_bots import trained_once

AFTER_ITS_TIMEOUT: Final = 90.0
"""Seconds that a test may take to clean up after its timeout, which pytest-timeout no longer watches."""
LONGEST: Final = (
    "tests/end_to_end/test_fresh_project.py",
    "tests/rolling/test_rolling_update.py",
    "tests/rasa/channels/test_texts.py",
    "tests/rasa/presets/test_importer.py",
    "tests/rasa/handoff/test_bus_in_trouble.py",
    "tests/end_to_end/browser/test_customer_page.py",
    "tests/rasa/platforms/test_texts.py",
    "tests/rasa/cli/test_demo.py",
    "tests/server/test_seed.py",
    "tests/server/test_timers.py",
    "tests/end_to_end/browser/test_desk.py",
    "tests/server/test_shared_conversations.py",
    "tests/rasa/handoff/test_texts.py",
    "tests/rasa/platforms/liveperson/test_texts.py",
    "tests/rasa/handoff/test_bot_return.py",
    "tests/end_to_end/test_demo.py",
    "tests/end_to_end/browser/test_desk_keys.py",
    "tests/rasa/handoff/test_pause.py",
    "tests/rasa/handoff/test_timers.py",
    "tests/server/test_guard.py",
    "tests/rasa/platforms/test_contract.py",
    "tests/rasa/cli/test_doctor.py",
    "tests/rasa/channels/test_customer_tokens.py",
    "tests/end_to_end/test_shutdown.py",
    "tests/rasa/platforms/test_two_processes.py",
    "tests/rasa/platforms/test_memory.py",
    "tests/rasa/platforms/test_restart.py",
    "tests/rasa/platforms/liveperson/test_answers.py",
    "tests/server/test_relay.py",
    "tests/end_to_end/browser/test_desk_waiting.py",
    "tests/rasa/handoff/test_tracker_away.py",
    "tests/chaos/test_stateful.py",
    "tests/end_to_end/browser/test_desk_connection.py",
    "tests/end_to_end/test_bench.py",
    "tests/rasa/handoff/test_triggers.py",
    "tests/server/test_kill.py",
    "tests/server/test_texts.py",
    "tests/rasa/channels/test_killed.py",
    "tests/server/test_database_trouble.py",
    "tests/end_to_end/browser/test_hostile.py",
    "tests/rasa/cli/test_init.py",
    "tests/core/test_store.py",
)
"""The files that take longest, by ``--durations``. They run first, so that all workers end together."""
# A deadline for each example would fail on a machine that is busy with something else.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

HANGS: Final = pytest.StashKey[HangWatch]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options by which all that runs on SQLite by default runs on Postgres (``make test-shared``)."""
    parser.addoption(
        "--database",
        choices=["sqlite", "postgres"],
        help="where both sides store (default: SQLite, some tests also Postgres)",
    )
    parser.addoption(
        "--bus",
        choices=["notify", "redis"],
        help="by what processes that share a Postgres hear of each other (default: notify)",
    )


def _chosen(config: pytest.Config) -> str | None:
    """Return the kind of database that was asked for; None: each test's own choice."""
    database, bus = config.getoption("--database"), config.getoption("--bus")
    if database is None and bus is None:
        return None
    if database == "sqlite":
        return SQLITE
    return REDIS if bus == "redis" else NOTIFY


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked with ``every_database`` on SQLite and on Postgres with each bus, or on those that the mark names."""
    mark = metafunc.definition.get_closest_marker("every_database")
    if mark is not None:
        chosen = _chosen(metafunc.config)
        metafunc.parametrize("databases", [chosen] if chosen else mark.args or KINDS, indirect=True)


@pytest.fixture(autouse=True)
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Where this test keeps what both sides store: SQLite files, unless it or the command line says Postgres."""
    kind = getattr(request, "param", None) or _chosen(request.config) or SQLITE
    if kind == SQLITE:
        yield FILES
        return
    bus = request.getfixturevalue("redis_of_the_bus").url if kind == REDIS else None
    one = OnPostgres(request.getfixturevalue("postgres_server"), bus)
    with using(one):
        yield one
    one.drop()


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """The loops of pytest-asyncio: one whose test has left connections open doesn't keep the worker."""
    return event_loops.policy()


@pytest.fixture(scope="session", autouse=True)
def passwords_cost_little() -> Iterator[None]:
    """Make password hashing cheap. It takes a quarter of a second, on purpose, and most tests make agents who sign in.

    That ``rasa-handoff agent add`` hashes at full cost is tested in ``tests/rasa/cli/test_command.py``.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


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


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A real Redis of its own. The wheel that brings it isn't there for each Python that `make test-core` runs."""
    if redis_program() is None:
        pytest.skip("redis-server isn't installed")
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_of_the_bus() -> Iterator[RedisServer]:
    """The Redis that carries the buses of this worker's tests, which each have a name of their own."""
    if redis_program() is None:
        pytest.skip("redis-server isn't installed")
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database for SQLAlchemy: a test that asks for it runs on SQLite and on Postgres."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'x.db'}"
    return str(request.getfixturevalue("postgres").url)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a server, put the longest files first, and keep the order of the others. ``make test`` keeps this order."""
    _leave_out_sqlite(config, items)
    for item in items:
        for server in ("postgres", "redis"):
            if _needs(server, item):
                item.add_marker(server)
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


def pytest_collection_finish() -> None:
    """Keep what was imported and collected out of each later garbage collection, which takes a third of a second with Rasa."""
    gc.collect()
    gc.freeze()


def _leave_out_sqlite(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about SQLite when everything is to run on Postgres."""
    if _chosen(config) in (None, SQLITE):
        return
    left_out = {item for item in items if item.get_closest_marker("sqlite") or "sqlite" in _params(item)}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def _params(item: pytest.Item) -> list[Any]:
    call = getattr(item, "callspec", None)
    return [one for one in call.params.values() if isinstance(one, str)] if call else []


def _needs(server: str, item: pytest.Item) -> bool:
    """Whether a test asks for a Postgres or a Redis: by a fixture, or by the parameter of a fixture that runs on several."""
    kind = "postgres-redis" if server == "redis" else "postgres-"
    return f"{server}_server" in getattr(item, "fixturenames", ()) or any(
        one == server or one.startswith(kind) for one in _params(item)
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[Any]:
    """End the worker if the test hangs, and write what hung to ``.pytest_cache/hangs.txt``."""
    own = item.get_closest_marker("timeout")
    seconds = float(own.args[0] if own else item.config.getini("timeout"))
    _watch(item).within(seconds + AFTER_ITS_TIMEOUT, item.nodeid)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[Any]:
    """Watch the teardown too: pytest-timeout's watch is over when a test has failed."""
    _watch(item).within(AFTER_ITS_TIMEOUT, f"the teardown of {item.nodeid}")
    try:
        return (yield)
    finally:
        _watch(item).done()


def _watch(item: pytest.Item) -> HangWatch:
    stash = item.config.stash
    if HANGS not in stash:
        folder = item.config.rootpath / ".pytest_cache"
        folder.mkdir(exist_ok=True)
        file = (folder / "hangs.txt").open("a")
        item.config.add_cleanup(file.close)
        stash[HANGS] = HangWatch(file)
    return stash[HANGS]
