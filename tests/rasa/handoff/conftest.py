"""Real servers in the test's event loop: Rasa with a small trained bot, the live-agent server, agents and customers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.support.databases import current
from tests.support.trained_bots import trained_once


@pytest.fixture(scope="session")
def bare_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bot with only the two intents, under other names, and nothing of the preset."""
    return trained_once("bare", tmp_path_factory)


@pytest.fixture(autouse=True)
def _another_database_waits_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a relay that lost its database replace the former one at once, not after a quarter of a minute."""
    monkeypatch.setattr("rasa_handoff.server.service.relay_owner.AWAY_SECONDS", 0.1)


@pytest.fixture
def locked_databases_fail_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a relay and a server wait 0.1 s for a locked database, not two seconds."""
    monkeypatch.setattr("rasa_handoff.store.engine.BUSY_SECONDS", 0.1)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[DeskServer]:
    """A live-agent server with two departments and two agents who aren't signed in."""
    server = DeskServer(tmp_path, **current().desk(tmp_path))
    server.add_department("billing", "Billing")
    server.add_department("orders", "Orders")
    server.add_agent("Thandi", "billing")
    server.add_agent("Pieter", "orders")
    async with server:
        yield server


@pytest.fixture
async def thandi(desk: DeskServer) -> AsyncIterator[ScriptedAgent]:
    """An agent of billing, signed in and online."""
    async with ScriptedAgent(desk.url, "thandi@example.com") as agent:
        yield agent


def credentials(desk_url: str, folder: Path, **more: Any) -> dict[str, Any]:
    """Return credentials.yml with HandoffChannel hosting socketio and rest."""
    settings = {
        "bot_id": "small",
        "desk": {"url": desk_url},
        **current().relay(folder),
        "tracker_delay": 0.3,
        "slots": ["street", "town", "plan"],
        "settable_slots": ["town", "plan"],
        "leaving_words": {"en": "disconnect", "zu": "phuma"},
        "channels": {"socketio": {"session_persistence": True}, "rest": None},
        **more,
    }
    return {"rasa_handoff.HandoffChannel": settings}


@pytest.fixture
async def rasa(small_model: Path, desk: DeskServer, tmp_path: Path) -> AsyncIterator[RasaServer]:
    """The small bot on a real Rasa server, connected to the desk."""
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as server:
        await eventually(lambda: server.channel.desk.connected)
        yield server
