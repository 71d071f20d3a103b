"""The loaded model is exempt from garbage collections, so that none of them holds up the messages."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.channel.compat import garbage_collection
from rasa_handoff.channel.compat.garbage_collection import FrozenModel
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer
from tests.rasa.handoff.conftest import credentials

FREEZE = FrozenModel.freeze


class Objects:
    """Something that is as large as a model, for the collector."""

    def __init__(self, count: int) -> None:
        self.parts: list[Any] = [[number] for number in range(count)]


@pytest.fixture
def melted() -> Iterator[None]:
    """Nothing is frozen at the beginning, and afterwards as much as before."""
    gc.unfreeze()
    yield
    gc.collect()
    gc.freeze()


def test_what_is_frozen_is_skipped_and_goes_with_its_model(melted: None) -> None:
    model, replacement = Objects(50_000), Objects(10)
    frozen = FrozenModel()
    frozen.freeze(model)  # type: ignore[arg-type]
    count = gc.get_freeze_count()
    assert count > 50_000
    assert not any(one is model.parts for one in gc.get_objects())
    frozen.freeze(model)  # type: ignore[arg-type]
    assert gc.get_freeze_count() == count
    model.parts.append(model)  # a cycle, which only a collection ends
    del model
    frozen.freeze(replacement)  # type: ignore[arg-type]
    assert gc.get_freeze_count() < count - 50_000


async def test_a_model_is_frozen_at_the_start_and_one_that_replaces_it_with_the_next_turn(
    small_model: Path, desk: DeskServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(garbage_collection, "freeze", lambda: steps.append("freeze"))
    monkeypatch.setattr(garbage_collection, "unfreeze", lambda: steps.append("unfreeze"))
    server = RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path))
    monkeypatch.setattr("rasa_handoff.testing.rasa_server._freeze_nothing", FREEZE)
    async with server as rasa:
        assert steps == ["freeze"]
        assert await rasa.texts("hello") == ["Hello."]
        assert steps == ["freeze"]
        async with rasa.http.put(f"{rasa.url}/model", json={"model_file": str(rasa.model)}) as answer:
            assert answer.status == 204, await answer.text()
        assert await rasa.texts("hello") == ["Hello."]
        assert steps == ["freeze", "unfreeze", "freeze"]
