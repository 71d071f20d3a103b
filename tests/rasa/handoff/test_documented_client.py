"""The client of a mailbox in docs/front-ends.md: it loses nothing that its customer says, and tells what is refused."""

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rasa_handoff.protocol.tokens import HEADER, make_token
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually, within
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.test_database import locked
from tests.rasa.handoff.test_mailbox import SECRET, Client
from tests.support.npm import program
from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("locked_databases_fail_soon")


@pytest.fixture
async def rasa(small_model: Path, desk: DeskServer, tmp_path: Path) -> AsyncIterator[RasaServer]:
    tokens = {"customer_tokens": "required", "customer_token_secrets": [SECRET]}
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, **tokens)) as server:
        await eventually(lambda: server.channel.desk.connected)
        yield server


class DocumentedClient:
    """The client of docs/front-ends.md, run by Node: says the lines it is given, and tells what it hears and is answered."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.lines: list[str] = []
        (block,) = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "front-ends.md").read_text(), re.DOTALL)
        assert len(block.splitlines()) <= 24
        self._main = folder / "main.mjs"
        (folder / "mailbox.mjs").write_text(block)
        self._main.write_text(
            'import { mailbox } from "./mailbox.mjs";\nimport { createInterface } from "node:readline";\n'
            "const ask = fetch;\n"
            "globalThis.fetch = async (address, request) => {\n"
            "  const answer = await ask(address, request);\n"
            '  if (request.method === "POST") console.log(`answered ${answer.status}`);\n'
            "  return answer;\n"
            "};\n"
            f'const box = mailbox("{client.rasa.url}", "{client.id}", "{client.headers[HEADER]}", '
            "(message) => console.log(message.text), (refusal) => console.log(`ended: ${refusal.message}`));\n"
            "const say = (line) => box.say(line).catch((refusal) => console.log(`refused: ${refusal.message}`));\n"
            'createInterface({ input: process.stdin }).on("line", say).on("close", box.stop);\n'
        )

    async def __aenter__(self) -> "DocumentedClient":
        self._node = await asyncio.create_subprocess_exec(
            program("node"), str(self._main), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it as its page would, and read what it has still told."""
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            assert await within(self._node.wait(), 10) == 0
        self.lines += (await self._node.stdout.read()).decode().splitlines()

    def say(self, words: str) -> None:
        assert self._node.stdin is not None
        self._node.stdin.write(f"{words}\n".encode())

    async def tells(self, words: str) -> None:
        """Wait until a line has these words."""
        assert self._node.stdout is not None
        while not any(words in line for line in self.lines):
            line = await within(self._node.stdout.readline(), 15)
            assert line, self.lines
            self.lines.append(line.decode().rstrip("\n"))


async def test_the_documented_client_hears_and_says_everything_once(
    rasa: RasaServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    (folder := tmp_path / "node").mkdir()
    async with DocumentedClient(Client(rasa), folder) as client:
        client.say("/greet")
        await client.tells("Hello.")
        client.say("/execute_handoff")
        handoff_id = (await thandi.take_next())["handoff_id"]
        await client.tells("Thandi is here")
        for number in range(5):
            await thandi.say(handoff_id, f"Word {number}.", id=f"w-{number}")
        await client.tells("Word 4.")
        client.say("thank you")
        await thandi.hears("message", text="thank you")
        await thandi.hears("message.status", message_id="w-4", status="delivered")
    assert [line for line in client.lines if line.startswith("Word")] == [f"Word {number}." for number in range(5)]


@pytest.mark.sqlite
async def test_the_documented_client_loses_no_words_while_they_cant_be_taken(
    rasa: RasaServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    (folder := tmp_path / "node").mkdir()
    async with DocumentedClient(Client(rasa), folder) as client:
        client.say("/execute_handoff")
        handoff_id = (await thandi.take_next())["handoff_id"]
        await client.tells("Thandi is here")
        with locked(tmp_path / "relay.db"):
            client.say("one")
            client.say("two")
            await client.tells("answered 503")
        client.say("three")
        await thandi.hears("message", text="three")
        said = [body["text"] for body in thandi.all("message") if body["handoff_id"] == handoff_id]
        assert said[-3:] == ["one", "two", "three"]


async def test_the_documented_client_says_what_is_refused_for_good_and_goes_on(
    rasa: RasaServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    (folder := tmp_path / "node").mkdir()
    async with DocumentedClient(Client(rasa), folder) as client:
        client.say("/handoff_rate{bad")
        await client.tells("refused: ")
        client.say("/greet")
        await client.tells("Hello.")


async def test_the_documented_client_says_when_it_may_not_hear_any_more(rasa: RasaServer, tmp_path: Path) -> None:
    (folder := tmp_path / "node").mkdir()
    stranger = Client(rasa)
    stranger.headers = {HEADER: make_token("x" * 32, "small", stranger.id)}
    async with DocumentedClient(stranger, folder) as client:
        await client.tells("ended: ")
        client.say("hello?")
        await client.tells("refused: ")
