"""A message that can't be delivered is never silent: it waits, with the reason; after a time it has failed, and the next has
its turn."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import OnCallback
from tests.rasa.channels.conftest import all_channels
from tests.rasa.channels.talking import resolved, taken
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.fixture
def broken(vendors: Vendors) -> Iterator[Vendors]:
    """Vendors who may say no; in order again afterwards."""
    yield vendors
    vendors.failing.clear()


@pytest_asyncio.fixture(loop_scope="package")
async def rasa(serve: Callable[..., RasaServer], vendors: Vendors) -> AsyncIterator[RasaServer]:
    """A server that loses patience soon."""
    server = serve({"callback": all_channels(vendors)["callback"]}, bot_id="impatient")
    server.credentials["rasa_handoff.HandoffChannel"]["delivery_timeout"] = 1.0
    async with server:
        await eventually(lambda: server.channel.desk.connected)
        yield server


async def test_what_a_vendor_does_not_take_for_too_long_has_failed(
    rasa: RasaServer, broken: Vendors, thandi: ScriptedAgent
) -> None:
    customer = OnCallback(rasa, broken, id="impatient")
    await customer.say("I give up completely")
    handoff_id = await taken(rasa, thandi, customer)
    await customer.hears("Thandi is here")
    broken.failing.add("callback")
    await thandi.say(handoff_id, "One.", id="impatient1")
    await thandi.say(handoff_id, "Two.", id="impatient2")
    for id in ("impatient1", "impatient2"):
        waits = await thandi.hears("message.status", message_id=id, status="waiting")
        assert "callback doesn't take it now" in waits["reason"]
    for id in ("impatient1", "impatient2"):
        failed = await thandi.hears("message.status", message_id=id, status="failed")
        assert failed["reason"].startswith("Tried for 1 s: callback doesn't take it now")
    broken.failing.clear()
    await thandi.say(handoff_id, "Three.", id="impatient3")
    await thandi.hears("message.status", message_id="impatient3", status="delivered")
    assert [text for text in customer.received_texts() if text in ("One.", "Two.", "Three.")] == ["Three."]
    await resolved(rasa, thandi, customer, handoff_id)
