"""Each cell of the table of channels (``docs/host-channels.md``), shown on the real channel."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from rasa_handoff.protocol.channel_capabilities import (
    OWN,
    ROWS,
    Arrives,
    ChannelCapabilities,
    Formatting,
    Receipts,
    ShownButtons,
    Takes,
)
from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.message_parts import (
    ButtonsPart,
    CardPart,
    FilePart,
    ImagePart,
    Media,
    MessageButton,
    TextPart,
)
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import Fetching
from tests.rasa.channels.live_chats import LiveChat
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")

cells = pytest.mark.parametrize("able", ROWS, ids=lambda able: able.name)

PHOTO, PDF = "https://files/9000/dent.jpg", "https://files/9000/invoice.pdf"
COLOURS = ButtonsPart(
    buttons=(MessageButton(title="Red", payload="/red"), MessageButton(title="Blue", payload="/blue"))
)
Open = Callable[[ChannelCapabilities], Awaitable[LiveChat]]


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def chat_on(
    rasa: RasaServer, serve: Callable[..., RasaServer], vendors: Vendors, thandi: ScriptedAgent
) -> AsyncIterator[Open]:
    """Open one live chat on each channel, when it is asked for."""
    chats: dict[str, LiveChat] = {}
    post = "tests.rasa.channels.own_channels.PostInput"
    async with serve({post: {"url": f"{vendors.url}/post/letters"}}, bot_id="post") as own:
        await eventually(lambda: own.channel.desk.connected)

        async def chat_on(able: ChannelCapabilities) -> LiveChat:
            if able.name not in chats:
                chats[able.name] = await LiveChat(able, own if able is OWN else rasa, vendors, thandi).begin()
            return chats[able.name]

        yield chat_on
        for chat in chats.values():
            await chat.end()


def whole(messages: list[dict[str, Any]]) -> str:
    """Return all that a front end or a vendor got, as JSON within JSON is read too."""
    return json.dumps(messages, ensure_ascii=False).replace('\\"', '"')


def is_shown(takes: Takes, chat: LiveChat, messages: list[dict[str, Any]], address: str, words: str) -> bool:
    """Return whether a picture or file is shown as the table says, and not as its address for a person to read."""
    said = "\n".join(chat.texts(messages))
    if takes is Takes.NATIVE:
        native = [one for one in messages if address in whole([one]) and {*one} - {"text", "to", "channel"}]
        return bool(native) and (address not in said or "attachment" in whole(native))
    if takes is Takes.LINK:
        return address in said
    return address not in whole(messages) and words in said


@cells
async def test_push(chat_on: Open, able: ChannelCapabilities) -> None:
    chat = await chat_on(able)
    came = await chat.agent_says(TextPart(text="Are you there?"), fetch=False)
    if able.arrival is Arrives.FETCHED:
        assert came == []
        before = len(chat.got())
        await chat.got_all()
        came = chat.got()[before:]
    else:
        await chat.got_all()
    assert "Are you there?" in whole(chat.got())
    if able.arrival is Arrives.PAGE:
        assert chat.rasa.channel.channels["socketio"].connected(chat.customer.id)


@cells
async def test_typing(chat_on: Open, able: ChannelCapabilities, thandi: ScriptedAgent, vendors: Vendors) -> None:
    chat = await chat_on(able)
    before = len(vendors.calls)
    await thandi.emit("typing", {"handoff_id": chat.handoff_id, "on": True})
    if able.typing:
        await eventually(lambda: {"session_id": chat.customer.id, "on": True} in chat.customer.page.all("typing"))
        await chat.customer.page.type(True)
        await thandi.hears("typing", handoff_id=chat.handoff_id, on=True)
    else:
        await chat.agent_says(TextPart(text="Typed."))
        assert [call for call in vendors.calls[before:] if "typing" in json.dumps(call.body)] == []


@cells
async def test_images(chat_on: Open, able: ChannelCapabilities) -> None:
    chat = await chat_on(able)
    photo = ImagePart(media=Media(url=PHOTO, name="dent.jpg", type="image/jpeg", size=9_000))
    came = await chat.agent_says(TextPart(text="Like this?"), photo)
    assert is_shown(able.images, chat, came, PHOTO, "[Image: dent.jpg]"), came
    assert "Like this?" in whole(came)
    if able.largest_image is not None:
        address = f"https://files/{able.largest_image + 1}/dent.jpg"
        large = ImagePart(media=Media(url=address, size=able.largest_image + 1))
        assert is_shown(Takes.LINK, chat, await chat.agent_says(large), address, "")


@cells
async def test_files(chat_on: Open, able: ChannelCapabilities) -> None:
    chat = await chat_on(able)
    invoice = FilePart(media=Media(url=PDF, name="invoice.pdf", type="application/pdf", size=9_000))
    came = await chat.agent_says(invoice)
    assert is_shown(able.files, chat, came, PDF, "[Attachment: invoice.pdf]"), came
    if able.file_types != ("",):
        sheet = "https://files/9000/sheet.xlsx"
        came = await chat.agent_says(FilePart(media=Media(url=sheet)))
        assert is_shown(Takes.LINK, chat, came, sheet, ""), came
    if able.largest_file is not None:
        address = f"https://files/{able.largest_file + 1}/invoice.pdf"  # what isn't known before, the vendor says
        large = FilePart(media=Media(url=address, size=able.largest_file + 1))
        assert is_shown(Takes.LINK, chat, await chat.agent_says(large), address, "")


@cells
async def test_buttons(chat_on: Open, able: ChannelCapabilities) -> None:
    chat = await chat_on(able)
    came = await chat.agent_says(TextPart(text="Which one?"), COLOURS)
    said = "\n".join(chat.texts(came))
    if able.buttons is ShownButtons.NUMBERED:
        assert "Which one?\n1. Red\n2. Blue" in said
    elif able.buttons is ShownButtons.SPOKEN:
        assert said == "Which one?\nRed\nBlue"
    else:
        assert "Red" not in said
        assert "/red" in whole(came)
    await chat.customer.say("/blue" if able.buttons is ShownButtons.NATIVE else "2.")
    await chat.agent_hears("Blue")
    asked = await chat.agent_says(TextPart(text="And in which size?"), ButtonsPart(buttons=sizes(able)))
    await chat.customer.say("size 2!")
    await chat.agent_hears("Size 2")
    if able.most_buttons is not None:
        assert f"{able.most_buttons + 1}. Size {able.most_buttons + 1}" in "\n".join(chat.texts(asked))


def sizes(able: ChannelCapabilities) -> tuple[MessageButton, ...]:
    """Return a button more than a channel takes."""
    count = (able.most_buttons or 4) + 1
    return tuple(MessageButton(title=f"Size {one}", payload=f"size-{one}") for one in range(1, count + 1))


@cells
async def test_cards(chat_on: Open, able: ChannelCapabilities) -> None:
    chat = await chat_on(able)
    card = CardPart(title="Karoo", subtitle="R 90", image=Media(url=PHOTO, name="dent.jpg"), buttons=COLOURS.buttons)
    came = await chat.agent_says(card)
    assert [words for words in ("Karoo", "R 90", "Red", "Blue") if words not in whole(came)] == []
    if able.cards is Takes.NATIVE:
        assert len(came) == 1, came
    assert is_shown(able.images, chat, came, PHOTO, "[Image: dent.jpg]"), came
    await chat.customer.say("blue")
    await chat.agent_hears("Blue")


@cells
async def test_receipts(chat_on: Open, able: ChannelCapabilities, thandi: ScriptedAgent) -> None:
    chat = await chat_on(able)
    id = f"receipt-{able.name.replace(' ', '').replace(',', '')}"
    await thandi.say(chat.handoff_id, "Did it come?", id=id)
    if isinstance(chat.customer, Fetching):
        await thandi.hears("message.status", message_id=id, status="waiting")
        await chat.got_all()
    await thandi.hears("message.status", message_id=id, status="delivered")
    if able.receipts is Receipts.READ:
        await chat.customer.page.emit("message_read", {"session_id": chat.customer.id, "id": id})
        await thandi.hears("message.status", message_id=id, status="read")


@cells
async def test_longest_text(chat_on: Open, able: ChannelCapabilities) -> None:
    chat = await chat_on(able)
    text = " ".join(f"word{number}" for number in range(4_000))[:LONGEST_MESSAGE]
    came = await chat.agent_says(TextPart(text=text))
    pieces = [one for one in chat.texts(came) if "word" in one]
    if able.longest_text is None:
        assert pieces == [text]
        return
    assert [piece for piece in pieces if not able.longest_text.fits(piece)] == []
    assert len(pieces) > 1 or len(text.encode()) <= able.longest_text.most
    assert " ".join(pieces) == text


@cells
async def test_longest_payload(chat_on: Open, able: ChannelCapabilities) -> None:
    chat = await chat_on(able)
    payload = "/order" + json.dumps({"items": ["a book about the Karoo"] * 150})
    order = ButtonsPart(buttons=(MessageButton(title="Order them all", payload=payload),))
    came = await chat.agent_says(TextPart(text="Shall I?"), order)
    shown = whole(came).replace("\\", "")
    assert ("the Karoo" in shown) is (able.buttons is ShownButtons.NATIVE and able.longest_payload is None), shown
    pressed = "order them all"
    if able.longest_payload is not None:
        begin = shown.index("/handoff_button_")
        pressed = shown[begin : shown.index('"', begin)]
        assert able.longest_payload.fits(pressed)
    elif able.buttons is ShownButtons.NATIVE:
        pressed = payload
    await chat.customer.say(pressed)
    await chat.agent_hears("Order them all")


@cells
async def test_formatting(chat_on: Open, able: ChannelCapabilities) -> None:
    chat = await chat_on(able)
    came = await chat.agent_says(TextPart(text="*5* < 7 & <!channel> _x_"))
    escaped = able.formatting is Formatting.ESCAPED
    assert ("*5* &lt; 7 &amp; &lt;!channel&gt; _x_" if escaped else "*5* < 7 & <!channel> _x_") in chat.texts(came)
