"""SIGTERM to the real Rasa server in the middle of a chat: it ends soon and cleanly, goes on after its return, and keeps time."""

import asyncio
import contextlib
import itertools
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from socketio.exceptions import SocketIOError

from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.scripted_customer import RestCustomer, ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.test_database import NOT_TAKEN
from tests.support.forked_rasa import forked_rasa
from tests.support.started_processes import Process

pytestmark = pytest.mark.timeout(240)
AGENT_SILENT = 3
SOON = 12
"""Seconds: Sanic alone waits 15 for a connection that is used all the time."""


async def test_sigterm_drains_and_the_chat_goes_on(small_model: Path, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    desk = DeskServer(tmp_path)
    desk.add_agent("Thandi")
    async with (
        desk,
        ScriptedAgent(desk.url, "thandi@example.com") as thandi,
        RestCustomer(url) as customer,
        aiohttp.ClientSession() as http,
    ):
        (tmp_path / "credentials.yml").write_text(yaml.safe_dump(credentials(desk.url, tmp_path)))
        store = {"type": "SQL", "dialect": "sqlite", "db": str(tmp_path / "tracker.db")}
        (tmp_path / "endpoints.yml").write_text(yaml.safe_dump({"tracker_store": store}))
        command = [*forked_rasa(), "run", "-m", str(small_model), "-p", str(port), "-i", "127.0.0.1"]

        async def health() -> dict[str, Any]:
            async with http.get(f"{url}/webhooks/handoff/") as answer:
                return dict(await answer.json())

        async def connected() -> bool:
            return bool((await health())["desk"] == "connected")

        async def with_bot() -> bool:
            return bool((await health())["under_way"] == 0)

        async with Process(command, tmp_path, up=url) as rasa:
            await eventually(connected)
            await customer.say("/execute_handoff")
            handoff_id = (await thandi.take_next())["handoff_id"]
            await customer.say("before the end")
            await thandi.say(handoff_id, "said just before")
            late = await Late.begin(port)
            rasa.process.send_signal(signal.SIGTERM)
            accepted, received = await asyncio.wait_for(_said_until_the_end(customer.say), SOON)
            assert "connection: close" in (await late.end()).lower()
            await eventually(lambda: rasa.process.poll() is not None, seconds=SOON, what="it ends by itself")
            assert "Traceback" not in rasa.said(), rasa.said()
        await thandi.say(handoff_id, "said while it was away")
        brief = credentials(desk.url, tmp_path, timers={"agent_silent": AGENT_SILENT})
        (tmp_path / "credentials.yml").write_text(yaml.safe_dump(brief))
        async with Process(command, tmp_path, up=url) as rasa:
            await eventually(connected)

            async def answered() -> bool:
                received.extend(await customer.say("are you there"))
                return "said while it was away" in received

            await eventually(answered)
            assert [text for text in received if text.startswith("said")] == [
                "said just before",
                "said while it was away",
            ]
            texts = await eventually(lambda: _texts(thandi, handoff_id))
            assert texts[: len(accepted) + 1] == ["before the end", *accepted]
            await customer.say("nobody answers")  # the agent's own words may have come after the last one
            await eventually(with_bot, seconds=AGENT_SILENT + SOON, what="the relay's timer gives the customer back")


async def test_a_stopping_server_refuses_no_message_and_closes_its_pages_at_once(
    small_model: Path, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with DeskServer(tmp_path) as desk:
        (tmp_path / "credentials.yml").write_text(yaml.safe_dump(credentials(desk.url, tmp_path)))
        command = [*forked_rasa(), "run", "-m", str(small_model), "-p", str(port), "-i", "127.0.0.1"]
        async with Process(command, tmp_path, up=f"{url}/webhooks/handoff/") as rasa:
            async with ScriptedCustomer(url, "busy", acks=True) as busy, ScriptedCustomer(url, "quiet") as quiet:
                answers: list[dict[str, Any]] = []
                saying = asyncio.create_task(_say_all_the_time(busy, answers))
                await eventually(lambda: "Hello." in busy.texts)
                rasa.process.send_signal(signal.SIGTERM)
                await eventually(lambda: not busy.sio.connected and not quiet.sio.connected, seconds=SOON)
                await cancel_all(saying)  # the last message has no answer: its page sends it again elsewhere
                assert [one for one in answers if one != {"ok": True}] == []
            await eventually(lambda: rasa.process.poll() is not None, seconds=SOON, what="it ends by itself")
            assert "stopping" not in rasa.said(), rasa.said()
            assert "Task was destroyed" not in rasa.said(), rasa.said()


async def _say_all_the_time(customer: ScriptedCustomer, answers: list[dict[str, Any]]) -> None:
    with contextlib.suppress(SocketIOError):
        while True:
            answers.append(await customer.say_with_id("/greet"))


async def _said_until_the_end(say: Callable[[str], Awaitable[list[str]]]) -> tuple[list[str], list[str]]:
    """Say words until the server has ended; return those that it didn't refuse, and all its answers.

    The customer never pauses, on a connection that would be kept alive.
    """
    accepted: list[str] = []
    received: list[str] = []
    with contextlib.suppress(aiohttp.ClientError):
        for number in itertools.count(1):
            word = f"word {number}"
            answer = await say(word)
            received.extend(answer)
            if NOT_TAKEN not in answer:
                accepted.append(word)
    return accepted, received


class Late:
    """A request that is only half there when the server stops; its connection would be kept alive for two minutes."""

    BODY = b'{"sender": "late", "message": "hello"}'

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def begin(cls, port: int) -> "Late":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /webhooks/rest/webhook HTTP/1.1\r\nHost: here\r\nContent-Length: {len(cls.BODY)}\r\n\r\n"
        writer.write(head.encode() + cls.BODY[:5])
        await writer.drain()
        return cls(reader, writer)

    async def end(self) -> str:
        """Send the rest, and return the head of the answer."""
        self.writer.write(self.BODY[5:])
        try:
            return (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SOON)).decode()
        finally:
            self.writer.close()
            with contextlib.suppress(OSError):
                await self.writer.wait_closed()


async def _texts(agent: ScriptedAgent, handoff_id: str) -> list[str]:
    conversation = (await agent.ask("open", handoff_id=handoff_id, after=0))["conversation"]
    return [message["text"] for message in conversation["messages"] if message["speaker"] == "customer"]
