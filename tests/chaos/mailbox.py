"""Customers on ``rest``: waiting messages come with the answer to their next message, or to a request that waits for them."""

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

import aiohttp

from rasa_handoff.protocol.tokens import HEADER, make_token
from rasa_handoff.store.tasks import cancel_all
from tests.chaos import phrases
from tests.chaos.book import Book
from tests.chaos.chaos_customers import Customer

ANSWER_WITHIN = 15.0
FETCHED_WITHIN = 40.0
"""Seconds in which a request that waits is answered, if only with nothing."""
AGAIN_AFTER = 0.5
SECRET = "s" * 32
"""The secret of the customers' tokens."""


class Rest(Customer):
    """A stock client: an answer that broke off is lost, and a request that broke off may have been received."""

    channel = "rest"

    def __init__(self, name: str, book: Book, rng: random.Random, pace: float, url: Callable[[], str]) -> None:
        super().__init__(name, book, rng, pace)
        self._url = url

    def rasa(self) -> str:
        return self._url()

    async def send(self, text: str, file: str | None = None) -> bool:
        asked = time.time()
        messages = await self.post({"sender": self.name, "message": text, "metadata": named(file)})
        if messages is None:
            return False
        for message in messages:
            self.show(message, asked)
        return not _not_taken(messages)

    async def post(self, body: dict[str, Any]) -> list[dict[str, Any]] | None:
        """Return the answer, or None if none came."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.post(f"{self._url()}/webhooks/rest/webhook", json=body, headers=self.headers) as answer,
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

    async def send(self, text: str, file: str | None = None) -> bool:
        metadata = {"handoff_message_id": uuid.uuid4().hex, **named(file)}
        while True:
            after = next(reversed(self._seen), None)
            body = {"sender": self.name, "message": text, "metadata": {**metadata, "handoff_after": after}}
            asked = time.time()
            messages = await self.post(body)
            if messages is not None:
                self._show(messages, asked)
                if not _not_taken(messages):
                    return True
            await asyncio.sleep(AGAIN_AFTER)

    def _show(self, messages: list[dict[str, Any]], asked: float | None = None) -> None:
        for message in messages:
            if message.get("id") not in self._seen:
                if message.get("id") is not None:
                    self._seen[message["id"]] = None
                self.show(message, asked)


class WaitingMailbox(Mailbox):
    """A mailbox whose owner has a request wait for it all the time."""

    def __init__(
        self, name: str, book: Book, rng: random.Random, pace: float, url: Callable[[], str], bot_id: str
    ) -> None:
        super().__init__(name, book, rng, pace, url)
        self.headers = {HEADER: make_token(SECRET, bot_id, name)}

    async def open(self) -> None:
        self._fetching = asyncio.create_task(self._fetch_for_ever())

    async def close(self) -> None:
        await cancel_all(self._fetching)
        await super().close()

    async def _fetch_for_ever(self) -> None:
        timeout = aiohttp.ClientTimeout(total=FETCHED_WITHIN)
        while True:
            query = {"sender": self.name, "after": next(reversed(self._seen), "")}
            address = f"{self._url()}/webhooks/rest/handoff/messages"
            try:
                async with (
                    aiohttp.ClientSession(timeout=timeout, headers=self.headers) as http,
                    http.get(address, params=query) as answer,
                ):
                    if answer.status == 200:
                        self._show(await answer.json())
                        continue
                    self.book.failed(self.name, f"status {answer.status} of its mailbox")
            except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError) as problem:
                self.book.failed(self.name, repr(problem))
            await asyncio.sleep(AGAIN_AFTER)


def named(file: str | None) -> dict[str, list[str]]:
    """Return a message's metadata that names the file which goes with it."""
    return {"handoff_media": [file]} if file else {}


def _not_taken(messages: list[dict[str, Any]]) -> bool:
    return any(phrases.kind_of(message.get("text", ""))[1] == phrases.NOT_TAKEN for message in messages)
