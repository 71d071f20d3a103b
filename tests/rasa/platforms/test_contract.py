"""Every platform channel keeps the contract (``rasa_handoff/testing/platforms.py``)."""

import json
import zlib
from typing import Any

import aiohttp
import pytest

from rasa_handoff.testing.platforms import FarPlatform, PlatformContract, ShownAnswer
from tests.rasa.platforms import kommunicate_caller
from tests.rasa.platforms.liveperson import liveperson_caller as liveperson

pytestmark = pytest.mark.every_database("sqlite", "postgres-notify")


class Kommunicate(FarPlatform):
    channel = "rasa_handoff.KommunicateChannel"
    billing = "77"

    def settings(self) -> dict[str, Any]:
        return dict(kommunicate_caller.settings()[self.channel])

    def sender(self, customer: str) -> str:
        return f"group-{customer}"

    async def says(self, url: str, http: aiohttp.ClientSession, customer: str, text: str, id: str) -> ShownAnswer:
        body = {"botId": "shop-bot", "key": id, "from": customer, "groupId": self.sender(customer), "message": text}
        async with http.post(
            self.webhook(url), json=body, headers={kommunicate_caller.HEADER: kommunicate_caller.SECRET}
        ) as answer:
            assert answer.status == 200, await answer.text()
            return self.shown(await answer.json())

    def shown(self, messages: list[dict[str, Any]]) -> ShownAnswer:
        texts, titles, to = [], [], None
        for message in messages:
            metadata = message.get("metadata") or {}
            to = metadata.get("KM_ASSIGN_TEAM") or metadata.get("KM_ASSIGN_TO") or to
            texts += [message["message"]] if message["message"] else []
            if metadata.get("templateId") == "6":
                titles += [reply["title"] for reply in metadata["payload"]]
        return ShownAnswer(texts=tuple(texts), titles=tuple(titles), to=to, body=messages)

    async def calls_with(self, url: str, http: aiohttp.ClientSession, body: bytes, known: bool) -> int:
        headers = {
            "Content-Type": "application/json",
            **({kommunicate_caller.HEADER: kommunicate_caller.SECRET} if known else {}),
        }
        async with http.post(self.webhook(url), data=body, headers=headers) as answer:
            return answer.status

    def webhook(self, url: str) -> str:
        return f"{url}/webhooks/kommunicate/webhook"


class Function(FarPlatform):
    """LivePerson by a Function."""

    channel = "rasa_handoff.LivePersonChannel"
    billing = "Billing"

    def settings(self) -> dict[str, Any]:
        return dict(liveperson.settings()[self.channel])

    def sender(self, customer: str) -> str:
        return f"c-{customer}"

    def event(self, customer: str, text: str, id: str) -> dict[str, Any]:
        fields = liveperson.text_event(text, conversationId=self.sender(customer), dialogId=self.sender(customer))
        return {**fields, "sequence": zlib.crc32(id.encode())}

    async def says(self, url: str, http: aiohttp.ClientSession, customer: str, text: str, id: str) -> ShownAnswer:
        context = {"lpEvent": self.event(customer, text, id), "lpSdes": {}}
        body = {"message": text, "convId": self.sender(customer), "context": context}
        headers = {liveperson.HEADER: liveperson.SECRET}
        async with http.post(self.webhook(url), json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return self.shown(await answer.json())

    def shown(self, answer: dict[str, Any]) -> ShownAnswer:
        texts = [one for one in answer["messages"] if isinstance(one, str)]
        titles: list[str] = []
        for one in answer["messages"]:
            if isinstance(one, dict) and "structuredContent" in one:
                texts += [one["structuredContent"]["message"]]
                titles += titles_in(one["structuredContent"])
        context = answer.get("context") or {}
        to = context["actionParameters"]["skill"] if context.get("action") == "TRANSFER" else None
        return ShownAnswer(texts=tuple(texts), titles=tuple(titles), to=to, body=answer)

    async def calls_with(self, url: str, http: aiohttp.ClientSession, body: bytes, known: bool) -> int:
        headers = {liveperson.HEADER: liveperson.SECRET} if known else {}
        async with http.post(self.webhook(url), data=body, headers=headers) as answer:
            return answer.status

    def webhook(self, url: str) -> str:
        return f"{url}/webhooks/liveperson/webhook"


class Endpoint(Function):
    """LivePerson by Custom Endpoint."""

    async def says(self, url: str, http: aiohttp.ClientSession, customer: str, text: str, id: str) -> ShownAnswer:
        event = {
            "type": "TEXT",
            "source": "CONSUMER",
            "data": {"message": text},
            "context": {"lpEvent": self.event(customer, text, id)},
        }
        address = self.conversation(url, customer)
        async with http.put(address, json={"sdes": {}, "context": {}}, headers=self.signed()) as created:
            assert created.status in (201, 204, 409), await created.text()
        async with http.post(f"{address}/events", json=event, headers=self.signed()) as answer:
            assert answer.status == 200, await answer.text()
            return self.shown(await answer.json())

    def shown(self, answer: dict[str, Any]) -> ShownAnswer:
        texts, titles, to = [], [], None
        for one in answer["response"]:
            if one["type"] == "TEXT" and one["data"].get("messageAudience") != "AGENTS_AND_MANAGERS":
                texts.append(one["data"]["message"])
            elif one["type"] == "STRUCTURED_CONTENT":
                content = one["data"]["structuredContent"]
                texts += [content["message"]] if content.get("message") else []
                titles += titles_in(content)
            elif one["type"] == "ACTION" and one["data"]["name"] == "TRANSFER":
                to = one["data"]["parameters"]["skillName"]
        return ShownAnswer(texts=tuple(texts), titles=tuple(titles), to=to, body=answer)

    async def calls_with(self, url: str, http: aiohttp.ClientSession, body: bytes, known: bool) -> int:
        address = self.conversation(url, "thabo")
        if known:
            async with http.put(address, json={}, headers=self.signed()):
                pass
        async with http.post(f"{address}/events", data=body, headers=self.signed() if known else {}) as answer:
            return answer.status

    def conversation(self, url: str, customer: str) -> str:
        base = f"{url}/webhooks/liveperson/v1/bots/shop-bot/environments/draft"
        return f"{base}/conversations/{self.sender(customer)}"

    def signed(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {liveperson.token()}"}


def titles_in(content: dict[str, Any]) -> list[str]:
    """The titles of buttons, wherever they stand in structured content."""
    replies = json.loads(json.dumps(content), object_hook=_titled)
    return list(_flat(replies))


def _titled(found: dict[str, Any]) -> Any:
    return {"title": found["title"]} if found.get("type") == "button" else found


def _flat(found: Any) -> Any:
    if isinstance(found, list):
        for one in found:
            yield from _flat(one)
    elif isinstance(found, dict):
        if set(found) == {"title"}:
            yield found["title"]
        for value in found.values():
            yield from _flat(value)


class TestKommunicate(PlatformContract):
    platform = Kommunicate


class TestFunction(PlatformContract):
    platform = Function


class TestEndpoint(PlatformContract):
    platform = Endpoint
