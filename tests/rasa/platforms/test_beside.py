"""KommunicateChannel beside HandoffChannel in one ``credentials.yml``."""

from pathlib import Path

import pytest

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.platforms.kommunicate_caller import Kommunicate, settings


async def test_each_has_its_customers(platform_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    relay = {
        "bot_id": "platform",
        "desk": {"url": f"http://127.0.0.1:{free_port()}"},  # nobody listens
        "store": f"sqlite:///{tmp_path / 'relay.db'}",
        "tracker_delay": 0.3,
        "channels": {"rest": None},
    }
    own = {"rasa_handoff.HandoffChannel": relay, **settings()}
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        kommunicate = Kommunicate(rasa)
        assert await kommunicate.texts("hello") == await rasa.texts("hello") == ["Hello."]
        assert (await kommunicate.say("/give_up"))[0]["metadata"] == {"KM_ASSIGN_TO": ""}
        assert await kommunicate.texts("hello") == ["Hello."], "the relay doesn't hold it"
    assert [line.message for line in caplog.records if "Not hosted" in line.message] == []
