"""``rasa-handoff forget``: nothing of a conversation is left, on either side, whether it runs or not."""

import asyncio
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.cli import main
from rasa_handoff.media.media_table import MediaOwner
from rasa_handoff.platforms import memory_tables
from rasa_handoff.platforms.memory import Memory
from rasa_handoff.protocol import events
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import DESK
from rasa_handoff.server.storage.tables import METADATA
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.cli.test_dead_letters import HERE, Side
from tests.server.peers import Relay as RelayClient

SAID = "my secret word"
IDS = ("thabo", "h1")


async def run(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["forget", *arguments])


def rows_with(file: Path, words: tuple[str, ...], metadata: Any) -> dict[str, int]:
    """Return how many rows of each table contain one of the words."""
    found = {}
    with sqlite3.connect(file) as database:
        for table in metadata.tables:
            rows = [str(row) for row in database.execute(f"select * from {table}")]
            count = sum(any(word in row for word in words) for row in rows)
            found.update({table: count} if count else {})
    return found


@pytest.mark.parametrize("running", [True, False])
async def test_the_relay_keeps_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], running: bool) -> None:
    file = tmp_path / "relay.db"
    of_relay = ("thabo", "--side", "relay", "--database", f"sqlite:///{file}")
    async with Side(tmp_path) as side:
        side.customer.refused = ("refused",)
        await side.chat()
        await side.says(SAID)
        assert side.relay.media.library is not None
        await side.relay.media.library.add(b"%PDF-1.7", MediaOwner(conversation_id="thabo"), f"{SAID}.pdf")
        await side.says("refused")
        await eventually(lambda: side.received_texts() == [SAID])
        assert await run(*of_relay) == 1
        assert "Resolve it first" in capsys.readouterr().err
        await side.relay.apply(events.HandoffCompleted(**HERE, outcome="resolved"))
        await side.relay.apply(events.Returned(**HERE))
        await eventually(lambda: not side.relay.delivers(DESK, "thabo"))
        await eventually(lambda: rows_with(file, IDS, repository.metadata))
        if running:
            assert await run(*of_relay) == 0
    if not running:
        assert rows_with(file, (*IDS, SAID), repository.metadata)
        assert await run(*of_relay) == 0
    said = capsys.readouterr().out
    assert "Deleted at the relay: 1 handoffs with 2 messages." in said
    assert "Rasa's tracker isn't touched" in said
    assert rows_with(file, (*IDS, SAID), repository.metadata) == {}


@pytest.mark.parametrize("running", [True, False])
async def test_the_server_keeps_what_happened_without_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], running: bool
) -> None:
    desk = DeskServer(tmp_path)
    desk.add_agent("Thandi")
    file = Path(desk.database.removeprefix("sqlite:///"))
    async with desk, ScriptedAgent(desk.url, "thandi@example.com") as thandi:
        bot = RelayClient("karoo")
        await bot.connect(desk.url)
        offer = bot.offer(reason=SAID)
        handoff_id, conversation_id = offer["handoff_id"], offer["conversation_id"]
        assert (await bot.call("handoff.initiate", offer))["ok"]
        await thandi.take_next()
        await bot.say(handoff_id, SAID)
        assert await run(conversation_id, "--database", desk.database) == 1
        assert "Resolve it first" in capsys.readouterr().err
        resolved = {"handoff_id": handoff_id, "outcome": "resolved", "note": SAID, "slots": {}}
        assert (await thandi.ask("resolve", **resolved))["ok"]
        await eventually(lambda: bot.statuses(handoff_id)[-1] == "completed")
        assert await run(conversation_id, "--bot-id", "other", "--database", desk.database) == 0
        assert "knows no handoff" in capsys.readouterr().out
        if running:
            assert await run(conversation_id, "--database", desk.database) == 0
            await thandi.hears("deleted", handoff_ids=[handoff_id])
        await bot.close()
    if not running:
        assert await run(conversation_id, "--database", desk.database) == 0
    assert "Deleted at the server: 1 handoffs with" in capsys.readouterr().out
    assert rows_with(file, (conversation_id, SAID), METADATA) == {}
    assert list(rows_with(file, (handoff_id,), METADATA)) == ["handoff_event"]


async def test_a_database_that_is_not_there_is_named_with_the_one_to_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = f"sqlite:///{tmp_path / 'nowhere.db'}"
    for side, wanted in (("relay", "that 'store' in credentials.yml names"), ("server", "that serve uses")):
        assert await run("thabo", "--side", side, "--database", nowhere) == 1
        assert wanted in capsys.readouterr().err
    assert not os.listdir(tmp_path)


async def talk_at_a_platform(url: str) -> Memory:
    """Leave rows of each kind in a platform's database, of two customers; it stays open."""
    memory = Memory("kommunicate", url)
    await memory.open()
    for customer in ("thabo", "lerato"):
        async with memory.turn(customer, "m1") as turn:
            await turn.finish([f"{SAID} to {customer}"], [f"late {SAID} to {customer}"])
        await memory.keep_change(customer, "{}")
        await memory.create_context(customer, {"said": f"{SAID} to {customer}"})
    return memory


@pytest.mark.parametrize("running", [True, False])
async def test_a_platform_channel_keeps_nothing(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], running: bool
) -> None:
    memory = await talk_at_a_platform(database_url)
    if not running:
        await memory.close()
    of_platform = ("thabo", "--side", "platform", "--database", database_url)
    if running:
        async with memory.turn("thabo", "m2"):
            assert await run(*of_platform) == 1
            assert "is answering this conversation now" in capsys.readouterr().err
    assert await run(*of_platform) == 0
    assert "Deleted at the platform channels: 4 rows." in capsys.readouterr().out
    again = memory if running else await reopened(database_url)
    for customer, kept in (("thabo", None), ("lerato", [f"{SAID} to lerato"])):
        async with again.turn(customer, "m1") as turn:
            assert (None if turn.known is None else json.loads(turn.known)) == kept
            assert len(turn.late) == len(turn.changes) == 0 or customer == "lerato"
    await again.close()


async def reopened(url: str) -> Memory:
    memory = Memory("kommunicate", url)
    await memory.open()
    return memory


async def test_the_project_names_the_databases_of_platforms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yml").write_text("")
    (tmp_path / "credentials.yml").write_text("rest:\n")
    of_project = ("thabo", "--side", "platform")
    assert await run(*of_project) == 1
    assert "credentials.yml has none of rasa_handoff.KommunicateChannel" in capsys.readouterr().err
    other = f"sqlite:///{tmp_path / 'other.db'}"
    (tmp_path / "credentials.yml").write_text(
        f"rasa_handoff.KommunicateChannel:\nrasa_handoff.LivePersonChannel: {{database: '{other}'}}\n"
    )
    for url in ("sqlite:///handoff-platform.db", other):
        await (await talk_at_a_platform(url)).close()
    assert await run(*of_project) == 0
    assert "Deleted at the platform channels: 8 rows." in capsys.readouterr().out
    for file in ("handoff-platform.db", "other.db"):
        assert rows_with(tmp_path / file, ("thabo",), memory_tables.metadata) == {}
