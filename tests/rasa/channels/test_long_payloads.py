"""Buttons whose payload is too long for Telegram: they are shown, and mean what they meant after a restart too."""

import json
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.protocol.channel_capabilities import BY_NAME
from rasa_handoff.protocol.message_parts import ButtonsPart, MessageButton, TextPart
from rasa_handoff.relay.forget_conversation import forget
from rasa_handoff.relay.long_payloads import PREFIX
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import OnTelegram
from tests.rasa.channels.conftest import credentials
from tests.rasa.channels.live_chats import LiveChat
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")

SHORT = ("жалобы", "Rückgabe-für-Übergrößen")
LONG = "отдел-по-вопросам-возврата-крупногабаритных-товаров"
TELEGRAM = {"telegram": {"access_token": "1:token", "verify": "karoo_bot", "webhook_url": "https://127.0.0.1/hook"}}


def shown_buttons(customer: OnTelegram) -> dict[str, str]:
    """Return the titles and payloads of the buttons that were shown last."""
    markups = [call.body["reply_markup"] for call in customer.calls() if call.body.get("reply_markup")]
    rows = json.loads(markups[-1])["inline_keyboard"] if markups else []
    return {button["text"]: button["callback_data"] for row in rows for button in row}


async def press(rasa: RasaServer, customer: OnTelegram, payload: str) -> None:
    """Have Telegram report that the customer pressed a button with this payload."""
    message = {"message_id": 1, "date": 0, "chat": {"id": int(customer.id), "type": "private"}, "text": "?"}
    sender = {"id": int(customer.id), "is_bot": False, "first_name": "Thabo"}
    query = {"id": "1", "from": sender, "chat_instance": "1", "message": message, "data": payload}
    body: dict[str, Any] = {"update_id": 99, "callback_query": query}
    async with rasa.http.post(f"{rasa.url}/webhooks/telegram/webhook", json=body) as answer:
        assert answer.status == 200


async def test_departments_with_long_names_are_offered_and_reached(
    small_model: Path, vendors: Vendors, tmp_path: Path
) -> None:
    desk = DeskServer(tmp_path)
    for name in (*SHORT, LONG):
        desk.add_department(name, name)
    desk.add_agent("Lerato", *SHORT, LONG)
    async with desk, ScriptedAgent(desk.url, "lerato@example.com") as lerato:
        own = credentials(desk.url, tmp_path, TELEGRAM, bot_id="telegram")
        async with RasaServer(small_model, tmp_path, own) as rasa:
            await eventually(lambda: rasa.channel.desk.connected and rasa.channel.desk.availability)
            customer = OnTelegram(rasa, vendors, id="6401")
            await customer.say("/provide_handoff_options")
            buttons = await eventually(lambda: shown_buttons(customer))
            for name in SHORT:
                assert buttons[name] == f'/execute_handoff{{"department": "{name}"}}'
            assert buttons[LONG].startswith(PREFIX)
        async with RasaServer(small_model, tmp_path, own) as rasa:
            await eventually(lambda: rasa.channel.desk.connected)
            await press(rasa, customer, buttons[LONG])
            arrival = await lerato.take_next()
            assert arrival["department"] == LONG
            customer = OnTelegram(rasa, vendors, id="6402")
            await press(rasa, customer, f"{PREFIX}{'0' * 24}")  # of a button that nobody knows any more
            assert LONG in await eventually(lambda: shown_buttons(customer))


async def test_an_agents_button_is_pressed_after_a_restart_and_in_its_own_chat_only(
    small_model: Path, vendors: Vendors, tmp_path: Path
) -> None:
    payload = "order " + "a long list of books, " * 20
    order = ButtonsPart(buttons=(MessageButton(title="Order them all", payload=payload),))
    desk = DeskServer(tmp_path)
    desk.add_department("billing", "Billing")
    desk.add_agent("Lerato", "billing")
    async with desk, ScriptedAgent(desk.url, "lerato@example.com") as lerato:
        own = credentials(desk.url, tmp_path, TELEGRAM, bot_id="telegram")
        async with RasaServer(small_model, tmp_path, own) as rasa:
            await eventually(lambda: rasa.channel.desk.connected and rasa.channel.desk.availability)
            chat = await LiveChat(BY_NAME["telegram"], rasa, vendors, lerato).begin()
            customer = chat.customer
            await chat.agent_says(TextPart(text="Shall I?"), order)
            key = shown_buttons(customer)["Order them all"]
            assert key.startswith(PREFIX)
            await chat.agent_says(TextPart(text="Or something else?"))  # the question is over; the button isn't
        async with RasaServer(small_model, tmp_path, own) as rasa:
            await eventually(lambda: rasa.channel.desk.connected)
            await press(rasa, customer, key)
            await lerato.hears("message", handoff_id=chat.handoff_id, text="Order them all", speaker="customer")
            assert (await rasa.channel._long_payloads.restored(customer.id, key, "?")).payload == payload
            assert (await rasa.channel._long_payloads.restored("another", key, "?")).payload == "?"
            chat.rasa = rasa
            await chat.end()
            await rasa.channel.store.write(lambda connection: forget(connection, customer.id))
            assert (await rasa.channel._long_payloads.restored(customer.id, key, "?")).payload == "?"
