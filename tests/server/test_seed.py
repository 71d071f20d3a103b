"""The code in Botlhale's documentation, its address aside, with socket.io-client 3.1.3 and the newest 4, in Chromium and Node."""

import base64
import hashlib
from collections.abc import AsyncIterator

import pytest

from rasa_handoff.protocol.logs import short_id
from rasa_handoff.testing.waiting import eventually
from tests.server.front_ends import FrontEnd, front_end
from tests.server.peers import arrived_handoff
from tests.support.chromium import launched
from tests.support.npm import installed

NAMESPACES = ["/live_agent", "/live_server", "/"]
RUNTIMES = [
    (client, runtime) for client in ("socket.io-client-3", "socket.io-client-4") for runtime in ("chromium", "node")
]


@pytest.fixture(params=RUNTIMES, ids=lambda param: "-".join(param))
async def front(request: pytest.FixtureRequest) -> AsyncIterator[FrontEnd]:
    client, runtime = request.param
    if runtime == "node":
        async with front_end(client, None) as one:
            yield one
    else:
        async with launched() as browser, front_end(client, browser) as one:
            yield one
    assert one.troubles == []


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_the_snippet_talks_to_an_agent(server, desk, front, namespace):
    thandi, address = await desk(), server.address + namespace
    await front.open(address, "conv-51af")
    assert await front.value("socket.connected") is False
    await front.send("is it the bot I talk to?")
    assert await front.value("toBot") == ["is it the bot I talk to?"]

    await front.run("socket.connect()")
    arrival = (await eventually(lambda: thandi.all("arrival")))[0]
    assert (arrival["short_id"], arrival["bot_id"]) == (short_id("conv-51af"), "seed-bot")
    handoff = arrival["handoff_id"]
    await eventually(lambda: thandi.all("conversation"))
    transcript = (await thandi.take(handoff))["conversation"]["transcript"]
    said = [(line["speaker"], line["text"]) for line in transcript]
    assert said == [("customer", "I want a person"), ("bot", "One moment")]
    await front.send("I have a question €")
    await eventually(lambda: [said["text"] for said in thandi.all("message")] == ["I have a question €"])
    await thandi.say(handoff, "Good day")
    await wait_until_shown(front, ["Good day"])

    await front.open(address, "conv-51af")
    await thandi.say(handoff, "Are you back?")
    await front.run("socket.connect()")
    await wait_until_shown(front, ["Are you back?"])
    assert len(thandi.all("arrival")) == 1

    await thandi.resolve(handoff)
    await eventually(lambda: front.value("socket.disconnected"))
    await front.send("to the bot again")
    assert await front.value("toBot") == ["to the bot again"]


async def test_it_connects_again_by_itself(server, desk, front):
    thandi = await desk()
    await front.open(server.address + "/live_agent", "conv-77c2")
    await front.run("socket.connect()")
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    await server.stop()
    await eventually(lambda: front.value("!socket.connected"))
    front.troubles.clear()
    await server.start(grace=30.0)
    await eventually(lambda: len(thandi.all("ready")) == 2)
    await thandi.say(handoff, "Here we are again")
    await wait_until_shown(front, ["Here we are again"])
    await front.send("good")
    await eventually(
        lambda: [said["text"] for said in thandi.all("message") if said["speaker"] == "customer"] == ["good"]
    )
    assert len(thandi.all("arrival")) == 1
    front.troubles.clear()  # a browser complains of each attempt to reach a server that is stopped


async def wait_until_shown(front: FrontEnd, texts: list[str]) -> None:
    async def are_shown() -> bool:
        return await front.value("shown") == texts

    await eventually(are_shown)


def test_the_client_from_npm_is_the_one_the_documentation_loads():
    """By the ``integrity`` beside its address there."""
    file = installed() / "socket.io-client-3" / "dist" / "socket.io.min.js"
    digest = base64.b64encode(hashlib.sha384(file.read_bytes()).digest()).decode()
    assert digest == "cPwlPLvBTa3sKAgddT6krw0cJat7egBga3DJepJyrLl4Q9/5WLra3rrnMcyTyOnh"
