"""LivePersonChannel beside HandoffChannel and KommunicateChannel in one ``credentials.yml``."""

from pathlib import Path

import pytest

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.platforms import kommunicate_caller as kommunicate
from tests.rasa.platforms.liveperson.liveperson_caller import LivePerson, settings


async def test_each_has_its_customers(platform_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    relay = {
        "bot_id": "platform",
        "desk": {"url": f"http://127.0.0.1:{free_port()}"},  # nobody listens
        "store": f"sqlite:///{tmp_path / 'relay.db'}",
        "tracker_delay": 0.3,
        "channels": {"rest": None},
    }
    own = {"rasa_handoff.HandoffChannel": relay, **kommunicate.settings(), **settings()}
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        liveperson, other = LivePerson(rasa), kommunicate.Kommunicate(rasa)
        assert (
            await liveperson.messages("hello") == await other.texts("hello") == await rasa.texts("hello") == ["Hello."]
        )
        assert (await liveperson.say("/give_up"))["context"]["action"] == "TRANSFER"
        assert await liveperson.messages("hello") == ["Hello."], "the relay doesn't hold it"
    assert [line.message for line in caplog.records if "Not hosted" in line.message] == []


async def test_an_address_that_is_not_set_up_is_not_there(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(functions={})) as rasa:
        async with rasa.http.post(f"{rasa.url}/webhooks/liveperson/webhook", json={}) as answer:
            assert answer.status == 404
        assert (await LivePerson(rasa).tell("hello"))["response"][0]["data"]["message"] == "Hello."
    async with RasaServer(platform_model, tmp_path, settings(endpoint=None)) as rasa:
        async with rasa.http.get(f"{rasa.url}/webhooks/liveperson/v1/bots/shop-bot/environments") as answer:
            assert answer.status == 404
        assert await LivePerson(rasa).messages("hello") == ["Hello."]
