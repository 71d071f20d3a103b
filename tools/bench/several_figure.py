"""The figure ``several``: two Rasa servers and two live-agent servers on Postgres and Redis, beside one of each.

One of each is measured twice: on the same Postgres and Redis, and on SQLite, as in ``throughput``. Customers and desks are spread
evenly, so that a half of the conversations has its customer at one Rasa server and its desk at a live-agent server which that one
isn't connected to.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tools.bench.bench import Bench, both
from tools.bench.live import BUSY_SLICE, Side
from tools.bench.measure import LEAST_TURNS, FigureError, Row, at_most, compared, in_turns
from tools.bench.shared_stack import LockWaits, Services
from tools.bench.stack import CONVERSATIONS_PER_AGENT, Setup

PROCESSES = 2
"""Rasa servers, and as many live-agent servers."""
MOST_PROCESSOR = 1.5
"""The target of the processor time per round trip, beside one of each."""
MOST_APART = 1.1
"""The target of the load of the busier of two processes, beside the other."""
MOST_LOCKED = 5.0
"""The target of the time that transactions wait for locks, in percent."""
OURS, SERVICES = ("Rasa", "server"), ("Postgres", "Redis")


@dataclass
class SharedSide(Side):
    """A side on Postgres. ``transactions``: how many were made during its turns."""

    transactions: int = 0

    @property
    def lock_waits(self) -> LockWaits:
        """The lock waits of its transactions."""
        waits: LockWaits = self.system.stack.lock_waits  # type: ignore[union-attr]  # a Scene
        return waits

    async def chat(self, seconds: float, pace: float = 0.0) -> None:
        """Let all customers chat as on other sides, and watch the transactions meanwhile."""
        before = self._made()
        with self.lock_waits.watched():
            await super().chat(seconds, pace)
        self.transactions += self._made() - before

    def _made(self) -> int:
        return self.system.stack.transactions()  # type: ignore[no-any-return, union-attr]  # a Scene


@dataclass
class Sides:
    """The three that are compared."""

    two: SharedSide
    one: SharedSide
    sqlite: Side
    all: list[Side] = field(init=False)

    def __post_init__(self) -> None:
        self.all = [self.two, self.one, self.sqlite]


async def several(bench: Bench) -> list[Row]:
    """Measure round trips of many customers at once, each of whom writes again when the last message was answered."""
    customers = bench.sizes.customers[0]
    async with _sides(bench, customers) as sides:
        part = min(BUSY_SLICE, bench.seconds / LEAST_TURNS / len(sides.all))
        await in_turns(bench.seconds, [lambda side=side: side.chat(part) for side in sides.all])  # type: ignore[misc]
        what = f"{customers} customers at once, {PROCESSES} + {PROCESSES}"
        return [
            *_processor_rows(what, sides),
            *_split_rows(what, sides.two),
            *_trip_rows(what, sides),
            *_database_rows(what, sides),
        ]


def seconds_of(side: Side, *kinds: str) -> float:
    """Return the processor seconds that all processes of these kinds have used."""
    return sum(seconds for name, seconds in side.spent.items() if name.startswith(kinds))


def compared_processor(what: str, side: Side, reference: Side, *kinds: str, most: float | None = None) -> Row:
    """Return a row of the processor time of these kinds of processes per round trip."""
    each = [1000 * seconds_of(one, *kinds) / one.counted for one in (side, reference)]
    targets = () if most is None else (at_most(most),)
    return Row(what, "ms", *each, (side.counted, reference.counted), targets)


def _processor_rows(what: str, sides: Sides) -> list[Row]:
    two, one, sqlite = sides.all
    on_postgres, on_sqlite = f"{what}, beside 1 + 1 on Postgres", f"{what}, beside 1 + 1 on SQLite"
    own, per_trip = "processor of all Rasas and servers", "per round trip"
    return [
        compared_processor(f"{on_postgres}: {own}, {per_trip}", two, one, *OURS, most=MOST_PROCESSOR),
        compared_processor(f"{on_sqlite}: {own}, {per_trip}", two, sqlite, *OURS, most=MOST_PROCESSOR),
        compared_processor(f"{on_postgres}: processor of Rasa, {per_trip}", two, one, "Rasa"),
        compared_processor(f"{on_postgres}: processor of the server, {per_trip}", two, one, "server"),
        compared_processor(f"{on_postgres}: processor of Postgres and Redis, {per_trip}", two, one, *SERVICES),
    ]


def _split_rows(what: str, side: Side) -> list[Row]:
    """Return how the load was split: the busier process of each kind, beside the one with the least to do."""
    return [
        split_row(f"{what}: the busier {kind}, beside the other: processor, per round trip", side, kind)
        for kind in OURS
    ]


def split_row(what: str, side: Side, kind: str) -> Row:
    """Return a row of the busiest process of a kind, beside the one with the least to do.

    Raises:
        FigureError: there is one process only.
    """
    shares = sorted(1000 * spent / side.counted for name, spent in side.spent.items() if name.startswith(kind))
    if len(shares) < PROCESSES:
        raise FigureError(f"There is one {kind} only: {', '.join(side.spent)}.")
    return Row(what, "ms", shares[-1], shares[0], (side.counted, side.counted), (at_most(MOST_APART),))


def _trip_rows(what: str, sides: Sides) -> list[Row]:
    rows = []
    for name, reference in (("Postgres", sides.one), ("SQLite", sides.sqlite)):
        rates, counts = (_rate(sides.two), _rate(reference)), (sides.two.counted, reference.counted)
        beside = f"{what}, beside 1 + 1 on {name}"
        rows.append(Row(f"{beside}: round trips", "per second", *rates, counts))
        for share in (0.5, 0.99):
            label = f"{beside}: a round trip, p{share * 100:g}"
            rows.append(compared(label, "ms", sides.two.trips, reference.trips, share))
    return rows


def _rate(side: Side) -> float:
    return side.counted / side.lasted


def _database_rows(what: str, sides: Sides) -> list[Row]:
    two, one = sides.two, sides.one
    beside, counts = f"{what}, beside 1 + 1 on Postgres", (two.counted, one.counted)
    return [
        locks_row(f"{beside}: transactions waiting for locks, of their time", two.lock_waits, one.lock_waits),
        Row(
            f"{beside}: transactions, per round trip",
            "each",
            *(side.transactions / side.counted for side in (two, one)),
            counts,
        ),
    ]


def locks_row(what: str, measured: LockWaits, reference: LockWaits) -> Row:
    """Return a row of the share of their time that transactions wait for locks; its samples are the transactions seen."""
    percents = measured.percent(), reference.percent()
    return Row(what, "%", *percents, (measured.under_way, reference.under_way), (at_most(MOST_LOCKED, "%"),))


@contextlib.asynccontextmanager
async def _sides(bench: Bench, customers: int) -> AsyncIterator[Sides]:
    names = [f"c{number}" for number in range(1, customers + 1)]
    agents = -(-customers // CONVERSATIONS_PER_AGENT)
    agents += -agents % PROCESSES  # as many at each server
    with Services() as services:
        shared = both(
            bench.shared_scene("two", services, PROCESSES, agents), bench.shared_scene("one", services, 1, agents)
        )
        async with both(shared, bench.scene("sqlite", Setup(agents))) as ((two, one), sqlite):
            sides = Sides(SharedSide(two), SharedSide(one), Side(sqlite))
            for side in sides.all:
                side.customers = await side.system.all(side.system.talks, names)
                await side.warm_up()
            yield sides
