"""A customer closes their page in a handoff, comes back, or leaves it for good."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import socketio

from rasa_handoff.core.assignment_timers import DeskTimers
from rasa_handoff.core.control import Control
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.support.databases import current


@pytest.fixture(autouse=True)
def _closed_pages_count_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a customer count as away 0.3 s after their page was closed."""
    monkeypatch.setattr("rasa_handoff.channel.hosted.page_presence.AWAY_SECONDS", 0.3)


@pytest.fixture
async def thabo(rasa: RasaServer) -> AsyncIterator[ScriptedCustomer]:
    async with ScriptedCustomer(rasa.url, acks=True) as customer:
        yield customer


def state(rasa: RasaServer) -> Control:
    return rasa.channel.relay.conversation("thabo").state


async def live(rasa: RasaServer, thabo: ScriptedCustomer, thandi: ScriptedAgent) -> str:
    await thabo.say_with_id("/execute_handoff")
    handoff_id = str((await thandi.take_next())["handoff_id"])
    await eventually(lambda: state(rasa) is Control.LIVE)
    return handoff_id


def is_away(thandi: ScriptedAgent, handoff_id: str) -> Any:
    """Return whether the agent is shown that the customer is away."""
    return thandi.shown(handoff_id)[-1]["customer_is_away"]


@pytest.mark.every_database
async def test_the_agent_sees_that_the_page_was_closed_and_opened_again(
    rasa: RasaServer, thabo: ScriptedCustomer, thandi: ScriptedAgent
) -> None:
    handoff_id = await live(rasa, thabo, thandi)
    await thabo.close()
    await eventually(lambda: is_away(thandi, handoff_id))
    await thandi.say(handoff_id, "are you there?", "a-1")
    await thandi.hears("message.status", message_id="a-1", status="waiting")
    async with ScriptedCustomer(rasa.url, acks=True) as again:
        await eventually(lambda: not is_away(thandi, handoff_id))
        await again.hears("are you there?")
    await thandi.hears("message.status", message_id="a-1", status="delivered")


