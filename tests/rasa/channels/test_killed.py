"""kill -9 of the Rasa server (a real ``rasa run``) in the middle of everything: nothing is lost, nothing is doubled."""

from pathlib import Path

import pytest
import yaml

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from tests.rasa.channels.conftest import credentials
from tests.rasa.channels.talking import heard_from_customer
from tests.support.started_processes import Process
from tools.rasa_command import RASA

pytestmark = pytest.mark.asyncio(loop_scope="package")

OK = {"ok": True}


class Rasa(Process):
    """``rasa run`` with one socketio channel; started again in the same folder it is the same server."""

    def __init__(self, model: Path, folder: Path, desk_url: str, port: int) -> None:
        settings = credentials(desk_url, folder, {"socketio": {"session_persistence": True}}, bot_id="killed")
        (folder / "credentials.yml").write_text(yaml.safe_dump(settings))
        store = {"type": "SQL", "dialect": "sqlite", "db": str(folder / "tracker.db")}
        (folder / "endpoints.yml").write_text(yaml.safe_dump({"tracker_store": store}))
        self.url = f"http://127.0.0.1:{port}"
        command = [*RASA, "run", "-m", str(model), "-p", str(port), "-i", "127.0.0.1", "--enable-api"]
        super().__init__(command, folder, up=f"{self.url}/webhooks/handoff/")


async def test_a_kill_loses_nothing_and_doubles_nothing(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    port = free_port()
    async with Rasa(small_model, tmp_path, desk.url, port) as rasa:
        live, bot = (
            ScriptedCustomer(rasa.url, "killed-live", acks=True),
            ScriptedCustomer(rasa.url, "killed-bot", acks=True),
        )
        async with live, bot:
            assert await live.say_with_id("I give up completely") == OK
            handoff_id = str((await thandi.take_next())["handoff_id"])
            await live.hears("Thandi is here")
            live.attentive.clear()
            bot.attentive.clear()
            assert await live.say_with_id("before", id="before") == OK
            assert await bot.say_with_id("hello", id="hello") == OK
            await thandi.say(handoff_id, "One.", id="killed-1")
            await live.hears("One.")
            await bot.hears("Hello.")
            rasa.kill()
    await thandi.say(handoff_id, "Two.", id="killed-2")
    async with Rasa(small_model, tmp_path, desk.url, port) as rasa:
        live_again, bot_again = (
            ScriptedCustomer(rasa.url, "killed-live", acks=True),
            ScriptedCustomer(rasa.url, "killed-bot", acks=True),
        )
        async with live_again, bot_again:
            assert await live_again.say_with_id("before", id="before") == OK
            assert await live_again.say_with_id("after", id="after") == OK
            assert await bot_again.say_with_id("hello", id="hello") == OK
            assert await bot_again.say_with_id("I want to move") == OK
            await live_again.hears("Two.")
            await bot_again.hears("Which street?")
            await thandi.hears("message", handoff_id=handoff_id, text="after")
            for number in (1, 2):
                await thandi.hears("message.status", message_id=f"killed-{number}", status="delivered")
            answer = await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
            assert answer["ok"], answer
            await live_again.hears("back with me")
    assert heard_from_customer(thandi, handoff_id) == ["before", "after"]
    assert _shown(live, live_again, "One.", "Two.") == ["One.", "Two."]
    assert _shown(bot, bot_again, "Hello.", "Which street?") == ["Hello.", "Which street?"]


def _shown(before: ScriptedCustomer, after: ScriptedCustomer, *words: str) -> list[str]:
    """Return which of these words a page shows before and after its reload, if it drops copies by their ids."""
    reported = [data for page in (before, after) for event, data in page.received if event == "bot_uttered"]
    shown = {data["id"]: data.get("text") for data in reported}
    return [text for text in shown.values() if text in words]
