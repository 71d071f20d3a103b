"""LivePerson as the channel sees it: a Function that calls the webhook, and the connector that calls Custom Endpoint."""

import itertools
import json
import re
import time
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from rasa_handoff.testing.rasa_server import RasaServer
from tests.support.databases import current

SAMPLES = Path(__file__).parent / "samples"
HEADER, SECRET = "X-Handoff-Key", "open sesame"
ACCOUNT = "12345678"

_sequences = itertools.count(1)


@cache
def signing_key(name: str = "sentinel") -> RSAPrivateKey:
    """A key of whoever signs the tokens; another name, another key."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def public_key(name: str = "sentinel") -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return signing_key(name).public_key().public_bytes(encoding, form).decode()


def token(key: str = "sentinel", **claims: Any) -> str:
    """An App-JWT as LivePerson sends it; a claim of None is left out."""
    own = {"iss": "Sentinel", "aud": ACCOUNT, "scope": "thirdpartybots.customendpoint.bot", "exp": time.time() + 3600}
    body = {name: value for name, value in {**own, **claims}.items() if value is not None}
    return jwt.encode(body, signing_key(key), algorithm="RS256")


def settings(**more: Any) -> dict[str, Any]:
    """credentials.yml with LivePersonChannel: two Functions, and a Custom Endpoint with two bots."""
    own = {
        "skill": "human_skill",
        "database": current().url(Path("handoff-platform.db")),
        "functions": {
            "shop": {"header": HEADER, "secret": SECRET},
            "other": {"header": "Authorization", "secret": "Basic 123"},
        },
        "endpoint": {
            "public_key": public_key(),
            "issuer": "Sentinel",
            "scope": "thirdpartybots.customendpoint.bot",
            "bots": {
                "shop-bot": {"environments": ["draft", "live"], "audience": ACCOUNT},
                "open-bot": {"audience": "any"},
            },
        },
        "welcome": "welcome",
        "attachment": "send_file",
        "location": "/send_place",
        "departments": {
            "billing": {"skill": "Billing", "title": "Billing", "priorities": {"urgent": "Billing now"}},
            "vip": {"skill": "Publisher", "agent": "4129463410"},
        },
        "agents": {"thandi": "4711"},
        "other_bots": {"returns": "returns-bot"},
        "transfer_note": False,  # said where it is looked at
        "crossing_seconds": 0,  # no test waits before the conversation comes back
        **more,
    }
    return {"rasa_handoff.LivePersonChannel": own}


def sample(name: str) -> Any:
    """A sample of LivePerson's documentation, whose JSON has comments, commas too many and braces too few."""
    text = re.sub(r"(?<!:)//[^\n]*", "", (SAMPLES / f"{name}.jsonc").read_text())
    text = text.rstrip() + "}" * (text.count("{") - text.count("}"))
    return json.loads(re.sub(r",(\s*[}\]])", r"\1", text))


def text_event(message: str, **more: Any) -> dict[str, Any]:
    """``lpEvent`` of a customer's text."""
    content = {"type": "ContentEvent", "message": message, "contentType": "text/plain"}
    return {
        "sequence": next(_sequences),
        "serverTimestamp": 1649331017991,
        "event": content,
        "conversationId": "c-1",
        "dialogId": "c-1",
        "metadata": [],
        "messageAudience": "ALL",
        **more,
    }


class LivePerson:
    """One customer's conversation, by whichever surface."""

    def __init__(self, rasa: RasaServer, conversation_id: str = "c-1") -> None:
        self.rasa, self.id = rasa, conversation_id
        self.base = f"{rasa.url}/webhooks/liveperson"

    def payload(self, message: str | None = None, event: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """What LivePerson gives a Function, and the Function passes on."""
        context = {"lpEvent": text_event(message or "") if event is None else event, "lpSdes": {}}
        return {"message": message, "convId": self.id, "context": context, **more}

    async def post(self, data: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON of the webhook's answer. ``data``: bytes as they are, else JSON."""
        head = {HEADER: SECRET} if headers is None else headers
        return await self.request("POST", "/webhook", data, head)

    async def request(
        self, method: str, path: str, data: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of any address's answer; with a good token unless there are headers."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode() if data is not None else None
        head = {"Authorization": f"Bearer {token()}"} if headers is None else headers
        async with self.rasa.http.request(method, self.base + path, data=body, headers=head) as answer:
            return answer.status, await answer.json()

    async def call(self, data: Any) -> dict[str, Any]:
        """The answer to a call that must be taken."""
        status, answer = await self.post(data)
        assert status == 200, answer
        return dict(answer)

    async def say(self, message: str | None = None, **more: Any) -> dict[str, Any]:
        """The customer says something; the bot's answer to the Function."""
        return await self.call(self.payload(message, **more))

    async def messages(self, message: str | None = None, **more: Any) -> list[Any]:
        """The same, only the messages."""
        return list((await self.say(message, **more))["messages"])

    def conversation(self, bot: str = "shop-bot", environment: str = "draft") -> str:
        """The address of this conversation."""
        return f"/v1/bots/{bot}/environments/{environment}/conversations/{self.id}"

    async def create(self, body: dict[str, Any] | None = None) -> int:
        """LivePerson creates the conversation; the status."""
        return (await self.request("PUT", self.conversation(), body or {"sdes": {}, "context": {}}))[0]

    async def event(self, body: dict[str, Any]) -> tuple[int, Any]:
        """An event to Custom Endpoint, as LivePerson's connector sends it: a 404 makes it create the conversation once."""
        status, answer = await self.request("POST", f"{self.conversation()}/events", body)
        if status == 404:
            assert await self.create() == 201
            status, answer = await self.request("POST", f"{self.conversation()}/events", body)
        return status, answer

    async def tell(self, message: str) -> dict[str, Any]:
        """The customer says something; the bot's answer to Custom Endpoint."""
        event = {
            "type": "TEXT",
            "source": "CONSUMER",
            "data": {"message": message},
            "context": {"lpEvent": text_event(message)},
        }
        status, answer = await self.event(event)
        assert status == 200, answer
        return dict(answer)

    async def user_events(self) -> list[dict[str, Any]]:
        """What the tracker has of the customer."""
        return [event for event in await self.rasa.events(self.id) if event["event"] == "user"]

    def will_say(self, response: dict[str, Any]) -> str:
        """The bot says this next; returns what makes it."""
        self.rasa.app.ctx.agent.processor.nlg.responses["utter_native"] = [response]
        return "/native"
