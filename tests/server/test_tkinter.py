"""The Tkinter demo's user window (docs/adapters/tkinter.md) as a customer of this desk.

:class:`AdminWindow` stands for it, since both windows have the same two streams, in opposite directions.
"""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator

import pytest

from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.server.app import ServerSettings, create_app
from rasa_handoff.server.gateways.tkinter_gateway import Ports, read_ports
from rasa_handoff.server.run import running, serve
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually, within
from tests.server.conftest import Server
from tests.server.peers import agent_at, arrived_handoff
from tests.support.admin_window import AdminWindow
from tests.support.databases import current


class Demo:
    """A server that hears the window, and agents at it. ``ahead``: how far its clock is moved."""

    def __init__(self, database: str) -> None:
        self.database, self.port, self.ahead = database, free_port(), 0.0
        self.ports = Ports(listen=free_port(), window=free_port())
        self.windows: list[AdminWindow] = []
        self.peers: list[ScriptedAgent] = []

    def running(self):
        app = create_app(
            self.database,
            ServerSettings(tkinter_demo=self.ports, bus=current().bus),
            now=lambda: time.time() + self.ahead,
        )
        return running(app, port=self.port)

    def open_window(self) -> AdminWindow:
        """Open the customer's window, as the trigger does."""
        self.windows.append(AdminWindow(self.ports.window, self.ports.listen))
        return self.windows[-1]

    def reopen_window(self) -> AdminWindow | None:
        """Open it again; return None while its port is still held for the window before."""
        try:
            return self.open_window()
        except OSError:
            return None

    async def agent(self) -> ScriptedAgent:
        """Sign Thandi in and connect her desk."""
        self.peers.append(agent_at(f"http://127.0.0.1:{self.port}"))
        await self.peers[-1].sign_in()
        await self.peers[-1].connect()
        return self.peers[-1]


@pytest.fixture
async def demo(database: str) -> AsyncIterator[Demo]:
    one = Demo(database)
    yield one
    for window in one.windows:
        await asyncio.to_thread(window.close)
        assert window.broken is None
    for peer in one.peers:
        await peer.close()


def said(thandi: ScriptedAgent) -> list[str]:
    """Return the customer's words that an agent was shown."""
    return [message["text"] for message in thandi.all("message") if message["speaker"] == "customer"]


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_a_window_and_its_agent_at_two_servers(demo: Demo) -> None:
    other, third = Server(demo.database), Server(demo.database)
    async with demo.running():
        await other.start()
        thandi = agent_at(other.address)
        demo.peers.append(thandi)
        await thandi.sign_in()
        await thandi.connect()
        window = demo.open_window()
        await asyncio.to_thread(window.say, "is anybody there?")
        handoff = await arrived_handoff(thandi)
        assert (await thandi.take(handoff))["ok"]
        await third.start()  # ends only conversations of windows whose server has ended
        await thandi.say(handoff, "Yes")
        await eventually(lambda: "Yes" in window.shown)
        await asyncio.to_thread(window.say, "good")
        await eventually(lambda: "good" in said(thandi))
        await thandi.resolve(handoff)
        await eventually(lambda: window.over)
        await third.stop()
        await other.stop()


async def test_the_whole_conversation(demo: Demo) -> None:
    async with demo.running():
        thandi, window = await demo.agent(), demo.open_window()
        await asyncio.to_thread(window.say, "molo, ndinengxaki €")
        handoff = await arrived_handoff(thandi)
        taken = await thandi.take(handoff)
        assert taken["conversation"]["channel"]["name"] == "tkinter"
        await asyncio.to_thread(window.say, "are you there?")
        await eventually(lambda: "are you there?" in said(thandi))
        await thandi.say(handoff, "Yes. " + "ç€😀" * 500)
        await thandi.say(handoff, "Still here")
        await eventually(lambda: "Still here" in window.shown)
        assert "".join(window.shown.split()) == "Yes." + "ç€😀" * 500 + "Stillhere"
        await eventually(lambda: [mark["status"] for mark in thandi.all("message.status")] == ["delivered"] * 2)
        await thandi.resolve(handoff)
        await eventually(lambda: window.over and "[The chat has ended" in window.shown)


