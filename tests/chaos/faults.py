"""Carrying out the plan. Faults overlap: each is a task of its own."""

import asyncio
import contextlib
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from playwright.async_api import Error as PlaywrightError

from tests.chaos.browser import missing as no_chromium
from tests.chaos.chaos_customers import Customer
from tests.chaos.plan import WEIGHTS, Fault
from tests.chaos.proxy import WAYS
from tests.chaos.second_relay import come_and_go
from tests.chaos.world import World

BEFORE_THE_COMMIT = ("Rasa:", "relay's database", "disk full")
"""Faults that can come between a vendor's answer and the relay's commit: the message is then delivered again."""

T = TypeVar("T")

LONGEST_LOCK = 7.0
"""Seconds; the stores wait two for a lock, so most are felt."""


SHOWN_EVERY = 100
"""Faults between two lines of progress."""


class Faults:
    """Makes faults happen: ``run(plan)``. ``done`` counts them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._kinds: dict[str, Callable[[Fault], Awaitable[None] | None]] = {
            "customer: connection dropped": lambda fault: self._customer(fault).drop(),
            "customer: page reloaded": lambda fault: self._customer(fault).reload(),
            "customer: tab closed for a while": lambda fault: self._customer(fault).close_tab(1 + 29 * fault.size**2),
            "customer: connection open but dead": lambda fault: self._customer(fault).go_deaf(),
            "agent: connection dropped": lambda fault: _pick(world.agents, fault).drop(),
            "agent: page reloaded": lambda fault: _pick(world.agents, fault).reload(),
            "Rasa and desk: cut": lambda fault: world.to_desk.refuse(fault.size),
            "Rasa and desk: delayed": lambda fault: world.to_desk.delay(0.1 + fault.pick, 1 + 3 * fault.size),
            "Rasa and desk: half-open": lambda fault: world.to_desk.half_open(
                0.3 + 7 * fault.size**2, _pick(WAYS, fault)
            ),
            "customers and Rasa: cut": lambda fault: world.to_rasa.refuse(fault.size),
            "customers and Rasa: delayed": lambda fault: world.to_rasa.delay(0.1 + fault.pick, 1 + 3 * fault.size),
            "customers and Rasa: half-open": lambda fault: world.to_rasa.half_open(
                0.3 + 4 * fault.size**2, _pick(WAYS, fault)
            ),
            "agents and desk: cut": lambda fault: world.to_agents.refuse(fault.size),
            "agents and desk: half-open": lambda fault: world.to_agents.half_open(
                0.3 + 4 * fault.size**2, _pick(WAYS, fault)
            ),
            "Rasa: SIGSTOP, SIGCONT": lambda fault: world.rasa.stop(0.2 + 7 * fault.size**3),
            "desk: SIGSTOP, SIGCONT": lambda fault: world.desk.stop(0.2 + 7 * fault.size**3),
            "desk: kill -9": lambda fault: world.desk.kill(),
            "Rasa: kill -9": lambda fault: world.rasa.kill(),
            "Rasa: newer model, restart": self._newer_model,
            "Rasa: model loaded anew": self._load_model,
            "actions: kill -9": lambda fault: world.actions.kill(),
            "actions: SIGSTOP, SIGCONT": lambda fault: world.actions.stop(0.2 + 7 * fault.size**3),
            "browser: a page's process killed -9": lambda fault: _there(world.chromium).kill(fault.pick),
            "browser: a page's process SIGSTOP, SIGCONT": lambda fault: _there(world.chromium).stop(
                fault.pick, 0.2 + 7 * fault.size**3
            ),
            "relay's database locked": lambda fault: self._lock("relay", fault),
            "desk's database locked": lambda fault: self._lock("desk", fault),
            "tracker's database locked": lambda fault: self._lock("tracker", fault),
            "tracker's database cut off": lambda fault: _there(world.to_tracker).refuse(
                0.3 + (LONGEST_LOCK - 0.3) * fault.size**2
            ),
            "tracker's database half-open": lambda fault: _there(world.to_tracker).half_open(
                0.3 + 7 * fault.size**2, _pick(WAYS, fault)
            ),
            "a poisoned entry on a lane": self._poison,
            "a second relay comes and goes": lambda fault: come_and_go(
                world.desk_url, world.bot_id, 0.5 + 5 * fault.size, world.book
            ),
            "disk full": self._fill,
            "customer types /restart": lambda fault: self._types(fault, "/restart"),
            "customer types /session_start": lambda fault: self._types(fault, "/session_start"),
            "customer types /greet": lambda fault: self._types(fault, "/greet"),
            "a reminder falls due": self._remind,
            "an intent by HTTP": self._trigger,
            "Rasa's clock past the session's expiry": lambda fault: world.move_clock(),
        }

    @staticmethod
    def impossible(world: World) -> dict[str, str]:
        """Return the kinds of faults that aren't possible here, and why."""
        missing = {}
        if not world.mounted:
            missing["disk full"] = "a disk of its own can be mounted only by root"
        on_postgres = "the tracker store is on Postgres in this run"
        on_sqlite = "the tracker store is on SQLite in this run"
        if world.to_tracker is not None:
            missing["tracker's database locked"] = on_postgres
        else:
            missing["tracker's database cut off"] = missing["tracker's database half-open"] = on_sqlite
        if world.chromium is None:
            why = no_chromium() or "no customer has a page in Chromium in this run"
            missing |= dict.fromkeys((kind for kind in WEIGHTS if kind.startswith("browser:")), why)
        return missing

    async def run(self, plan: Sequence[Fault], until: float) -> None:
        """Start the faults one after the other, without waiting for their ends, until ``until`` (monotonic) at the latest."""
        for count, fault in enumerate(plan):
            if count and count % SHOWN_EVERY == 0:
                print(f"{count} of {len(plan)} faults", flush=True)
            await asyncio.sleep(min(fault.gap, max(0.0, until - time.monotonic())))
            if time.monotonic() >= until:
                break
            self.done[fault.kind] += 1
            if fault.kind.startswith(BEFORE_THE_COMMIT):
                self.world.book.kills.append(time.time())
            self.world.book.note("fault", fault.kind, size=round(fault.size, 2))
            task = asyncio.create_task(self._do(fault))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await asyncio.gather(*self._tasks)

    async def _do(self, fault: Fault) -> None:
        try:
            happening = self._kinds[fault.kind](fault)
            if happening is not None:
                await happening
        except (OSError, aiohttp.ClientError, asyncio.TimeoutError, sqlite3.Error, PlaywrightError) as problem:
            self.world.book.note("fault failed", fault.kind, why=repr(problem))

    def _customer(self, fault: Fault) -> Customer:
        pages: list[Customer] = [customer for customer in self.world.customers if customer.channel == "socketio"]
        return _pick(pages, fault)

    def _live(self, fault: Fault) -> Customer:
        there = [customer for customer in self.world.customers if customer.with_desk]
        return _pick(there or self.world.customers, fault)

    async def _types(self, fault: Fault, text: str) -> None:
        await asyncio.wait({asyncio.ensure_future(self._live(fault).send(text))}, timeout=20)

    def _newer_model(self, fault: Fault) -> None:
        self.world.newer_model()
        self.world.rasa.end()

    async def _load_model(self, fault: Fault) -> None:
        await self._http("put", "/model", {"model_file": str(self.world.models[0])})

    async def _trigger(self, fault: Fault) -> None:
        name = self._live(fault).name
        await self._http("post", f"/conversations/{name}/trigger_intent?output_channel=latest", {"name": "greet"})

    async def _remind(self, fault: Fault) -> None:
        """Set a reminder, as an action would, that is due while the chat goes on."""
        name = self._live(fault).name
        due = datetime.now(timezone.utc) + timedelta(seconds=0.3 + 2 * fault.size)
        reminder: dict[str, Any] = {
            "event": "reminder",
            "intent": "greet",
            "entities": None,
            "name": f"r{due.timestamp()}",
        }
        reminder |= {"date_time": due.isoformat(), "kill_on_user_msg": False}
        query = "?execute_side_effects=true&output_channel=latest"
        await self._http("post", f"/conversations/{name}/tracker/events{query}", reminder)

    async def _http(self, method: str, path: str, body: Any) -> None:
        timeout = aiohttp.ClientTimeout(total=20)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.request(method, self.world.rasa_url + path, json=body) as answer,
        ):
            self.world.book.note("http", path, status=answer.status, said=(await answer.text())[:200])

    async def _poison(self, fault: Fault) -> None:
        here = [customer.name for customer in self.world.customers if customer.with_desk]
        open_ones = [table.handoff_id for table in self.world.book.tables.values() if not table.ended]
        lanes = {"desk": here, "customer": here, "tracker": here, "relay": open_ones}
        if here and open_ones:
            what = await asyncio.to_thread(self.world.poison.add, random.Random(fault.pick), lanes)
            self.world.book.note("poison", what)

    async def _lock(self, which: str, fault: Fault) -> None:
        database = self.world.databases()[which]
        connection = await asyncio.to_thread(_locked, database)
        try:
            await asyncio.sleep(0.3 + (LONGEST_LOCK - 0.3) * fault.size**2)
        finally:
            await asyncio.to_thread(connection.close)

    async def _fill(self, fault: Fault) -> None:
        ballast = self.world.disk / f"ballast-{fault.pick}"
        await asyncio.to_thread(_fill_up, ballast)
        try:
            await asyncio.sleep(0.5 + 3 * fault.size)
        finally:
            ballast.unlink(missing_ok=True)


def _there(part: T | None) -> T:
    assert part is not None, "without it these faults are left out"
    return part


def _pick(among: Sequence[T], fault: Fault) -> T:
    return among[int(fault.pick * len(among))]


def _locked(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _fill_up(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        for piece in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(piece))
