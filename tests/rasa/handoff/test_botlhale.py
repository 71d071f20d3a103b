"""A live-agent server of Botlhale's kind and a real ``rasa run``: the whole story, a restart, and a desk that isn't there."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rasa_handoff.store.membership import LEASE
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.support.foreign import ForeignServer
from tests.support.forked_rasa import forked_rasa
from tests.support.started_processes import Process

pytestmark = pytest.mark.timeout(300)


def foreign(folder: Path, desk_url: str, **more: Any) -> dict[str, Any]:
    """Return credentials.yml with a desk of Botlhale's kind."""
    kind = {"type": "botlhale", "url": desk_url}
    return credentials(desk_url, folder, desk=kind, **{"departments": ["billing", "orders"], **more})


class Rasa(Process):
    """``rasa run`` with a foreign desk; started again in the same folder it is the same server."""

    def __init__(self, model: Path, folder: Path, desk_url: str) -> None:
        (folder / "credentials.yml").write_text(yaml.safe_dump(foreign(folder, desk_url)))
        store = {"type": "SQL", "dialect": "sqlite", "db": str(folder / "tracker.db")}
        (folder / "endpoints.yml").write_text(yaml.safe_dump({"tracker_store": store}))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [*forked_rasa(), "run", "-m", str(model), "-p", str(self.port), "-i", "127.0.0.1"]
        super().__init__(command, folder, up=f"{self.url}/webhooks/handoff/")


async def test_a_handoff_goes_on_over_a_kill_and_comes_back(small_model: Path, tmp_path: Path) -> None:
    """Greet, ask, hand over to a department, talk, over a kill too, and back to the bot."""
    async with ForeignServer() as desk:
        async with Rasa(small_model, tmp_path, desk.url) as rasa, ScriptedCustomer(rasa.url, "thabo") as customer:
            await customer.say("hello")
            await customer.hears("Hello.")
            await customer.say("/provide_handoff_options")
            await customer.hears("Who would you like to talk to?")
            assert desk.sockets == [], "nothing connects before a handoff"
            await customer.say('/execute_handoff{"department": "billing"}')
            await customer.hears("I've asked for a person")
            assert desk.all("username") == [{"ConversationID": "thabo", "BotID": "small"}]
            (reported,) = await eventually(lambda: desk.all("messages_to_client"))
            assert reported["bot_id"] == "small"
            assert reported["messages"][:2] == [
                {"sender": "user", "message": "hello"},
                {"sender": "bot", "message": "Hello."},
            ]
            await customer.say("hello")
            await eventually(lambda: desk.texts("thabo") == ["hello"])
            await desk.say("to_user", {"message": "Good day, this is billing"})
            await customer.hears("Good day, this is billing")
            rasa.kill()
        async with Rasa(small_model, tmp_path, desk.url) as rasa, ScriptedCustomer(rasa.url, "thabo") as customer:
            # On a shared database what the killed process had is free when its lease has ended.
            await eventually(lambda: len(desk.all("username")) == 2, 10 + LEASE)
            await customer.say("are you still there?")
            await eventually(lambda: desk.texts("thabo")[-1] == "are you still there?")
            await desk.say("to_user", {"message": "I am"})
            await customer.hears("I am")
            await desk.say("disconnect_socket")
            await customer.hears("The chat has ended.")
            await eventually(lambda: len(desk.gone) == 2)
            await customer.say("hello")
            await customer.hears("Hello.")
            assert len(desk.sockets) == 2


async def test_without_departments_anybody_there_is_offered(small_model: Path, tmp_path: Path) -> None:
    async with (
        ForeignServer() as desk,
        RasaServer(small_model, tmp_path, foreign(tmp_path, desk.url, departments=[])) as rasa,
        ScriptedCustomer(rasa.url, "thabo") as customer,
    ):
        await customer.say("I want to talk to a human")
        await customer.hears("Who would you like to talk to?")
        (offered,) = [data for event, data in customer.received if event == "bot_uttered"]
        assert [button["title"] for button in offered["quick_replies"]] == ["Talk to a person", "Carry on with the bot"]
        await customer.say(offered["quick_replies"][0]["payload"])
        await customer.hears("I've asked for a person")
        await customer.say("where is my order?")
        await eventually(lambda: desk.texts("thabo") == ["where is my order?"])


async def test_with_no_desk_there_the_customer_is_told_and_the_bot_goes_on(small_model: Path, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    settings = foreign(tmp_path, nowhere, start_timeout=1)
    async with RasaServer(small_model, tmp_path, settings) as rasa, ScriptedCustomer(rasa.url, "thabo") as customer:
        await customer.say("/execute_handoff")
        await customer.hears("reach")
        await customer.say("hello")
        await customer.hears("Hello.")