async def test_a_window_that_is_closed_has_left_and_the_next_is_heard(demo: Demo) -> None:
    async with demo.running():
        thandi, first = await demo.agent(), demo.open_window()
        await asyncio.to_thread(first.say, "one")
        handoff = await arrived_handoff(thandi)
        await thandi.take(handoff)
        await thandi.say(handoff, "hello")
        await eventually(lambda: "hello" in first.shown)
        waiting = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", demo.ports.listen))
        waiting.sendall(b"two, in line")
        await asyncio.to_thread(first.close)
        after = await arrived_handoff(thandi, 2)
        assert after != handoff
        await eventually(lambda: "two, in line" in said(thandi))
        late = await thandi.say(handoff, "are you gone?")
        assert not late["ok"]
        second = await eventually(demo.reopen_window)
        await thandi.take(after)
        await thandi.say(after, "hello two")
        await eventually(lambda: second.shown == "hello two\n")
        waiting.close()


async def test_nobody_there_is_told_in_the_window(demo: Demo) -> None:
    async with demo.running():
        window = demo.open_window()
        await asyncio.to_thread(window.say, "hello?")
        await eventually(lambda: "[Nobody is here at the moment" in window.shown)


async def test_who_waits_or_is_silent_is_told_in_the_window_and_then_it_ends(demo: Demo) -> None:
    async with demo.running():
        thandi, window = await demo.agent(), demo.open_window()
        await asyncio.to_thread(window.say, "hello?")
        handoff = await arrived_handoff(thandi)
        demo.ahead += 301
        await eventually(lambda: "[Nobody has been free to answer yet" in window.shown)
        await thandi.take(handoff)
        await thandi.say(handoff, "which order is it?")
        await eventually(lambda: [mark["status"] for mark in thandi.all("message.status")] == ["delivered"])
        demo.ahead += 601
        await eventually(lambda: "[Are you still there?" in window.shown)
        demo.ahead += 601
        await eventually(lambda: window.over and "[The chat has ended" in window.shown)


async def test_a_handoff_whose_window_was_of_an_ended_process_is_no_longer_queued(demo: Demo) -> None:
    async with demo.running():
        thandi, window = await demo.agent(), demo.open_window()
        await asyncio.to_thread(window.say, "one")
        await arrived_handoff(thandi)
    async with demo.running():
        again = await demo.agent()
        ready = (await eventually(lambda: again.all("ready")))[0]
        assert ready["queue"] == []


async def test_without_the_option_nothing_listens(database: str) -> None:
    async with running(create_app(database), port=free_port()):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", 3000))


async def test_an_agents_words_wait_until_the_window_listens(demo: Demo) -> None:
    async with demo.running():
        thandi = await demo.agent()
        early = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", demo.ports.listen))
        early.sendall(b"one")
        handoff = await arrived_handoff(thandi)
        await thandi.take(handoff)
        await thandi.say(handoff, "hello")
        assert thandi.all("message.status") == []
        window = demo.open_window()
        await eventually(lambda: window.shown == "hello\n")
        early.close()


async def test_the_command_hears_the_window_too(demo: Demo) -> None:
    ports = f"{demo.ports.listen}:{demo.ports.window}"
    options = ["--port", str(demo.port), "--database", demo.database, "--tkinter-demo", ports]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rasa_handoff.cli", "serve", *options, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert b"is ready" in await within(process.stdout.readline(), 30)
    thandi, window = await demo.agent(), demo.open_window()
    await asyncio.to_thread(window.say, "hello")
    await arrived_handoff(thandi)
    process.terminate()
    await process.communicate()


def test_a_busy_port_is_one_sentence(database: str) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        wanted = f"127.0.0.1:{port} can't be listened on .*choose another --tkinter-demo"
        with pytest.raises(HandoffError, match=wanted):
            serve("127.0.0.1", 0, database, ServerSettings(tkinter_demo=Ports(listen=port, window=port + 1)))


@pytest.mark.parametrize("given", ["3000", "3000:", "a:b", "3000:3000", "0:1", "1:70000", "1:2:3"])
def test_ports_that_are_none_are_named(given: str) -> None:
    with pytest.raises(HandoffError, match="write two ports, such as 3000:4000"):
        read_ports(given)


def test_ports_are_read() -> None:
    assert read_ports(None) is None
    assert read_ports("13000:14000") == Ports(listen=13000, window=14000)
