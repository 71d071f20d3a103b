"""Two Rasa servers with one bot_id, one relay's database on Postgres, a Redis lock store and one tracker store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rasa.core.lock_store import RedisLockStore
from socketio.exceptions import ConnectionError

from rasa_handoff.channel.several_processes import check_shared_stores
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.core.control import Control
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.tokens import HEADER, TOKEN_KEY, make_token
from rasa_handoff.relay.relay import Relay
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually, within
from tests.rasa.handoff.conftest import credentials
from tests.support.postgres_server import Database, Postgres
from tests.support.redis import RedisServer

SECRET = "s" * 32


class Pair(NamedTuple):
    """Two Rasa servers that work together."""

    first: RasaServer
    second: RasaServer


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def endpoints(postgres_server: Postgres, redis: RedisServer) -> Iterator[dict[str, Any]]:
    """What Rasa processes share."""
    trackers = postgres_server.fresh()
    yield {
        "tracker_store": trackers.tracker_store(),
        "lock_store": {"type": "redis", "url": "127.0.0.1", "port": redis.port},
    }
    postgres_server.drop(trackers)


@pytest.fixture(params=["LISTEN/NOTIFY", "Redis"])
async def pair(
    request: pytest.FixtureRequest,
    small_model: Path,
    desk: DeskServer,
    tmp_path: Path,
    postgres: Database,
    endpoints: dict[str, Any],
    redis: RedisServer,
) -> AsyncIterator[Pair]:
    bus = redis.url if request.param == "Redis" else None
    async with AsyncExitStack() as stack:
        servers = []
        for name in ("first", "second"):
            folder = tmp_path / name
            folder.mkdir()
            tokens = {"customer_tokens": "optional", "customer_token_secrets": [SECRET]}
            settings = credentials(desk.url, folder, store=postgres.url, bus=bus, **tokens)
            servers.append(await stack.enter_async_context(RasaServer(small_model, folder, settings, endpoints)))
        await eventually(lambda: all(server.channel.desk.connected for server in servers))
        yield Pair(*servers)


def _token(conversation_id: str) -> dict[str, str]:
    return {TOKEN_KEY: make_token(SECRET, "small", conversation_id)}


def _said(agent: ScriptedAgent) -> list[str]:
    """Return what the customers said to this agent."""
    return [message["text"] for message in agent.all("message") if message["speaker"] == "customer"]


def state(rasa: RasaServer) -> Control:
    return rasa.channel.relay.conversation("thabo").state


def _is_live(rasa: RasaServer) -> bool:
    return state(rasa) is Control.LIVE


async def test_a_customer_of_rest_may_come_to_any_process(pair: Pair, thandi: ScriptedAgent) -> None:
    await pair.first.say("/execute_handoff")
    handoff_id = (await thandi.take_next())["handoff_id"]
    said = [f"message {number}" for number in range(6)]
    answers: list[str] = []
    for number, text in enumerate(said):
        answers += await pair[number % 2].texts(text)
        await thandi.hears("message", text=text)
        assert (await thandi.say(handoff_id, f"answer {number}"))["ok"]

    async def all_heard() -> bool:
        for rasa in pair:
            answers.extend(await rasa.texts("and?"))
        return "answer 5" in answers

    await eventually(all_heard)
    assert [text for text in answers if text.startswith("answer")] == [f"answer {number}" for number in range(6)]
    assert (await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved"))["ok"]
    await eventually(lambda: all(state(rasa) is Control.BOT for rasa in pair))
    for rasa in pair:
        assert (await rasa.texts("/greet"))[-1] == "Hello."
    assert [text for text in _said(thandi) if text in said] == said


async def test_the_pause_is_known_to_the_other_process_at_once(pair: Pair, thandi: ScriptedAgent) -> None:
    for _ in range(3):
        await pair.first.say("/execute_handoff")
        assert "Hello." not in await pair.second.texts("/greet")
        handoff_id = (await thandi.take_next())["handoff_id"]
        assert (await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved"))["ok"]
        await eventually(lambda: all(state(rasa) is Control.BOT for rasa in pair))
        assert "Hello." in await pair.second.texts("/greet")


async def test_a_page_hears_the_agent_whichever_process_it_is_connected_to(pair: Pair, thandi: ScriptedAgent) -> None:
    for number, rasa in enumerate(pair):
        async with ScriptedCustomer(rasa.url, f"customer{number}", acks=True) as customer:
            await customer.say("/execute_handoff")
            handoff_id = (await thandi.take_next())["handoff_id"]
            for line in range(3):
                assert (await thandi.say(handoff_id, f"line {line}", f"{number}-{line}"))["ok"]
                await customer.hears(f"line {line}")
                await thandi.hears("message.status", message_id=f"{number}-{line}", status="delivered")
            await customer.say("thank you")
            await thandi.hears("message", text="thank you")
        waiting = [one for one in thandi.all("message.status") if one["status"] == "waiting"]
        assert waiting == []


async def test_a_request_that_waits_at_one_process_is_answered_with_what_came_to_the_other(
    pair: Pair, thandi: ScriptedAgent
) -> None:
    """Whichever process has the agent's words, and whichever is named them: a load balancer takes each in turn."""
    headers = {HEADER: make_token(SECRET, "small", "waits")}
    first = await pair.first.say("/execute_handoff", "waits", metadata={"handoff_after": None, **_token("waits")})
    last, came = first[-1]["id"], []
    handoff_id = (await thandi.take_next())["handoff_id"]

    async def fetch(rasa: RasaServer, wait: float = 25) -> None:
        nonlocal last
        query = {"sender": "waits", "after": last, "wait": str(wait)}
        address = f"{rasa.url}/webhooks/rest/handoff/messages"
        async with rasa.http.get(address, params=query, headers=headers) as answer:
            messages = await answer.json()
        came.extend(message["text"] for message in messages)
        last = messages[-1]["id"] if messages else last

    while not any("is here" in text for text in came):
        await fetch(pair.first, 1)
    for number in range(8):
        rasa = pair[number % 2]
        asked = asyncio.ensure_future(fetch(rasa))
        await eventually(lambda: rasa.channel.mailbox_requests.mailboxes.waiting == 1)  # noqa: B023
        assert (await thandi.say(handoff_id, f"line {number}", f"l-{number}"))["ok"]
        await within(asked, 5)
    await fetch(pair.first, 0)
    await thandi.hears("message.status", message_id="l-7", status="delivered")
    assert [text for text in came if text.startswith("line")] == [f"line {number}" for number in range(8)]
    waited = [one["message_id"] for one in thandi.all("message.status") if one["status"] == "waiting"]
    assert [id for id in waited if id.startswith("l-")] == []


