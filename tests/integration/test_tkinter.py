"""The main job with the Tkinter demo's admin window for a desk, on a real Rasa server: hand over, talk, come back."""

from pathlib import Path
from typing import Any

from tests.support.admin_window import Admin
from tests.support.rasa_server import RasaServer
from tests.support.waiting import until


def credentials(admin: Admin, folder: Path) -> dict[str, Any]:
    desk = {"type": "tkinter", "admin_port": admin.admin_port, "listen_port": admin.listen_port}
    settings = {
        "bot_id": "small",
        "desk": desk,
        "store": f"sqlite:///{folder / 'relay.db'}",
        "channels": {"rest": None},
    }
    return {"rasa_handoff.HandoffChannel": settings}


async def test_a_conversation_goes_to_the_window_and_comes_back(small_model: Path, tmp_path: Path) -> None:
    async with Admin() as admin, RasaServer(small_model, tmp_path, credentials(admin, tmp_path)) as rasa:
        assert await rasa.texts("hello") == ["Hello."]
        assert "I've asked for a person" in (await rasa.texts("/execute_handoff"))[0]
        await until(lambda: admin.before() == [("User", "hello"), ("Bot", "Hello.")])

        assert await rasa.texts("ndiyabulela €") == []
        await until(lambda: admin.since() == ["ndiyabulela €"])
        await admin.say("Molo, how can I help?")
        await until(lambda: rasa.channel.relay.conversation("thabo").agent == "Admin")
        told: list[str] = []

        async def hears() -> bool:
            told.extend(await rasa.texts("with my order"))
            return "Molo, how can I help?" in told

        await until(hears)
        assert "Admin is here" in told[0]

        await admin.close()
        await until(lambda: not rasa.channel.relay.desk_active("thabo"))
        back = await rasa.texts("hello")
        assert back[0] == "Admin has ended the chat."
        assert back[-1] == "Hello."


async def test_a_restart_of_rasa_tells_the_next_window_all(small_model: Path, tmp_path: Path) -> None:
    async with Admin() as admin:
        async with RasaServer(small_model, tmp_path, credentials(admin, tmp_path)) as rasa:
            await rasa.texts("/execute_handoff")
            await rasa.texts("one")
            await until(lambda: admin.since() == ["one"])
        async with RasaServer(small_model, tmp_path, credentials(admin, tmp_path)) as rasa:
            await until(lambda: len(admin.windows) == 2 and ("User", "one") in admin.before())
            await rasa.texts("two")
            await until(lambda: admin.since() == ["two"])
