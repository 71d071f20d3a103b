"""Carrying out the plan: the faults that any run can have, and how they are begun and counted."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import psycopg2
import redis
from playwright.async_api import Error as PlaywrightError
from sqlalchemy.exc import OperationalError

from rasa_handoff.testing.waiting import eventually
from tests.chaos.browser import missing as no_chromium
from tests.chaos.chaos_customers import Customer
from tests.chaos.plan import Fault
from tests.chaos.process import Kept
from tests.chaos.proxy import WAYS
from tests.chaos.second_relay import come_and_go
from tests.chaos.world import World

BEFORE_THE_COMMIT: Final = ("Rasa", "relay's database", "Postgres", "disk full")
"""How kinds of faults begin that can come between a vendor's answer and the relay's commit: the message is delivered again."""
SHOWN_EVERY: Final = 50
"""Faults between two lines of progress."""
TROUBLES: Final = (
    OSError,
    aiohttp.ClientError,
    asyncio.TimeoutError,
    OperationalError,
    psycopg2.OperationalError,
    PlaywrightError,
    redis.RedisError,
)
"""What a fault may meet because others go on beside it."""

T = TypeVar("T")
Happening = Callable[[Fault], "Awaitable[None] | None"]


class Faults:
    """Makes faults happen: ``run(plan)``. ``done`` counts them, ``failed`` those that couldn't be made.

    ``kinds``: what each kind of fault does. A fault that hits one of several servers hits each in turn.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._turns: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self.kinds: dict[str, Happening] = {
            "customer: connection dropped": lambda fault: self._customer(fault).drop(),
            "customer: page reloaded": lambda fault: self._customer(fault).reload(),
            "customer: tab closed for a while": lambda fault: self._customer(fault).close_tab(1 + 29 * fault.size**2),
            "customer: connection open but dead": lambda fault: self._customer(fault).go_deaf(),
            "agent: connection dropped": lambda fault: pick(world.agents, fault).drop(),
            "agent: page reloaded": lambda fault: pick(world.agents, fault).reload(),
            "Rasa and desk: cut": lambda fault: world.to_desk.refuse(fault.size),
            "Rasa and desk: delayed": lambda fault: world.to_desk.delay(0.1 + fault.pick, 1 + 3 * fault.size),
            "Rasa and desk: half-open": lambda fault: world.to_desk.half_open(
                0.3 + 7 * fault.size**2, pick(WAYS, fault)
            ),
            "customers and Rasa: cut": lambda fault: world.to_rasa.refuse(fault.size),
            "customers and Rasa: delayed": lambda fault: world.to_rasa.delay(0.1 + fault.pick, 1 + 3 * fault.size),
            "customers and Rasa: half-open": lambda fault: world.to_rasa.half_open(
                0.3 + 4 * fault.size**2, pick(WAYS, fault)
            ),
            "agents and desk: cut": lambda fault: world.to_agents.refuse(fault.size),
            "agents and desk: half-open": lambda fault: world.to_agents.half_open(
                0.3 + 4 * fault.size**2, pick(WAYS, fault)
            ),
            "Rasa: SIGSTOP, SIGCONT": lambda fault: self.rasa(fault).stop(0.2 + 7 * fault.size**3),
            "desk: SIGSTOP, SIGCONT": lambda fault: self.desk(fault).stop(0.2 + 7 * fault.size**3),
            "desk: kill -9": lambda fault: self.desk(fault).kill(),
            "Rasa: kill -9": lambda fault: self.rasa(fault).kill(),
            "Rasa: model loaded anew": self._load_model,
            "actions: kill -9": lambda fault: world.actions.kill(),
            "actions: SIGSTOP, SIGCONT": lambda fault: world.actions.stop(0.2 + 7 * fault.size**3),
            "browser: a page's process killed -9": lambda fault: there(world.chromium).kill(fault.pick),
            "browser: a page's process SIGSTOP, SIGCONT": lambda fault: there(world.chromium).stop(
                fault.pick, 0.2 + 7 * fault.size**3
            ),
            "relay's media store full": lambda fault: fill(world.topology.media_disks["relay"], fault, _full(fault)),
            "desk's media store full": lambda fault: fill(world.topology.media_disks["desk"], fault, _full(fault)),
            "desk's media store: kill -9": lambda fault: world.s3.kill(),
            "desk's media store: SIGSTOP, SIGCONT": lambda fault: world.s3.stop(0.2 + 12 * fault.size**2),
            "desk's media store: cut": lambda fault: world.to_s3.refuse(4 * fault.size),
            "relay's media store away": lambda fault: self._take_folder_away(0.3 + 5 * fault.size),
            "a poisoned entry on a lane": self._poison,
            "a second relay comes and goes": lambda fault: come_and_go(
                world.desk_url, world.bot_id, 0.5 + 5 * fault.size, world.book
            ),
            "customer types /restart": lambda fault: self._types(fault, "/restart"),
            "customer types /session_start": lambda fault: self._types(fault, "/session_start"),
            "customer types /greet": lambda fault: self._types(fault, "/greet"),
            "a reminder falls due": self._remind,
            "an intent by HTTP": self._trigger,
            "Rasa's clock past the session's expiry": lambda fault: world.move_clock(),
        }

    def missing(self) -> dict[str, str]:
        """Return the kinds of faults that aren't possible here, and why."""
        missing = {}
        if self.world.chromium is None:
            why = no_chromium() or "no customer has a page in Chromium in this run"
            missing = dict.fromkeys((kind for kind in self.kinds if kind.startswith("browser:")), why)
        if not self.world.topology.media_mounted:
            why = "a disk of its own can be mounted only by root"
            missing |= dict.fromkeys((kind for kind in self.kinds if kind.endswith("media store full")), why)
        return missing

    async def run(self, plan: Sequence[Fault], until: float) -> None:
        """Begin the faults one after the other, until ``until`` (monotonic) at the latest, and wait for their ends."""
        for count, fault in enumerate(plan):
            await asyncio.sleep(min(fault.gap, max(0.0, until - time.monotonic())))
            if time.monotonic() >= until:
                break
            self.count(fault, count, len(plan))
            await self.begin(fault)
        await asyncio.gather(*self._tasks)

    async def begin(self, fault: Fault) -> None:
        """Begin a fault, and return when the next one may come: at once."""
        task = asyncio.create_task(self.do(fault))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def count(self, fault: Fault, before: int, of: int) -> None:
        """Note that a fault begins; ``before``: how many there were."""
        if before and before % SHOWN_EVERY == 0:
            print(f"{before} of {of} faults", flush=True)
        self.done[fault.kind] += 1
        self.world.book.note("fault", fault.kind, size=round(fault.size, 2))

    async def do(self, fault: Fault) -> None:
        """Make a fault and wait for its end."""
        self._note_kill(fault)
        try:
            happening = self.kinds[fault.kind](fault)
            if happening is not None:
                await happening
        except TROUBLES as problem:
            self.failed[fault.kind] += 1
            self.world.book.note("fault failed", fault.kind, why=repr(problem))
        self._note_kill(fault)

    def _note_kill(self, fault: Fault) -> None:
        if fault.kind.startswith(BEFORE_THE_COMMIT):
            self.world.book.kills.append(time.time())

    def in_turn(self, servers: Sequence[T], kind: str) -> T:
        """Return the server whose turn it is for this kind of fault."""
        self._turns[kind] += 1
        return servers[self._turns[kind] % len(servers)]

    def rasa(self, fault: Fault) -> Kept:
        """Return the Rasa server that this fault hits."""
        return self.in_turn(self.world.rasas, fault.kind)

    def desk(self, fault: Fault) -> Kept:
        """Return the live-agent server that this fault hits."""
        return self.in_turn(self.world.desks, fault.kind)

    def _customer(self, fault: Fault) -> Customer:
        pages: list[Customer] = [customer for customer in self.world.customers if customer.channel == "socketio"]
        return pick(pages, fault)

    def _live(self, fault: Fault) -> Customer:
        there = [customer for customer in self.world.customers if customer.with_desk]
        return pick(there or self.world.customers, fault)

    async def _types(self, fault: Fault, text: str) -> None:
        await asyncio.wait({asyncio.ensure_future(self._live(fault).send(text))}, timeout=20)

    async def _take_folder_away(self, seconds: float) -> None:
        """Have the relay's media store be a file, and not a folder, for a while: nothing can be read or written there."""
        folder = self.world.media_folder
        aside = folder.with_name("aside")
        if folder.is_dir() and not aside.exists():
            folder.rename(aside)
            folder.write_bytes(b"")
            try:
                await asyncio.sleep(seconds)
            finally:
                folder.unlink()
                aside.rename(folder)

    async def _load_model(self, fault: Fault) -> None:
        await self._http(fault, "put", "/model", {"model_file": str(self.world.models[0])})

    async def _trigger(self, fault: Fault) -> None:
        name = self._live(fault).name
        await self._http(
            fault, "post", f"/conversations/{name}/trigger_intent?output_channel=latest", {"name": "greet"}
        )

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
        await self._http(fault, "post", f"/conversations/{name}/tracker/events{query}", reminder)

    async def _http(self, fault: Fault, method: str, path: str, body: Any) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:

            async def asked() -> bool:
                with contextlib.suppress(
                    aiohttp.ClientConnectorError
                ):  # another fault has just ended it: it comes again
                    async with http.request(method, self.rasa(fault).url + path, json=body) as answer:
                        self.world.book.note("http", path, status=answer.status, said=(await answer.text())[:200])
                        return True
                return False

            await eventually(asked, seconds=20)

    async def _poison(self, fault: Fault) -> None:
        here = [customer.name for customer in self.world.customers if customer.with_desk]
        open_ones = [table.handoff_id for table in self.world.book.tables.values() if not table.ended]
        lanes = {"desk": here, "customer": here, "tracker": here, "relay": open_ones}
        if here and open_ones:
            what = await asyncio.to_thread(self.world.poison.add, random.Random(fault.pick), lanes)
            self.world.book.note("poison", what)


def _full(fault: Fault) -> float:
    return 0.5 + 5 * fault.size


def there(part: T | None) -> T:
    """Return a part of the world that is there."""
    assert part is not None, "without it these faults are left out"
    return part


def pick(among: Sequence[T], fault: Fault) -> T:
    """Return the one that the plan has chosen."""
    return among[int(fault.pick * len(among))]


async def fill(disk: Path, fault: Fault, seconds: float) -> None:
    """Have a small disk full for a while."""
    ballast = disk / f".ballast-{fault.pick}"
    await asyncio.to_thread(_fill_up, ballast)
    try:
        await asyncio.sleep(seconds)
    finally:
        ballast.unlink(missing_ok=True)


def _fill_up(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        for piece in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(piece))
