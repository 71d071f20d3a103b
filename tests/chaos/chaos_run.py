"""``make chaos``: customers, agents and real servers, faults at random moments, and a table of what that broke.

Exits with 1 on any finding. The seed decides which faults come, when and whom they hit; what the machine does between them
differs from run to run.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import platform
import random
import secrets
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import aiohttp

from rasa_handoff.testing.waiting import eventually
from tests.chaos import checks
from tests.chaos.agents import Agent
from tests.chaos.book import Book
from tests.chaos.chaos_customers import Customer
from tests.chaos.chaos_files import apart, media_in
from tests.chaos.faults_of_many import FaultsOfMany
from tests.chaos.faults_of_one import FaultsOfOne
from tests.chaos.file_checks import files_arrived
from tests.chaos.findings_table import FaultCounts, Report
from tests.chaos.plan import WEIGHTS_OF_MANY, WEIGHTS_OF_ONE, plan
from tests.chaos.seat import read_message
from tests.chaos.silence import bot_was_silent
from tests.chaos.topology import Many, One, Tracker
from tests.chaos.uptime import LEAST, Uptime, probes_of
from tests.chaos.world import World
from tests.support.trained_bots import train_with_actions

GAP = 1.0
"""Seconds between two faults on average: a thousand in some 17 minutes."""
DRAINS_WITHIN = 150.0
"""Seconds until nothing is under way any more."""
SETTLES_WITHIN = 45.0
"""Seconds until both ends agree."""
FETCHED_WITHIN = 30.0
"""Seconds until everybody has the files that they were given."""
HASTY = 5.0
"""Seconds for either, in a run that is expected to find something."""
PEOPLE_OF_MANY: Final[dict[str, Any]] = {"size": (7, 1, 2, 3, 3), "pace": 1.0, "pages": 1}
"""The people of a run with several servers: more servers leave less of a small machine to them."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _read(arguments)
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    many = options.topology == "many"
    minutes = options.minutes or (60 if many else 45)
    for library in ("engineio", "engineio.client"):
        logging.getLogger(library).setLevel(logging.CRITICAL)  # a connection that was cut is what this is for
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"SEED={seed}  FAULTS={options.faults}  MINUTES={minutes:g}  TOPOLOGY={options.topology}", flush=True)
    print(f"Logs and all that was said and heard: {folder}", flush=True)
    model = train_with_actions("small", folder)
    topology = Many(folder) if many else One(folder, tracker=options.tracker)
    people = PEOPLE_OF_MANY if many else {}
    report = asyncio.run(
        chaos(folder, model, seed, options.faults, minutes * 60, topology, only=options.only, **people)
    )
    print(report.text())
    return 1 if report.findings else 0


