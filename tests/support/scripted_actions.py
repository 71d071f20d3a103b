"""A project's own action server, whose actions do what the test says."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from rasa_handoff.testing.ports import free_port


class ActionServer:
    """An action server: ``async with ActionServer() as actions``. :meth:`will` sets the answers to the next calls."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_port()}/webhook"
        self.calls = 0
        self.will()

    @property
    def endpoints(self) -> dict[str, Any]:
        """The entry for ``endpoints.yml``."""
        return {"action_endpoint": {"url": self.url}}

    def will(self, *responses: dict[str, Any], events: Iterable[Any] = (), status: int = 200) -> None:
        """Answer with these messages and events; fail with a status other than 200."""
        named = [event if isinstance(event, dict) else {"event": event} for event in events]
        self.status, self.body = status, {"events": named, "responses": list(responses)}

    async def _answer(self, _: web.Request) -> web.Response:
        self.calls += 1
        return web.json_response(self.body if self.status == 200 else {"error": "no"}, status=self.status)

    async def __aenter__(self) -> "ActionServer":
        app = web.Application()
        app.router.add_post("/webhook", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", int(self.url.split(":")[2].split("/")[0])).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
