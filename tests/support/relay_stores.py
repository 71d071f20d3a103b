"""The relay's store on a database of a test's."""

from rasa_handoff.relay import repository
from rasa_handoff.relay.repository import RelayStore


def relay_store(url: str) -> RelayStore:
    return RelayStore(url, repository.metadata, repository.SIDE, repository.SCHEMA)
