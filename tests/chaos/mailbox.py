"""Customers on ``rest``: waiting messages come with the answer to their next message."""

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

import aiohttp

from tests.chaos import phrases
from tests.chaos.book import Book
from tests.chaos.chaos_customers import Customer

ANSWER_WITHIN = 15.0


class Rest(Customer):
    """A stock client: an answer that broke off is lost, and a request that broke off may have been received."""

    channel = "rest"

    def __init__(self, name: str, book: Book, rng: random.Random, pace: float, url: Callable[[], str]) -> None:
        super().__init__(name, book, rng, pace)
        self._url = url

    async def send(self, text: str) -> bool:
        asked = time.time()
        messages = await self.post({"sender": self.name, "message": text})
        if messages is None:
            return False
        for message in messages:
            if message.get("text"):
                self.hear(message["text"], asked)
        return not _not_taken(messages)

    async def post(self, body: dict[str, Any]) -> list[dict[str, Any]] | None:
        """Return the answer, or None if none came."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.post(f"{self._url()}/webhooks/rest/webhook", json=body) as answer,
            ):
                if answer.status == 200:
                    return list(await answer.json())
                self.book.failed(self.name, f"status {answer.status}")
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError) as problem:
            self.book.failed(self.name, repr(problem))
        return None


class Mailbox(Rest):
    """A client that names its messages and the last it has seen: exactly once, both ways."""

    channel = "mailbox"

    def __init__(self, name: str, book: Book, rng: random.Random, pace: float, url: Callable[[], str]) -> None:
        super().__init__(name, book, rng, pace, url)
        self._seen: dict[str, None] = {}

    async def send(self, text: str) -> bool:
        metadata = {"handoff_message_id": uuid.uuid4().hex}
        while True:
            after = next(reversed(self._seen), None)
            body = {"sender": self.name, "message": text, "metadata": {**metadata, "handoff_after": after}}
            asked = time.time()
            messages = await self.post(body)
            if messages is not None:
                self._show(messages, asked)
                if not _not_taken(messages):
                    return True
            await asyncio.sleep(0.5)

    def _show(self, messages: list[dict[str, Any]], asked: float) -> None:
        for message in messages:
            if message.get("id") not in self._seen:
                if message.get("id") is not None:
                    self._seen[message["id"]] = None
                if message.get("text"):
                    self.hear(message["text"], asked)


def _not_taken(messages: list[dict[str, Any]]) -> bool:
    return any(phrases.kind_of(message.get("text", ""))[1] == phrases.NOT_TAKEN for message in messages)
