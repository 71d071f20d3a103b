"""A real live-agent server in the test's event loop, and agents who speak the ``/desk`` protocol without a browser.

The server's packages (``pip install 'rasa-handoff[server]'``) are imported when a :class:`DeskServer` is used, so that an agent
can sign in at a server elsewhere without them.
"""

import re
import uuid
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from rasa_handoff.core.assignment_timers import DeskTimers
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.recording_client import PATIENCE, RecordingClient
from rasa_handoff.testing.waiting import eventually

if TYPE_CHECKING:
    from rasa_handoff.server.gateways.tkinter_gateway import Ports

SUMMARIES: Final = ("arrival", "conversation")
"""The events that bring a conversation's summary."""
PASSWORD: Final = "correct horse battery"
"""The password of every agent in a test."""


class DeskServer:
    """A live-agent server: ``async with DeskServer(folder)``. Agents and departments may be added at any time.

    ``grace``: seconds after which an agent who has disconnected is away. ``timers``: how long each state may last at the desk.
    ``bus``: a Redis by which servers that share a Postgres database tell each other to look.
    """

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        grace: float = 30,
        tkinter_demo: "Ports | None" = None,
        database: str | None = None,
        admin_token: str | None = None,
        timers: DeskTimers | None = None,
        bus: str | None = None,
    ) -> None:
        self.database = database or f"sqlite:///{folder / 'desk.db'}"
        self.port, self.grace = port or free_port(), grace
        self.tkinter_demo, self.admin_token, self.url = tkinter_demo, admin_token, ""
        self.timers, self.bus = timers or DeskTimers(), bus

    def add_agent(self, name: str, *departments: str) -> str:
        """Add an agent with this name, and return the e-mail address to sign in with."""
        from rasa_handoff.server import accounts

        email = f"{name.lower()}@example.com"
        accounts.add_agent(self.database, email, name, PASSWORD, departments, accounts.Role.AGENT)
        return email

    def add_department(self, name: str, title: str | None = None) -> None:
        """Add a department."""
        from rasa_handoff.server import accounts

        accounts.add_department(self.database, name, title)

    async def __aenter__(self) -> "DeskServer":
        from rasa_handoff.server.app import ServerSettings, create_app
        from rasa_handoff.server.run import running

        settings = ServerSettings(
            tkinter_demo=self.tkinter_demo, admin_token=self.admin_token, timers=self.timers, bus=self.bus
        )
        self._running = running(create_app(self.database, settings, grace=self.grace), port=self.port)
        self.url = await self._running.__aenter__()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._running.__aexit__(kind, problem, trace)


