"""A real Rasa server with LivePersonChannel, and callers in LivePerson's place."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.platforms.liveperson.liveperson_caller import LivePerson, settings


@pytest.fixture
async def rasa(platform_model: Path, tmp_path: Path) -> AsyncIterator[RasaServer]:
    async with RasaServer(platform_model, tmp_path, settings()) as server:
        yield server


@pytest.fixture
def liveperson(rasa: RasaServer) -> LivePerson:
    """LivePerson, with one customer in the conversation c-1."""
    return LivePerson(rasa)
