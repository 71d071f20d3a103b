"""A real Rasa server in the test's event loop: Rasa's own Sanic application on a real socket, with a trained model."""

import asyncio
import contextlib
import copy
import dataclasses
import functools
import gc
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from unittest import mock

import aiohttp
import skops.io  # type: ignore[import-untyped]  # noqa: F401 - imported after Rasa, it takes nine seconds instead of two
import structlog
from rasa.core import jobs
from rasa.core.agent import load_agent
from rasa.core.channels.channel import InputChannel
from rasa.core.processor import MessageProcessor
from rasa.core.run import _create_single_channel, configure_app
from rasa.core.utils import AvailableEndpoints
from rasa.engine.runner.interface import GraphRunner
from rasa.engine.storage.storage import ModelMetadata
from rasa.utils.endpoints import EndpointConfig
from rasa.utils.log_utils import configure_structlog
from sanic import Sanic
from sanic.mixins.routes import RouteMixin
from sanic.touchup.schemes.ode import OptionalDispatchEvent

from rasa_handoff.channel.compat.garbage_collection import FrozenModel
from rasa_handoff.testing.ports import free_port

NAMES_IN_FILE: Final = {"action": "action_endpoint", "model": "models"}
"""The names in ``endpoints.yml`` of the two kinds of endpoints that have other names in Rasa's code."""

_rasas_load_model: Final = MessageProcessor._load_model
_find_error_format: Final = RouteMixin._determine_error_format
_compile_method: Final = OptionalDispatchEvent.run
_error_formats: Final[dict[object, str]] = {}
_methods: Final[dict[object, Callable[..., Any]]] = {}


def _load_model(path: str) -> tuple[str, ModelMetadata, GraphRunner]:
    """Load a model file once: loading is half of a server's start. Each server gets a copy of the domain, since tests change its
    session's expiry."""
    name, metadata, runner = _read_once(path, Path(path).stat().st_mtime_ns)
    return name, dataclasses.replace(metadata, domain=copy.deepcopy(metadata.domain)), runner


@functools.lru_cache(maxsize=8)
def _read_once(path: str, changed: int) -> tuple[str, ModelMetadata, GraphRunner]:
    loaded: tuple[str, ModelMetadata, GraphRunner] = _rasas_load_model(path)
    gc.collect()
    gc.freeze()  # what Rasa imports and loads would be collected again at each server's end, which takes a fifth of a second
    return loaded


def _error_format(self: RouteMixin, handler: Callable[..., Any]) -> str:
    """Return the format of a handler's errors. Sanic reads it from the handler's source for each route; here that is done
    once."""
    key = getattr(handler, "__code__", handler)
    if key not in _error_formats:
        _error_formats[key] = _find_error_format(self, handler)
    return _error_formats[key]


def _method_without_signals(
    self: OptionalDispatchEvent, method: Callable[..., Any], namespace: dict[str, Any]
) -> Callable[..., Any]:
    """Return a method of Sanic's without the signals that nobody listens to, compiled once for each set of signals."""
    key = method, frozenset(self._registered_events)
    if key not in _methods:
        _methods[key] = _compile_method(self, method, namespace)
    return _methods[key]


def _freeze_nothing(self: FrozenModel, processor: MessageProcessor) -> None:
    """Leave the garbage collector as it is."""


class _TestMode:
    """Sanic's test mode, a channel that freezes no objects, and a quiet log, while a process runs a Rasa server."""

    def __init__(self) -> None:
        self._servers = 0
        self._before = contextlib.ExitStack()

    def enter(self) -> None:
        """Begin it with the first server."""
        self._servers += 1
        if self._servers == 1:
            self._before.enter_context(mock.patch.object(Sanic, "test_mode", True))
            # Frozen objects of a server that has ended would stay for the rest of the tests.
            self._before.enter_context(mock.patch.object(FrozenModel, "freeze", _freeze_nothing))
            self._before.callback(structlog.configure, **structlog.get_config())
            configure_structlog()  # otherwise each turn prints all its states

    def leave(self) -> None:
        """End it with the last server."""
        self._servers -= 1
        if self._servers == 0:
            self._before.close()


_test_mode: Final = _TestMode()


