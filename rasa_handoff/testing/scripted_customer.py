"""Customers who talk to a bot: on socketio, as a chat widget does, and on rest."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import aiohttp

from rasa_handoff.testing.recording_client import PATIENCE, RecordingClient
from rasa_handoff.testing.waiting import eventually


class ScriptedCustomer(RecordingClient):
    """A customer on socketio: ``async with ScriptedCustomer(rasa.url) as customer``. Each is one tab of a browser.

    ``session``: the id of the session that they ask for; ``request``: more fields of their ``session_request``; ``acks``: they
    ask for messages with ids, as the example page does. While ``attentive`` isn't set they acknowledge no message, as a page
    that hangs.
    """

    def __init__(
        self,
        url: str,
        session: str | None = "thabo",
        namespace: str = "/",
        path: str = "socket.io",
        acks: bool = False,
        auth: Any = None,
        **request: Any,
    ) -> None:
        super().__init__(namespace, reconnects=False)
        self.url, self.session, self.path, self.acks = url, session, path, acks
        self.auth, self.request = auth, request
        self.attentive = asyncio.Event()
        self.attentive.set()

    async def __aenter__(self) -> "ScriptedCustomer":
        await self.sio.connect(
            self.url,
            namespaces=[self.namespace],
            socketio_path=self.path,
            transports=["websocket"],
            wait_timeout=PATIENCE,
            auth=self.auth,
        )
        await self.join(self.session, **self.request)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
        self.attentive.set()

    async def join(self, session: Any, **request: Any) -> None:
        """Ask for a session, and wait until it is confirmed or refused."""
        answers = self.answers
        self.session = session
        body = {"session_id": session, **({"acks": True} if self.acks else {}), **request}
        await self.emit("session_request", body)
        await eventually(lambda: self.answers > answers)

    async def say(self, text: str) -> None:
        """Say something, without waiting for anything."""
        await self.emit("user_uttered", {"message": text, "session_id": self.session})

    async def say_with_id(self, text: str, id: str | None = None) -> dict[str, Any]:
        """Say something with an id, and return the acknowledgement."""
        body = {"message": text, "session_id": self.session, "id": id or uuid.uuid4().hex}
        return dict(await self.call("user_uttered", body))

    async def press(self, title: str) -> None:
        """Press the button with this title, once it is there."""
        await self.say(await eventually(lambda: payload_of(title, self.messages), what=f"a button {title!r}"))

    async def type(self, on: bool) -> None:
        """Begin or stop typing."""
        await self.emit("typing", {"session_id": self.session, "on": on})

    async def hears(self, words: str) -> None:
        """Wait for a message with these words."""
        await eventually(lambda: any(words in text for text in self.texts), what=f"{words!r} among {self.texts}")

    @property
    def answers(self) -> int:
        """The number of answers to their requests for a session, confirmed or refused."""
        return len([event for event, _ in self.received if event in ("session_confirm", "session_refused")])

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the bot and of agents, as they came."""
        return self.all("bot_uttered")

    @property
    def texts(self) -> list[str]:
        """The texts of the bot's and agents' messages."""
        return [message.get("text", "") for message in self.messages]

    @property
    def ids(self) -> list[Any]:
        """The ids of the messages; None where there is none."""
        return [message.get("id") for message in self.messages]

    @property
    def shown(self) -> list[str]:
        """The texts on a page that shows each message once, by its id."""
        words = {
            data.get("id") or str(place): data
            for place, (event, data) in enumerate(self.received)
            if event == "bot_uttered"
        }
        return [data.get("text", "") for data in words.values()]

    def on_event(self, event: str, body: Any) -> None:
        """Keep an event that came. Chat widgets acknowledge with nothing."""
        super().on_event(event, body)

    async def answer(self, event: str, body: Any) -> Any:
        """Keep an event that came, and acknowledge a message when the page is attentive."""
        self.on_event(event, body)
        if event == "bot_uttered":
            await self.attentive.wait()


class RestCustomer:
    """A customer on rest: ``async with RestCustomer(url) as customer``.

    rest can't push: what an agent says comes with the answer to what the customer says next. ``messages``: all that came.
    """

    def __init__(self, url: str, sender: str = "thabo") -> None:
        self.url, self.sender = url, sender
        self.messages: list[dict[str, Any]] = []

    async def __aenter__(self) -> "RestCustomer":
        self._http = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def say(self, text: str) -> list[str]:
        """Say something and return the texts of the answers."""
        body = {"sender": self.sender, "message": text}
        async with self._http.post(f"{self.url}/webhooks/rest/webhook", json=body) as answer:
            messages = list(await answer.json())
        self.messages += messages
        return [message.get("text", "") for message in messages]

    async def press(self, title: str) -> list[str]:
        """Press the button with this title and return the texts of the answers.

        Raises:
            AssertionError: there is none.
        """
        payload = payload_of(title, self.messages)
        assert payload is not None, f"no button {title!r} among {self.messages}"
        return await self.say(payload)

    @property
    def texts(self) -> list[str]:
        """The texts of the bot's and agents' messages."""
        return [message.get("text", "") for message in self.messages]


def payload_of(title: str, messages: Sequence[dict[str, Any]]) -> str | None:
    """Return what the latest button with this title sends, or None if there is no such button."""
    for message in reversed(messages):
        for button in [*message.get("quick_replies", ()), *message.get("buttons", ())]:
            if button.get("title") == title:
                return str(button["payload"])
    return None
