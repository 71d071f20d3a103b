"""The real process, killed and stopped at the worst moments: what was acknowledged is there, and all go on by themselves."""

import asyncio
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import socketio

from rasa_handoff.server.accounts import add_agent
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.recording_client import RecordingClient
from rasa_handoff.testing.scripted_desk import PASSWORD, ScriptedAgent
from rasa_handoff.testing.waiting import eventually, within
from tests.server.peers import Relay, agent_at
from tests.server.served_processes import address_in, serve_in_process

pytestmark = pytest.mark.sqlite

AGENTS = 20


class Served:
    """``rasa-handoff serve`` as a process that comes back at the same port."""

    def __init__(self, database: str) -> None:
        self.database, self.address = database, ""

    async def start(self) -> None:
        self.process, line = await serve_in_process(self.database, urlsplit(self.address).port or free_port())
        self.address = address_in(line)

    async def end(self, how: signal.Signals) -> tuple[int, bytes]:
        if self.process.returncode is None:
            self.process.send_signal(how)
        _, complaints = await within(self.process.communicate(), 15)
        return self.process.returncode, complaints


@pytest.fixture
async def served(database: str) -> AsyncIterator[Served]:
    one = Served(database)
    await one.start()
    yield one
    await one.end(signal.SIGKILL)


async def connect_all(served: Served, opened: list[RecordingClient], *names: str) -> tuple[Relay, list[ScriptedAgent]]:
    """Connect a relay and the desks of these agents."""
    karoo, desks = Relay("karoo"), [agent_at(served.address, name) for name in names]
    opened.extend([karoo, *desks])
    for one in desks:
        await one.sign_in()
        await one.connect()
    await karoo.connect(served.address)
    return karoo, desks


async def insist(say, *arguments: str) -> dict:
    """Send again until it is acknowledged, as relay and desk do."""
    while True:
        try:
            answer = await say(*arguments)
        except (socketio.exceptions.SocketIOError, asyncio.TimeoutError):
            await asyncio.sleep(0.02)
            continue
        assert answer["ok"], answer
        return answer


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_what_was_acknowledged_before_the_end_is_there_after_it_once_and_in_order(served, opened, how):
    karoo, (thandi,) = await connect_all(served, opened, "thandi")
    karoo.patience = thandi.patience = 1.0
    handoff = await karoo.initiate()
    await thandi.take(handoff)

    async def talk(side, name):
        for number in range(150):
            await insist(side.say, handoff, f"{name} {number}", f"{name}-{number}")

    talking = asyncio.gather(talk(karoo, "customer"), talk(thandi, "agent"))
    for _ in range(3):
        received = len(thandi.all("message"))
        await eventually(lambda received=received: len(thandi.all("message")) > received + 20)
        code, complaints = await served.end(how)
        assert (code, complaints) == ((0, b"") if how is signal.SIGTERM else (-signal.SIGKILL, b""))
        await served.start()
    await within(talking, 60)
    conversation = (await insist(partial(thandi.ask, "open", handoff_id=handoff, after=0)))["conversation"]
    said = [one["text"] for one in conversation["messages"]]
    for name in ("customer", "agent"):
        assert [text for text in said if text.startswith(name)] == [f"{name} {n}" for n in range(150)]
    delivered = {}
    await eventually(lambda: karoo.deliveries(handoff)[-1].get("text") == "agent 149")
    for one in karoo.deliveries(handoff):
        delivered.setdefault(one["id"], one)  # a relay drops what it has
    assert [one["number"] for one in delivered.values()] == list(range(1, 152))


@pytest.fixture(scope="session")
def staffed(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The furnished database with many agents."""
    file = tmp_path_factory.mktemp("staffed") / "server.db"
    file.write_bytes(furnished.read_bytes())
    for number in range(AGENTS):
        add_agent(f"sqlite:///{file}", f"agent{number}@example.org", f"Agent {number}", PASSWORD)
    return file


@pytest.mark.parametrize("conversations", [20, pytest.param(200, marks=pytest.mark.slow)])
async def test_after_a_kill_all_talk_again_and_nobody_signs_in_again(tmp_path, staffed, opened, conversations):
    (tmp_path / "server.db").write_bytes(staffed.read_bytes())
    served = Served(f"sqlite:///{tmp_path / 'server.db'}")
    await served.start()
    try:
        karoo, desks = await connect_all(served, opened, *(f"agent{number}" for number in range(AGENTS)))
        has: dict[str, ScriptedAgent] = {}
        for number in range(conversations):
            handoff = await karoo.initiate()
            has[handoff] = desks[number % AGENTS]
            await has[handoff].take(handoff)
        cookies = [one.cookie for one in desks]
        await served.end(signal.SIGKILL)
        await served.start()
        await asyncio.gather(*(talk_again(karoo, one, handoff) for handoff, one in has.items()))
        assert [one.cookie for one in desks] == cookies
        assert all(len(one.all("ready")) == 2 for one in desks)
    finally:
        await served.end(signal.SIGKILL)


async def talk_again(karoo: Relay, desk: ScriptedAgent, handoff: str) -> None:
    """Say something on both sides, and wait until the customer's words reach the agent, and the agent's words the relay."""
    await insist(karoo.say, handoff, "are you there?", f"c-{handoff}")
    await eventually(lambda: "are you there?" in texts_of(desk, handoff))
    await insist(desk.say, handoff, "still here", f"a-{handoff}")
    await eventually(lambda: any(one.get("text") == "still here" for one in karoo.deliveries(handoff)))


def texts_of(desk: ScriptedAgent, handoff: str) -> list[str]:
    """Return the texts of a handoff that came as messages, or were its last ones whenever the desk was back."""
    live = [one["text"] for one in desk.all("message") if one["handoff_id"] == handoff]
    mine = [one for ready in desk.all("ready") for one in ready["mine"] if one["handoff_id"] == handoff]
    return live + [one["last"]["text"] for one in mine if one["last"]]
