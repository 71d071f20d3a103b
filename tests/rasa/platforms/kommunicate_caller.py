"""Kommunicate as the webhook sees it: a caller with a header, who sends what is really sent."""

import base64
import itertools
import json
import re
from pathlib import Path
from typing import Any

from rasa_handoff.testing.rasa_server import RasaServer
from tests.support.databases import current

SAMPLES = Path(__file__).parent / "kommunicate"
HEADER, SECRET = "X-Handoff-Key", "open sesame"

_keys = itertools.count(1)


def settings(**more: Any) -> dict[str, Any]:
    """credentials.yml with KommunicateChannel; two bots, each with its own header."""
    own = {
        "bots": {
            "shop-bot": {"header": HEADER, "secret": SECRET},
            "other-bot": {"header": "Authorization", "secret": "Basic 123"},
        },
        "welcome": "welcome",
        "attachment": "send_file",
        "location": "/send_place",
        "events": {"OPENED_PRICING": "opened_pricing", "IGNORED": None},
        "departments": {"billing": {"team": 77, "title": "Billing"}, "vip": {"agent": "boss@example.com"}},
        "crossing_seconds": 0,  # no test waits before the conversation comes back
        "agents": {"thandi": "thandi@example.com"},
        "database": current().url(Path("handoff-platform.db")),
        **more,
    }
    return {"rasa_handoff.KommunicateChannel": own}


def sample(name: str) -> Any:
    """A sample of Kommunicate's documentation, whose JSON has comments and a comma too many."""
    text = re.sub(r"// .*", "", (SAMPLES / f"{name}.jsonc").read_text())
    return json.loads(re.sub(r",(\s*[}\]])", r"\1", text))


def account_header(token: str) -> dict[str, str]:
    """The header of the account webhook, as it is documented."""
    return {"Authentication": f"Basic {base64.b64encode(token.encode()).decode()}"}


class Account:
    """Calls the account webhook: people's words and decisions in the conversation 4711."""

    def __init__(self, rasa: RasaServer, token: str = "abcdef") -> None:
        self.rasa, self.headers = rasa, account_header(token)
        self.url = f"{rasa.url}/webhooks/kommunicate/account"

    def body(self, message: str | None = None, sender: str = "thandi@example.com", **more: Any) -> dict[str, Any]:
        """A call with what is documented."""
        return {
            "key": f"6-{next(_keys)}",
            "from": sender,
            "groupId": 4711,
            "clientGroupId": "4711",
            "groupName": "Conversation",
            "message": message,
            "timeStamp": 1700000000000,
            **more,
        }

    async def post(self, data: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON of the answer. ``data``: bytes as they are, else JSON."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        head = {"Content-Type": "application/json", **(self.headers if headers is None else headers)}
        async with self.rasa.http.post(self.url, data=body, headers=head) as answer:
            return answer.status, await answer.json()

    async def tell(self, body: Any) -> None:
        """A call that must be taken."""
        status, answer = await self.post(body)
        assert (status, answer) == (200, {"status": "ok"})


class Kommunicate:
    """Calls the webhook for one conversation."""

    def __init__(self, rasa: RasaServer, group: Any = 4711) -> None:
        self.rasa, self.group = rasa, group
        self.url = f"{rasa.url}/webhooks/kommunicate/webhook"

    def body(self, message: str | None = None, **more: Any) -> dict[str, Any]:
        """A request as it is really sent."""
        return {
            "botId": "shop-bot",
            "key": f"5-{next(_keys)}-1700000000000",
            "from": "thabo@example.com",
            "message": message,
            "groupId": self.group,
            "metadata": {},
            "contentType": 0,
            "applicationId": "app",
            "source": 1,
            "eventName": None,
            "createdAt": 1700000000000,
            **more,
        }

    async def post(self, data: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON of the answer. ``data``: bytes as they are, else JSON."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        head = {"Content-Type": "application/json", **({HEADER: SECRET} if headers is None else headers)}
        async with self.rasa.http.post(self.url, data=body, headers=head) as answer:
            return answer.status, await answer.json()

    async def say(self, message: str | None = None, **more: Any) -> list[dict[str, Any]]:
        """The customer says something; the bot's messages."""
        return await self.call(self.body(message, **more))

    async def call(self, body: Any) -> list[dict[str, Any]]:
        """The answer to a request that must be taken."""
        status, answer = await self.post(body)
        assert status == 200, answer
        assert isinstance(answer, list)
        return answer

    async def texts(self, message: str | None = None, **more: Any) -> list[str]:
        """The same, only the texts."""
        return [one["message"] for one in await self.say(message, **more)]

    async def user_events(self) -> list[dict[str, Any]]:
        """What the tracker has of the customer."""
        return [event for event in await self.rasa.events(str(self.group)) if event["event"] == "user"]

    def will_say(self, response: dict[str, Any]) -> str:
        """The bot says this next; returns what makes it."""
        self.rasa.app.ctx.agent.processor.nlg.responses["utter_native"] = [response]
        return "/native"
