"""What a figure is given: where and how long it measures, how many take part, and systems to measure."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.server.peers import PATIENCE
from tools.bench.stack import Scene, Stack


@dataclass(frozen=True)
class Sizes:
    """``customers`` at once; a take among ``many`` beside a take among ``few``; ``ended`` conversations beside none."""

    customers: int = 100
    few: int = 10
    many: int = 400
    ended: int = 100_000


@dataclass(frozen=True)
class Bench:
    """``seconds``: what a figure measures for. ``patience``: seconds until what doesn't come has failed. ``answers``: whether
    the agents do; ``stack``: what is measured, both for tests."""

    folder: Path
    model: Path
    seconds: float
    sizes: Sizes = field(default_factory=Sizes)
    patience: float = PATIENCE
    answers: bool = True
    stack: Callable[..., Any] = Stack

    @contextlib.asynccontextmanager
    async def scene(self, name: str, prepared: Callable[[str], None] | None = None) -> AsyncIterator[Scene]:
        """A system of its own with an agent. ``prepared``: gets the server's database before the start."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        async with (
            self.stack(folder, self.model, prepared) as stack,
            Scene(stack, self.answers, self.patience) as scene,
        ):
            yield scene
