"""What starts a handoff, and what doesn't, on a real Rasa server."""

import asyncio
import logging
from pathlib import Path

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials

CANT_PASS_ON = "I'm sorry, I can't pass you on to a person for this. I'm still here to help."


def buttons(answers: list[dict]) -> list[tuple[str, str]]:
    return [(button["title"], button["payload"]) for answer in answers for button in answer.get("buttons", [])]


async def there(rasa: RasaServer) -> None:
    """Wait until the relay has heard that somebody is there."""
    desk = rasa.channel.desk
    await eventually(lambda: desk.connected and any(one.staffed for one in desk.availability.departments))


async def test_options_are_the_departments_that_are_staffed(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await there(rasa)
    answers = await rasa.say("/provide_handoff_options")
    assert answers[0]["text"] == "Who would you like to talk to?"
    assert buttons(answers) == [
        ("Billing", '/execute_handoff{"department": "billing"}'),
        ("Carry on with the bot", "/handoff_carry_on"),
    ]
    assert await rasa.texts("/handoff_carry_on") == ["Gladly. What can I do for you?"]


async def test_with_nobody_there_the_options_say_so(rasa: RasaServer) -> None:
    answers = await rasa.say("/provide_handoff_options")
    assert answers[0]["text"].count("nobody is there") == 1
    assert buttons(answers) == [
        ("Leave a message", "/handoff_leave_message"),
        ("Carry on with the bot", "/handoff_carry_on"),
    ]


async def test_a_request_with_nobody_there_fails_kindly_and_the_bot_goes_on(rasa: RasaServer) -> None:
    assert "nobody is there" in (await rasa.texts("/execute_handoff"))[0]
    assert await rasa.texts("hello") == ["Hello."]
    assert not (await rasa.tracker())["paused"]


@pytest.mark.parametrize("department", ["moon", "orders", "Orders"])
async def test_a_department_that_can_not_be_had_is_answered_with_the_others(
    rasa: RasaServer, thandi: ScriptedAgent, department: str
) -> None:
    """The desk doesn't know it, or nobody is there for it."""
    await there(rasa)
    answers = await rasa.say(f'/execute_handoff{{"department": "{department}"}}')
    instead = "I'm sorry, nobody is there for that right now. Who would you like to talk to instead?"
    assert [answer.get("text") for answer in answers] == [instead]
    assert buttons(answers) == [
        ("Billing", '/execute_handoff{"department": "billing"}'),
        ("Leave a message", "/handoff_leave_message"),
        ("Carry on with the bot", "/handoff_carry_on"),
    ]
    assert await rasa.texts("hello") == ["Hello."]
    assert "number 1" in (await rasa.texts(answers[0]["buttons"][0]["payload"]))[0]


@pytest.mark.parametrize("department", ["Billing", "  bILLing ", "QUESTIONS about an\u00a0 invoice"])
async def test_a_department_is_known_by_its_title_too_in_any_case(
    rasa: RasaServer, desk: DeskServer, thandi: ScriptedAgent, department: str
) -> None:
    desk.add_department("invoices", "Questions about an invoice")
    desk.add_agent("Lerato", "invoices")
    async with ScriptedAgent(desk.url, "lerato@example.com") as lerato:
        assert "number 1" in (await rasa.texts(f'/execute_handoff{{"department": "{department}"}}'))[0]
        taker, name = (lerato, "invoices") if "invoice" in department else (thandi, "billing")
        assert (await taker.take_next())["department"] == name


@pytest.mark.parametrize("department", ["moon", "orders"])
async def test_the_default_department_gets_what_no_other_can_take(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path, department: str
) -> None:
    own = credentials(desk.url, tmp_path, default_department="Billing")
    async with RasaServer(small_model, tmp_path, own) as rasa:
        await there(rasa)
        said = await rasa.texts(f'/execute_handoff{{"department": "{department}"}}')
        assert said[0] == "I'm passing you on to Billing instead."
        assert "number 1" in said[1]
        assert (await thandi.take_next())["department"] == "billing"
        assert rasa.channel.relay.conversation("thabo").department == "billing"


async def test_with_nobody_there_a_named_department_says_so(rasa: RasaServer) -> None:
    for department in ("billing", "moon"):
        (said,) = await rasa.say(f'/execute_handoff{{"department": "{department}"}}')
        assert "nobody is there" in said["text"]
    assert await rasa.texts("hello") == ["Hello."]


async def test_without_a_department_anybody_may_take_it(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    assert "number 1" in (await rasa.texts("/execute_handoff"))[0]
    assert (await thandi.take_next())["department"] is None


async def test_the_bare_intents_need_no_preset(
    bare_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    own = credentials(desk.url, tmp_path, intents={"options": "who_is_there", "execute": "a_person_please"})
    async with RasaServer(bare_model, tmp_path, own) as rasa:
        await there(rasa)
        answers = await rasa.say("is anybody there")
        assert buttons(answers)[0] == ("Billing", '/a_person_please{"department": "billing"}')
        assert await rasa.texts("get me a human") == ["In my own words: 1."]
        conversation = await thandi.take_next()
        assert conversation["bot"]["intents"][-1]["name"] == "a_person_please"
        assert conversation["bot"]["intents"][-1]["confidence"] > 0.3


async def test_a_marker_carries_what_the_project_says(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    answers = await rasa.say("I give up completely")
    assert answers[0]["text"] == "Wait a moment."
    assert all("custom" not in answer for answer in answers), "the marker must not reach the front end"
    conversation = await thandi.take_next()
    reported = {key: conversation[key] for key in ("department", "reason", "priority", "note", "language")}
    assert reported == {
        "department": "billing",
        "reason": "gave up",
        "priority": "high",
        "note": "be kind",
        "language": "zu",
    }
    assert conversation["contact"]["name"] == "Thabo"


async def test_options_say_what_the_handoff_chosen_from_them_says(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await there(rasa)
    rasa.app.ctx.agent.processor.nlg.responses["utter_handoff_offer"] = [
        {"custom": {"handoff_options": {"priority": "urgent", "reason": "stolen card"}}}
    ]
    (offered,) = await rasa.say("/provide_handoff_options")
    assert set(offered) == {"recipient_id", "text", "buttons"}, "nothing of it reaches the front end"
    await rasa.texts(offered["buttons"][0]["payload"])
    conversation = await thandi.take_next()
    reported = {key: conversation[key] for key in ("department", "reason", "priority")}
    assert reported == {"department": "billing", "reason": "stolen card", "priority": "urgent"}


async def test_the_marker_is_shown_if_a_setting_says_so(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, show_marker=True)) as rasa:
        await there(rasa)
        answers = await rasa.say("I give up completely")
        assert any("handoff" in answer.get("custom", {}) for answer in answers)


async def test_a_wrong_marker_is_told_and_logged_and_starts_nothing(
    rasa: RasaServer, thandi: ScriptedAgent, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert await rasa.texts("try the wrong marker") == [CANT_PASS_ON]
    assert "no field 'departmnt'. Did you mean 'department'?" in caplog.text
    assert not rasa.channel.relay.under_way


async def test_what_the_channel_cannot_do_is_logged_and_kept_from_the_customer(
    rasa: RasaServer, caplog: pytest.LogCaptureFixture
) -> None:
    rasa.app.ctx.agent.processor.nlg.responses["utter_handoff_offer"] = [
        {"text": "One moment.", "custom": {"handoff_assign": "thandi"}}
    ]
    (reported, *_) = await rasa.say("/provide_handoff_options")
    assert reported == {"recipient_id": "thabo", "text": "One moment."}
    assert "The channel of decaf8a6 can't do what handoff_assign asks for." in caplog.text


async def test_botlhales_marker_is_read(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("the botlhale way")
    assert (await thandi.take_next())["department"] == "billing"


async def test_a_second_request_says_where_the_customer_stands(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("/execute_handoff")
    handoff_id = rasa.channel.relay.conversation("thabo").handoff_id
    assert "already in the queue, at number 1" in (await rasa.texts("/execute_handoff"))[0]
    assert "already in the queue" in (await rasa.texts("/provide_handoff_options"))[0]
    await thandi.take_next()
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
    assert "already talking to Thandi" in (await rasa.texts('/execute_handoff{"department": "orders"}'))[-1]
    assert rasa.channel.relay.conversation("thabo").handoff_id == handoff_id


async def test_an_unreachable_desk_leaves_the_bot_active(small_model: Path, tmp_path: Path) -> None:
    nowhere = credentials("http://127.0.0.1:9", tmp_path, start_timeout=0.3)
    async with RasaServer(small_model, tmp_path, nowhere) as rasa:
        assert "can't reach our people" in (await rasa.texts("/execute_handoff"))[0]
        assert await rasa.texts("hello") == ["Hello."]
        assert not (await rasa.tracker())["paused"]


async def test_an_offer_that_timed_out_is_called_off(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    """The desk comes late: it must not ring for somebody who was told that nobody can be reached."""
    port = desk.port
    await desk.__aexit__(None, None, None)
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, start_timeout=0.3)) as rasa:
        assert "can't reach our people" in (await rasa.texts("/execute_handoff"))[0]
        desk.port = port
        await desk.__aenter__()
        await eventually(lambda: rasa.channel.desk.connected)
        async with ScriptedAgent(desk.url, "thandi@example.com") as agent:
            ready = await agent.hears("ready")
            assert ready["queue"] == []
        assert await rasa.texts("hello") == ["Hello."]


async def test_the_fallback_ends_in_the_options(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await there(rasa)
    said: list[dict] = []
    for _ in range(4):
        said = await rasa.say("xyzzy plugh qwrt")
        if buttons(said) and "execute_handoff" in buttons(said)[0][1]:
            break
    assert ("Billing", '/execute_handoff{"department": "billing"}') in buttons(said)


async def fallen_back(rasa: RasaServer) -> list[dict]:
    """Say what the bot doesn't understand until the two-stage fallback ends, and return its last answers."""
    said: list[dict] = []
    for _ in range(4):
        said = await rasa.say("xyzzy plugh qwrt")
        if buttons(said) and "Carry on with the bot" in dict(buttons(said)):
            return said
    raise AssertionError(said)


async def test_with_nobody_there_the_fallback_ends_in_one_sentence(rasa: RasaServer) -> None:
    (said,) = await fallen_back(rasa)
    assert said["text"] == "I'm sorry, I don't understand that, and nobody is there to ask right now."
    assert ("Carry on with the bot", "/handoff_carry_on") in buttons([said])


async def test_the_agent_sees_the_options_that_were_shown_and_no_others(rasa: RasaServer, desk: DeskServer) -> None:
    """Nobody was there then; somebody is by the time of the handoff."""
    await fallen_back(rasa)
    await rasa.texts("/provide_handoff_options")
    async with ScriptedAgent(desk.url, "thandi@example.com") as thandi:
        await there(rasa)
        await rasa.texts("/provide_handoff_options")
        await rasa.texts("/execute_handoff")
        lines = [line["text"] for line in (await thandi.take_next())["transcript"] if line["speaker"] == "bot"]
    offered = [line for line in lines if "[Carry on with the bot]" in line]
    assert [line.partition(" [")[0] for line in offered] == [
        "I'm sorry, I don't understand that, and nobody is there to ask right now.",
        "I'm sorry, nobody is there to talk to right now. Please try again later. I'm still here to help.",
        "Who would you like to talk to?",
    ]
    assert ["[Billing]" in line for line in offered] == [False, False, True]
    assert not any("Perhaps a person can help" in line for line in lines)


async def test_what_is_typed_during_the_handover_goes_to_one_side(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    first = asyncio.create_task(rasa.texts("/execute_handoff"))
    await eventually(lambda: "thabo" in rasa.channel.interceptor._turns._locks, what="the turn that hands over")
    rest = [asyncio.create_task(rasa.texts(f"word {number}")) for number in range(5)]
    assert "number 1" in (await first)[0]
    for task in rest:
        assert await task == []
    handoff_id = (await thandi.take_next())["handoff_id"]
    texts = await eventually(lambda: _five_at_the_desk(thandi, handoff_id))
    assert sorted(texts) == [f"word {number}" for number in range(5)]
    events = await eventually(lambda: _five_words(rasa))
    assert [event["text"] for event in events] == texts


async def _five_at_the_desk(agent: ScriptedAgent, handoff_id: str) -> list[str] | None:
    conversation = (await agent.ask("open", handoff_id=handoff_id, after=0))["conversation"]
    texts = [message["text"] for message in conversation["messages"]]
    return texts if len(texts) == 5 else None


async def _five_words(rasa: RasaServer) -> list[dict] | None:
    found = [event for event in await rasa.events() if (event.get("metadata") or {}).get("speaker") == "customer"]
    return found if len(found) == 5 else None
