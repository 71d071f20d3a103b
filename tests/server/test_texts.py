"""Texts of every kind at each place of the live-agent server, on both databases: they arrive, or are refused aloud."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiohttp
import pytest

from rasa_handoff.protocol.logs import short_id
from rasa_handoff.protocol.text import valid, valid_text
from rasa_handoff.server import administration
from rasa_handoff.server.accounts import add_agent, add_department, add_token
from rasa_handoff.server.app import ServerSettings, create_app
from rasa_handoff.server.gateways.tkinter_gateway import Ports
from rasa_handoff.server.run import running
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.recording_client import RecordingClient
from rasa_handoff.testing.scripted_desk import PASSWORD, ScriptedAgent, post_form
from rasa_handoff.testing.waiting import eventually
from tests.server.conftest import Server
from tests.server.peers import OldClient, Relay, agent_at, arrived_handoff
from tests.support import texts
from tests.support.admin_window import AdminWindow

EVERY_KIND = texts.some(texts.COUNT)
SOME = texts.some(texts.COUNT, seed=2)
KINDS = [*texts.KINDS, *SOME[-20:]]
AT_ONCE = 100
LONG = 60
"""Seconds."""


@pytest.fixture
def database(database_url: str) -> str:
    """Empty but for one agent who serves all; on SQLite and on Postgres."""
    add_agent(database_url, "thandi@example.org", "Thandi", PASSWORD)
    return database_url


@pytest.fixture
async def parties(server: Server, opened: list[RecordingClient]) -> tuple[Relay, ScriptedAgent]:
    relay, desk = Relay("karoo"), agent_at(server.address)
    opened += [relay, desk]
    await relay.connect(server.address)
    await desk.sign_in()
    await desk.connect()
    return relay, desk


async def each(say: Callable[[str], Awaitable[Any]], said: Iterable[str]) -> list[Any]:
    """Say each text, ``AT_ONCE`` of them at the same time, and return the answers in order."""
    waiting, answers = list(said), []
    while waiting:
        answers += await asyncio.gather(*(say(text) for text in waiting[:AT_ONCE]))
        del waiting[:AT_ONCE]
    return answers


@pytest.mark.timeout(LONG)
async def test_customers_words_arrive(parties: tuple[Relay, ScriptedAgent]) -> None:
    relay, desk = parties
    handoff_id = await relay.initiate()
    await desk.take(handoff_id)
    answers = await each(lambda text: relay.say(handoff_id, text), EVERY_KIND)
    assert all(answer["ok"] for answer in answers)
    received = await eventually(lambda: len(found := desk.all("message")) == len(EVERY_KIND) and found, LONG)
    assert [body["text"] for body in received] == [valid_text(text) for text in EVERY_KIND]


@pytest.mark.timeout(LONG)
async def test_agents_words_arrive_unless_they_show_nothing(parties: tuple[Relay, ScriptedAgent]) -> None:
    relay, desk = parties
    handoff_id = await relay.initiate()
    await desk.take(handoff_id)
    answers = await each(lambda text: desk.say(handoff_id, text), EVERY_KIND)
    taken = [valid_text(text) for text, answer in zip(EVERY_KIND, answers, strict=True) if answer["ok"]]
    refused = [text for text, answer in zip(EVERY_KIND, answers, strict=True) if not answer["ok"]]
    assert {valid_text(text).strip() for text in refused} == {""}, "only what shows nothing is refused"
    await eventually(lambda: len(relay.all("message")) == len(taken), LONG)
    assert [body["text"] for body in relay.all("message")] == taken


async def test_stories_slots_and_notes_arrive(parties: tuple[Relay, ScriptedAgent]) -> None:
    relay, desk = parties
    story = [{"speaker": "customer", "text": text, "at": 1.0} for text in SOME]
    slots = {text: {"deep": [text, {text: math.pi}]} for text in SOME}
    contact = {"name": SOME[3], "email": SOME[10], "phone": SOME[12]}
    settable = [{"name": "any", "type": "any"}]
    offer = {
        "transcript": story, "note": SOME[3], "reason": SOME[8], "contact": contact, "language": "en\0",
        "bot": {"slots": slots, "settable": settable},
    }  # fmt: skip
    handoff_id = await relay.initiate(**offer)
    shown = (await desk.take(handoff_id))["conversation"]
    assert [line["text"] for line in shown["transcript"]] == [valid_text(text) for text in SOME]
    assert shown["bot"]["slots"] == valid(slots)
    assert (shown["note"], shown["contact"]["name"]) == (valid_text(SOME[3]), valid_text(SOME[3]))

    answer = await desk.resolve(handoff_id, note="".join(SOME)[:15_000], slots={"any": slots})
    assert answer["ok"], answer
    await eventually(lambda: "completed" in relay.statuses(handoff_id))
    (end,) = [body for body in relay.deliveries(handoff_id) if body.get("status") == "completed"]
    assert end["slots"] == {"any": valid(slots)}
    assert end["note"] == valid_text("".join(SOME)[:15_000])


@pytest.mark.parametrize("text", ["c\ud83d", "\0c", "\udc80", "c" * 255])
async def test_ids_are_made_valid_or_refused(parties: tuple[Relay, ScriptedAgent], text: str) -> None:
    """A conversation and a message whose ids aren't valid texts go on under valid ones; such a handoff is refused aloud."""
    relay, desk = parties
    if not valid_text(text).isascii():
        answer = await relay.call("handoff.initiate", relay.offer(handoff_id=text, id="i", conversation_id=text))
        assert (answer["ok"], answer["code"]) == (False, "invalid")
    answer = await relay.call("handoff.initiate", relay.offer(handoff_id="h", id="i", conversation_id=text))
    assert answer["ok"], answer
    assert (await desk.take("h"))["conversation"]["short_id"] == short_id(valid_text(text))
    assert (await relay.say("h", "words", id=text))["ok"]
    assert (await relay.call("handoff.find", {"conversation_id": text}))["handoff"]["handoff_id"] == "h"
    status = {"handoff_id": "h", "message_id": text, "id": "x", "status": "failed", "reason": text}
    assert (await relay.call("message.status", status))["ok"]
    assert (await desk.resolve("h"))["ok"]


