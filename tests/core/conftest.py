"""The relay's store, open, on both databases."""

from collections.abc import AsyncIterator

import pytest

from rasa_handoff.relay.repository import RelayStore
from tests.support.relay_stores import relay_store


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[RelayStore]:
    one = relay_store(database_url)
    async with one:
        yield one
