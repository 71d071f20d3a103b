"""``rasa init``, ``rasa-handoff init --yes``, train, serve, run: handoff works with no other edit."""

from pathlib import Path

import aiohttp
import pytest
from rasa.cli.scaffold import create_initial_project

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.scripted_customer import RestCustomer
from rasa_handoff.testing.scripted_desk import PASSWORD, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.support.started_processes import BIN, Process

TRAINED_BRIEFLY = """pipeline:
- name: WhitespaceTokenizer
- name: CountVectorsFeaturizer
- name: CountVectorsFeaturizer
  analyzer: char_wb
  min_ngram: 1
  max_ngram: 4
- name: LogisticRegressionClassifier
- name: FallbackClassifier
  threshold: 0.3
policies:
- name: MemoizationPolicy
- name: RulePolicy
"""


async def run(folder: Path, *command: str, seconds: float = 900) -> str:
    """Run a command to its end, and return what it said."""
    async with Process(command, folder) as process:
        await eventually(lambda: process.process.poll() is not None, seconds=seconds)
        assert process.process.returncode == 0, process.said()
        return process.said()


@pytest.mark.parametrize(
    "as_rasa_makes_it",
    [
        pytest.param(False, id="trained briefly", marks=pytest.mark.timeout(420)),
        pytest.param(True, id="as Rasa makes it", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
)
async def test_a_fresh_project_hands_over(tmp_path: Path, as_rasa_makes_it: bool) -> None:
    create_initial_project(str(tmp_path))  # what `rasa init` writes, before its own first training
    rasa, handoff = str(BIN / "rasa"), str(BIN / "rasa-handoff")
    await run(tmp_path, handoff, "init", "--yes")
    if not as_rasa_makes_it:
        _train_briefly(tmp_path / "config.yml")
    await run(tmp_path, rasa, "train")
    add = f"echo '{PASSWORD}' | {handoff} agent add thandi@example.com --name Thandi"
    await run(tmp_path, "sh", "-c", add)

    # The two ports the defaults name; a run beside another one takes the free ones it finds.
    desk_port, port = free_port(), free_port()
    credentials = tmp_path / "credentials.yml"
    credentials.write_text(credentials.read_text().replace("localhost:5065", f"localhost:{desk_port}"))
    desk = f"http://localhost:{desk_port}"
    server = f"http://127.0.0.1:{port}"
    serving = Process([handoff, "serve", "--port", str(desk_port)], tmp_path, up=f"{desk}/health")
    talking = Process([rasa, "run", "--port", str(port), "-i", "127.0.0.1"], tmp_path, up=server)
    async with (
        serving,
        talking,
        ScriptedAgent(desk, "thandi@example.com") as thandi,
        RestCustomer(server) as customer,
        aiohttp.ClientSession() as http,
    ):
        assert (await customer.say("hello"))[0].startswith("Hey!")
        await eventually(lambda: _connected(http, server), what="the relay is connected")
        options = await customer.say("can I talk to a person please")
        assert options == ["Who would you like to talk to?"]
        assert "number 1 in the queue" in (await customer.say("/execute_handoff"))[0]
        handoff_id = (await thandi.take_next())["handoff_id"]
        assert (await thandi.say(handoff_id, "Hello from a person"))["ok"]
        await thandi.hears("message.status", status="waiting")
        assert "Hello from a person" in await customer.say("thanks")
        await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
        await eventually(lambda: _quiet(http, server))
        assert any("back with me" in text for text in await customer.say("hello"))


def _train_briefly(config: Path) -> None:
    """Replace what takes minutes to train and to load: the parts that learn with TensorFlow."""
    before, _, _ = config.read_text().partition("pipeline:")
    config.write_text(before + TRAINED_BRIEFLY)


async def _state(http: aiohttp.ClientSession, server: str) -> dict[str, object]:
    async with http.get(f"{server}/webhooks/handoff/") as answer:
        return dict(await answer.json())


async def _connected(http: aiohttp.ClientSession, server: str) -> bool:
    return (await _state(http, server))["desk"] == "connected"


async def _quiet(http: aiohttp.ClientSession, server: str) -> bool:
    return (await _state(http, server))["under_way"] == 0