class ScriptedAgent(RecordingClient):
    """An agent without a browser: ``async with ScriptedAgent(server.url, email)`` signs in and connects.

    They sign in over HTTP and connect with the cookie, as the desk's page does. ``received``: what the server has sent them.
    """

    def __init__(self, url: str, email: str, password: str = PASSWORD, reconnects: bool = False) -> None:
        super().__init__("/desk", reconnects)
        self.url, self.email, self.password = url, email, password
        self.cookie = ""
        self._taken: set[str] = set()

    async def __aenter__(self) -> "ScriptedAgent":
        await self.sign_in()
        await self.connect(self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def sign_in(self) -> None:
        """Sign in, and keep the session's cookie.

        Raises:
            AssertionError: it was refused.
        """
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            answer = await post_form(http, self.url, "/login", email=self.email, password=self.password)
            assert answer.status == 303, f"{self.email} can't sign in: {answer.status}"
            self.cookie = cookies(http)

    async def connect(self, origin: str | None = None) -> None:
        """Connect to the desk, and wait until it shows the queue. ``origin``: that of the page, if it is a page that connects."""

        # Made anew for each connect: python-engineio takes the cookie out of the headers it is given.
        def headers() -> dict[str, str]:
            return {"Cookie": self.cookie, **({"Origin": origin} if origin else {})}

        await self.sio.connect(
            self.url,
            namespaces=["/desk"],
            headers=headers,
            auth={"csrf": await self.token()},
            transports=["websocket"],
            wait_timeout=PATIENCE,
        )
        await self.hears("ready")

    async def token(self) -> str:
        """Return the CSRF token in the page that the server gives to a browser with this cookie."""
        async with aiohttp.ClientSession() as http, http.get(self.url, headers={"Cookie": self.cookie}) as page:
            found = re.search(r'name="csrf" (?:content|value)="([^"]+)"', await page.text())
            return found.group(1) if found else ""

    async def ask(self, event: str, **body: Any) -> dict[str, Any]:
        """Send an event with these fields and return its acknowledgement."""
        return dict(await self.call(event, body))

    async def hears(self, event: str, **wanted: Any) -> Any:
        """Wait for an event with this name and these fields, and return the first one."""

        def found() -> Any:
            for data in self.all(event):
                if all((data or {}).get(key) == value for key, value in wanted.items()):
                    return data or True
            return None

        return await eventually(found, what=f"{event} {wanted} among {[name for name, _ in self.received]}")

    async def take(self, handoff_id: str) -> dict[str, Any]:
        """Take a conversation and return the acknowledgement."""
        self._taken.add(handoff_id)
        return await self.ask("take", handoff_id=handoff_id)

    async def take_next(self) -> dict[str, Any]:
        """Wait for a conversation that this agent hasn't taken yet, take it, and return it.

        Raises:
            AssertionError: none came, or it was refused.
        """
        summary = await eventually(self._next, what="an arrival")
        answer = await self.take(summary["handoff_id"])
        assert answer["ok"], answer
        return dict(answer["conversation"])

    async def say(self, handoff_id: str, text: str, id: str | None = None) -> dict[str, Any]:
        """Say something and return the acknowledgement."""
        return await self.ask("message", handoff_id=handoff_id, id=id or uuid.uuid4().hex, text=text)

    async def transfer(self, handoff_id: str, department: str | None = None) -> dict[str, Any]:
        """Give a conversation to a department, or to every agent, and return the acknowledgement."""
        return await self.ask("transfer", handoff_id=handoff_id, department=department)

    async def resolve(self, handoff_id: str, outcome: str = "resolved", **more: Any) -> dict[str, Any]:
        """End a conversation and return the acknowledgement. ``more``: ``note`` and ``slots``."""
        return await self.ask("resolve", handoff_id=handoff_id, outcome=outcome, **more)

    def shown(self, handoff_id: str) -> list[Any]:
        """Return the conversation's summaries, in the order they came."""
        return [body for name, body in self.received if name in SUMMARIES and body["handoff_id"] == handoff_id]

    def _next(self) -> Any:
        states = {body["handoff_id"]: body["state"] for event, body in self.received if event in SUMMARIES}
        for event, body in self.received:
            for summary in body["queue"] if event == "ready" else [body] if event == "arrival" else []:
                handoff_id = summary["handoff_id"]
                if handoff_id not in self._taken and states.get(handoff_id, "queued") == "queued":
                    return summary
        return None

    @property
    def sees_a_queue(self) -> bool:
        """Whether somebody waits whom this agent hasn't taken, as far as they know."""
        return self._next() is not None


async def post_form(http: aiohttp.ClientSession, url: str, path: str, **fields: str) -> aiohttp.ClientResponse:
    """Send a form as the desk's page would: with its token, from its origin."""
    async with http.get(url) as page:
        found = re.search(r'name="csrf"[^>]*value="([^"]+)"|value="([^"]+)"[^>]*name="csrf"', await page.text())
    token = next(filter(None, found.groups()), "") if found else ""
    form = {"csrf": token, **fields}
    async with http.post(url + path, data=form, headers={"Origin": url}, allow_redirects=False) as answer:
        await answer.read()
        return answer


def cookies(http: aiohttp.ClientSession) -> str:
    """Return the cookies that a browser has, as a header's value."""
    return "; ".join(f"{cookie.key}={cookie.value}" for cookie in http.cookie_jar)
