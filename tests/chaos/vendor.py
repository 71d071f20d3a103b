"""Customers behind a vendor: the ``callback`` channel against a stand-in that sometimes answers 500, late, or after having
taken the message all the same."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from types import TracebackType

import aiohttp
from aiohttp import web

from tests.chaos import phrases
from tests.chaos.book import Book
from tests.chaos.chaos_customers import Customer
from tests.chaos.mailbox import named

ANSWER_WITHIN = 15.0


class Vendor:
    """The vendor: ``async with Vendor(book, rng)``. It has the address that Rasa calls back, and the customers."""

    def __init__(self, book: Book, rng: random.Random) -> None:
        self.book, self.rng = book, rng
        self.customers: dict[str, VendorCustomer] = {}
        self.troubles = True
        self.url = ""

    async def __aenter__(self) -> "Vendor":
        app = web.Application()
        app.router.add_post("/", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, shutdown_timeout=1)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        with contextlib.suppress(ConnectionResetError):  # the caller was killed meanwhile
            return await self._answer(request)
        return web.Response(status=400)

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        customer = self.customers[body["recipient_id"]]
        if phrases.kind_of(body.get("text") or "")[1] == phrases.NOT_TAKEN:
            customer.refused += 1
        chance = self.rng.random() if self.troubles else 1.0
        if chance < 0.03:
            customer.book.failed(customer.name, "500, not taken")
            return web.Response(status=500)
        customer.show(body)
        if chance < 0.05:
            customer.book.failed(customer.name, "500, though taken")
            return web.Response(status=500)
        if chance < 0.07:
            await asyncio.sleep(self.rng.random() * 2)
        return web.Response()


class VendorCustomer(Customer):
    """At least once from the bot's side, doubled only around a kill or an answer that failed. ``refused``: how often the vendor
    was told that a message wasn't taken, which comes before the answer to its request."""

    channel = "callback"
    refused = 0

    def __init__(
        self, name: str, book: Book, rng: random.Random, pace: float, url: Callable[[], str], vendor: Vendor
    ) -> None:
        super().__init__(name, book, rng, pace)
        self._url = url
        vendor.customers[name] = self

    def rasa(self) -> str:
        return self._url()

    async def send(self, text: str, file: str | None = None) -> bool:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
        body, before = {"sender": self.name, "message": text, "metadata": named(file)}, self.refused
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.post(f"{self._url()}/webhooks/callback/webhook", json=body) as answer,
            ):
                await answer.read()
                return answer.status == 200 and self.refused == before
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as problem:
            self.book.note("unsure", self.name, why=repr(problem))
            return False
