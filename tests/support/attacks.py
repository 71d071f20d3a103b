"""Attacks on ``/socket.io/``: raw requests, packets and connections, against either server.

An attack returns what the attacker sees; :func:`ended` waits until the server has ended the socket.
"""

import asyncio
import contextlib
import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from rasa_handoff.testing.waiting import within

QUERY = "EIO=4&transport="
SECONDS = 8.0
"""How long the server may take to answer or to end a socket."""


class Stranger:
    """A raw websocket to the Engine.IO server, without a client library's checks."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, opening: dict[str, Any]) -> None:
        self.ws, self.sid = ws, opening["sid"]

    async def send(self, text: str) -> None:
        with contextlib.suppress(ConnectionError):
            await self.ws.send_str(text)

    async def join(self, namespace: str = "/", auth: Any = None) -> str:
        """Join a namespace and return the server's answer."""
        await self.send(f"40{'' if namespace == '/' else namespace + ','}{json.dumps(auth) if auth else ''}")
        return await self.hears("40", "44")

    async def hears(self, *beginnings: str) -> str:
        """Return the next packet that begins with a prefix."""
        while True:
            message = await within(self.ws.receive(), SECONDS)
            assert message.type is aiohttp.WSMsgType.TEXT, f"it was ended before {beginnings}"
            if message.data.startswith(beginnings):
                return str(message.data)

    async def ended(self) -> None:
        """Wait until the server has ended the connection."""
        while True:
            message = await within(self.ws.receive(), SECONDS)
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                return

    async def never_hears(self, beginning: str) -> None:
        """Wait until the socket is ended, or answers a probe sent now; no packet with this prefix may come before that."""
        await self.send("40/nowhere,")
        while True:
            message = await within(self.ws.receive(), SECONDS)
            if message.type is not aiohttp.WSMsgType.TEXT or message.data.startswith("44/nowhere"):
                return
            assert not message.data.startswith(beginning), message.data


@contextlib.asynccontextmanager
async def stranger(address: str, headers: dict[str, str] | None = None, **more: Any) -> AsyncIterator[Stranger]:
    """Open a raw websocket to this server."""
    url = address.replace("http", "ws", 1) + f"/socket.io/?{QUERY}websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(url, headers=headers, **more) as ws:
        opening = await within(ws.receive_str(), SECONDS)
        yield Stranger(ws, json.loads(opening[1:]))


async def get(address: str, query: str, **more: Any) -> tuple[int, str, dict[str, str]]:
    async with aiohttp.ClientSession() as http, http.get(f"{address}/socket.io/?{query}", **more) as answer:
        return answer.status, await answer.text(), dict(answer.headers)


async def polling(address: str) -> str:
    """Return the id of a new polling socket."""
    status, body, _ = await get(address, QUERY + "polling")
    assert status == 200, body
    return str(json.loads(body[1:])["sid"])


async def post(address: str, sid: str, body: Any, **more: Any) -> int:
    """Send packets to a polling socket and return the status; 0 if the connection was ended while they were sent."""
    url, body = f"{address}/socket.io/?{QUERY}polling&sid={sid}", io.BytesIO(body) if isinstance(body, bytes) else body
    try:
        async with aiohttp.ClientSession() as http, http.post(url, data=body, **more) as answer:
            return answer.status
    except (aiohttp.ClientError, ConnectionError):
        return 0


class Raw:
    """A TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @property
    def open(self) -> bool:
        return not self.reader.at_eof()

    async def send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def ask(self, path: str) -> int:
        """Return the status of one request, on a connection that stays open."""
        await self.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await within(self.reader.readuntil(b"\r\n\r\n"), SECONDS)
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        await self.reader.readexactly(int(length[1]) if length else 0)
        return int(head.split()[1])

    async def answer(self) -> bytes:
        """Return everything that comes until the server closes the connection."""
        with contextlib.suppress(ConnectionError):
            return await within(self.reader.read(), SECONDS)
        return b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def connect(address: str) -> Raw:
    parts = urlsplit(address)
    return Raw(*await asyncio.open_connection(parts.hostname, parts.port))


BINARY = ["451-" + '/live_agent,["from_user",{"_placeholder":true,"num":0}]', "461-", "bAAAA"]
UNFIT = [
    "4" + "[" * 100_000,  # read as JSON by python-engineio
    "42" + "[" * 100_000,
    '42["a",' + '{"a":' * 50_000,
    '42["a",NaN]',
    '42["a",' + "9" * 5_000 + "]",
    "42{}",
    "42[]",
    "42[1]",
    "42",
    "43",
    "431{}",
    "44",
    "49",
    "4",
    "9",
    "0{}",
    "2" + "[" * 100_000,
    "42" + "9" * 200 + '["a"]',
]
"""Packets that no client sends; each ends its socket."""
RESERVED = ["connect", "disconnect", "connect_error", "error", "disconnecting", "*"]
"""Events that a library makes itself; from a client none reaches a handler."""