@contextlib.contextmanager
def _starting_quickly() -> Iterator[None]:
    """Cache what Rasa and Sanic compute for each server of a process with the same result."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(MessageProcessor, "_load_model", staticmethod(_load_model)))
        stack.enter_context(mock.patch.object(RouteMixin, "_determine_error_format", _error_format))
        stack.enter_context(mock.patch.object(OptionalDispatchEvent, "run", _method_without_signals))
        yield


def _read_endpoints(endpoints: dict[str, Any]) -> AvailableEndpoints:
    """Return the endpoints that Rasa would read, without its opening and checking ``endpoints.yml`` seven times."""
    names = ("nlg", "nlu", "action", "model", "tracker_store", "lock_store", "event_broker")
    found = {name: endpoints.get(NAMES_IN_FILE.get(name, name)) for name in names}
    return AvailableEndpoints(**{name: one and EndpointConfig.from_dict(one) for name, one in found.items()})


def _make_channels(credentials: dict[str, Any]) -> list[InputChannel]:
    """Return the channels that Rasa would make, without its parsing ``credentials.yml``, which takes a twentieth of a second."""
    return [_create_single_channel(name, settings) for name, settings in copy.deepcopy(credentials).items()]


class RasaServer:
    """A Rasa server: ``async with RasaServer(model, folder, credentials)``.

    ``endpoints``: as in ``endpoints.yml``; by default the tracker store is SQLite.
    """

    def __init__(
        self, model: Path, folder: Path, credentials: dict[str, Any], endpoints: dict[str, Any] | None = None
    ) -> None:
        self.model, self.folder, self.credentials = model, folder, credentials
        store = {"type": "SQL", "dialect": "sqlite", "db": str(folder / "tracker.db")}
        self.endpoints = {"tracker_store": store, **(endpoints or {})}
        self.url = ""
        self._server: Any = None
        self.http: aiohttp.ClientSession

    async def __aenter__(self) -> "RasaServer":
        # JSON is valid YAML.
        (self.folder / "credentials.yml").write_text(json.dumps(self.credentials))
        (self.folder / "endpoints.yml").write_text(json.dumps(self.endpoints))
        endpoints = _read_endpoints(self.endpoints)
        channels = _make_channels(self.credentials)
        self.channel = next((channel for channel in channels if channel.name() == "handoff"), channels[0])
        _test_mode.enter()
        try:
            with _starting_quickly():
                await self._start(channels, endpoints)
        except BaseException:
            if self._server is not None:
                await self._stop()
            _test_mode.leave()
            raise
        self.http = aiohttp.ClientSession()
        return self

    async def _start(self, channels: list[InputChannel], endpoints: AvailableEndpoints) -> None:
        self.app = configure_app(channels, cors="*", endpoints=endpoints)
        self.app.ctx.agent = await load_agent(str(self.model), endpoints=endpoints)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", free_port()))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = await self.app.create_server(sock=self._socket, return_asyncio_server=True, access_log=False)
        await self._server.startup()
        await self._server.before_start()
        await self._server.start_serving()
        await self._server.after_start()

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self.http.close()
        await self._stop()
        _test_mode.leave()

    async def _stop(self) -> None:
        await self._server.before_stop()
        self._server.close()
        await self._server.wait_closed()
        for connection in list(self._server.connections):
            connection.abort() if hasattr(connection, "abort") else connection.close()
        await self._server.after_stop()
        self.app.shutdown_tasks(timeout=0)
        jobs.kill_scheduler()  # the scheduler of reminders: one per process, and bound to the loop in which it was made
        Sanic._app_registry.pop(self.app.name, None)
        self._socket.close()
        tracker_store = self.app.ctx.agent.tracker_store
        if hasattr(tracker_store, "engine"):
            tracker_store.engine.dispose()
        await asyncio.sleep(0)
        gc.collect()  # so that what this server has left open is reported in its own test
        gc.freeze()  # what is left stays, and would be looked through again at the end of each server after this one

    async def say(self, text: str, sender: str = "thabo", **more: Any) -> list[dict[str, Any]]:
        """Say something on ``rest`` and return the answers."""
        body = {"sender": sender, "message": text, **more}
        async with self.http.post(f"{self.url}/webhooks/rest/webhook", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return list(await answer.json())

    async def texts(self, text: str, sender: str = "thabo") -> list[str]:
        """Say something on ``rest`` and return the texts of the answers."""
        return [answer.get("text", "") for answer in await self.say(text, sender)]

    async def tracker(self, sender: str = "thabo") -> dict[str, Any]:
        """Return the tracker, as the HTTP API shows it."""
        async with self.http.get(f"{self.url}/conversations/{sender}/tracker?include_events=ALL") as answer:
            return dict(await answer.json())

    async def events(self, sender: str = "thabo") -> list[dict[str, Any]]:
        """Return the tracker's events."""
        return list((await self.tracker(sender))["events"])
