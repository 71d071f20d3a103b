"""What is too long for the one connection to the desk is refused, or cut, before it is written down."""

import io
import json

import msgspec

from rasa_handoff.core.fitting_offer import SLOT_LEFT_OUT, fitting
from rasa_handoff.core.transcript import LEFT_OUT, LINE_COST, latest
from rasa_handoff.protocol.limits import LONGEST_MESSAGE, LONGEST_TRANSCRIPT, Limits
from rasa_handoff.protocol.values import BotState, Channel, Contact, Line, Offer, Speaker
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from tests.rasa.handoff.test_database import live

TOO_LONG = "I'm sorry, that's too long to pass on. Please send it in shorter parts."


async def test_a_message_too_long_is_refused_kindly_by_bot_and_desk(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    assert await rasa.texts("x" * LONGEST_MESSAGE) != [TOO_LONG]
    assert await rasa.texts("x" * (LONGEST_MESSAGE + 1)) == [TOO_LONG]
    async with ScriptedCustomer(rasa.url, "lerato") as plain, ScriptedCustomer(rasa.url, "sipho", acks=True) as page:
        await plain.say("y" * (LONGEST_MESSAGE + 1))
        await plain.hears(TOO_LONG)
        answer = await page.say_with_id("y" * (LONGEST_MESSAGE + 1))
        assert (answer["ok"], answer["code"]) == (False, "too_long")
        await page.hears(TOO_LONG)
        assert await page.say_with_id("hello") == {"ok": True}
        await page.hears("Hello.")
    for customer in ("thabo", "lerato", "sipho"):
        said = [event["text"] for event in await rasa.events(customer) if event["event"] == "user"]
        assert [text for text in said if len(text) > LONGEST_MESSAGE] == [], customer
    await live(rasa, thandi)
    assert await rasa.texts("x" * (LONGEST_MESSAGE + 1)) == [TOO_LONG]
    async with ScriptedCustomer(rasa.url, "thabo", acks=True) as page:
        answer = await page.say_with_id("y" * (LONGEST_MESSAGE + 1))
        assert (answer["ok"], answer["code"]) == (False, "too_long")
        await page.hears(TOO_LONG)
        assert await page.say_with_id("z" * LONGEST_MESSAGE) == {"ok": True}
    await thandi.hears("message", text="z" * LONGEST_MESSAGE)
    said = [data["text"][0] for name, data in thandi.received if name == "message" and data["speaker"] == "customer"]
    assert said == ["b", "z"]


async def test_a_long_story_reaches_the_desk_by_its_end(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("hello")
    address = f"{rasa.url}/conversations/thabo/tracker/events"
    for number in range(10):
        event = {"event": "bot", "text": f"{number}{'x' * 900_000}"}
        async with rasa.http.post(address, json=event) as answer:
            assert answer.status == 200, await answer.text()
    handoff_id = await live(rasa, thandi)
    reported = (await thandi.ask("open", handoff_id=handoff_id, after=0))["conversation"]["transcript"]
    assert reported[0]["text"] == LEFT_OUT
    assert reported[1]["text"].startswith("[...]xxx")


async def test_slots_of_nine_megabytes_cost_no_connection_and_the_others_are_shown(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    first = await live(rasa, thandi)
    await rasa.texts("hello", "naledi")
    address = f"{rasa.url}/conversations/naledi/tracker/events"
    slots = [
        {"event": "slot", "name": "street", "value": "\U0001f600" * 800_000},
        {"event": "slot", "name": "town", "value": "Ceres"},
    ]
    body = io.BytesIO(json.dumps(slots).encode())
    async with rasa.http.post(address, data=body, headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 200, await answer.text()
    await rasa.texts("/execute_handoff", "naledi")
    assert (await thandi.take_next())["bot"]["slots"] == {"street": SLOT_LEFT_OUT, "town": "Ceres"}
    assert (await thandi.ask("message", handoff_id=first, id="m-after", text="still here"))["ok"]
    assert "still here" in await rasa.texts("b")


def test_an_offer_fits_into_a_packet_whatever_is_in_it() -> None:
    long = "\U0001f600" * 9_000_000
    offer = fitting(
        Offer(
            handoff_id="h",
            conversation_id="c",
            bot_id="b",
            channel=Channel(name="rest"),
            department=long,
            agent=long,
            reason=long,
            note=long,
            language=long,
            contact=Contact(name=long, email=long, phone=long),
            bot=BotState(slots={"first": [long], "town": "Worcester", "last": long}),
        )
    )
    assert len(json.dumps(msgspec.to_builtins(offer))) < Limits().relay_message_bytes / 4
    assert offer.bot.slots == {"first": SLOT_LEFT_OUT, "town": "Worcester", "last": SLOT_LEFT_OUT}
    assert offer.reason is not None
    assert offer.reason.endswith("…")
    assert fitting(offer) == offer


def lines(*texts: str) -> list[Line]:
    return [Line(speaker=Speaker.CUSTOMER, text=text, at=float(number)) for number, text in enumerate(texts)]


def test_all_is_told_that_fits() -> None:
    story = lines("one", "x" * (LONGEST_TRANSCRIPT - 3 * LINE_COST - 6), "two")
    assert latest(story) == tuple(story)
    assert latest([]) == ()


def test_what_does_not_fit_is_left_out_from_the_beginning_and_said() -> None:
    note, cut, last = latest(lines("gone", "x" * LONGEST_TRANSCRIPT, "last"))
    assert (note.speaker, note.text) == (Speaker.SYSTEM, LEFT_OUT)
    assert cut.text == "[...]" + "x" * (LONGEST_TRANSCRIPT - 2 * LINE_COST - 4)
    assert last.text == "last"
    many = latest(lines(*["x"] * LONGEST_TRANSCRIPT))
    assert many[0].text == LEFT_OUT
    assert sum(len(line.text) + LINE_COST for line in many) < LONGEST_TRANSCRIPT + 3 * LINE_COST
