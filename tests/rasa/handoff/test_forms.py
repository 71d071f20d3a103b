"""A button of ours pressed while a form of the project's is open: never the form's answer, whatever the form ignores."""

from rasa_handoff.protocol import names
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually

QUESTION = "Which street, deaf one?"
CARRIED_ON = "Gladly. What can I do for you?"


async def _slots_are_empty(rasa: RasaServer, sender: str) -> bool:
    slots = (await rasa.tracker(sender))["slots"]
    return slots["deaf_street"] is None and slots["deaf_town"] is None


async def test_no_button_of_ours_is_an_answer_to_a_form(rasa: RasaServer) -> None:
    """All that our buttons send, with nobody at the desk; the form lists no intents."""
    payloads = {
        names.CARRY_ON_PAYLOAD: CARRIED_ON,
        names.WAIT_PAYLOAD: CARRIED_ON,
        names.WITHOUT_CONTACT_PAYLOAD: CARRIED_ON,
        names.BACK_PAYLOAD: CARRIED_ON,
        "/provide_handoff_options": "nobody is there",
        "/execute_handoff": "nobody is there",
        '/execute_handoff{"department": "billing"}': "nobody is there",
    }
    for number, (payload, answer) in enumerate(payloads.items()):
        sender = f"customer-{number}"
        assert await rasa.texts("start the deaf form", sender) == [QUESTION]
        said = await rasa.texts(payload, sender)
        assert answer in said[0], payload
        assert said[-1] == QUESTION, payload
        assert await _slots_are_empty(rasa, sender), payload
        assert await rasa.texts("Long Street 1", sender) == ["Which town, deaf one?"], payload


async def test_the_offered_buttons_in_a_form(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    """As the customer comes to them: asked for, shown, pressed."""
    await eventually(lambda: any(one.staffed for one in rasa.channel.desk.availability.departments))
    await rasa.texts("start the deaf form")
    shown = [
        button["payload"]
        for answer in await rasa.say("/provide_handoff_options")
        for button in answer.get("buttons", ())
    ]
    assert shown == ['/execute_handoff{"department": "billing"}', names.CARRY_ON_PAYLOAD]
    assert await rasa.texts(shown[1]) == [CARRIED_ON, QUESTION]
    assert "number 1" in (await rasa.texts(shown[0]))[0]
    handoff_id = (await thandi.take_next())["handoff_id"]
    await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
    await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
    assert QUESTION in await rasa.texts(names.CARRY_ON_PAYLOAD)
    assert await _slots_are_empty(rasa, "thabo")


async def test_the_options_are_asked_alone_and_the_form_goes_on_when_the_customer_does(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    """However they come: by the preset's rule, instead of a department without anybody; by number, or by the button."""
    await eventually(lambda: any(one.staffed for one in rasa.channel.desk.availability.departments))
    for number, asks in enumerate(("/provide_handoff_options", '/execute_handoff{"department": "orders"}')):
        sender = f"asks-{number}"
        assert await rasa.texts("I want to move", sender) == ["Which street?"]
        (asked,) = await rasa.texts(asks, sender)
        assert "Who would you like to talk to" in asked
        carries_on = "2" if number == 0 else names.CARRY_ON_PAYLOAD
        assert await rasa.texts(carries_on, sender) == [CARRIED_ON, "Which street?"]
        assert await rasa.texts("Long Street 1", sender) == ["Which town?"]


async def test_whoever_answers_the_form_after_the_options_is_understood(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    await eventually(lambda: any(one.staffed for one in rasa.channel.desk.availability.departments))
    await rasa.texts("I want to move")
    assert len(await rasa.texts("/provide_handoff_options")) == 1
    assert await rasa.texts("Long Street 1") == ["Which town?"]


async def test_the_agent_reads_no_question_that_was_held_back(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await eventually(lambda: any(one.staffed for one in rasa.channel.desk.availability.departments))
    await rasa.texts("I want to move")
    await rasa.texts("/provide_handoff_options")
    await rasa.texts("billing")
    transcript = (await thandi.take_next())["transcript"]
    said = [line["text"] for line in transcript if line["speaker"] == "bot"]
    assert said[0] == "Which street?"
    assert [text.split("?")[0] for text in said[1:]] == ["Who would you like to talk to"]


async def test_a_payload_of_the_projects_own_still_fills_a_form(rasa: RasaServer) -> None:
    await rasa.texts("start the deaf form")
    assert await rasa.texts("/greet") == ["Which town, deaf one?"]
    assert (await rasa.tracker())["slots"]["deaf_street"] == "/greet"
