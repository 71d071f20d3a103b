"""The python-socketio server of a hosted channel: its rooms and handlers, and two corrections of how Rasa uses it.

1. ``enter_room`` became a coroutine in python-socketio 5.10, and Rasa calls it without ``await``: with session persistence every
   reply was lost. Here it enters at once.
2. Rasa listens in the configured namespace and emits outside it. Here it emits in the same one.

Both are corrected on the server instance, so that a project's own subclass with a blueprint of its own is corrected too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from socketio import AsyncServer

SocketHandler = Callable[..., Awaitable[Any]]


def correct_server(sio: AsyncServer, namespace: str) -> None:
    """Correct Rasa's use of this server, whose channel listens in this namespace."""
    sio.enter_room = _entering(sio, namespace)
    sio.emit = _emitting(sio.emit, namespace)


def handlers_of(sio: AsyncServer, namespace: str) -> dict[str, SocketHandler]:
    """Return the handlers of this namespace, by event."""
    handlers: dict[str, SocketHandler] = sio.handlers.setdefault(namespace, {})
    return handlers


def sockets_in(sio: AsyncServer, namespace: str, room: str) -> list[str]:
    """Return the ids of the sockets in a room."""
    return list(sio.manager.rooms.get(namespace, {}).get(room) or ())


def leave_room(sio: AsyncServer, namespace: str, sid: str, room: str) -> None:
    """Remove a socket from a room at once."""
    sio.manager.basic_leave_room(sid, namespace, room)


def close_connections(sio: AsyncServer) -> None:
    """Begin to close all web sockets, without a closing packet of Engine.IO: python-socketio's client doesn't connect again
    after one. Clients that poll connect again when the server has ended."""
    for socket in list(sio.eio.sockets.values()):
        if socket.upgraded:
            socket.queue.put_nowait(None)  # ends the task that writes, which then closes the web socket


def _emitting(emit: SocketHandler, own: str) -> SocketHandler:
    async def emit_here(event: str, *data: Any, namespace: str | None = None, **more: Any) -> None:
        await emit(event, *data, namespace=namespace or own, **more)

    return emit_here


def _entering(sio: AsyncServer, own: str) -> Callable[..., "asyncio.Future[None]"]:
    def enter_room(sid: str, room: str, namespace: str | None = None) -> "asyncio.Future[None]":
        """Enter the room at once, whether or not the result is awaited."""
        sio.manager.basic_enter_room(sid, namespace or own, room)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    return enter_room
