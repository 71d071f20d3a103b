"""A rolling update: processes of two versions work with one database of each side, where the newer has another schema."""

import contextlib

import pytest
from alembic.operations import Operations
from sqlalchemy import Column, MetaData, String, Table, inspect, text

from rasa_handoff.platforms import memory_tables
from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.relay import repository
from rasa_handoff.server.storage import tables
from rasa_handoff.store.engine import Store
from rasa_handoff.store.identity import TooOld
from rasa_handoff.testing.waiting import eventually
from tests.support.postgres_server import Database

SIDES = {
    "relay": (repository.metadata, repository.SCHEMA),
    "server": (tables.METADATA, tables.SCHEMA),
    "platform": (memory_tables.metadata, memory_tables.SCHEMA),
}
"""Of each side its tables and its schema."""
TABLE = "process"
"""A table of each side, to which the newer version adds a column."""


class Versions:
    """Stores of one side in three versions: today's, one that has added to the tables, and one that has taken away again."""

    def __init__(self, side: str, url: str) -> None:
        self.side, self.url = side, url
        self.metadata, self.schema = SIDES[side]

    def old(self) -> Store:
        return Store(self.url, self.metadata, self.side, self.schema, shares=True)

    def expanded(self) -> Store:
        return self._newer(1, oldest=self.schema)

    def contracted(self) -> Store:
        return self._newer(2, oldest=self.schema + 1)

    def _newer(self, more: int, oldest: int) -> Store:
        newer = MetaData()
        for table in self.metadata.sorted_tables:
            table.to_metadata(newer)
        newer.tables[TABLE].append_column(Column("colour", String(10)))
        Table("shade", newer, Column("id", String(10), primary_key=True))

        def expand(operations: Operations) -> None:
            operations.add_column(TABLE, Column("colour", String(10)))

        def contract(operations: Operations) -> None:
            operations.drop_table("probe_of_contract")

        steps = {self.schema + 1: expand, self.schema + 2: contract}
        return Store(self.url, newer, self.side, self.schema + more, steps, oldest, shares=True)


@pytest.fixture(params=SIDES)
def versions(request: pytest.FixtureRequest, postgres: Database) -> Versions:
    postgres.execute("create table probe_of_contract (id int)")
    return Versions(request.param, postgres.url)


async def count(store: Store, table: str) -> int:
    return int(await store.write(lambda connection: connection.execute(text(f"select count(*) from {table}")).scalar()))


async def schema_of(store: Store) -> str:
    query = text("select value from meta where key = 'schema'")
    return str(await store.write(lambda connection: connection.execute(query).scalar()))


async def test_what_a_step_adds_does_not_keep_an_older_process_from_its_work(versions: Versions) -> None:
    async with versions.old() as old:
        assert await count(old, TABLE) == 0
        async with versions.expanded() as new:
            assert await schema_of(new) == str(versions.schema + 1)
            assert await count(new, "shade") == 0
            assert await count(old, TABLE) == 0, "the one that was there before goes on"
            async with versions.old() as another:
                assert await count(another, TABLE) == 0, "an older one may still start"
        assert await schema_of(old) == str(versions.schema + 1), "and leaves the newer schema as it is"


async def test_the_update_can_be_undone_as_long_as_steps_only_add(versions: Versions) -> None:
    async with versions.expanded():
        pass
    async with versions.old() as old, versions.expanded() as new:
        assert await count(old, TABLE) == await count(new, TABLE) == 0


@pytest.mark.parametrize("side", SIDES)
async def test_an_older_version_goes_on_with_the_file_of_a_newer_one(side: str, tmp_path) -> None:
    versions = Versions(side, f"sqlite:///{tmp_path / 'x.db'}")
    async with versions.old() as old:
        assert await count(old, TABLE) == 0
    async with versions.expanded() as new:
        assert await count(new, "shade") == 0
    async with versions.old() as old:
        assert await count(old, TABLE) == 0
        assert await schema_of(old) == str(versions.schema + 1)


async def test_what_older_processes_need_is_not_taken_away_while_one_of_them_is_there(versions: Versions) -> None:
    async with versions.old() as old, versions.expanded() as new:
        with pytest.raises(StoreError) as refused:
            await versions.contracted().__aenter__()
        sentence = str(refused.value)
        assert f"to schema {versions.schema + 2}, and a process that knows only a schema before" in sentence
        assert f"First update all processes to a version that knows schema {versions.schema + 1}" in sentence
        assert await count(old, "probe_of_contract") == 0
    async with versions.expanded() as new, versions.contracted() as newest:
        there = await newest.write(lambda connection: inspect(connection).get_table_names())
        assert "probe_of_contract" not in there
        assert await count(new, "shade") == 0, "the version between works beside it"
        with pytest.raises(StoreError, match="install the newer version that wrote it"):
            await versions.old().__aenter__()


async def test_an_older_process_that_was_cut_off_meanwhile_writes_nothing(postgres: Database) -> None:
    """Its connection, and with it its lock, was gone while a newer one took the step."""
    postgres.execute("create table probe_of_contract (id int)")
    versions = Versions("server", postgres.url)
    async with versions.old() as old:
        postgres.cut()
        async with versions.contracted():
            with pytest.raises(TooOld, match="install the newer version"):
                await count(old, TABLE)
        with pytest.raises(TooOld, match="install the newer version"):
            await count(old, TABLE)


async def test_an_older_process_that_is_cut_off_goes_on_beside_a_newer_one(postgres: Database) -> None:
    versions = Versions("relay", postgres.url)
    async with versions.old() as old, versions.expanded():
        postgres.cut()

        async def works() -> bool:
            with contextlib.suppress(Exception):
                return await count(old, TABLE) == 0
            return False

        await eventually(works)