async def test_a_stream_at_one_process_goes_on_though_nothing_of_it_is_named(pair: Pair, thandi: ScriptedAgent) -> None:
    await pair.first.say("/execute_handoff", "streams", metadata={"handoff_after": None, **_token("streams")})
    handoff_id = (await thandi.take_next())["handoff_id"]
    headers = {HEADER: make_token(SECRET, "small", "streams"), "Accept": "text/event-stream"}
    came: list[str] = []

    async def read(rasa: RasaServer) -> None:
        address = f"{rasa.url}/webhooks/rest/handoff/messages?sender=streams"
        async with rasa.http.get(address, headers=headers) as stream:
            async for line in stream.content:
                came.append(line.decode())

    readers = [asyncio.ensure_future(read(rasa)) for rasa in pair]
    await eventually(lambda: all(rasa.channel.mailbox_requests.mailboxes.waiting == 1 for rasa in pair))
    for number in range(5):
        assert (await thandi.say(handoff_id, f"line {number}", f"s-{number}"))["ok"]
        await eventually(lambda: sum(f'"line {number}"' in line for line in came) == 2)  # noqa: B023
    for reader in readers:
        reader.cancel()


async def test_a_page_that_moves_to_the_other_process_gets_what_waited(pair: Pair, thandi: ScriptedAgent) -> None:
    async with ScriptedCustomer(pair.first.url, acks=True) as customer:
        await customer.say("/execute_handoff")
        handoff_id = (await thandi.take_next())["handoff_id"]
    assert (await thandi.say(handoff_id, "are you there?", "a-1"))["ok"]
    await thandi.hears("message.status", message_id="a-1", status="waiting")
    async with ScriptedCustomer(pair.second.url, acks=True) as again:
        await again.hears("are you there?")
        await thandi.hears("message.status", message_id="a-1", status="delivered")
        assert (await thandi.say(handoff_id, "good", "a-2"))["ok"]
        await again.hears("good")


