"""Stands in for services.kommunicate.io, as its documents describe it: messages, status, assignee, a user's details."""

from types import TracebackType
from typing import Any, NamedTuple

import aiohttp.web as web

from rasa_handoff.testing.ports import free_port

KEY = "key"


class Call(NamedTuple):
    """One call. ``user``: the header ``Of-User-Id``."""

    path: str
    user: str
    body: dict[str, Any]
    query: dict[str, str]


class RestApi:
    """``async with RestApi()``. Notes all calls; ``said``, ``statuses``, ``assignees`` and ``users`` are what came of them."""

    def __init__(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._refusals: list[int] = []
        self.engaged: set[str] = set()
        self.calls: list[Call] = []
        self.said: list[str] = []
        self.messages: list[dict[str, Any]] = []
        self.statuses: dict[str, str] = {}
        self.assignees: dict[str, str] = {}
        self.users: dict[str, dict[str, Any]] = {}

    async def __aenter__(self) -> "RestApi":
        app = web.Application()
        app.router.add_post("/rest/ws/message/v2/send", self._send)
        app.router.add_patch("/rest/ws/group/status/change", self._status)
        app.router.add_patch("/rest/ws/group/assignee/change", self._assignee)
        app.router.add_post("/rest/ws/user/update", self._user)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._runner.cleanup()

    def refuse(self, *statuses: int) -> None:
        """Answer the next calls with these. 200: in Kommunicate's way, where the body is the refusal. 0: hang up."""
        self._refusals += statuses

    async def _noted(self, request: web.Request) -> tuple[Call, web.Response | None]:
        body = await request.json() if request.can_read_body else {}
        call = Call(request.path, request.headers.get("Of-User-Id", ""), body, dict(request.query))
        self.calls.append(call)
        if request.headers.get("Api-Key") != KEY or not call.user:
            return call, web.json_response({"status": "error"}, status=401)
        if self._refusals:
            error = {"status": "error", "errorResponse": [{"errorCode": "AL-G-01", "description": "said: x"}]}
            status = self._refusals.pop(0)
            if status == 0 and request.transport is not None:
                request.transport.close()
            return call, web.json_response(error, status=status or 500)
        return call, None

    async def _send(self, request: web.Request) -> web.Response:
        call, refused = await self._noted(request)
        if refused is None:
            self.messages.append(call.body)
            self.said.append(call.body["message"])
            self.statuses[str(call.body["groupId"])] = "0"  # a resolved one is open again
        return web.json_response({"messageKey": "5-x", "createdAt": 1}) if refused is None else refused

    async def _status(self, request: web.Request) -> web.Response:
        call, refused = await self._noted(request)
        if refused is None:
            self.statuses[call.query["groupId"]] = call.query["status"]
        return web.json_response({"status": "success", "response": "success"}) if refused is None else refused

    async def _assignee(self, request: web.Request) -> web.Response:
        call, refused = await self._noted(request)
        if refused is None and call.query["assignee"] in self.engaged:
            return web.json_response({"status": "success", "response": "AGENT_IS_ALREADY_ENGAGED"})
        if refused is None:
            self.assignees[call.query["groupId"]] = call.query["assignee"]
        return web.json_response({"status": "success", "response": "updated"}) if refused is None else refused

    async def _user(self, request: web.Request) -> web.Response:
        call, refused = await self._noted(request)
        if refused is None:
            self.users[call.user] = call.body
        return web.json_response({"status": "success", "response": "success"}) if refused is None else refused
