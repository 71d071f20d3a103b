"""The scripted customers press buttons, and wait for what isn't there yet."""

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import RestCustomer, ScriptedCustomer


async def test_a_button_is_pressed_on_socketio(rasa: RasaServer) -> None:
    async with ScriptedCustomer(rasa.url) as customer:
        await customer.say("show me things")
        await customer.press("The red one")
        await customer.hears("Hello.")


async def test_a_button_is_pressed_on_rest(rasa: RasaServer) -> None:
    async with RestCustomer(rasa.url) as customer:
        await customer.say("show me things")
        assert await customer.press("The red one") == ["Hello."]
        assert customer.texts[-1] == "Hello."
        with pytest.raises(AssertionError, match="no button 'The green one' among"):
            await customer.press("The green one")
