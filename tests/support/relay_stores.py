"""The relay's store, for tests that need no relay."""

from rasa_handoff.relay import repository
from rasa_handoff.relay.repository import RelayStore


def relay_store(url: str) -> RelayStore:
    """Return the relay's store on the database of this URL."""
    return RelayStore(url, repository.metadata, repository.SIDE, repository.SCHEMA)
