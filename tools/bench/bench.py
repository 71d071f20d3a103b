"""The parameters of all figures (folder, seconds, sizes), and the systems that they measure."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rasa_handoff.testing.recording_client import PATIENCE
from tools.bench.plain_rasa import PlainRasa
from tools.bench.shared_stack import Services, SharedStack
from tools.bench.stack import Scene, Setup, Stack

S = TypeVar("S")
T = TypeVar("T")


@contextlib.asynccontextmanager
async def both(
    one: contextlib.AbstractAsyncContextManager[T], other: contextlib.AbstractAsyncContextManager[S]
) -> AsyncIterator[tuple[T, S]]:
    """Enter both at the same time: the start of two systems takes as long as that of one."""
    async with contextlib.AsyncExitStack() as stack:
        starts = (stack.enter_async_context(one), stack.enter_async_context(other))
        first, second = await asyncio.gather(*starts, return_exceptions=True)
        for system in (first, second):
            if isinstance(system, BaseException):
                raise system
        yield first, second  # type: ignore[misc]  # no exceptions


@dataclass(frozen=True)
class Sizes:
    """How many take part.

    ``customers``: who chat at once (throughput), in one run and in the next. ``few``, ``many``: who wait in the two queues that
    a take is compared in. ``ended``: ended conversations in the database of the history figure. ``writers``: who write a message
    a second, after each of the two numbers of ``messages``. ``events``: in the tracker of a customer who asks for a person
    (long-handoff). ``tracker_delay``: of ``message`` and ``memory``, in place of the default. ``rush``: who ask at once.
    ``live``: who talk to agents when the server is killed. ``idle``, ``busy``: who talk while others come and go (churn).
    ``conversations``, ``connections``: whose memory is measured. ``waiting``, ``lines``: customers and messages
    that the desk's page shows.
    """

    customers: tuple[int, ...] = (100, 200)
    few: int = 10
    many: int = 1_000
    ended: int = 100_000
    writers: int = 5
    messages: tuple[int, int] = (10, 500)
    events: int = 1_000
    tracker_delay: float | None = None
    rush: int = 100
    live: int = 1_000
    idle: int = 500
    busy: int = 500
    conversations: int = 10_000
    connections: int = 1_000
    waiting: int = 1_000
    lines: int = 2_000


@dataclass(frozen=True)
class Bench:
    """The parameters of a run.

    ``seconds``: how long each figure measures. ``patience``: seconds to wait for an answer until the figure has failed.
    ``answers``: whether agents answer. ``stack``, ``plain``, ``shared``: the classes of the measured system, of plain Rasa, and
    of the system with several processes.
    """

    folder: Path
    model: Path
    seconds: float
    sizes: Sizes = field(default_factory=Sizes)
    patience: float = PATIENCE
    answers: bool = True
    stack: Callable[..., Any] = Stack
    plain: Callable[..., Any] = PlainRasa
    shared: Callable[..., Any] = SharedStack

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of HandoffChannel for figures that wait until the tracker has everything."""
        delay = self.sizes.tracker_delay
        return {} if delay is None else {"tracker_delay": delay}

    @contextlib.asynccontextmanager
    async def scene(self, name: str, setup: Setup = Setup()) -> AsyncIterator[Scene]:  # noqa: B008 - immutable
        """Start a system with agents for one figure."""
        async with (
            self.stack(setup.again or self.new_folder(name), self.model, setup) as stack,
            Scene(stack, self.answers, self.patience, setup.agents) as scene,
        ):
            yield scene

    @contextlib.asynccontextmanager
    async def shared_scene(self, name: str, services: Services, processes: int, agents: int) -> AsyncIterator[Scene]:
        """Start a system of so many Rasa servers and live-agent servers, with agents, for one figure."""
        async with (
            self.shared(services, self.new_folder(name), self.model, processes, agents) as stack,
            Scene(stack, self.answers, self.patience, agents) as scene,
        ):
            yield scene

    @contextlib.asynccontextmanager
    async def plain_rasa(self, name: str) -> AsyncIterator[Any]:
        """Start Rasa with the same bot, without HandoffChannel."""
        async with self.plain(self.new_folder(name), self.model) as rasa:
            yield rasa

    def new_folder(self, name: str) -> Path:
        """Make a folder for a figure's databases and logs."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
