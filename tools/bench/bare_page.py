"""The reference of the figure ``desk``: a page without a framework that shows the same rows, and its server."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from aiohttp import web

from rasa_handoff.testing.ports import free_port

PAGE: Final = Path(__file__).with_name("bare_page.html")

Texts = Sequence[str]
"""The texts of a row."""


class BarePage:
    """``async with BarePage(waiting, messages)``: serves the page. ``url``: its address."""

    def __init__(self, waiting: Sequence[Texts], messages: Sequence[Texts]) -> None:
        self._rows = {"/waiting": list(waiting), "/messages": list(messages)}
        self._sockets: list[web.WebSocketResponse] = []
        self.url = ""

    async def __aenter__(self) -> "BarePage":
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/socket", self._connect)
        for path in self._rows:
            app.router.add_get(path, self._list)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        port = free_port()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}/"
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        for connection in self._sockets:
            await connection.close()
        await self._runner.cleanup()

    async def send(self, row: Texts) -> None:
        """Send a message to the page that is open; it belongs to the conversation from then on."""
        self._rows["/messages"].append(row)
        await self._sockets[-1].send_str(json.dumps(row))

    async def _page(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE)

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(self._rows[request.path])

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        self._sockets.append(connection)
        async for _ in connection:
            pass
        return connection