async def test_copies_of_a_message_at_both_processes_are_one(pair: Pair, thandi: ScriptedAgent) -> None:
    await pair.first.say("/execute_handoff")
    await thandi.take_next()
    for number in range(10):
        copies = (rasa.say(f"copy {number}", metadata={"handoff_message_id": f"m-{number}"}) for rasa in pair)
        await asyncio.gather(*copies)
    await pair.first.say("the end")
    await thandi.hears("message", text="the end")
    assert [text for text in _said(thandi) if text.startswith("copy")] == [f"copy {number}" for number in range(10)]


async def test_two_messages_at_once_are_two_turns_one_after_the_other(pair: Pair) -> None:
    await asyncio.gather(*(rasa.say("/greet") for rasa in pair for _ in range(3)))
    events = await pair.first.events()
    said = [event["event"] for event in events if event["event"] in ("user", "bot")]
    assert said == ["user", "bot"] * 6


async def test_a_process_without_a_desk_hands_over_by_the_other(pair: Pair, thandi: ScriptedAgent) -> None:
    for alone, other in (pair, pair[::-1]):
        await alone.channel.desk.close()
        async with ScriptedCustomer(alone.url, acks=True) as customer:
            await customer.say("/execute_handoff")
            handoff_id = (await thandi.take_next())["handoff_id"]
            await eventually(partial(_is_live, alone))
            assert (await thandi.say(handoff_id, "hello", f"{other.url}-1"))["ok"]
            await customer.hears("hello")
            await customer.say("I came here")
            await thandi.hears("message", text="I came here")
            assert (await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved"))["ok"]
            await eventually(lambda: all(state(rasa) is Control.BOT for rasa in pair))
        await alone.channel.desk.open()
        await eventually(partial(getattr, alone.channel.desk, "connected"))


async def test_a_page_sees_that_the_agent_types_and_has_read(pair: Pair, thandi: ScriptedAgent) -> None:
    for rasa in pair:
        async with ScriptedCustomer(rasa.url, acks=True) as customer:
            await customer.say("/execute_handoff")
            handoff_id = (await thandi.take_next())["handoff_id"]
            assert (await thandi.ask("typing", handoff_id=handoff_id, on=True))["ok"]
            await eventually(lambda: customer.all("typing"))
            assert (await customer.say_with_id("hello?", f"{rasa.url}-1"))["ok"]
            assert (await thandi.ask("read", handoff_id=handoff_id, id=f"{rasa.url}-1"))["ok"]
            await eventually(lambda: customer.all("message_read"))
            assert (await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved"))["ok"]
            await eventually(lambda: all(state(rasa) is Control.BOT for rasa in pair))


async def _connect_anew(rasa: RasaServer) -> None:
    """Cut a process's connection to the desk, and wait until it has another one and has said what it has."""
    desk: Any = rasa.channel.desk
    before = desk._client.sid
    await desk._client.disconnect()
    await eventually(lambda: desk.connected and desk._client.sid != before)
    await rasa.channel.relay.store.write(lambda _: None)
    await eventually(lambda: desk._absence is None)


async def test_the_desk_sees_the_same_customers_here_whichever_process_connects_to_it(
    pair: Pair, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rasa_handoff.channel.hosted.page_presence.AWAY_SECONDS", 0.3)

    def is_away() -> Any:
        return thandi.shown(handoff_id)[-1]["customer_is_away"]

    async with ScriptedCustomer(pair.second.url, acks=True) as customer:
        await customer.say("/execute_handoff")
        handoff_id = str((await thandi.take_next())["handoff_id"])
    await eventually(is_away)
    async with ScriptedCustomer(pair.first.url, acks=True):
        await eventually(lambda: not is_away())
        for rasa in pair:  # the one that they left knows that they are at the other
            await _connect_anew(rasa)
            assert (await thandi.say(handoff_id, f"at {rasa.url}", rasa.url))["ok"]
            await thandi.hears("message.status", message_id=rasa.url, status="delivered")
            assert not is_away()
    await eventually(is_away)
    for rasa in pair:  # the one that never had their page knows that they are away
        await _connect_anew(rasa)
        assert (await thandi.say(handoff_id, f"again at {rasa.url}", f"{rasa.url}-2"))["ok"]
        await thandi.hears("message.status", message_id=f"{rasa.url}-2", status="waiting")
        assert is_away()


async def test_a_process_without_a_desk_has_the_other_say_that_a_customer_went_and_came(
    pair: Pair, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rasa_handoff.channel.hosted.page_presence.AWAY_SECONDS", 0.3)
    async with ScriptedCustomer(pair.first.url, acks=True) as customer:
        await customer.say("/execute_handoff")
        handoff_id = str((await thandi.take_next())["handoff_id"])
        await pair.first.channel.desk.close()
    await eventually(lambda: thandi.shown(handoff_id)[-1]["customer_is_away"])
    async with ScriptedCustomer(pair.first.url, acks=True):
        await eventually(lambda: not thandi.shown(handoff_id)[-1]["customer_is_away"])


async def test_a_live_chat_does_not_wait_for_the_lock_of_a_process_that_was_killed(
    pair: Pair, thandi: ScriptedAgent, redis: RedisServer
) -> None:
    """Rasa's lock of a turn stays in Redis after it; only the bot's own turns wait for it."""
    await pair.first.say("/execute_handoff")
    handoff_id = (await thandi.take_next())["handoff_id"]
    locks = RedisLockStore(port=redis.port)
    locks.issue_ticket("thabo", 3_600)
    for number, rasa in enumerate(pair):
        await rasa.say(f"message {number}")
        await thandi.hears("message", text=f"message {number}")
    assert (await thandi.say(handoff_id, "I see"))["ok"]

    async def is_said() -> bool:
        return "I see" in [text for rasa in pair for text in await rasa.texts("and?")]

    await eventually(is_said)
    locks.delete_lock("thabo")


@pytest.mark.parametrize(
    ("shared", "problem"),
    [
        ((), "no lock store that several Rasa processes share"),
        (("tracker_store",), "no lock store that several Rasa processes share"),
        (("lock_store",), "the tracker store is a SQLite file"),
        (("lock_store", "tracker_store"), None),
    ],
)
async def test_what_several_processes_must_share_is_checked(
    small_model: Path, tmp_path: Path, endpoints: dict[str, Any], shared: tuple[str, ...], problem: str | None
) -> None:
    own = credentials("http://127.0.0.1:9", tmp_path)
    async with RasaServer(small_model, tmp_path, own, {name: endpoints[name] for name in shared}) as rasa:
        bot = Bot(rasa.app)
        await check_shared_stores(bot, nobody)
        if problem is None:
            await check_shared_stores(bot, somebody)
        else:
            with pytest.raises(SettingsError, match=problem):
                await check_shared_stores(bot, somebody)


async def nobody() -> bool:
    return False


async def somebody() -> bool:
    return True


async def test_a_page_that_comes_before_the_relay_is_open_is_followed_from_then_on(
    small_model: Path,
    desk: DeskServer,
    tmp_path: Path,
    postgres: Database,
    endpoints: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_open, opens = asyncio.Event(), Relay.open

    async def open_late(relay: Relay, targets: Any) -> None:
        await may_open.wait()
        await opens(relay, targets)

    monkeypatch.setattr(Relay, "open", open_late)
    server = RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, store=postgres.url), endpoints)
    starting = asyncio.create_task(server.__aenter__())
    try:
        async with AsyncExitStack() as stack:
            await eventually(lambda: server.url, 60)
            await _eventually_enters(stack, lambda: ScriptedCustomer(server.url, "thabo"))
            may_open.set()
            await starting
            here = "select count(*) from page_connection where conversation_id = 'thabo' and process <> ''"
            await eventually(lambda: postgres.execute(here) == [(1,)])
    finally:
        may_open.set()
        await starting
        await server.__aexit__(None, None, None)


async def _eventually_enters(stack: AsyncExitStack, make: Callable[[], ScriptedCustomer]) -> None:
    """Enter a customer once the server listens."""

    async def enters() -> bool:
        with suppress(ConnectionError):
            await stack.enter_async_context(make())
            return True
        return False

    await eventually(enters)
