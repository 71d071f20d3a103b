"""``rasa run`` in several processes on one Postgres: two workers of one server, and two servers of which one is killed.

Where they don't share what they must, Rasa says so in one line.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from socketio.exceptions import TimeoutError as NoAnswer

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.support.postgres_server import Database, Postgres
from tests.support.redis import RedisServer
from tests.support.started_processes import Process
from tools.rasa_command import RASA


@pytest.fixture
def endpoints(postgres_server: Postgres) -> Iterator[dict[str, Any]]:
    """What Rasa processes share."""
    trackers = postgres_server.fresh()
    with RedisServer() as redis:
        locks = {"type": "redis", "url": "127.0.0.1", "port": redis.port}
        yield {"tracker_store": trackers.tracker_store(), "lock_store": locks}
    postgres_server.drop(trackers)


class Rasa(Process):
    """``rasa run`` with HandoffChannel on a Postgres database."""

    def __init__(
        self, model: Path, folder: Path, settings: dict[str, Any], endpoints: dict[str, Any], workers: int = 1
    ) -> None:
        folder.mkdir()
        (folder / "credentials.yml").write_text(yaml.safe_dump(settings))
        (folder / "endpoints.yml").write_text(yaml.safe_dump(endpoints))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [*RASA, "run", "-m", str(model), "-p", str(port), "-i", "127.0.0.1", "--enable-api"]
        super().__init__(command, folder, up=f"{self.url}/webhooks/handoff/", SANIC_WORKERS=str(workers))


@pytest.fixture
async def two_servers(
    small_model: Path, desk: DeskServer, tmp_path: Path, postgres: Database, endpoints: dict[str, Any]
) -> AsyncIterator[tuple[Rasa, Rasa]]:
    """Two servers of one process each, both connected to the desk."""
    settings = credentials(desk.url, tmp_path, store=postgres.url)
    first, second = (Rasa(small_model, tmp_path / name, settings, endpoints) for name in ("first", "second"))
    async with AsyncExitStack() as stack:
        await asyncio.gather(stack.enter_async_context(first), stack.enter_async_context(second))
        await eventually(lambda: postgres.execute("select count(*) from process where connected") == [(2,)], 60)
        yield first, second


MOST_PAGES = 30
"""Pages that are opened until both workers have one."""


@pytest.mark.timeout(240)
async def test_two_workers_serve_customers_whichever_they_come_to(
    small_model: Path,
    desk: DeskServer,
    thandi: ScriptedAgent,
    tmp_path: Path,
    postgres: Database,
    endpoints: dict[str, Any],
) -> None:
    settings = credentials(desk.url, tmp_path, store=postgres.url)
    async with (
        Rasa(small_model, tmp_path / "workers", settings, endpoints, workers=2) as rasa,
        AsyncExitStack() as stack,
    ):
        await eventually(lambda: postgres.execute("select count(*) from process where connected") == [(2,)], 60)
        customers: list[ScriptedCustomer] = []
        spread = "select count(distinct process) from page_connection"
        # A busy worker accepts fewer connections than an idle one.
        while len(customers) < 6 or (len(customers) < MOST_PAGES and postgres.execute(spread) != [(2,)]):
            page = ScriptedCustomer(rasa.url, f"customer-{len(customers)}", acks=True)
            customers.append(await stack.enter_async_context(page))
        assert postgres.execute(spread) == [(2,)], "all pages are connected to one worker"
        handoffs = []
        for customer in customers:
            await customer.say_with_id("/execute_handoff")
            handoffs.append(str((await thandi.take_next())["handoff_id"]))
        for line in range(3):
            for handoff_id in handoffs:
                assert (await thandi.say(handoff_id, f"line {line}", f"{handoff_id}-{line}"))["ok"]
            for customer in customers:
                await customer.hears(f"line {line}")
                await customer.say_with_id(f"answer {line}")
        for handoff_id in handoffs:
            await thandi.hears("message", handoff_id=handoff_id, text="answer 2")
        said = [message["text"] for message in thandi.all("message") if message["speaker"] == "customer"]
        assert sorted(said) == sorted(f"answer {line}" for line in range(3) for _ in customers)
        for customer in customers:
            assert [text for text in customer.texts if text.startswith("line")] == ["line 0", "line 1", "line 2"]
        assert [one for one in thandi.all("message.status") if one["status"] == "waiting"] == []


@pytest.mark.timeout(240)
@pytest.mark.parametrize("workers", [2, 1], ids=["two-workers", "beside-another"])
@pytest.mark.parametrize(
    ("own", "problem"),
    [("lock_store", "has no lock store that several"), ("tracker_store", "the tracker store is a SQLite file")],
)
async def test_rasa_that_shares_too_little_ends_with_one_line(
    small_model: Path,
    tmp_path: Path,
    postgres: Database,
    endpoints: dict[str, Any],
    workers: int,
    own: str,
    problem: str,
) -> None:
    """Also before Sanic has forked workers, of which each would print a traceback, and Rasa would end with 0."""
    settings = credentials("http://127.0.0.1:9", tmp_path, store=postgres.url)
    trackers = {"tracker_store": {"type": "SQL", "db": "trackers.db"}}
    wrong = {name: endpoints[name] for name in endpoints if name != own} | (trackers if own in trackers else {})
    async with AsyncExitStack() as stack:
        if workers == 1:
            await stack.enter_async_context(Rasa(small_model, tmp_path / "first", settings, endpoints))
        refused = Rasa(small_model, tmp_path / "refused", settings, wrong, workers)
        refused.up = None
        await stack.enter_async_context(refused)
        await eventually(lambda: refused.process.poll() is not None, seconds=90, what="it ends by itself")
        assert refused.process.returncode == 1
        assert refused.said().count(problem) == 1
        assert "Traceback" not in refused.said()


@contextmanager
def standing_still(rasa: Rasa) -> Iterator[None]:
    """Stop a server inside the block (SIGSTOP): its connections stay open without answers."""
    os.killpg(rasa.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(rasa.process.pid, signal.SIGCONT)


@pytest.mark.timeout(240)
async def test_a_server_that_stood_still_with_a_customers_page_loses_and_doubles_nothing(
    two_servers: tuple[Rasa, Rasa], thandi: ScriptedAgent, postgres: Database
) -> None:
    first, _ = two_servers
    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(ScriptedCustomer(first.url, "page", acks=True))
        await page.say_with_id("/execute_handoff")
        handoff_id = str((await thandi.take_next())["handoff_id"])
        assert await page.say_with_id("customer 0") == {"ok": True}
        said = [asyncio.create_task(thandi.say(handoff_id, f"agent {number}", f"a-{number}")) for number in range(5)]
        began = time.monotonic()
        with standing_still(first):
            saying = [asyncio.create_task(_say_until_taken(page, f"customer {number}")) for number in range(1, 4)]
            said += [
                asyncio.create_task(thandi.say(handoff_id, f"agent {number}", f"a-{number}")) for number in range(5, 8)
            ]
            await eventually(lambda: postgres.execute("select count(*) from process") == [(1,)], 60)
            await eventually(lambda: time.monotonic() - began > 15)
        assert all(answer["ok"] for answer in await asyncio.gather(*said))
        await asyncio.gather(*saying)
        for number in range(8):
            await thandi.hears("message.status", message_id=f"a-{number}", status="delivered")
        assert (await thandi.say(handoff_id, "agent 8", "a-8"))["ok"]
        await page.hears("agent 8")
        assert [text for text in page.texts if text.startswith("agent")] == [f"agent {number}" for number in range(9)]
        assert await page.say_with_id("customer 4") == {"ok": True}
        await thandi.hears("message", text="customer 4")
        came = [message["text"] for message in thandi.all("message") if message["speaker"] == "customer"]
        assert came == [f"customer {number}" for number in range(5)]
        await eventually(lambda: postgres.execute("select count(*) from process where connected") == [(2,)], 60)


async def _say_until_taken(page: ScriptedCustomer, text: str) -> None:
    """Say something, again with the same id if no answer comes, as a page does."""
    while True:
        with suppress(NoAnswer):
            assert await page.say_with_id(text, id=text) == {"ok": True}
            return


@pytest.mark.timeout(240)
async def test_when_one_of_two_servers_is_killed_the_other_goes_on(
    two_servers: tuple[Rasa, Rasa], thandi: ScriptedAgent, postgres: Database
) -> None:
    first, second = two_servers
    async with AsyncExitStack() as stack:
        gone = await stack.enter_async_context(ScriptedCustomer(first.url, "gone", acks=True))
        await gone.say_with_id("/execute_handoff")
        unread = str((await thandi.take_next())["handoff_id"])
        page = await stack.enter_async_context(ScriptedCustomer(first.url, "page", acks=True))
        await page.say_with_id("/execute_handoff")
        handoff_id = str((await thandi.take_next())["handoff_id"])
        page.attentive.clear()
        for number in range(3):
            assert (await thandi.say(handoff_id, f"agent {number}", f"a-{number}"))["ok"]
        assert await page.say_with_id("said before", id="before") == {"ok": True}
        first.kill()
        for number in range(3, 6):
            assert (await thandi.say(handoff_id, f"agent {number}", f"a-{number}"))["ok"]
        again = await stack.enter_async_context(ScriptedCustomer(second.url, "page", acks=True))
        assert await again.say_with_id("said before", id="before") == {"ok": True}
        assert await again.say_with_id("said after", id="after") == {"ok": True}
        await eventually(lambda: len([text for text in again.texts if text.startswith("agent")]) >= 6, 60)
        assert [text for text in again.texts if text.startswith("agent")] == [f"agent {number}" for number in range(6)]
        for number in range(6):
            await thandi.hears("message.status", message_id=f"a-{number}", status="delivered")
        await thandi.hears("message", text="said after")
        said = [message["text"] for message in thandi.all("message") if message["speaker"] == "customer"]
        assert said == ["said before", "said after"]
        assert (await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved"))["ok"]
        await thandi.hears("conversation", handoff_id=handoff_id, state="ended")
        assert await again.say_with_id("/greet") == {"ok": True}
        await again.hears("Hello.")
        await eventually(lambda: thandi.shown(unread)[-1]["customer_is_away"], 40)
