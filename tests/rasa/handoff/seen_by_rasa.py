"""What the tests of this folder see on Rasa's side: the tracker, and what waits for a customer."""

from rasa_handoff.relay.relay import CUSTOMER
from rasa_handoff.testing.rasa_server import RasaServer


async def tracker_has(rasa: RasaServer, text: str) -> bool:
    """Return whether anybody has said this, by Thabo's tracker."""
    return any(event.get("text") == text for event in await rasa.events())


async def is_paused(rasa: RasaServer, sender: str = "thabo") -> bool:
    """Return whether this customer's tracker is paused."""
    return bool((await rasa.tracker(sender))["paused"])


async def all_is_told(rasa: RasaServer) -> bool:
    """Return whether nothing waits for Thabo. On ``rest``, which acknowledges nothing, a restart would tell it again."""
    return not await rasa.channel.relay.waiting_entries(CUSTOMER, "thabo")
