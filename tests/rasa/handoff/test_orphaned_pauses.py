"""Paused trackers that the relay knows nothing of: looked at until that has succeeded, and whenever the bot was silent."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.relay import repository
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually, within
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.seen_by_rasa import is_paused
from tests.rasa.handoff.test_database import locked
from tests.rasa.handoff.test_timers import live, lose, pause, ready, serve

pytestmark = [pytest.mark.usefixtures("locked_databases_fail_soon"), pytest.mark.sqlite]

__all__ = ["serve"]


async def forgotten(serve: Any, agent: ScriptedAgent, folder: Path) -> str:
    """Begin a live chat whose relay then loses its database while it is down, and return the handoff's id."""
    async with serve() as rasa:
        handoff_id = await live(rasa, agent)
        await eventually(lambda: is_paused(rasa))
    lose(folder, "relay.db")
    return handoff_id


async def test_a_pause_made_meanwhile_is_lifted_too(serve: Any, thandi: ScriptedAgent) -> None:
    async with serve() as rasa:
        await ready(rasa)
        assert await rasa.texts("hello") == ["Hello."]
        await pause(rasa)
        assert await rasa.texts("hello") == []
        assert await rasa.texts("hello") == ["Hello."]


async def test_a_look_at_a_locked_database_is_taken_again(serve: Any, thandi: ScriptedAgent, tmp_path: Path) -> None:
    """What the relay has forgotten can't be written down just now: the words are refused, and come again."""
    handoff_id = await forgotten(serve, thandi, tmp_path)
    async with serve() as rasa:
        await eventually(lambda: rasa.channel.relay.store.write(repository.desk_epoch), what="all of the handshake")
        with locked(tmp_path / "relay.db"):
            await rasa.texts("said to a locked database")
        await rasa.texts("said again")
        await thandi.hears("message", text="said again", handoff_id=handoff_id)


async def test_a_server_that_cannot_look_now_is_asked_again(serve: Any, thandi: ScriptedAgent, tmp_path: Path) -> None:
    """The desk's database is locked: no proof that nobody has the conversation."""
    handoff_id = await forgotten(serve, thandi, tmp_path)
    async with serve() as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        asked, find = asyncio.Event(), rasa.channel.desk.find

        async def noted(conversation_id: str) -> Any:
            try:
                return await find(conversation_id)
            finally:
                asked.set()

        rasa.channel.desk.find = noted
        with locked(tmp_path / "desk.db"):
            asking = asyncio.create_task(rasa.texts("do you remember me"))
            await within(asked.wait(), 10)
        assert "Hello." not in await asking
        await thandi.hears("message", text="do you remember me", handoff_id=handoff_id)


async def test_beside_the_bots_own_server_one_with_another_database_lifts_no_pause(
    serve: Any, small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    """Both see one tracker; only the first one's relay knows who has a paused conversation."""
    other = tmp_path / "other"
    other.mkdir()
    async with serve() as own:
        await ready(own)
        async with RasaServer(small_model, other, credentials(desk.url, other, start_timeout=1)) as copy:
            await eventually(lambda: copy.channel.desk.serves_another)
            async with copy.http.get(f"{copy.url}/webhooks/handoff/ready") as answer:
                assert answer.status == 503
                assert "Another Rasa server with another database" in (await answer.json())["reason"]
            assert await copy.texts("hello") == ["Hello."]
            await pause(copy)
            assert await copy.texts("hello") == []
            assert "Hello." not in await copy.texts("hello")
            async with copy.http.get(f"{copy.url}/conversations/thabo/tracker") as answer:
                assert (await answer.json())["paused"]
        async with own.http.get(f"{own.url}/webhooks/handoff/ready") as answer:
            assert answer.status == 200
