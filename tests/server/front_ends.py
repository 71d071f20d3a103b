"""Front ends made of the code in Botlhale's documentation (``seed/``), with real socket.io clients, in Chromium and in Node.

What the documentation leaves to the front end stands here: the ids, the story so far, showing a text, and sending one to the
bot.
"""

import abc
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from rasa_handoff.server.run import running
from rasa_handoff.testing.waiting import within
from tests.support.npm import installed, program

HERE = Path(__file__).parent
STORY = [{"sender": "user", "message": "I want a person"}, {"sender": "bot", "message": "One moment"}]
TALKING = (HERE / "seed" / "talking.js").read_text().replace("let messages = []", "let messages = story")
SENDING = (HERE / "seed" / "sending.js").read_text().replace("// Send a message bot", "toBot.push(message)")
LEFT_OPEN = """
const ADDRESS = %s, ConversationID = %s, BotID = "seed-bot", story = %s;
const shown = [], toBot = [];
const setBotResponse = (text) => { shown.push(text); };
"""


class FrontEnd(abc.ABC):
    """One customer's page, or what stands for it. ``client``: the name in ``clients/package.json``."""

    def __init__(self, client: str) -> None:
        self.client = installed() / client
        self.troubles: list[str] = []

    async def open(self, address: str, conversation_id: str) -> None:
        """Begin, or begin anew as after a reload. Nothing connects yet."""
        await self.begin()
        await self.run(LEFT_OPEN % (json.dumps(address), json.dumps(conversation_id), json.dumps(STORY)))
        await self.run(TALKING)

    async def send(self, text: str) -> None:
        """Send a text, as the page's button does."""
        await self.run(f"(function (message) {{ {SENDING} }})({json.dumps(text)})")

    @abc.abstractmethod
    async def begin(self) -> None:
        """Open an empty page with the client library."""

    @abc.abstractmethod
    async def run(self, script: str) -> None: ...

    @abc.abstractmethod
    async def value(self, expression: str) -> Any: ...

    @abc.abstractmethod
    async def close(self) -> None: ...


class ChromiumFrontEnd(FrontEnd):
    """A page of another origin than the server's."""

    def __init__(self, client: str, page: Page, origin: str) -> None:
        super().__init__(client)
        self._page, self._origin = page, origin
        page.on("console", lambda said: self.troubles.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda problem: self.troubles.append(str(problem)))

    async def begin(self) -> None:
        await self._page.goto(self._origin)
        await self._page.add_script_tag(path=self.client / "dist" / "socket.io.min.js")

    async def run(self, script: str) -> None:
        await self._page.add_script_tag(content=script)

    async def value(self, expression: str) -> Any:
        return await self._page.evaluate(expression)

    async def close(self) -> None:
        await self._page.close()


class NodeFrontEnd(FrontEnd):
    """A Node process, which runs the same scripts without a page."""

    _process: asyncio.subprocess.Process | None = None

    async def begin(self) -> None:
        await self.close()
        pipe = asyncio.subprocess.PIPE
        command = [program("node"), str(HERE / "clients" / "node.js"), str(self.client)]
        self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)

    async def run(self, script: str) -> None:
        await self.value(f"{script}\n;null")

    async def value(self, expression: str) -> Any:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(expression).encode() + b"\n")
        answer = await within(process.stdout.readline(), 10)
        assert answer, await process.stderr.read() if process.stderr is not None else ""
        return json.loads(answer)

    async def close(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            _, said = await within(self._process.communicate(), 10)
            self.troubles += said.decode().splitlines()
            self._process = None


@asynccontextmanager
async def empty_page() -> AsyncIterator[str]:
    """Serve a page with nothing on it, of another origin than any server of a test's, and give its address."""

    async def show(_: Any) -> HTMLResponse:
        return HTMLResponse('<!doctype html><link rel="icon" href="data:,"><title>A front end</title>')

    async with running(Starlette(routes=[Route("/", show)])) as address:
        yield address.replace("127.0.0.1", "localhost")


@asynccontextmanager
async def front_end(client: str, browser: Browser | None) -> AsyncIterator[FrontEnd]:
    """Give a front end in this browser, or in Node without one; it is closed at the end."""
    async with empty_page() as origin:
        one = NodeFrontEnd(client) if browser is None else ChromiumFrontEnd(client, await browser.new_page(), origin)
        try:
            yield one
        finally:
            await one.close()
