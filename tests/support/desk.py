"""A real live-agent server in the test's event loop, and an agent who speaks the ``/desk`` protocol without a browser."""

from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import socketio

from rasa_handoff.server import accounts
from rasa_handoff.server.app import ServerSettings, create_app
from rasa_handoff.server.gateways.tkinter_gateway import Ports
from rasa_handoff.server.run import running
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.slowness import slowness
from rasa_handoff.testing.waiting import eventually

PASSWORD = "correct horse battery"


class DeskServer:
    """A live-agent server: ``async with DeskServer(folder)``. Agents and departments may be added at any time."""

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        grace: float = 30,
        tkinter_demo: Ports | None = None,
        database: str | None = None,
        admin_token: str | None = None,
    ) -> None:
        self.database = database or f"sqlite:///{folder / 'desk.db'}"
        self.port, self.grace = port or free_port(), grace
        self.tkinter_demo, self.admin_token, self.url = tkinter_demo, admin_token, ""

    def add_agent(self, name: str, *departments: str) -> str:
        email = f"{name.lower()}@example.com"
        accounts.add_agent(self.database, email, name, PASSWORD, departments)
        return email

    def add_department(self, name: str, title: str | None = None) -> None:
        accounts.add_department(self.database, name, title)

    async def __aenter__(self) -> "DeskServer":
        self._running = running(
            create_app(
                self.database,
                ServerSettings(tkinter_demo=self.tkinter_demo, admin_token=self.admin_token),
                grace=self.grace,
            ),
            port=self.port,
        )
        self.url = await self._running.__aenter__()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._running.__aexit__(kind, problem, trace)


class AgentAtDesk:
    """An agent, who signs in over HTTP as the browser does and then speaks on ``/desk``."""

    def __init__(self, url: str, email: str) -> None:
        self.url, self.email = url, email
        self.sio = socketio.AsyncClient(reconnection=False)
        self.received: list[tuple[str, Any]] = []
        self.sio.on("*", self._hear, namespace="/desk")

    async def _hear(self, event: str, data: Any = None) -> None:
        self.received.append((event, data))

    async def __aenter__(self) -> "AgentAtDesk":
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            async with http.get(self.url + "/") as page:
                text = await page.text()
            csrf = text.split('name="csrf" value="')[1].split('"')[0]
            form = {"email": self.email, "password": PASSWORD, "csrf": csrf}
            async with http.post(self.url + "/login", data=form, headers={"Origin": self.url}) as answer:
                desk = await answer.text()
                assert answer.status == 200, desk
            csrf = desk.split('name="csrf" content="')[1].split('"')[0]
            cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in jar)
        headers = {"Cookie": cookies, "Origin": self.url}
        await self.sio.connect(
            self.url,
            headers=headers,
            auth={"csrf": csrf},
            namespaces=["/desk"],
            transports=["websocket"],
            wait_timeout=10,
        )
        await self.hears("ready")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sio.disconnect()

    async def ask(self, event: str, **body: Any) -> dict[str, Any]:
        """Send an event and return its acknowledgement."""
        return dict(await self.sio.call(event, body, namespace="/desk", timeout=5 * slowness()))

    async def hears(self, event: str, **wanted: Any) -> Any:
        """Wait for an event with this name and these fields, and return the first one."""

        def found() -> Any:
            for name, data in self.received:
                if name == event and all((data or {}).get(key) == value for key, value in wanted.items()):
                    return data or True
            return None

        return await eventually(found, what=f"{event} {wanted} among {[name for name, _ in self.received]}")

    async def take(self) -> dict[str, Any]:
        """Wait for a conversation that this agent hasn't taken yet, take it, and return it."""
        known = {data["handoff_id"] for name, data in self.received if name == "taken"}

        def arrived() -> Any:
            for name, data in self.received:
                queue = data["queue"] if name == "ready" else [data] if name == "arrival" else []
                for summary in queue:
                    if summary["handoff_id"] not in known:
                        return summary
            return None

        summary = await eventually(arrived, what="an arrival")
        self.received.append(("taken", summary))
        answer = await self.ask("take", handoff_id=summary["handoff_id"])
        assert answer["ok"], answer
        return dict(answer["conversation"])

    async def say(self, handoff_id: str, text: str, id: str | None = None) -> dict[str, Any]:
        """Say something and return the acknowledgement."""
        self._said = getattr(self, "_said", 0) + 1
        return await self.ask("message", handoff_id=handoff_id, id=id or f"m{self._said}", text=text)
