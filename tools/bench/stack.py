"""The measured system: ``rasa run`` with HandoffChannel and ``rasa-handoff serve``, both as processes, with default limits."""

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import aiohttp
import yaml

from rasa_handoff.server import accounts
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.scripted_desk import PASSWORD
from rasa_handoff.testing.waiting import eventually
from tests.support.forked_rasa import PID_FILE, forked_rasa
from tests.support.started_processes import Process
from tools.bench.counting import Transactions
from tools.bench.measure import memory_bytes, processor_seconds, wait_until_quiet, wants_processor
from tools.bench.measuring_people import Agent, Customer, few_at_a_time, received_bytes
from tools.rasa_command import RASA

ROOT = Path(__file__).parents[2]
AGENT = "bench"
BOT_ID = "small"
CONNECTED_WITHIN = 60.0
"""Seconds after which Rasa is connected to the live-agent server, however many conversations go on."""
CONVERSATIONS_PER_AGENT = 10
"""Conversations of one agent; the next one is taken by another. What one socket may send is limited, as in production."""

T = TypeVar("T")


@dataclass(frozen=True)
class Setup:
    """The start of a system. ``agents``: how many are at the desk. ``prepared``: called with the server's database before the
    start. ``settings``: of HandoffChannel, in place of the defaults. ``counted``: whether transactions are counted.
    ``again``: the folder of a run before, whose databases it goes on with."""

    agents: int = 1
    prepared: Callable[[str], None] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    counted: bool = False
    again: Path | None = None


def prepare(database: str, setup: Setup) -> None:
    """Make the live-agent server's database with agents in it, before anything runs on it."""
    for number in range(0 if setup.again else setup.agents):
        accounts.add_agent(database, f"{name_of(number)}@example.org", f"Bench {number}", PASSWORD, ())
    if setup.prepared is not None:
        setup.prepared(database)