async def test_who_closes_the_page_before_the_desk_has_answered_is_shown_so(
    rasa: RasaServer, thabo: ScriptedCustomer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rasa_handoff.channel.hosted.page_presence.AWAY_SECONDS", 0)
    desk: Any = rasa.channel.desk
    await desk._client.disconnect()  # it connects again in a moment
    await thabo.say("/execute_handoff")
    await eventually(lambda: state(rasa) is Control.REQUESTED)
    await thabo.close()
    pages = rasa.channel.relay.pages if rasa.channel.store.shared else rasa.channel.pages
    await eventually(lambda: pages.is_away("thabo"))
    assert state(rasa) is Control.REQUESTED
    handoff_id = (await thandi.hears("arrival"))["handoff_id"]
    await eventually(lambda: is_away(thandi, handoff_id))


async def test_pages_that_are_not_back_after_a_restart_are_closed(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as first:
        await eventually(lambda: first.channel.desk.connected)
        async with ScriptedCustomer(first.url, acks=True) as thabo:
            handoff_id = await live(first, thabo, thandi)
    assert not is_away(thandi, handoff_id)
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as second:
        await eventually(lambda: second.channel.desk.connected)
        await eventually(lambda: is_away(thandi, handoff_id))
        async with ScriptedCustomer(second.url, acks=True):
            await eventually(lambda: not is_away(thandi, handoff_id))


async def test_a_desk_that_was_away_is_told_that_the_page_was_closed(small_model: Path, tmp_path: Path) -> None:
    server = DeskServer(tmp_path, **current().desk(tmp_path))
    email = server.add_agent("Thandi")
    async with AsyncExitStack() as stack:
        async with server:
            rasa = await stack.enter_async_context(RasaServer(small_model, tmp_path, credentials(server.url, tmp_path)))
            await eventually(lambda: rasa.channel.desk.connected)
            thabo = await stack.enter_async_context(ScriptedCustomer(rasa.url, acks=True))
            async with ScriptedAgent(server.url, email) as thandi:
                await eventually(lambda: rasa.channel.desk.availability.staffed)
                await live(rasa, thabo, thandi)
        await thabo.close()

        async def is_away() -> bool:
            return (await rasa.channel.relay.reconnection.away_now())("thabo")

        await eventually(is_away)
        async with server, ScriptedAgent(server.url, email) as thandi:
            await eventually(lambda: rasa.channel.desk.connected)
            again = await stack.enter_async_context(ScriptedAgent(server.url, email))
            (mine,) = again.all("ready")[-1]["mine"]
            assert mine["customer_is_away"]


async def test_words_for_a_page_that_hangs_and_is_then_closed_start_customer_silent(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rasa_handoff.channel.hosted.socketio.ACK_SECONDS", 0.3)
    server = DeskServer(tmp_path, **current().desk(tmp_path), timers=DeskTimers(customer_silent=0.5))
    email = server.add_agent("Thandi")
    async with server, RasaServer(small_model, tmp_path, credentials(server.url, tmp_path)) as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        async with ScriptedAgent(server.url, email) as thandi, ScriptedCustomer(rasa.url, acks=True) as thabo:
            await eventually(lambda: rasa.channel.desk.availability.staffed)
            handoff_id = await live(rasa, thabo, thandi)
            thabo.attentive.clear()
            await thandi.say(handoff_id, "are you there?", "a-1")
            await thandi.hears("message.status", message_id="a-1", status="waiting")
            await thabo.close()
            ended = await thandi.hears("conversation", handoff_id=handoff_id, state="ended")
            assert ended["ended"]["outcome"] == "customer_silent"


@pytest.mark.parametrize("taken", [False, True])
async def test_a_front_end_that_has_asked_ends_the_handoff_with_one_message(
    rasa: RasaServer, thabo: ScriptedCustomer, thandi: ScriptedAgent, taken: bool
) -> None:
    """It has asked the customer itself whether they want to leave, so ``/handoff_leave`` isn't confirmed once more."""
    if taken:
        handoff_id = await live(rasa, thabo, thandi)
    else:
        await thabo.say_with_id("/execute_handoff")
        handoff_id = (await thandi.hears("arrival"))["handoff_id"]
    assert (await thabo.say_with_id("/handoff_leave"))["ok"]
    ended = await thandi.hears("conversation", state="ended")
    assert (ended["handoff_id"], ended["ended"]["outcome"]) == (handoff_id, "customer_left")
    await eventually(lambda: state(rasa) is Control.BOT)
    count = len(thabo.texts)
    assert (await thabo.say_with_id("/handoff_leave"))["ok"]  # there is nothing to leave any more
    await thabo.say_with_id("hello")
    await eventually(lambda: len(thabo.texts) > count)
    assert thabo.texts[count:] == ["Hello."]


@pytest.mark.every_database
async def test_words_for_a_customer_on_rest_who_stays_away_end_the_chat_and_are_kept(
    small_model: Path, tmp_path: Path
) -> None:
    server = DeskServer(tmp_path, **current().desk(tmp_path), timers=DeskTimers(customer_silent=0.5))
    server.add_agent("Thandi")
    async with (
        server,
        RasaServer(small_model, tmp_path, credentials(server.url, tmp_path)) as rasa,
        ScriptedAgent(server.url, "thandi@example.com") as thandi,
    ):
        await eventually(lambda: rasa.channel.desk.connected and rasa.channel.desk.availability.staffed)
        await rasa.texts("/execute_handoff")
        handoff_id = str((await thandi.take_next())["handoff_id"])
        await eventually(lambda: state(rasa) is Control.LIVE)
        await thandi.say(handoff_id, "which order is it?", "a-1")
        ended = await thandi.hears("conversation", handoff_id=handoff_id, state="ended")
        assert ended["ended"]["outcome"] == "customer_silent"
        await eventually(lambda: state(rasa) is Control.BOT)
        texts = await rasa.texts("hello")
        assert "which order is it?" in texts
        assert texts[-1] == "Hello."


async def test_pages_whose_connections_a_stopping_server_closes_connect_again(rasa: RasaServer) -> None:
    connects: list[None] = []
    page = socketio.AsyncClient(reconnection_delay=0.05, randomization_factor=0)
    page.on("connect", lambda: connects.append(None))
    await page.connect(rasa.url, transports=["websocket"])
    try:
        await rasa.channel.pages.close()
        await eventually(lambda: len(connects) == 2)
    finally:
        await page.disconnect()
