"""What can't be delivered because it is wrong is set aside: its sender is told, the rest of its lane goes on."""

from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import DataError

from rasa_handoff.relay import repository
from rasa_handoff.server.storage import handoffs
from rasa_handoff.store.outbox import DeadLetter
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually

JOINED = "utter_handoff_joined"


async def letters(rasa: RasaServer) -> list[DeadLetter]:
    """Return the relay's dead letters."""
    found: list[DeadLetter] = await rasa.channel.store.write(
        lambda connection: repository.outbox.list_dead_letters(connection, 100)
    )
    return found


def answer_with(rasa: RasaServer, monkeypatch: pytest.MonkeyPatch, response: str, message: dict[str, Any]) -> None:
    """Let the bot's NLG answer with this message when it is asked for the response."""
    nlg = rasa.app.ctx.agent.processor.nlg
    generate = nlg.generate

    async def other(name: str, *rest: Any, **more: Any) -> Any:
        return dict(message) if name == response else await generate(name, *rest, **more)

    monkeypatch.setattr(nlg, "generate", other)


async def live(rasa: RasaServer, page: ScriptedCustomer, agent: ScriptedAgent) -> str:
    """Have the page ask for a person and the agent take it, and return the handoff's id."""
    await page.say("/execute_handoff")
    handoff_id = str((await agent.take_next())["handoff_id"])
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
    return handoff_id


@pytest.mark.parametrize("acks", [True, False])
async def test_a_button_without_a_payload_sends_its_title(
    rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch, acks: bool
) -> None:
    answer_with(rasa, monkeypatch, JOINED, {"text": "Thandi!", "buttons": [{"title": "Good"}, {"payload": "/x"}]})
    async with ScriptedCustomer(rasa.url, "thabo", acks=acks) as page:
        handoff_id = await live(rasa, page, thandi)
        await thandi.say(handoff_id, "hello")
        await eventually(lambda: "hello" in page.texts)
        (joined,) = [data for event, data in page.received if event == "bot_uttered" and data.get("text") == "Thandi!"]
        assert [(one["title"], one["payload"]) for one in joined["quick_replies"]] == [("Good", "Good"), ("/x", "/x")]
    assert await letters(rasa) == []


