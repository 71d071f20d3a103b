"""One Rasa server with all of Rasa's channels hosted, one live-agent server and stand-in vendors, for the whole folder."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.redirect import redirect
from tests.rasa.channels.vendors import Vendors


def all_channels(vendors: Vendors) -> dict[str, Any]:
    """Every built-in channel but cmdline, with its ordinary settings."""
    return {
        "botframework": {"app_id": "app", "app_password": "password"},
        "callback": {"url": f"{vendors.url}/callback/callback"},
        "facebook": {"verify": "verify", "secret": "secret", "page-access-token": "token"},
        "hangouts": None,
        "mattermost": {"url": f"{vendors.url}/mattermost", "token": "token", "webhook_url": "http://127.0.0.1/"},
        "rasa": {"url": f"{vendors.url}/rasa"},
        "rest": None,
        "rocketchat": {"user": "bot", "password": "password", "server_url": f"{vendors.url}/rocketchat"},
        "slack": {"slack_token": "token", "slack_signing_secret": "secret", "use_threads": True},
        "socketio": {"session_persistence": True},
        "telegram": {"access_token": "1:token", "verify": "karoo_bot", "webhook_url": "https://127.0.0.1/hook"},
        "twilio": {"account_sid": "AC1", "auth_token": "token", "twilio_number": "+27"},
        "twilio_voice": {"assistant_voice": "alice"},
        "webexteams": {"access_token": "token"},
    }


def credentials(
    desk_url: str, folder: Path, channels: dict[str, Any], bot_id: str = "small", **more: Any
) -> dict[str, Any]:
    """Return credentials.yml with HandoffChannel hosting these channels; ``more`` is written beside it."""
    settings = {
        "bot_id": bot_id,
        "desk": {"url": desk_url},
        "store": f"sqlite:///{folder / 'relay.db'}",
        "tracker_delay": 0.3,
    }
    return {"rasa_handoff.HandoffChannel": {**settings, "channels": channels}, **more}


@pytest.fixture(scope="package")
def vendors() -> Iterator[Vendors]:
    """Stand-in vendors, to which Rasa's channels are redirected."""
    with Vendors() as vendors, pytest.MonkeyPatch.context() as monkeypatch:
        redirect(monkeypatch, vendors.url)
        yield vendors


@pytest.fixture
def broken(vendors: Vendors) -> Iterator[Vendors]:
    """Vendors that a test may break; in order again afterwards."""
    yield vendors
    vendors.mend()


@pytest.fixture
def session() -> str:
    """A new id for a page's session."""
    return uuid.uuid4().hex


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DeskServer]:
    """A live-agent server with two departments."""
    server = DeskServer(tmp_path_factory.mktemp("desk"))
    server.add_department("billing", "Billing")
    server.add_department("orders", "Orders")
    server.add_agent("Thandi", "billing", "orders")
    async with server:
        yield server


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def thandi(desk: DeskServer) -> AsyncIterator[ScriptedAgent]:
    """An agent, signed in and online."""
    async with ScriptedAgent(desk.url, "thandi@example.com") as agent:
        yield agent


@pytest.fixture(scope="package")
def serve(small_model: Path, desk: DeskServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RasaServer]:
    """Make a Rasa server that hosts these channels. In the folder of a stopped one it goes on with its state."""

    def serve(channels: dict[str, Any], folder: Path | None = None, **more: Any) -> RasaServer:
        folder = folder or tmp_path_factory.mktemp("rasa")
        return RasaServer(small_model, folder, credentials(desk.url, folder, channels, **more))

    return serve


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def rasa(serve: Callable[..., RasaServer], vendors: Vendors) -> AsyncIterator[RasaServer]:
    """The small bot on a real Rasa server that hosts all channels."""
    async with serve(all_channels(vendors)) as server:
        await eventually(lambda: server.channel.desk.connected)
        yield server
