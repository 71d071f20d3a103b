"""The python-socketio server of a hosted channel: its rooms and handlers, and three corrections of how Rasa uses it.

1. ``enter_room`` became a coroutine in python-socketio 5.10, and Rasa calls it without ``await``: with session persistence every
   reply was lost. Here it enters at once.
2. Rasa listens in the configured namespace and emits outside it. Here it emits in the same one.
3. Engine.IO has a task for each socket that waits for the time of the next ping, also when the socket has closed, and Rasa lets
   Sanic close its loop over them: "Task was destroyed but it is pending!". Here they are ended.

All are corrected on the server instance, so that a project's own subclass with a blueprint of its own is corrected too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from socketio import AsyncServer

from rasa_handoff.store.tasks import cancel_all

SocketHandler = Callable[..., Awaitable[Any]]


class BackgroundTasks:
    """The tasks that Engine.IO begins for a server, such as those that ping its sockets."""

    def __init__(self, sio: AsyncServer) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._start = sio.eio.start_background_task
        sio.eio.start_background_task = self._start_and_note

    def _start_and_note(self, *arguments: Any, **more: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = self._start(*arguments, **more)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end(self) -> None:
        """End those that are left when the server has stopped."""
        await cancel_all(*self._tasks)


def correct_server(sio: AsyncServer, namespace: str) -> BackgroundTasks:
    """Correct Rasa's use of this server, whose channel listens in this namespace; return its tasks, to be ended at last."""
    sio.enter_room = _entering(sio, namespace)
    sio.emit = _emitting(sio.emit, namespace)
    return BackgroundTasks(sio)


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