async def test_a_message_that_its_channel_cant_send_is_set_aside(
    rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(rasa, monkeypatch, JOINED, {"custom": {"what": "no argument of emit", "data": {}}})
    async with ScriptedCustomer(rasa.url, "thabo") as page:
        handoff_id = await live(rasa, page, thandi)
        await thandi.say(handoff_id, "hello")
        await eventually(lambda: "hello" in page.texts)
    (letter,) = await letters(rasa)
    assert (letter.target, letter.name, letter.entry.body["response"]) == ("customer", "system", JOINED)
    assert "TypeError" in letter.reason


async def test_where_nothing_can_be_pushed_a_wrong_notice_is_set_aside_too(
    rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(rasa, monkeypatch, JOINED, {"elements": 5})
    assert await rasa.texts("/execute_handoff")
    handoff_id = str((await thandi.take_next())["handoff_id"])
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
    await thandi.say(handoff_id, "hello")

    async def received() -> bool:
        return "hello" in await rasa.texts("and?")

    await eventually(received)
    assert [letter.entry.body["response"] for letter in await letters(rasa)] == [JOINED]


async def test_a_notice_whose_text_is_a_number_is_said(
    rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(rasa, monkeypatch, JOINED, {"text": 5})
    assert await rasa.texts("/execute_handoff")
    await thandi.take_next()
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
    assert "5" in await rasa.texts("and?")
    assert await letters(rasa) == []


async def test_an_agents_words_that_cant_be_sent_have_failed_and_hold_nothing_up(
    rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent sees that they failed, and why; the next ones arrive."""
    async with ScriptedCustomer(rasa.url, "thabo") as page:
        handoff_id = await live(rasa, page, thandi)
        page_channel = rasa.channel.channels["socketio"]
        send = page_channel.send

        async def picky(output: Any, conversation_id: str, message: dict[str, Any], id: str) -> None:
            if message.get("text") == "bad":
                raise KeyError("payload")
            await send(output, conversation_id, message, id)

        monkeypatch.setattr(page_channel, "send", picky)
        await thandi.say(handoff_id, "bad", id="b")
        await thandi.say(handoff_id, "good", id="g")
        await eventually(lambda: "good" in page.texts)
        failed = await thandi.hears("message.status", message_id="b", status="failed")
        assert "KeyError" in failed["reason"]
        await thandi.hears("message.status", message_id="g", status="delivered")
    async with rasa.http.get(f"{rasa.url}/webhooks/handoff/") as answer:
        assert (await answer.json())["dead_letters"] == 1


async def test_a_customer_is_told_of_words_that_the_desk_fails_on(
    rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other side's database refuses them: the customer is told, and the next words arrive."""
    keep = handoffs.add_message

    def picky(connection: Any, record: Any, kept: Any) -> Any:
        if kept.text == "bad":
            raise DataError("insert", {}, ValueError("no such words here"))
        return keep(connection, record, kept)

    async with ScriptedCustomer(rasa.url, "thabo") as page:
        await live(rasa, page, thandi)
        monkeypatch.setattr(handoffs, "add_message", picky)
        monkeypatch.setattr("rasa_handoff.store.failures.LEAST_TRIES", 2)
        monkeypatch.setattr("rasa_handoff.store.failures.LEAST_SECONDS", 0)
        await page.say("bad")
        await page.say("good")
        await thandi.hears("message", text="good")
        await eventually(lambda: "I'm sorry, this couldn't be passed on: bad" in page.texts)
    (letter,) = await letters(rasa)
    assert (letter.target, letter.name) == ("desk", "message")


async def test_an_agents_words_that_the_relay_fails_on_have_failed_and_hold_nothing_up(
    rasa: RasaServer, desk: DeskServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_message = repository.keep_message

    def picky(connection: Any, handoff_id: str, said: Any) -> bool:
        if said.text == "bad":
            raise DataError("insert", {}, ValueError("no such words here"))
        return keep_message(connection, handoff_id, said)

    async with ScriptedCustomer(rasa.url, "thabo") as page:
        handoff_id = await live(rasa, page, thandi)
        monkeypatch.setattr(repository, "keep_message", picky)
        monkeypatch.setattr("rasa_handoff.store.failures.LEAST_TRIES", 2)
        monkeypatch.setattr("rasa_handoff.store.failures.LEAST_SECONDS", 0)
        await thandi.say(handoff_id, "bad", id="b")
        await thandi.say(handoff_id, "good", id="g")
        await eventually(lambda: "good" in page.texts)
        await thandi.hears("message.status", message_id="b", status="failed")
    async with rasa.http.get(f"{desk.url}/health") as answer:
        assert (await answer.json())["dead_letters"] == 1


async def test_a_return_that_raises_gives_the_bot_the_conversation_all_the_same(
    rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bot gets the conversation without it."""

    async def fails(*_: Any, **__: Any) -> None:
        raise KeyError("a policy's")

    async with ScriptedCustomer(rasa.url, "thabo") as page:
        handoff_id = await live(rasa, page, thandi)
        target = rasa.channel.relay._dispatcher._targets["tracker"]
        monkeypatch.setattr(target, "_return_to_bot", fails)
        await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved")
        await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
        await page.say("hello")
        await eventually(lambda: "Hello." in page.texts)
    assert [(letter.target, letter.name) for letter in await letters(rasa)] == [("tracker", "back")]


async def test_an_offer_that_the_desk_fails_on_leaves_the_bot_active(
    rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise KeyError("no such offer here")

    monkeypatch.setattr(handoffs, "add", fails)
    monkeypatch.setattr("rasa_handoff.store.failures.LEAST_TRIES", 2)
    monkeypatch.setattr("rasa_handoff.store.failures.LEAST_SECONDS", 0)
    said = await rasa.texts("/execute_handoff")
    assert said, "the customer hears that nobody takes it"
    assert not rasa.channel.relay.silences_bot("thabo")
    assert [letter.name for letter in await letters(rasa)] == ["handoff.initiate"]


async def test_an_event_that_an_older_server_does_not_accept_holds_nothing_up(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    await rasa.texts("/execute_handoff")
    handoff_id = (await thandi.take_next())["handoff_id"]
    connection = rasa.channel.desk
    assert "message" in connection._welcome.events
    connection._welcome = replace(connection._welcome, events=("handoff.initiate", "handoff.status"))
    said = await rasa.texts("is anybody there?")
    await eventually(rasa.channel.relay.count_dead_letters)
    said += await rasa.texts("disconnect") + await rasa.texts("disconnect")
    assert "this couldn't be passed on: is anybody there?" in " ".join(said)
    await thandi.hears("conversation", handoff_id=handoff_id, state="ended")
