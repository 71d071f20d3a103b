"""The Tkinter demo's windows and a real Rasa server: the admin's as a desk, the user's as a customer of our desk."""

import ast
import asyncio
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.server.gateways.tkinter_gateway import Ports
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.support.admin_window import Admin, AdminWindow
from tests.support.databases import current


def credentials(admin: Admin, folder: Path, **more: Any) -> dict[str, Any]:
    desk = {"type": "tkinter", "admin_port": admin.admin_port, "listen_port": admin.listen_port}
    settings = {
        "bot_id": "small",
        "desk": desk,
        **current().relay(folder),
        "tracker_delay": 0.3,
        "channels": {"rest": None},
        **more,
    }
    return {"rasa_handoff.HandoffChannel": settings}


async def test_a_conversation_goes_to_the_window_and_comes_back(small_model: Path, tmp_path: Path) -> None:
    async with Admin() as admin, RasaServer(small_model, tmp_path, credentials(admin, tmp_path)) as rasa:
        assert await rasa.texts("hello") == ["Hello."]
        assert "I've asked for a person" in (await rasa.texts("/execute_handoff"))[0]
        await eventually(lambda: admin.before() == [("User", "hello"), ("Bot", "Hello.")])

        assert await rasa.texts("ndiyabulela €") == []
        await eventually(lambda: admin.since() == ["ndiyabulela €"])
        await admin.say("Molo, how can I help?")
        await eventually(lambda: rasa.channel.relay.conversation("thabo").agent == "Admin")
        reported: list[str] = []

        async def hears() -> bool:
            reported.extend(await rasa.texts("with my order"))
            return "Molo, how can I help?" in reported

        await eventually(hears)
        assert "Admin is here" in reported[0]

        await admin.close()
        await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
        back = await rasa.texts("hello")
        assert back[0] == "Admin has ended the chat."
        assert back[-1] == "Hello."


@pytest.mark.parametrize("department", [None, "billing"])
async def test_who_asks_for_a_person_is_offered_one(department: str | None, small_model: Path, tmp_path: Path) -> None:
    """The window can't say whether anybody is at it, nor what it serves: it takes whom it gets."""
    async with Admin() as admin, RasaServer(small_model, tmp_path, credentials(admin, tmp_path)) as rasa:
        await rasa.texts("hello")
        (offered,) = await rasa.say("I want to talk to a human")
        assert offered["text"] == "Who would you like to talk to?"
        assert [button["title"] for button in offered["buttons"]] == ["Talk to a person", "Carry on with the bot"]
        pressed = (
            f'/execute_handoff{{"department": "{department}"}}' if department else offered["buttons"][0]["payload"]
        )
        assert "I've asked for a person" in (await rasa.texts(pressed))[0]
        await eventually(lambda: ("User", "I want to talk to a human") in admin.before())
        await rasa.texts("where is my order?")
        await eventually(lambda: admin.since() == ["where is my order?"])


async def test_the_options_are_the_departments_of_the_settings(small_model: Path, tmp_path: Path) -> None:
    async with Admin() as admin:
        own = credentials(admin, tmp_path, departments=["billing", "orders"])
        async with RasaServer(small_model, tmp_path, own) as rasa:
            (offered,) = await rasa.say("I want to talk to a human")
            assert [button["title"] for button in offered["buttons"]] == ["billing", "orders", "Carry on with the bot"]
            assert "I've asked for a person" in (await rasa.texts(offered["buttons"][1]["payload"]))[0]
            await eventually(lambda: ("User", "I want to talk to a human") in admin.before())


async def test_a_restart_of_rasa_tells_the_next_window_all(small_model: Path, tmp_path: Path) -> None:
    async with Admin() as admin:
        async with RasaServer(small_model, tmp_path, credentials(admin, tmp_path)) as rasa:
            await rasa.texts("/execute_handoff")
            await rasa.texts("one")
            await eventually(lambda: admin.since() == ["one"])
        async with RasaServer(small_model, tmp_path, credentials(admin, tmp_path)) as rasa:
            await eventually(lambda: len(admin.windows) == 2 and ("User", "one") in admin.before())
            await rasa.texts("two")
            await eventually(lambda: admin.since() == ["two"])


async def post(rasa: RasaServer, text: str) -> str:
    """What the user window does until the trigger: it posts, and reads the answer with Python's own reader of literals."""
    body = {"sender": "Prachi", "message": text}
    async with rasa.http.post(f"{rasa.url}/webhooks/rest/webhook", json=body) as answer:
        return str(ast.literal_eval(await answer.text())[0]["text"])


def triggering(server: DeskServer, folder: Path) -> dict[str, Any]:
    settings = {
        "bot_id": "small",
        "desk": {"url": server.url},
        **current().relay(folder),
        "channels": {"rest": None, "socketio": {"session_persistence": True}},
        "trigger_text": "Human Handoff",
    }
    return {"rasa_handoff.HandoffChannel": settings}


async def test_the_user_window_finds_an_agent_by_the_trigger(small_model: Path, tmp_path: Path) -> None:
    ports = Ports(listen=free_port(), window=free_port())
    server = DeskServer(tmp_path, **current().desk(tmp_path), tkinter_demo=ports)
    server.add_agent("Thandi")
    async with (
        server,
        ScriptedAgent(server.url, "thandi@example.com") as thandi,
        RasaServer(small_model, tmp_path, triggering(server, tmp_path)) as rasa,
    ):
        await eventually(lambda: rasa.channel.desk.connected)
        assert await post(rasa, "hello") == "Hello."
        assert await post(rasa, "/botlhale") == "Human Handoff", "not what the bot said before its marker"
        assert await post(rasa, "/execute_handoff") == "Human Handoff"
        assert await post(rasa, "I want to talk to a human") == "Human Handoff", "not buttons, which it can't show"
        assert not rasa.channel.relay.under_way
        window = AdminWindow(ports.window, ports.listen)
        await asyncio.to_thread(window.say, "I need a person")
        conversation = await thandi.take_next()
        assert [message["text"] for message in conversation["messages"]] == ["I need a person"]
        await thandi.say(conversation["handoff_id"], "Here I am €")
        await eventually(lambda: window.shown == "Here I am €\n")
        await thandi.ask("resolve", handoff_id=conversation["handoff_id"], outcome="resolved", note=None, slots={})
        await eventually(lambda: window.over)
        await asyncio.to_thread(window.close)
        assert await post(rasa, "hello") == "Hello."


async def test_the_trigger_is_for_who_asks_and_finds_somebody(small_model: Path, tmp_path: Path) -> None:
    server = DeskServer(tmp_path, **current().desk(tmp_path))
    server.add_agent("Thandi")
    async with server, RasaServer(small_model, tmp_path, triggering(server, tmp_path)) as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        assert "nobody is there" in await post(rasa, "I want to talk to a human")
        async with ScriptedAgent(server.url, "thandi@example.com"):
            await eventually(lambda: rasa.channel.desk.availability.staffed)
            assert await post(rasa, "I want to talk to a human") == "Human Handoff"
            offered = [await post(rasa, "xyzzy plugh qwrt") for _ in range(4)]
            assert any("Who would you like to talk to?" in text for text in offered), "the fallback's options"
            assert "Human Handoff" not in offered


async def test_without_the_setting_no_text_is_a_trigger(small_model: Path, tmp_path: Path) -> None:
    async with Admin() as admin, RasaServer(small_model, tmp_path, credentials(admin, tmp_path)) as rasa:
        assert "Human Handoff" not in await rasa.texts("/execute_handoff")
