"""The relay's database in trouble: a message is refused rather than accepted and lost, and service resumes by itself."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import credentials
from tests.support.desk import AgentAtDesk, DeskServer
from tests.support.rasa_server import RasaServer
from tests.support.waiting import until

NOT_TAKEN = "I'm sorry, I couldn't pass that on. Please send it again in a moment."


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process holds the file."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


async def live(rasa: RasaServer, agent: AgentAtDesk) -> str:
    await until(lambda: rasa.channel.desk.connected)
    await rasa.texts("/execute_handoff")
    handoff_id = str((await agent.take())["handoff_id"])
    await until(lambda: rasa.channel.relay.conversation("thabo").agent)
    await rasa.texts("before")
    await agent.hears("message", text="before")
    return handoff_id


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasa_handoff.store.engine.BUSY_SECONDS", 0.1)


async def test_a_locked_database_refuses_and_resumes(
    small_model: Path, desk: DeskServer, thandi: AgentAtDesk, tmp_path: Path
) -> None:
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as rasa:
        handoff_id = await live(rasa, thandi)
        with locked(tmp_path / "relay.db"):
            assert await rasa.texts("while locked") == [NOT_TAKEN]
            await thandi.say(handoff_id, "said to a locked relay")
        await rasa.texts("after")
        await thandi.hears("message", text="after")
        texts = [data["text"] for name, data in thandi.heard if name == "message" and data["speaker"] == "customer"]
        assert texts == ["before", "after"]
        seen: list[str] = []

        async def arrived() -> bool:
            seen.extend(await rasa.texts("and you?"))
            return "said to a locked relay" in seen

        await until(arrived, seconds=15)
        assert seen.count("said to a locked relay") == 1


async def test_a_full_database_refuses_and_resumes(
    small_model: Path, desk: DeskServer, thandi: AgentAtDesk, tmp_path: Path
) -> None:
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as rasa:
        await live(rasa, thandi)
        store = rasa.channel.relay.store
        pages = await store.write(lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar())
        await store.write(lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar())
        assert await rasa.texts("x" * 50_000) == [NOT_TAKEN]
        await store.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1000000").scalar())
        assert await rasa.texts("room again") == []
        await thandi.hears("message", text="room again")


async def test_a_backup_taken_in_a_live_chat_restores_it(
    small_model: Path, desk: DeskServer, thandi: AgentAtDesk, tmp_path: Path
) -> None:
    """docs/operations.md: sqlite3's own backup, while everything runs."""
    own = credentials(desk.url, tmp_path)
    async with RasaServer(small_model, tmp_path, own) as rasa:
        handoff_id = await live(rasa, thandi)
        with (
            closing(sqlite3.connect(tmp_path / "relay.db")) as source,
            closing(sqlite3.connect(tmp_path / "kept.db")) as copy,
        ):
            source.backup(copy)
    for path in tmp_path.glob("relay.db*"):  # noqa: ASYNC240 - a few files of the test's own
        path.unlink()
    (tmp_path / "kept.db").rename(tmp_path / "relay.db")
    async with RasaServer(small_model, tmp_path, own) as rasa:
        await until(lambda: rasa.channel.desk.connected)
        assert await rasa.texts("restored") == []
        await thandi.hears("message", text="restored", handoff_id=handoff_id)
