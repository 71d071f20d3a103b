"""Messages that are several to the vendor, and vendors that refuse, are away in between, or ask for a pause."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from rasa_handoff.core.control import Control
from rasa_handoff.protocol.channel_capabilities import BY_NAME, OWN, WHATSAPP, Arrives, ChannelCapabilities
from rasa_handoff.protocol.message_parts import ButtonsPart, FilePart, ImagePart, Media, MessageButton, TextPart
from rasa_handoff.relay.relay import CUSTOMER
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.live_chats import LiveChat
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")

VENDORS = [one for one in (*BY_NAME.values(), WHATSAPP) if one.arrival is Arrives.PUSHED and one.name != "callback"]
PARAGRAPHS = ["One.", "Two.", "Three."]


@pytest_asyncio.fixture(loop_scope="package")
async def chat(
    rasa: RasaServer, broken: Vendors, thandi: ScriptedAgent, able: ChannelCapabilities
) -> AsyncIterator[LiveChat]:
    """A live chat on the channel of this row."""
    chat = await LiveChat(able, rasa, broken, thandi).begin()
    yield chat
    broken.mend()
    await chat.end()


@pytest.mark.parametrize("able", VENDORS, ids=lambda able: able.name)
async def test_what_the_vendor_has_taken_is_not_sent_again(chat: LiveChat, broken: Vendors) -> None:
    before, vendor = len(chat.got()), chat.customer.channel
    broken.takes[vendor] = 1
    await chat.agent_says(TextPart(text="\n\n".join(PARAGRAPHS)), fetch=False)
    await eventually(lambda: broken.refused and vendor in broken.failing)
    broken.mend()
    await eventually(lambda: len(chat.got()) >= before + 3)
    await chat.agent_says(TextPart(text="Four."))
    assert chat.texts(chat.got()[before:]) == [*PARAGRAPHS, "Four."]


async def test_after_a_restart_only_the_rest_is_sent(
    serve: Callable[..., RasaServer], broken: Vendors, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    own = {"callback": {"url": f"{broken.url}/callback/callback"}}
    async with serve(own, tmp_path, bot_id="again") as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        chat = await LiveChat(BY_NAME["callback"], rasa, broken, thandi).begin()
        before = len(chat.got())
        broken.takes["callback"] = 2
        await chat.agent_says(TextPart(text="\n\n".join(PARAGRAPHS)), fetch=False)
        await eventually(lambda: "callback" in broken.failing)
    broken.mend()
    async with serve(own, tmp_path, bot_id="again") as rasa:
        await eventually(lambda: len(chat.got()) >= before + 3)
        chat.rasa = rasa
        await eventually(lambda: rasa.channel.desk.connected)
        await chat.agent_says(TextPart(text="Four."))
        assert chat.texts(chat.got()[before:]) == [*PARAGRAPHS, "Four."]
        await chat.end()


@pytest.mark.parametrize("able", VENDORS, ids=lambda able: able.name)
async def test_a_vendor_that_asks_for_a_pause_gets_it(chat: LiveChat, broken: Vendors) -> None:
    before, refused = len(chat.got()), broken.refused
    broken.hurried[chat.customer.channel] = 1
    began = time.monotonic()
    await chat.agent_says(TextPart(text="One.\n\nTwo."), fetch=False)
    await chat.agent_says(TextPart(text="Three."), fetch=False)
    await eventually(lambda: len(chat.got()) >= before + 3)
    assert time.monotonic() - began >= 1
    assert broken.refused == refused + 1
    assert chat.texts(chat.got()[before:]) == PARAGRAPHS


@pytest.mark.parametrize("able", [BY_NAME["telegram"], BY_NAME["facebook"], WHATSAPP], ids=lambda able: able.name)
async def test_what_the_vendor_finds_too_large_is_sent_as_a_link(chat: LiveChat, broken: Vendors) -> None:
    address = "https://files/30000000/dent.jpg"  # nobody has said how large it is
    came = await chat.agent_says(TextPart(text="See:"), ImagePart(media=Media(url=address, name="dent.jpg")))
    assert chat.texts(came) == ["See:", f"dent.jpg: {address}"]


@pytest.mark.parametrize("able", [BY_NAME["slack"]], ids=lambda able: able.name)
async def test_what_has_no_address_is_told_in_words(chat: LiveChat) -> None:
    came = await chat.agent_says(FilePart(media=Media(name="invoice.pdf")))
    assert chat.texts(came) == ["[Attachment: invoice.pdf]"]


async def test_an_output_that_sends_texts_only_gets_texts(
    serve: Callable[..., RasaServer], vendors: Vendors, thandi: ScriptedAgent
) -> None:
    bare = "tests.rasa.channels.own_channels.BarePostInput"
    async with serve({bare: {"url": f"{vendors.url}/post/letters"}}, bot_id="bare") as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        chat = await LiveChat(OWN, rasa, vendors, thandi).begin()
        assert shown_at_desk(thandi, chat) == ("link", "link", "numbered")
        photo = ImagePart(media=Media(url="https://files/9/dent.jpg", name="dent.jpg"))
        invoice = FilePart(media=Media(url="https://files/9/a.pdf"))
        colours = ButtonsPart(buttons=(MessageButton(title="Red"), MessageButton(title="Blue")))
        came = await chat.agent_says(photo, invoice, TextPart(text="Which?"), colours)
        assert chat.texts(came) == [
            "dent.jpg: https://files/9/dent.jpg\nhttps://files/9/a.pdf\nWhich?\n1. Red\n2. Blue"
        ]
        await chat.end()


@pytest.mark.parametrize("able", [BY_NAME["twilio"]], ids=lambda able: able.name)
async def test_a_question_is_open_until_something_else_is_said(chat: LiveChat) -> None:
    colours = ButtonsPart(buttons=(MessageButton(title="Red"), MessageButton(title="Blue as the sea")))
    await chat.agent_says(TextPart(text="Which?"), colours)
    await chat.customer.say("blue")
    await chat.agent_hears("Blue as the sea")
    await chat.customer.say("2")
    await chat.agent_hears("2")
    await chat.agent_says(TextPart(text="Which?"), colours)
    await chat.agent_says(TextPart(text="How many?"))
    assert chat.conversation.choices == ()
    await chat.customer.say("1")
    await chat.agent_hears("1")
    await chat.relay.flush(CUSTOMER, chat.customer.conversation_id)


@pytest.mark.parametrize("able", [BY_NAME["telegram"]], ids=lambda able: able.name)
async def test_an_agents_button_is_an_answer_to_the_agent_whatever_it_sends(chat: LiveChat) -> None:
    ways = ButtonsPart(
        buttons=(
            MessageButton(title="Somebody else", payload="/execute_handoff"),
            MessageButton(title="Disconnect", payload="disconnect"),
        )
    )
    for pressed, title in (("/execute_handoff", "Somebody else"), ("disconnect", "Disconnect")):
        await chat.agent_says(TextPart(text="Which?"), ways)
        await chat.customer.say(pressed)
        await chat.agent_hears(title)
    assert chat.conversation.state is Control.LIVE


def shown_at_desk(agent: ScriptedAgent, chat: LiveChat) -> tuple[str, str, str]:
    """Return how the desk was told that pictures, files and buttons are shown."""
    shown = agent.shown(chat.handoff_id)[0]["channel"]["presentation"]
    return shown["images"], shown["files"], shown["buttons"]


async def test_the_desk_is_told_what_a_channel_of_the_projects_own_can_do(
    serve: Callable[..., RasaServer], vendors: Vendors, thandi: ScriptedAgent
) -> None:
    post = "tests.rasa.channels.own_channels.PostInput"
    async with serve({post: {"url": f"{vendors.url}/post/letters"}}, bot_id="own") as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        chat = await LiveChat(OWN, rasa, vendors, thandi).begin()
        assert shown_at_desk(thandi, chat) == ("native", "native", "native")
        await chat.end()