def credentials(folder: Path, desk_url: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the credentials.yml of a Rasa server whose handoffs go to this live-agent server. ``settings``: go before ours."""
    channels = {"socketio": {"session_persistence": True}, "rest": None}
    store = f"sqlite:///{folder / 'relay.db'}"
    return {
        "rasa_handoff.HandoffChannel": {
            "bot_id": BOT_ID,
            "desk": {"url": desk_url},
            "store": store,
            "channels": channels,
            **settings,
        }
    }


class RasaProcess(Process):
    """A Rasa server. ``forked``: from a process that has imported it, which starts in a quarter of the time."""

    def __init__(self, command: Sequence[str], folder: Path, up: str, forked: bool) -> None:
        self._pid_file = folder / "rasa.pid"
        super().__init__(
            command, folder, up, PYTHONPATH=str(ROOT), **({PID_FILE: str(self._pid_file)} if forked else {})
        )
        self.log = folder / "rasa.log"
        self._forked = forked

    @property
    def pid(self) -> int:
        """The number of the process that is Rasa."""
        return int(self._pid_file.read_text()) if self._forked else self.process.pid


def rasa_process(
    folder: Path,
    model: Path,
    port: int,
    channels: dict[str, Any],
    forked: bool,
    counted: bool = False,
    endpoints: dict[str, Any] | None = None,
) -> RasaProcess:
    """Return ``rasa run`` with these channels, as in credentials.yml.

    ``endpoints``: as in endpoints.yml; None: its tracker is on SQLite in this folder.
    """
    if endpoints is None:
        endpoints = {"tracker_store": {"type": "SQL", "dialect": "sqlite", "db": str(folder / "tracker.db")}}
    (folder / "endpoints.yml").write_text(yaml.safe_dump(endpoints))
    (folder / "credentials.yml").write_text(yaml.safe_dump(channels))
    files = ["-m", str(model), "--credentials", "credentials.yml", "--endpoints", "endpoints.yml"]
    forked = forked and not counted
    command = forked_rasa() if forked else RASA
    if counted:
        command = [sys.executable, *_counted(folder, "relay.db", "rasa")]
    run = [*command, "run", "-i", "127.0.0.1", "-p", str(port), *files]
    return RasaProcess(run, folder, f"http://127.0.0.1:{port}/", forked)


def _process(folder: Path, name: str, up: str, arguments: list[str]) -> Process:
    process = Process([sys.executable, *arguments], folder, up, PYTHONPATH=str(ROOT))
    process.log = folder / f"{name}.log"
    return process


def _counted(folder: Path, database: str, module: str) -> list[str]:
    """Return the arguments by which Python runs a module whose transactions are counted."""
    return ["-m", "tools.bench.counting", str(transactions_of(folder, database)), database, module]


def transactions_of(folder: Path, database: str) -> Path:
    """Return the file with the number of transactions on a database of this folder."""
    return folder / f"{database}.transactions"


def name_of(agent: int) -> str:
    """Return the name of an agent by their number, from 0."""
    return f"{AGENT}-{agent}"


class ServerProcess:
    """``async with ServerProcess(folder, setup)``: the live-agent server, which may be killed and started again.

    ``database``: None: on SQLite in this folder. ``options``: further ones of ``rasa-handoff serve``.
    """

    def __init__(self, folder: Path, setup: Setup, database: str | None = None, options: Sequence[str] = ()) -> None:
        port, self.database = free_port(), database or f"sqlite:///{folder / 'desk.db'}"
        self.url = f"http://127.0.0.1:{port}"
        module = _counted(folder, "desk.db", "rasa_handoff.cli") if setup.counted else ["-m", "rasa_handoff.cli"]
        serve = [*module, "serve", "--port", str(port), "--database", self.database, *options]
        self._process = _process(folder, "desk", f"{self.url}/health", serve)

    async def __aenter__(self) -> "ServerProcess":
        await self.start()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._process.__aexit__(kind, problem, trace)

    @property
    def pid(self) -> int:
        """The number of the process that runs now."""
        return self._process.process.pid

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        await self._process.__aenter__()

    async def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self._process.process.kill()
        await self._process.__aexit__(None, None, None)


class Stack:
    """``async with Stack(folder, model, setup)``: both processes. ``url``: of Rasa. ``forked``: as in :class:`RasaProcess`."""

    def __init__(self, folder: Path, model: Path, setup: Setup, forked: bool = False) -> None:
        self.folder, self.model, self._setup, self._forked = folder, model, setup, forked
        self.url = self.desk_url = ""
        self.server = ServerProcess(folder, setup)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Stack":
        prepare(self.server.database, self._setup)
        async with contextlib.AsyncExitStack() as stack:
            self.desk_url = (await stack.enter_async_context(self.server)).url
            port = free_port()
            self.url = f"http://127.0.0.1:{port}"
            channels = credentials(self.folder, self.desk_url, self._setup.settings)
            counted = self._setup.counted
            self._rasa = rasa_process(self.folder, self.model, port, channels, self._forked, counted)
            await stack.enter_async_context(self._rasa)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    @property
    def urls(self) -> list[str]:
        """The addresses of all Rasa servers: one."""
        return [self.url]

    @property
    def desk_urls(self) -> list[str]:
        """The addresses of all live-agent servers: one."""
        return [self.desk_url]

    def processor(self) -> dict[str, float]:
        """Return the processor seconds that Rasa and the live-agent server have used."""
        return {
            "Rasa": processor_seconds(self._rasa.pid),
            "server": processor_seconds(self.server.pid),
        }

    def memory(self) -> dict[str, int]:
        """Return the bytes of memory that Rasa and the live-agent server have."""
        return {"Rasa": memory_bytes(self._rasa.pid), "server": memory_bytes(self.server.pid)}

    def transactions(self) -> int:
        """Return how many transactions both have begun on their databases, if they are counted."""
        return sum(Transactions(transactions_of(self.folder, name)).count() for name in ("relay.db", "desk.db"))

    def wants_processor(self) -> bool:
        """Return whether one of them has something to do now."""
        return wants_processor(self._rasa.pid) or wants_processor(self.server.pid)


class Scene:
    """``async with Scene(stack)``: a running stack with agents at its desk, and customers who come. ``agent``: the first one.

    Of several Rasa servers (``urls`` of the stack) and live-agent servers (``desk_urls``) customers and agents take each in turn.
    """

    def __init__(self, stack: Any, answers: bool, patience: float, agents: int = 1) -> None:
        self.stack, self.patience = stack, patience
        self._urls = itertools.cycle(stack.urls)
        desks = itertools.cycle(stack.desk_urls)
        self.agents = [Agent(next(desks), name_of(number), answers, patience) for number in range(agents)]
        self.agent = self.agents[0]
        self._taken = 0
        self._conversations: dict[str, tuple[Agent, str]] = {}
        self.customers: list[Customer] = []

    async def __aenter__(self) -> "Scene":
        await eventually(self._is_connected, CONNECTED_WITHIN, what="Rasa's connection to the live-agent server")
        for agent in self.agents:
            await agent.sign_in()
            await agent.connect()
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.gather(*(customer.close() for customer in self.customers))
        for agent in self.agents:
            await agent.close()

    def processor(self) -> dict[str, float]:
        """Return the processor seconds that Rasa and the live-agent server have used."""
        return dict(self.stack.processor())

    def wants_processor(self) -> bool:
        """Return whether one of them has something to do now."""
        return bool(self.stack.wants_processor())

    def transactions(self) -> int:
        """Return how many transactions both have begun, if they are counted."""
        return int(self.stack.transactions())

    def received_bytes(self) -> int:
        """Return how many bytes desks and customers were sent."""
        return sum(received_bytes(client) for client in (*self.agents, *self.customers))

    async def at_rest(self, within: float, lasting: float = 0) -> None:
        """Wait until both have nothing to do, and desks and customers receive nothing more, for ``lasting`` seconds."""
        connections = len(self.customers) + len(self.agents)
        await wait_until_quiet(self, lambda: self.messages, within, lasting, connections)

    @property
    def messages(self) -> int:
        """How many messages customers and desks have received, of those that are counted."""
        return self.notices + self.summaries

    @property
    def notices(self) -> int:
        """How many messages customers have received that were no answers of agents."""
        return sum(customer.notices for customer in self.customers)

    @property
    def summaries(self) -> int:
        """How many lines of their lists desks were sent."""
        return sum(agent.counts["conversation"] + agent.counts["arrival"] for agent in self.agents)

    async def all(self, comes: Callable[[str], Awaitable[T]], names: Sequence[str]) -> list[T]:
        """Let these customers come, a few at a time and in this order."""
        return await few_at_a_time(comes, names)

    async def leaves(self, customer: Customer) -> None:
        """Let a customer go away."""
        self.customers.remove(customer)
        await customer.close()

    async def _is_connected(self) -> bool:
        async with aiohttp.ClientSession() as http:
            for url in self.stack.urls:
                async with http.get(f"{url}/webhooks/handoff/") as answer:
                    if (await answer.json())["desk"] != "connected":
                        return False
        return True

    async def arrives(self, name: str) -> Customer:
        """Let a customer connect, who talks to nobody yet."""
        customer = Customer(name, self.patience)
        self.customers.append(customer)
        await customer.connect(next(self._urls))
        return customer

    async def waits(self, name: str) -> tuple[Customer, str]:
        """Let a customer come and ask for a person; return the customer and the handoff's id."""
        customer = await self.arrives(name)
        await customer.ask_for_person()
        return customer, (await self.agent.arrival(name))[0]

    async def talks(self, name: str) -> Customer:
        """Let a customer come whom an agent takes; return the customer."""
        customer, handoff_id = await self.waits(name)
        agent = self.agents[self._taken // CONVERSATIONS_PER_AGENT % len(self.agents)]
        self._taken += 1
        await agent.take(handoff_id)
        self._conversations[name] = agent, handoff_id
        return customer

    async def ends(self, customer: Customer) -> None:
        """Let the agent of a customer who talks end the conversation, and the customer go away."""
        agent, handoff_id = self._conversations.pop(customer.name)
        await agent.must("resolve", handoff_id=handoff_id, outcome="resolved")
        await customer.back_with_bot()
        await self.leaves(customer)
