"""While nobody is there a message can be left, with a contact: asked by the channel itself, without an action server."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.core.control import Control
from rasa_handoff.core.leave_message import contact_in
from rasa_handoff.protocol.values import Contact
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.test_triggers import buttons, fallen_back, there

QUICK = 0.3
LEAVE = ("Leave a message", "/handoff_leave_message")


@pytest.fixture
def serve(small_model: Path, desk: DeskServer, tmp_path: Path) -> Any:
    """Make a Rasa server with these timers and without an action server."""

    def server(**timers: Any) -> RasaServer:
        return RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, timers=timers))

    return server


async def connected(rasa: RasaServer) -> None:
    await eventually(lambda: rasa.channel.desk.connected)


def state(rasa: RasaServer) -> Control:
    return rasa.channel.relay.conversation("thabo").state


async def back_at_bot(rasa: RasaServer) -> None:
    """Wait until the bot has every conversation again."""
    await eventually(lambda: not rasa.channel.relay.under_way)


async def at_desk(desk: DeskServer) -> dict[str, Any]:
    """Return the one message that was left, as an agent sees it who comes later."""
    async with ScriptedAgent(desk.url, "thandi@example.com") as agent:

        def left() -> list[dict[str, Any]]:
            found = {data["handoff_id"]: data for name, data in agent.received if name == "conversation"}
            ready = [one for name, data in agent.received if name == "ready" for one in data["messages"]]
            return [*ready, *(one for one in found.values() if one["state"] == "message")]

        handoff_id = (await eventually(left))[0]["handoff_id"]

        async def opened() -> dict[str, Any]:
            conversation = dict((await agent.ask("open", handoff_id=handoff_id, after=0))["conversation"])
            return conversation if words(conversation) else {}  # the offer comes first

        conversation: dict[str, Any] = await eventually(opened)
        assert conversation["state"] == "message"
        return conversation


def words(conversation: dict[str, Any]) -> list[str]:
    return [message["text"] for message in conversation["messages"] if message["speaker"] == "customer"]


def contact(conversation: dict[str, Any]) -> tuple[str | None, str | None]:
    return conversation["contact"]["email"], conversation["contact"]["phone"]


async def by_options(rasa: RasaServer) -> None:
    assert LEAVE in buttons(await rasa.say("/provide_handoff_options"))


async def by_fallback(rasa: RasaServer) -> None:
    assert LEAVE in buttons(await fallen_back(rasa))


async def by_refusal(rasa: RasaServer) -> None:
    assert LEAVE in buttons(await rasa.say("/execute_handoff"))


WAYS = (by_options, by_fallback, by_refusal)


async def begun(rasa: RasaServer, way: Callable[[RasaServer], Awaitable[None]] = by_refusal) -> None:
    """Have the customer ask for a person while nobody is there, and begin to leave a message."""
    await connected(rasa)
    await way(rasa)
    assert "Please write your message now" in (await rasa.texts("/handoff_leave_message"))[-1]
    assert state(rasa) is Control.OFFLINE_MESSAGE


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answer", ["/handoff_leave_message", "1", "leave a MESSAGE"])
async def test_a_message_is_left_with_a_contact(serve: Any, desk: DeskServer, way: Any, answer: str) -> None:
    async with serve() as rasa:
        await connected(rasa)
        await rasa.texts("hello")
        await way(rasa)
        assert "Please write your message now" in (await rasa.texts(answer))[-1]
        assert "Where can our people reach you?" in (await rasa.texts("my parcel is wet"))[-1]
        thanks, *back = await rasa.texts("thabo@example.org, please")
        assert "your message is with our people" in thanks
        await back_at_bot(rasa)
        assert any("back with me" in text for text in [*back, *await rasa.texts("hello")])
        assert (await rasa.tracker())["slots"]["handoff_outcome"] == "message_left"
        left = await at_desk(desk)
        assert words(left) == ["my parcel is wet", "thabo@example.org, please"]
        assert contact(left) == ("thabo@example.org", None)
        assert "Hello." in [line["text"] for line in left["transcript"]]


async def test_a_message_is_left_from_the_queue_too(serve: Any, desk: DeskServer, thandi: ScriptedAgent) -> None:
    async with serve(nobody_takes=QUICK) as rasa:
        await eventually(lambda: rasa.channel.desk.connected and rasa.channel.desk.availability.staffed)
        await rasa.texts("/execute_handoff")
        await eventually(lambda: rasa.channel.relay.conversation("thabo").asked)
        await rasa.texts("hm")
        await rasa.texts("2")
        await rasa.texts("call me, please")
        await thandi.hears("conversation", state="message")
        assert "your message is with our people" in (await rasa.texts("+27 82 555 0100"))[0]
        left = await eventually(lambda: next((one for one in with_contact(thandi) if one["contact"]["phone"]), None))
        assert contact(left) == (None, "+27 82 555 0100")
        await back_at_bot(rasa)


def with_contact(agent: ScriptedAgent) -> list[dict[str, Any]]:
    """Return the conversations that the agent was sent as a whole, with their contacts."""
    return [data for name, data in agent.received if name == "conversation" and "contact" in data]


async def test_an_agent_answers_a_left_message(serve: Any, desk: DeskServer) -> None:
    async with serve() as rasa:
        await begun(rasa)
        await rasa.texts("my parcel is wet")
        await rasa.texts("no")
        await back_at_bot(rasa)
        async with ScriptedAgent(desk.url, "thandi@example.com") as thandi:
            left = (await thandi.hears("ready"))["messages"]
            assert (await thandi.say(left[0]["handoff_id"], "We send another one.", id="a"))["ok"]
            await thandi.hears("message.status", status="waiting")
            answers = await rasa.texts("hello")
            assert "Thandi has answered your message: We send another one." in answers
            assert answers[-1] == "Hello."


async def test_an_answer_to_a_left_message_has_its_parts(serve: Any, desk: DeskServer) -> None:
    async with serve() as rasa:
        await begun(rasa)
        await rasa.texts("my parcel is wet")
        await rasa.texts("no")
        await back_at_bot(rasa)
        async with ScriptedAgent(desk.url, "thandi@example.com") as thandi:
            left = (await thandi.hears("ready"))["messages"]
            colours = [{"title": "Red", "payload": "/red"}, {"title": "Blue", "payload": "/blue"}]
            parts = [{"type": "text", "text": "Which one?"}, {"type": "buttons", "buttons": colours}]
            said = {"handoff_id": left[0]["handoff_id"], "id": "a", "text": "Which one? [Red] [Blue]", "parts": parts}
            assert (await thandi.ask("message", **said))["ok"]
            await thandi.hears("message.status", status="waiting")
            answers = await rasa.say("hello")
            shown = next(one for one in answers if one.get("buttons"))
            assert shown["text"] == "Thandi has answered your message: Which one?"
            assert shown["buttons"] == colours


async def test_a_message_is_left_on_a_page(serve: Any, desk: DeskServer) -> None:
    async with serve() as rasa, ScriptedCustomer(rasa.url) as page:
        await connected(rasa)
        await page.say("/provide_handoff_options")
        await page.hears("nobody is there")
        await page.press("Leave a message")
        await page.hears("Please write your message now")
        await page.say("my parcel is wet")
        await page.hears("Where can our people reach you?")
        await page.press("Go on without")
        await page.hears("your message is with our people")
        await page.hears("back with me")
        assert words(await at_desk(desk)) == ["my parcel is wet"]


async def test_what_is_no_contact_is_asked_for_once_more_and_then_taken(serve: Any, desk: DeskServer) -> None:
    async with serve() as rasa:
        await begun(rasa)
        await rasa.texts("my parcel is wet")
        assert "doesn't look like" in (await rasa.texts("order 1234 is late, too"))[-1]
        assert "your message is with our people" in (await rasa.texts("ask at the gate"))[0]
        left = await at_desk(desk)
        assert words(left) == ["my parcel is wet", "order 1234 is late, too", "ask at the gate"]
        assert contact(left) == (None, "ask at the gate")


@pytest.mark.parametrize("answer", ["no", "No", "/handoff_without_contact", "1", "go on WITHOUT", "disconnect"])
async def test_nobody_has_to_give_a_contact(serve: Any, desk: DeskServer, answer: str) -> None:
    async with serve() as rasa:
        await begun(rasa)
        await rasa.texts("my parcel is wet")
        assert "your message is with our people" in (await rasa.texts(answer))[0]
        await back_at_bot(rasa)
        left = await at_desk(desk)
        assert (words(left), contact(left)) == (["my parcel is wet"], (None, None))


async def test_a_contact_that_is_known_is_not_asked_for(serve: Any, desk: DeskServer, thandi: ScriptedAgent) -> None:
    async with serve(nobody_takes=QUICK) as rasa:
        await eventually(lambda: rasa.channel.desk.connected and rasa.channel.desk.availability.staffed)
        rasa.app.ctx.agent.processor.nlg.responses["utter_marker"] = [
            {"text": "", "custom": {"handoff": {"contact": {"email": "thabo@example.org"}}}}
        ]
        await rasa.texts("I give up completely")
        await eventually(lambda: rasa.channel.relay.conversation("thabo").asked)
        await rasa.texts("/handoff_leave_message")
        assert "your message is with our people" in (await rasa.texts("my parcel is wet"))[-2]
        await thandi.hears("conversation", state="message")


async def test_the_questions_survive_a_restart(serve: Any, desk: DeskServer) -> None:
    async with serve() as rasa:
        await begun(rasa)
    async with serve() as rasa:
        await connected(rasa)
        assert "Where can our people reach you?" in (await rasa.texts("my parcel is wet"))[-1]
        assert "doesn't look like" in (await rasa.texts("what do you mean?"))[-1]
    async with serve() as rasa:
        await connected(rasa)
        await rasa.texts("082 555 0100")
        await back_at_bot(rasa)
        assert contact(await at_desk(desk)) == (None, "082 555 0100")
        assert (await rasa.texts("hello"))[-1] == "Hello."


async def test_who_falls_silent_has_left_what_they_wrote(serve: Any, desk: DeskServer) -> None:
    async with serve(message=1.0) as rasa:
        await begun(rasa)
        await rasa.texts("my parcel is wet")
        await back_at_bot(rasa)
        left = await at_desk(desk)
        assert (words(left), contact(left)) == (["my parcel is wet"], (None, None))
        assert (await rasa.texts("hello"))[-1] == "Hello."


async def test_who_writes_nothing_has_left_nothing(serve: Any, desk: DeskServer) -> None:
    async with serve(message=QUICK) as rasa:
        await begun(rasa)
        await back_at_bot(rasa)
        answers = await rasa.texts("hello")
        assert answers == ["All right, I haven't passed on a message.", "Hello."]
        async with ScriptedAgent(desk.url, "thandi@example.com") as agent:
            ready = await agent.hears("ready")
            assert (ready["messages"], ready["queue"]) == ([], [])


@pytest.mark.parametrize("answer", ["disconnect", "/handoff_carry_on", "/handoff_back"])
async def test_a_customer_may_decide_not_to_leave_a_message(serve: Any, desk: DeskServer, answer: str) -> None:
    async with serve() as rasa:
        await begun(rasa)
        assert await rasa.texts(answer) == [
            "All right, I haven't passed on a message.",
            "You're back with me, the bot. I'm happy to help with anything else.",
        ]
        assert await rasa.texts("hello") == ["Hello."]
        assert not (await rasa.tracker())["paused"]


async def test_who_asks_for_a_person_again_is_told_what_is_being_asked(serve: Any, desk: DeskServer) -> None:
    async with serve() as rasa:
        await begun(rasa)
        for request in ("/execute_handoff", "/provide_handoff_options", "/handoff_leave_message"):
            assert "Please write your message now" in (await rasa.texts(request))[-1]
        await rasa.texts("my parcel is wet")
        assert "Where can our people reach you?" in (await rasa.texts("/execute_handoff"))[-1]
        await rasa.texts("no")
        assert words(await at_desk(desk)) == ["my parcel is wet"]


async def test_a_left_message_is_for_the_department_in_which_nobody_was_there(
    serve: Any, desk: DeskServer, thandi: ScriptedAgent
) -> None:
    async with serve() as rasa:
        await connected(rasa)
        assert LEAVE in buttons(await rasa.say('/execute_handoff{"department": "orders"}'))
        await rasa.texts("/handoff_leave_message")
        await rasa.texts("my parcel is wet")
        await rasa.texts("no")
        await back_at_bot(rasa)
        assert (await rasa.texts("hello"))[-1] == "Hello."
    async with ScriptedAgent(desk.url, "pieter@example.com") as pieter:
        (left,) = (await pieter.hears("ready"))["messages"]
        assert left["department"] == "orders"
    assert [data for name, data in thandi.received if name == "conversation"] == []


async def test_a_desk_that_is_away_gets_the_left_message_when_it_is_back(serve: Any, desk: DeskServer) -> None:
    async with serve() as rasa:
        await begun(rasa)
        await desk.__aexit__(None, None, None)
        await rasa.texts("my parcel is wet")
        await rasa.texts("thabo@example.org")
        await desk.__aenter__()
        await back_at_bot(rasa)
        left = await at_desk(desk)
        await eventually(lambda: rasa.channel.desk.connected)
        assert words(left)[0] == "my parcel is wet"


async def test_an_open_form_asks_its_question_again(serve: Any, desk: DeskServer) -> None:
    async with serve() as rasa:
        await connected(rasa)
        await rasa.texts("I want to move")
        assert (await rasa.texts("/execute_handoff"))[-1] == "Which street?"
        assert await rasa.texts("1") == ["Which town?"], "the form asked last"
        await rasa.texts("/handoff_leave_message")
        await rasa.texts("my parcel is wet")
        assert (await rasa.texts("no"))[-1] == "Which town?"
        assert await rasa.texts("Durban") == ["Moved to 1 in Durban."]


async def test_options_are_chosen_by_number_and_title_too(serve: Any, desk: DeskServer, thandi: ScriptedAgent) -> None:
    async with serve() as rasa:
        await there(rasa)
        await rasa.texts("/provide_handoff_options")
        assert await rasa.texts("2") == ["Gladly. What can I do for you?"]
        await rasa.texts("/provide_handoff_options")
        await rasa.texts("hello")
        assert "number 1" not in str(await rasa.texts("1")), "the question was over"
        await rasa.texts("/provide_handoff_options")
        assert "number 1" in (await rasa.texts("BILLING"))[0]
        assert (await thandi.take_next())["department"] == "billing"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("thabo@example.org", Contact(email="thabo@example.org")),
        ("It's thabo.m+x@mail.example.co.za.", Contact(email="thabo.m+x@mail.example.co.za")),
        ("(082) 555-0100", Contact(phone="082) 555-0100")),
        ("+27 82 555 0100 or a@b.co", Contact(email="a@b.co", phone="+27 82 555 0100")),
        ("thabo at example", None),
        ("@", None),
        ("a@b", None),
        ("order 1234", None),
        ("", None),
        ("1" * 20_000, Contact(phone="1" * 20)),
        ("a" * 20_000, None),
        ("@" * 20_000, None),
    ],
)
def test_what_counts_as_a_contact(text: str, found: Contact | None) -> None:
    assert contact_in(text) == found


async def test_the_agent_reads_that_nobody_was_there_once_as_the_customer_did(serve: Any, desk: DeskServer) -> None:
    """An action may say it itself, with a marker so that the channel adds the choices."""
    async with serve() as rasa:
        await connected(rasa)
        responses = rasa.app.ctx.agent.processor.nlg.responses
        nobody = responses["utter_handoff_nobody"][0]["text"]
        responses["utter_greet"] = [{"text": nobody, "custom": {"handoff_options": {}}}]
        (shown,) = await rasa.say("hello")
        assert shown["text"] == nobody
        for text in ("/handoff_leave_message", "Please call me", "thabo@example.org"):
            await rasa.texts(text)
        await back_at_bot(rasa)
    lines = [line["text"] for line in (await at_desk(desk))["transcript"] if line["speaker"] == "bot"]
    assert [line for line in lines if nobody in line] == [f"{nobody} [Leave a message] [Carry on with the bot]"]