def _read(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description="Random faults against real processes.")
    parser.add_argument("--faults", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--minutes", type=float, help="at most, without start and end (default: 45, with many 60)")
    parser.add_argument(
        "--topology", choices=("one", "many"), default="one", help="servers of each kind (default: one)"
    )
    parser.add_argument("--seed", type=int, help="of an earlier run (default: a new one)")
    trackers = get_args(Tracker)
    parser.add_argument("--tracker", choices=trackers, default="sqlite", help="Rasa's tracker store (default: sqlite)")
    parser.add_argument("--only", nargs="*", default=(), help="kinds of faults, as the table names them (default: all)")
    return parser.parse_args(arguments)


async def chaos(
    folder: Path,
    model: Path,
    seed: int,
    faults: int,
    seconds: float,
    topology: One | Many | None = None,
    *,
    gap: float = GAP,
    only: Sequence[str] = (),
    patient: bool = True,
    **world: Any,
) -> Report:
    """Make one run and return its report.

    ``topology``: one server of each kind, if none is given. ``only``: kinds of faults, if not all; ``patient``: whether what is
    found is looked at again and again, in case it is only late. ``world``: what :class:`World` takes beside.
    """
    rng = random.Random(seed)
    began = time.monotonic()
    topology = topology or One(folder)
    async with contextlib.AsyncExitStack() as stack:
        here = await stack.enter_async_context(
            World(folder, model, random.Random(rng.getrandbits(64)), topology, **world)
        )
        doing = FaultsOfMany(here, topology) if isinstance(topology, Many) else FaultsOfOne(here, topology)
        missing = doing.missing()
        weights = WEIGHTS_OF_MANY if isinstance(topology, Many) else WEIGHTS_OF_ONE
        planned = plan(rng, faults, gap, dict.fromkeys(only, 1.0) or weights, without=missing)
        people = [asyncio.create_task(customer.live(), name=customer.name) for customer in here.customers]
        await _until_it_is_lively(here)
        probes = probes_of(here, topology) if isinstance(topology, Many) else {}
        started = time.monotonic()
        async with Uptime(probes) as uptime:
            await doing.run(planned, until=started + seconds)
        under_faults = time.monotonic() - started
        await calm(here, people, DRAINS_WITHIN if patient else HASTY)
        await verdict(here, SETTLES_WITHIN if patient else HASTY)
        check_faults(here.book, doing.done, doing.failed, uptime.shares())
        machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
        times = (under_faults, time.monotonic() - began)
        counts = FaultCounts(doing.done, doing.failed, missing)
        return Report(seed, folder, machine, times, counts, here.book, here.starts(), here.pages, uptime.shares())


def check_faults(book: Book, done: Mapping[str, int], failed: Mapping[str, int], shares: Mapping[str, float]) -> None:
    """Check that the faults were there, and that the servers weren't mostly down. ``shares``: of the time, by kind of process."""
    for kind, count in done.items():
        if count > 1 and failed.get(kind) == count:
            book.finding("no fault", kind, f"none of {count} could be made")
    for kind, share in shares.items():
        if share < LEAST:
            book.finding("void", kind, f"up only {share:.0%} of the time, so the run proves nothing")


async def _until_it_is_lively(world: World) -> None:
    """Wait until half of the customers talk to somebody, for 30 s at most."""
    with contextlib.suppress(AssertionError):
        half = len(world.customers) / 2
        await eventually(lambda: sum(customer.with_desk for customer in world.customers) >= half, seconds=30)


async def calm(world: World, people: list["asyncio.Task[None]"], within: float) -> None:
    """Bring everything under way to its end: there are no more faults, and nobody begins anything."""
    world.vendor.troubles = False
    for customer in world.customers:
        customer.stopping = True
    try:
        await world.wait_until_ready()
    except AssertionError as problem:
        world.book.finding("stuck", "servers", str(problem))
    done, late = await asyncio.wait(people, timeout=90)
    for task in late:
        task.cancel()
        world.book.finding("stuck", task.get_name(), _waits_for(world, task.get_name()))
    for task in done:
        task.result()
    for agent in world.agents:
        agent.stopping = True
    with contextlib.suppress(AssertionError):
        await eventually(lambda: _nothing_under_way(world), seconds=within, what="conversations under way")
    await _have_poison_read(world)


async def _have_poison_read(world: World) -> None:
    """Start again what still has poisoned entries: lanes are in memory, and what another process has put into the database is
    seen when the lane is read anew. Most are seen earlier, by a fault that comes after them."""
    left = await asyncio.to_thread(world.poison.left)
    for side, servers in {"relay": world.rasas, "desk": world.desks}.items():
        if any(one.startswith(side) for one in left):
            world.book.note("start", side, why="a poisoned entry was put into a lane that is in memory")
            starts = {server: server.starts for server in servers}
            for server in servers:
                server.end()
            try:
                await asyncio.gather(*(server.wait_until_started_again(starts[server]) for server in servers))
                await world.wait_until_ready()
            except AssertionError as problem:
                world.book.finding("stuck", side, str(problem))


def _waits_for(world: World, name: str) -> str:
    words = list(world.book.customers[name].values())
    customer = next(one for one in world.customers if one.name == name)
    last = f"{words[-1].word} ({words[-1].outcome})" if words else "the first word"
    return (
        f"waits on {customer.channel} for an acknowledgement after everything is back; last {last}; {customer.state()}"
    )


async def _nothing_under_way(world: World) -> bool:
    with contextlib.suppress(aiohttp.ClientError, OSError, asyncio.TimeoutError):
        timeout = aiohttp.ClientTimeout(total=5)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"{world.rasa_url}/webhooks/handoff/") as answer,
        ):
            # Of several processes one answers, with what it knows itself.
            under_way = (await answer.json())["under_way"] if world.topology.workers == 1 else 0
        await asyncio.sleep(0.5)
        going_on = [table.handoff_id for table in world.book.tables.values() if not table.ended]
        await asyncio.gather(*(_read_again(world, handoff_id) for handoff_id in going_on))
        return under_way == 0 and all(table.ended for table in world.book.tables.values())
    return False


