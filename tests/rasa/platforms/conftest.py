"""A real Rasa server with Kommunicate's channel, and callers in Kommunicate's place."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.platforms.kommunicate_caller import Kommunicate, settings
from tests.rasa.platforms.rest_api import RestApi
from tests.support.trained_bots import trained_once


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path) -> Iterator[None]:
    """Run each test in its own folder, as in a project: the channel's database is a file there."""
    with pytest.MonkeyPatch.context() as patch:  # the test's own is undone before its server ends
        patch.chdir(tmp_path)
        yield


@pytest.fixture(scope="session")
def platform_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bot with messages of every kind."""
    return trained_once("platform", tmp_path_factory)


@pytest.fixture
async def rasa(platform_model: Path, tmp_path: Path) -> AsyncIterator[RasaServer]:
    async with RasaServer(platform_model, tmp_path, settings()) as server:
        yield server


@pytest.fixture
def kommunicate(rasa: RasaServer) -> Kommunicate:
    """Kommunicate, with one customer in the conversation 4711."""
    return Kommunicate(rasa)


@pytest.fixture
async def api() -> AsyncIterator[RestApi]:
    """Kommunicate's REST API."""
    async with RestApi() as stand_in:
        yield stand_in