@pytest.mark.timeout(LONG)
async def test_words_of_clients_of_botlhales_protocol_arrive(
    parties: tuple[Relay, ScriptedAgent], old_client: Callable[..., Awaitable[OldClient]]
) -> None:
    _, desk = parties
    client = await old_client(answers=["startConversation"])
    handoff_id = await arrived_handoff(desk)
    lines = [{"sender": text, "message": text} for text in SOME]
    assert (await client.call("messages_to_client", {**client.ids, "messages": lines}))["ok"]
    shown = (await desk.take(handoff_id))["conversation"]
    assert [line["text"] for line in shown["transcript"]] == [
        valid_text(text) for text in SOME if valid_text(text).strip()
    ]
    answers = await each(lambda text: client.call("from_user", {**client.ids, "message": text}), EVERY_KIND)
    taken = [valid_text(text) for text, answer in zip(EVERY_KIND, answers, strict=True) if answer["ok"]]
    assert taken == [text for text in map(valid_text, EVERY_KIND) if text.strip()]
    assert {answer["code"] for answer in answers if not answer["ok"]} == {"empty"}
    await eventually(lambda: len(desk.all("message")) == len(taken))
    assert [body["text"] for body in desk.all("message")] == taken
    await each(lambda text: desk.say(handoff_id, text), SOME[1:])
    last = valid_text("the last one \ud83d")
    await desk.say(handoff_id, last)
    await eventually(lambda: last in client.texts())


async def test_a_client_whose_ids_are_no_valid_texts_is_served_under_valid_ones(
    parties: tuple[Relay, ScriptedAgent], old_client: Callable[..., Awaitable[OldClient]]
) -> None:
    _, desk = parties
    client = await old_client("c\ud83d\0")
    await eventually(lambda: desk.all("arrival"))
    assert desk.all("arrival")[0]["short_id"] == short_id("c\ufffd")
    assert (await client.call("from_user", {**client.ids, "message": "hello"}))["ok"]


async def test_sign_in_with_any_text_is_answered(server: Server) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        for text in ("thandi\0@example.org", "\ufffd", "%ED%A0%BD", "\u202ethandi"):
            answer = await post_form(http, server.address, "/login", email=text, password=text)
            assert answer.status in (303, 401, 429), answer


def test_names_of_accounts_are_made_valid(database: str) -> None:
    add_agent(database, "sipho\0@example.org", "Sipho \ud83d", PASSWORD)
    add_department(database, "billing", "Rückgabe \ud83d\0")
    add_token(database, "bot\0")
    assert [agent.name for agent in administration.agents(database)] == ["Sipho \ufffd", "Thandi"]
    assert administration.departments(database)[0].title == "Rückgabe \ufffd"
    assert administration.tokens(database)[0].bot_id == "bot"


async def test_departments_titles_and_keys_reach_relays_and_desks(
    server: Server, database: str, opened: list[RecordingClient]
) -> None:
    """A title without any character is the department's name."""
    for number, text in enumerate(KINDS):
        add_department(database, f"d{number}", text[:100])
    titles = {f"d{number}": valid_text(text[:100]).strip() or f"d{number}" for number, text in enumerate(KINDS)}
    relay, thandi = Relay("karoo"), agent_at(server.address)
    opened.extend([relay, thandi])
    await thandi.sign_in()
    await thandi.connect()
    await relay.connect(server.address)
    reported = {one["name"]: one["title"] for one in relay.all("welcome")[0]["departments"]}
    assert reported == titles
    offer = relay.offer(handoff_id="h", conversation_id="c")
    answer = await relay.call("handoff.initiate", {**offer, **{f"{text} key": {text: text} for text in SOME}})
    assert answer["ok"], answer


@pytest.mark.timeout(LONG)
async def test_words_from_and_to_the_tkinter_user_window_arrive(database: str) -> None:
    """Both ways: streams of bytes, which may be anything."""
    ports = Ports(listen=free_port(), window=free_port())
    async with running(create_app(database, ServerSettings(tkinter_demo=ports)), port=free_port()) as address:
        thandi, window = agent_at(address), AdminWindow(ports.window, ports.listen)
        await thandi.sign_in()
        await thandi.connect()
        sent = [text.encode("utf-8", "surrogatepass") for text in ("hello", *EVERY_KIND, "the last")]
        await asyncio.to_thread(window.send, b"".join(sent))
        handoff_id = await arrived_handoff(thandi)
        taken = await thandi.take(handoff_id)

        def received() -> str:
            messages = {one["id"]: one for one in (*taken["conversation"]["messages"], *thandi.all("message"))}
            return texts.dense("".join(one["text"] for one in messages.values() if one["speaker"] == "customer"))

        await eventually(lambda: received().endswith("thelast"))
        assert received() == texts.dense(valid_text(b"".join(sent).decode("utf-8", "replace")))
        said = [text for text in EVERY_KIND if valid_text(text).strip()]
        await each(lambda text: thandi.say(handoff_id, text), [*said, "That is all."])
        await eventually(lambda: "That is all." in window.shown, LONG)
        assert texts.dense("".join(map(valid_text, said))) in texts.dense(window.shown)
        await thandi.close()
        await asyncio.to_thread(window.close)
        assert window.broken is None