async def verdict(world: World, within: float) -> None:
    """Fetch waiting messages, then compare both ends until they agree or the time is over."""
    book = world.book
    await checks.nobody_is_stuck(world, 40 if within > HASTY else 5)
    for table in book.tables.values():
        if not table.ended:
            book.finding("stuck", table.conversation, f"handoff {table.handoff_id} has not ended at the desk")
    earlier, deadline = list(book.findings), time.monotonic() + within
    while True:
        book.findings = list(earlier)
        await asyncio.gather(*(_read_again(world, handoff_id) for handoff_id in book.tables))
        try:
            trackers = await checks.Trackers.read(world)
            await _read_unseen(world, trackers)
        except (aiohttp.ClientError, asyncio.TimeoutError, KeyError) as problem:
            book.finding("stuck", "Rasa", f"trackers can't be read at the end: {problem!r}")
            break
        await _have_files_fetched(world, min(within, FETCHED_WITHIN))
        files_arrived(book)
        checks.words_arrived(book, trackers)
        checks.order_held(book, trackers)
        bot_was_silent(book)
        checks.joined_once(book)
        checks.trackers_in_step(book, trackers)
        checks.poison_was_set_aside(book, world.poison)
        if len(book.findings) == len(earlier) or time.monotonic() > deadline:
            break
        await asyncio.sleep(2)
    for agent in world.agents:
        if agent.signed_in != 1:
            book.finding("signed in again", agent.name, f"{agent.signed_in} times")
    for kind, who, detail in book.findings:
        book.note("FINDING", who, kind=kind, detail=detail)


async def _have_files_fetched(world: World, within: float) -> None:
    """Wait until everybody has fetched the files that they were given."""
    people: list[Customer | Agent] = [*world.customers, *world.agents]
    for one, left in zip(people, await asyncio.gather(*(one.fetches.settled(within) for one in people)), strict=True):
        for id in left:
            world.book.finding("stuck", one.name, f"can't fetch the file {id} after everything is back")


async def _read_unseen(world: World, trackers: checks.Trackers) -> None:
    """Add the conversations to the record that came and ended while no agent's page was connected."""
    unseen = {id: whose for id, whose in trackers.handoffs().items() if id not in world.book.tables}
    for id, whose in unseen.items():
        world.book.table(id, whose)
    await asyncio.gather(*(_read_again(world, id) for id in unseen))


async def _read_again(world: World, handoff_id: str) -> None:
    """Read the conversation into the record, as the desk shows it to an agent who opens it."""
    table = world.book.tables[handoff_id]
    answer = await world.agents[0].ask("open", handoff_id=handoff_id, after=0)
    if not answer.get("ok"):
        return
    messages = answer["conversation"]["messages"]
    table.ended = table.ended or answer["conversation"]["state"] == "ended"
    reader = world.agents[0]
    for line in answer["conversation"]["transcript"]:
        for id in media_in(line):  # of one that was said to the bot; the desk says if it isn't there
            reader.fetch_file(handoff_id, id)
    table.shown = [
        read_message(world.book, message, reader, handoff_id)
        for message in messages
        if message["speaker"] == "customer"
    ]
    table.statuses = {
        apart(message["text"])[0]: message["status"] for message in messages if message["speaker"] == "agent"
    }
