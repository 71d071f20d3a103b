"""A bot that isn't done when the answer has to go out: the rest follows with the next answer."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.platforms.late_messages import late_messages
from tests.rasa.platforms.liveperson.liveperson_caller import LivePerson, settings

SILENCE = [{"delay": 1, "typing": False}]


@pytest.fixture
async def slow(platform_model: Path, tmp_path: Path) -> AsyncIterator[LivePerson]:
    async with RasaServer(platform_model, tmp_path, settings(answer_seconds=1.0)) as rasa:
        yield LivePerson(rasa)


async def say_too_late(liveperson: LivePerson, text: str) -> None:
    """The turn takes longer than the answer may: somebody else has Rasa's lock."""
    async with liveperson.rasa.app.ctx.agent.lock_store.lock("c-1"):
        assert await liveperson.messages(text) == SILENCE
    await eventually(lambda: not liveperson.rasa.channel._answering.work._under_way)


async def test_it_goes_out_with_the_next_answer(slow: LivePerson, caplog: pytest.LogCaptureFixture) -> None:
    await say_too_late(slow, "/greet")
    assert "isn't complete after 1.0 s" in caplog.text
    assert (await slow.messages("/handoff_carry_on"))[0] == "Hello."
    assert "Hello." not in str(await late_messages(slow.rasa)), "once"


async def test_a_handoff_takes_effect_with_the_next_answer(slow: LivePerson) -> None:
    await say_too_late(slow, "/give_up")
    answer = await slow.say("are you there?")
    assert answer["messages"] == ["our agents will get back to you"]
    assert answer["context"]["action"] == "TRANSFER"
    assert (await slow.rasa.tracker("c-1"))["paused"], "only now the platform knows whose it is"


async def test_what_came_too_late_is_not_in_the_repeated_answer(slow: LivePerson) -> None:
    asked = slow.payload("/give_up")
    async with slow.rasa.app.ctx.agent.lock_store.lock("c-1"):
        assert (await slow.call(asked))["messages"] == SILENCE
    await eventually(lambda: late_messages(slow.rasa))
    assert (await slow.call(asked))["messages"] == SILENCE
    assert (await slow.say("are you there?"))["context"]["action"] == "TRANSFER"
    assert (await slow.say("hello"))["messages"] == ["Hello."], "handed over once"


async def test_nothing_late_is_lost_when_the_next_answer_is_late_too(slow: LivePerson) -> None:
    async with slow.rasa.app.ctx.agent.lock_store.lock("c-1"):
        assert await slow.messages("/give_up") == SILENCE
        assert await slow.messages("are you there?") == SILENCE
    await eventually(lambda: not slow.rasa.channel._answering.work._under_way)
    assert (await slow.say("hello?"))["context"]["action"] == "TRANSFER"


async def test_a_late_end_is_overtaken_by_a_customer_who_goes_on(slow: LivePerson) -> None:
    await say_too_late(slow, slow.will_say({"text": "Bye.", "custom": {"handoff_close": True}}))
    async with slow.rasa.app.ctx.agent.lock_store.lock("c-1"):
        pass
    answer = await slow.say("/handoff_carry_on")
    assert answer["messages"][0] == "Bye."
    assert "action" not in answer["context"]


async def trigger(liveperson: LivePerson, response: dict[str, Any]) -> None:
    liveperson.will_say(response)
    url = f"{liveperson.rasa.url}/conversations/c-1/trigger_intent?output_channel=latest"
    async with liveperson.rasa.http.post(url, json={"name": "native"}) as answer:
        assert answer.status == 200


async def test_what_is_said_from_outside_waits_for_an_answer_options_too(liveperson: LivePerson) -> None:
    await liveperson.say("hello")
    await trigger(liveperson, {"custom": {"handoff_options": {"priority": "urgent"}}})
    answer = await liveperson.say("hello")
    offered, said = answer["messages"]
    assert offered["structuredContent"]["quickReplies"]["replies"][0]["title"] == "Billing"
    assert (said, answer["context"]["actionParameters"]) == ("Hello.", {"ttrType": "URGENT"})


@pytest.mark.parametrize(
    ("marker", "asks", "says"),
    [
        (
            {"handoff": {}, "handoff_priority": "high"},
            "CHANGE_TTR",
            "A handoff of a6f7ef47 was asked for outside a call: it isn't made.",
        ),
        ({"handoff_options": {"priority": "huge"}}, None, "A handoff marker was sent to a6f7ef47 that can't be read"),
    ],
    ids=str,
)
async def test_a_handoff_can_not_begin_outside(
    liveperson: LivePerson, caplog: pytest.LogCaptureFixture, marker: dict[str, Any], asks: str | None, says: str
) -> None:
    await liveperson.say("hello")
    await trigger(liveperson, {"text": "One moment.", "custom": marker})
    assert says in caplog.text
    answer = await liveperson.say("hello")
    assert answer["messages"] == ["One moment.", "Hello."]
    assert answer["context"].get("action") == asks
