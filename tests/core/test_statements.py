"""Statements that the driver runs itself behave as SQLAlchemy's do, on SQLite and on Postgres."""

import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import IntegrityError, OperationalError

from rasa_handoff.store.postgres import with_driver
from rasa_handoff.store.statements import PROGRESS, Statement
from tests.support.postgres_server import Database

METADATA = MetaData()
PEOPLE = Table(
    "people",
    METADATA,
    Column("key", Integer, primary_key=True, autoincrement=True),
    Column("name", String(40), nullable=False, unique=True),
    Column("online", Boolean, nullable=False),
    Column("since", Float),
    Column("count", Integer, nullable=False),
)
ADD = Statement(insert(PEOPLE))
NAMED = Statement(select(PEOPLE).where(PEOPLE.c.name == bindparam("named")))
ALL = Statement(select(PEOPLE.c.name, PEOPLE.c.online).order_by(PEOPLE.c.key))
COUNT = Statement(update(PEOPLE).where(PEOPLE.c.name == bindparam("named")).values(count=PEOPLE.c.count + 1))
SET = Statement(update(PEOPLE).where(PEOPLE.c.name == bindparam("named")))
REMOVE = Statement(delete(PEOPLE).where(PEOPLE.c.name == bindparam("named")))
THANDI = {"name": "thandi", "online": True, "since": None, "count": 0}
LERATO = {"name": "lerato", "online": False, "since": 2.5, "count": 7}


@contextlib.contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(with_driver(make_url(url)), future=True)
    METADATA.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connected(database_url) as connection:
        yield connection


def test_rows_have_names_and_pythons_types(connection: Connection) -> None:
    first, second = ADD.insert(connection, THANDI), ADD.insert(connection, LERATO)
    assert second == first + 1
    row = NAMED.first(connection, {"named": "thandi"})
    assert (row.key, row.name, row.online, row.since, row.count) == (first, "thandi", True, None, 0)
    assert type(row.online) is bool
    assert [(one.name, one.online) for one in ALL.all(connection, {})] == [("thandi", True), ("lerato", False)]
    assert ALL.scalar(connection, {}) == "thandi"
    assert NAMED.first(connection, {"named": "thabo"}) is None
    assert NAMED.scalar(connection, {"named": "thabo"}) is None


def test_changes_are_counted(connection: Connection) -> None:
    ADD.change(connection, THANDI)
    assert COUNT.change(connection, {"named": "thandi"}) == 1
    assert COUNT.change(connection, {"named": "thabo"}) == 0
    assert SET.change(connection, {"named": "thandi", "since": 1.5, "online": False}) == 1
    row = NAMED.first(connection, {"named": "thandi"})
    assert (row.count, row.since, row.online) == (1, 1.5, False)
    assert REMOVE.change(connection, {"named": "thandi"}) == 1
    assert ALL.all(connection, {}) == []


def test_a_missing_value_is_an_error_and_not_null(connection: Connection) -> None:
    ADD.change(connection, THANDI)
    with pytest.raises(KeyError, match="named"):
        REMOVE.change(connection, {})
    with pytest.raises(KeyError, match="since"):
        ADD.change(connection, {name: value for name, value in LERATO.items() if name != "since"})


def test_what_the_driver_refuses_is_an_error_of_sqlalchemy(connection: Connection) -> None:
    with connection.begin():
        ADD.change(connection, THANDI)
    with pytest.raises(IntegrityError), connection.begin():
        ADD.change(connection, THANDI)
    with connection.begin():
        assert len(ALL.all(connection, {})) == 1


def test_each_statement_shows_that_the_database_answers(connection: Connection) -> None:
    steps: list[str] = []
    connection.info[PROGRESS] = lambda: steps.append("a step")
    ALL.all(connection, {})
    assert steps == ["a step", "a step"]


def test_a_lost_connection_is_marked_and_another_one_taken(postgres: Database) -> None:
    with connected(postgres.url) as connection:
        with connection.begin():
            ADD.change(connection, THANDI)
            number = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with connection.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:number)"), {"number": number})
        with pytest.raises(OperationalError) as lost, connection.begin():
            ALL.all(connection, {})
        assert lost.value.connection_invalidated
        with connection.begin():
            assert [row.name for row in ALL.all(connection, {})] == ["thandi"]
