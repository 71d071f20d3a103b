"""A second relay with the bot's name and another database: a copy of the project that somebody started by mistake."""

import asyncio
import contextlib
import uuid

import socketio

from rasa_handoff.protocol.handshake import FORMAT, PROTOCOL
from rasa_handoff.protocol.names import RELAY_NAMESPACE
from tests.chaos.book import Book


async def come_and_go(url: str, bot_id: str, seconds: float, book: Book) -> None:
    """Connect, say that no handoff is open, acknowledge nothing, and leave after so many seconds."""
    client = socketio.AsyncClient(reconnection=False)
    welcomed = asyncio.Event()

    async def on_welcome(*_: object) -> None:
        welcomed.set()

    client.on("welcome", on_welcome, namespace=RELAY_NAMESPACE)
    auth = {"format": FORMAT, "protocol": PROTOCOL, "token": None, "bot_id": bot_id, "epoch": uuid.uuid4().hex}
    outcome = "refused"
    try:
        await client.connect(url, namespaces=[RELAY_NAMESPACE], auth=auth, transports=["websocket"], wait_timeout=5)
        await client.emit("hello", {"open": []}, namespace=RELAY_NAMESPACE)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(welcomed.wait(), 5)
        outcome = "welcomed" if welcomed.is_set() else "never welcomed"
        await asyncio.sleep(seconds)
    except socketio.exceptions.SocketIOError as problem:
        outcome = f"refused: {problem}"
    finally:
        book.note("second relay", bot_id, outcome=outcome)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(client.disconnect(), 1)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(client.eio.disconnect(abort=True), 1)
