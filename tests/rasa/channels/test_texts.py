"""Texts of every kind through each of Rasa's channels, both ways: they arrive, or are refused aloud."""

import pytest

from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import FETCHED, PUSHED, Customer
from tests.rasa.channels.talking import give_back, heard_from_customer, take
from tests.rasa.channels.vendors import Vendors
from tests.support import texts

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(90)]

EVERYWHERE = [*PUSHED, *FETCHED]
WORDS = [text for text in texts.some(max(40, texts.COUNT // 5), seed=5) if not text.lstrip().startswith("/")]
WITHOUT_WORDS = "[a message without text]"


@pytest.mark.parametrize("kind", EVERYWHERE, ids=lambda kind: kind.__name__)
async def test_words_of_both_sides_arrive(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    customer = kind(rasa, vendors, id=f"91{EVERYWHERE.index(kind)}", place=f"{kind.__name__}-91")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    for text in (*WORDS, "the last"):
        await customer.say(text)
    await eventually(lambda: "the last" in heard_from_customer(thandi, handoff_id))
    received = [text for text in heard_from_customer(thandi, handoff_id) if text != WITHOUT_WORDS]
    expected = [text for text in map(customer.as_read, WORDS) if texts.dense(text) and len(text) <= LONGEST_MESSAGE]
    assert [texts.dense(text) for text in received] == [*map(texts.dense, expected), "thelast"]

    said = [text for text in WORDS if valid_text(text).strip()]
    for text in (*said, "That is all."):
        answer = await thandi.say(handoff_id, text)
        assert answer["ok"], answer

    async def all_said() -> bool:
        if kind in FETCHED:
            await customer.say("and?")
        return any(
            "That is all." in text for text in customer.received_texts()
        )  # hangouts answers with all in one text

    await eventually(all_said, seconds=30)
    assert texts.dense("".join(map(customer.as_heard, said))) in texts.dense("".join(customer.received_texts()))
    await give_back(rasa, thandi, customer, handoff_id)


SPACED_OUT = "\n \n\nOne.\n\n\n\n  \n\n\u200b\n\nTwo,\nstill two.\n\n\n"


@pytest.mark.parametrize("kind", EVERYWHERE, ids=lambda kind: kind.__name__)
async def test_an_agents_empty_lines_are_no_messages(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    customer = kind(rasa, vendors, id=f"92{EVERYWHERE.index(kind)}", place=f"{kind.__name__}-92")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    await thandi.say(handoff_id, "Before.")
    await thandi.say(handoff_id, SPACED_OUT)

    async def said() -> list[str]:
        if kind in FETCHED:
            await customer.say("and?")
        return customer.received_texts() if "still two." in "".join(customer.received_texts()) else []

    received = "\n\n".join(await eventually(said))
    assert received.partition("Before.")[2].strip() == "One.\n\nTwo,\nstill two."
    await give_back(rasa, thandi, customer, handoff_id)


@pytest.mark.parametrize("acks", [True, False])
async def test_a_page_shows_an_agents_paragraphs_and_nothing_empty(
    rasa: RasaServer, thandi: ScriptedAgent, acks: bool
) -> None:
    async with ScriptedCustomer(rasa.url, f"paragraphs-{acks}", acks=acks) as page:
        await page.say("I give up completely")
        handoff_id = str((await thandi.take_next())["handoff_id"])
        await page.hears("Thandi is here")
        before = len(page.texts)
        await thandi.say(handoff_id, SPACED_OUT)
        await page.hears("still two.")
        assert page.texts[before:] == ["One.", "Two,\nstill two."]
        await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
        await eventually(lambda: not rasa.channel.relay.silences_bot(str(page.session)))
