"""A turn that fails on a platform answers 500, which gives the conversation to the platform's people (docs/adapters). The log has
the error once, and the bot can be asked again."""

from pathlib import Path

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.handoff.test_database import NOT_TAKEN
from tests.rasa.handoff.test_failing_turns import IN_THE_BOT, complaints
from tests.rasa.platforms import kommunicate_caller
from tests.rasa.platforms.kommunicate_caller import Kommunicate
from tests.rasa.platforms.liveperson import liveperson_caller
from tests.rasa.platforms.liveperson.liveperson_caller import LivePerson

OF_THE_CHANNEL = ("our look before the turn", "a lookup of the intent")
"""What breaks a part of the turn that only HandoffChannel has."""
BREAKS = {name: break_it for name, break_it in IN_THE_BOT.items() if name not in OF_THE_CHANNEL}


async def test_whatever_fails_kommunicates_people_get_it(
    platform_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with RasaServer(platform_model, tmp_path, kommunicate_caller.settings()) as rasa:
        kommunicate = Kommunicate(rasa)
        for name, break_it in BREAKS.items():
            asked = kommunicate.body("hello")
            with pytest.MonkeyPatch.context() as patch:
                break_it(patch, rasa)
                caplog.clear()
                status, answer = await kommunicate.post(asked)
                if name == "a response":  # Rasa has logged the error of an action, and the bot says so itself
                    assert (name, status, answer[0]["message"]) == (name, 200, NOT_TAKEN)
                    continue
                assert (name, status, answer) == (name, 500, {"error": "The bot failed."})
                assert len(complaints(caplog)) == 1, (name, complaints(caplog))
                assert "Kommunicate passes it to people" in complaints(caplog)[0]
                assert "hello" not in complaints(caplog)[0]
            assert (name, await kommunicate.call(asked)) == (name, [{"message": "Hello."}])


async def test_whatever_fails_livepersons_people_get_it(
    platform_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with RasaServer(platform_model, tmp_path, liveperson_caller.settings()) as rasa:
        liveperson = LivePerson(rasa)
        for name, break_it in BREAKS.items():
            asked = liveperson.payload("hello")
            with pytest.MonkeyPatch.context() as patch:
                break_it(patch, rasa)
                caplog.clear()
                status, answer = await liveperson.post(asked)
                if name == "a response":
                    assert (name, status, answer["messages"][0]) == (name, 200, NOT_TAKEN)
                    continue
                assert (name, status, answer) == (name, 500, {"error": "The bot failed."})
                assert len(complaints(caplog)) == 1, (name, complaints(caplog))
                assert "LivePerson passes the conversation to people" in complaints(caplog)[0]
            assert (name, (await liveperson.call(asked))["messages"]) == (name, ["Hello."])
