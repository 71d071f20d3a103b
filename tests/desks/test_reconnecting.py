"""A desk's connection that breaks at the worst moment is made again, whatever the client makes of it."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from socketio import ASGIApp, AsyncServer

from rasa_handoff.desks.ours import OurDesk
from rasa_handoff.protocol.handshake import PROTOCOL
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER
from rasa_handoff.server import accounts
from rasa_handoff.server.run import running
from rasa_handoff.testing.desks import settings_for
from rasa_handoff.testing.relay_side import RelaySide
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.support.databases import current


class ClosesAtOnce:
    """A web socket that is opened and closed before a word, as by a server that is killed at that moment."""

    def __init__(self) -> None:
        self.opened = 0
        app = web.Application()
        app.router.add_get("/socket.io/", self._close)
        self._runner = web.AppRunner(app, access_log=None)

    async def _close(self, request: web.Request) -> web.WebSocketResponse:
        self.opened += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close()
        return socket

    async def start(self) -> int:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        await self._runner.cleanup()


async def test_a_socket_closed_before_a_word_is_tried_again(tmp_path: Path) -> None:
    closing = ClosesAtOnce()
    desk = {"url": f"http://127.0.0.1:{await closing.start()}"}
    side = RelaySide(OurDesk, settings_for(desk, tmp_path, **current().relay(tmp_path)))
    await side.relay.open({DESK: side.desk, CUSTOMER: side.customer, TRACKER: side.tracker})
    await side.desk.open()
    try:
        await eventually(lambda: closing.opened >= 3, what="it is tried again and again")
    finally:
        await closing.stop()
        await side.desk.close()
        await side.relay.close()


@pytest.mark.parametrize(("relays", "servers"), [(2, 1), (1, 2), (2, 2)])
async def test_both_sides_may_be_updated_in_either_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relays: int, servers: int
) -> None:
    monkeypatch.setattr("rasa_handoff.desks.ours.PROTOCOL", relays)
    monkeypatch.setattr("rasa_handoff.server.gateways.relay_gateway.PROTOCOL", servers)
    async with (
        DeskServer(tmp_path) as server,
        RelaySide(OurDesk, settings_for({"url": server.url}, tmp_path)) as side,
        ScriptedAgent(server.url, server.add_agent("Thandi")) as thandi,
    ):
        handoff_id = await side.start()
        await thandi.take(handoff_id)
        await thandi.say(handoff_id, "good day")
        await side.says("hello")
        await thandi.hears("message", text="hello")
        await eventually(lambda: side.agent_messages() == ["good day"])


class Welcoming:
    """A server that lets every relay in and says this to its hello: one of a version that isn't written yet."""

    def __init__(self, welcome: dict[str, Any]) -> None:
        self.greeted = 0
        self.welcome, self._sio = welcome, AsyncServer(async_mode="asgi")
        self._sio.on("connect", self._connect, namespace="/relay")
        self._sio.on("hello", self._hello, namespace="/relay")
        self.app = ASGIApp(self._sio)

    async def _connect(self, *_: Any) -> None:
        """Come in."""

    async def _hello(self, sid: str, _: Any) -> None:
        self.greeted += 1
        await self._sio.emit("welcome", self.welcome, to=sid, namespace="/relay")


WELCOME = {
    "format": "rasa-handoff",
    "protocol": PROTOCOL,
    "server": "9.9",
    "epoch": "e" * 32,
    "open": [],
    "departments": [],
    "staffed": True,
}

BEFORE = (
    "its welcome doesn't name the format 'rasa-handoff', so it is from before the first release, or something else: "
    "update rasa-handoff there."
)


async def test_a_server_of_the_next_protocol_is_spoken_to(tmp_path: Path) -> None:
    server = Welcoming({**WELCOME, "protocol": PROTOCOL + 1, "news_of_the_next": True})
    storage = current().relay(tmp_path)
    async with running(server.app) as url, RelaySide(OurDesk, settings_for({"url": url}, tmp_path, **storage)) as side:
        assert side.desk.connected
        assert side.desk.availability is not None
        assert side.desk.availability.staffed


RELAYS_UPDATE = "update rasa-handoff beside Rasa to a version with protocol 3 or 4"
SERVERS_UPDATE = "update the live-agent server to a version with protocol 1 or 2"


@pytest.mark.parametrize(
    ("welcome", "why"),
    [
        ({**WELCOME, "protocol": 4}, f"it speaks protocol 4, this package 2: {RELAYS_UPDATE}."),
        ({**WELCOME, "protocol": 0}, f"it speaks protocol 0, this package 2: {SERVERS_UPDATE}."),
        ({**WELCOME, "format": "other"}, BEFORE),
        ({name: value for name, value in WELCOME.items() if name != "format"}, BEFORE),
        ({**WELCOME, "epoch": None}, "its welcome can't be read: 'epoch' must be a text, not null."),
    ],
)
async def test_a_welcome_that_does_not_fit_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, welcome: dict[str, Any], why: str
) -> None:
    server = Welcoming(welcome)
    async with running(server.app) as url:
        side = RelaySide(OurDesk, settings_for({"url": url}, tmp_path, **current().relay(tmp_path)))
        await side.relay.open({DESK: side.desk, CUSTOMER: side.customer, TRACKER: side.tracker})
        await side.desk.open()
        try:
            await eventually(lambda: server.greeted >= 3, what="it is tried again and again")
            assert not side.desk.connected
        finally:
            await side.desk.close()
            await side.relay.close()
    said = [record.getMessage() for record in caplog.records if record.name == "rasa_handoff.desks.ours"]
    assert said == [f"The live-agent server at {url} can't be reached: {why}"]


async def test_a_server_that_is_updated_is_spoken_to(tmp_path: Path) -> None:
    server = Welcoming({**WELCOME, "format": None})
    async with running(server.app) as url:
        side = RelaySide(OurDesk, settings_for({"url": url}, tmp_path, **current().relay(tmp_path)))
        await side.relay.open({DESK: side.desk, CUSTOMER: side.customer, TRACKER: side.tracker})
        await side.desk.open()
        try:
            await eventually(lambda: server.greeted >= 2, what="it is tried again")
            assert not side.desk.connected
            server.welcome = WELCOME
            await eventually(lambda: side.desk.connected)
        finally:
            await side.desk.close()
            await side.relay.close()


@pytest.mark.parametrize(
    ("protocol", "why"),
    [
        (4, f"This server speaks protocol 4, the relay 2: {RELAYS_UPDATE}."),
        (1, "The token isn't one of the bot 'b'. Make one: rasa-handoff token add b"),
    ],
)
async def test_a_server_that_refuses_it_is_quoted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, protocol: int, why: str
) -> None:
    monkeypatch.setattr("rasa_handoff.server.gateways.relay_gateway.PROTOCOL", protocol)
    async with DeskServer(tmp_path, **current().desk(tmp_path)) as server:
        accounts.add_token(server.database, "b")
        side = RelaySide(OurDesk, settings_for({"url": server.url}, tmp_path, **current().relay(tmp_path)))
        await side.relay.open({DESK: side.desk, CUSTOMER: side.customer, TRACKER: side.tracker})
        await side.desk.open()
        try:
            await eventually(lambda: f"The live-agent server at {server.url} can't be reached: {why}" in caplog.text)
        finally:
            await side.desk.close()
            await side.relay.close()
