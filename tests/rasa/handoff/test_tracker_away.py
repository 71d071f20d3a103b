"""Rasa's tracker store is away for a while: nothing is missing in it afterwards, and nobody is unheard meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rasa.core.tracker_store import InMemoryTrackerStore
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.compat.tracker_store import access
from rasa_handoff.channel.tracker.tracker_writer import TrackerTarget
from rasa_handoff.channel.turn.handoff_offer import HandoffOffers
from rasa_handoff.core.control import Control
from rasa_handoff.protocol.errors import StoreUnavailable, Unreachable
from rasa_handoff.protocol.events import Event
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.slowness import slowness
from rasa_handoff.testing.waiting import eventually, within
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.test_database import NOT_TAKEN, locked
from tests.rasa.handoff.test_orphaned_pauses import forgotten
from tests.support.postgres_server import Database
from tests.support.redis import RedisServer

RESOLVED = {"outcome": "resolved", "note": "sent a new card", "slots": {"plan": "gold"}}


def tracker_store(folder: Path, timeout: float = 0.1) -> dict[str, Any]:
    """A SQL tracker store that waits so many seconds for a locked file, instead of SQLite's five."""
    query = {"timeout": str(timeout)}
    return {"type": "SQL", "dialect": "sqlite", "db": str(folder / "tracker.db"), "query": query}


@pytest.fixture
async def rasa(small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path) -> AsyncIterator[RasaServer]:
    """Rasa with a SQLite tracker store; a handoff waits for its transcript for a second."""
    settings = credentials(desk.url, tmp_path, story_timeout=1)
    endpoints = {"tracker_store": tracker_store(tmp_path)}
    async with RasaServer(small_model, tmp_path, settings, endpoints) as server:
        await eventually(lambda: server.channel.desk.connected and server.channel.desk.availability.staffed)
        yield server


def spoken(events: list[dict[str, Any]]) -> list[str]:
    """Return what was said in a tracker, by whom."""
    names = {"user": "customer", "agent": "agent", "bot": "bot"}
    return [f"{names[event['event']]}: {event['text']}" for event in events if event["event"] in names]


async def written(rasa: RasaServer, *texts: str) -> list[dict[str, Any]]:
    """Wait until these texts were written, and return the tracker's events."""

    async def there() -> list[dict[str, Any]]:
        events = await rasa.events()
        said = spoken(events)
        return events if all(text in said for text in texts) else []

    return list(await eventually(there, what=f"{texts} in the tracker"))


async def received(rasa: RasaServer, text: str, said: str = "and?") -> list[str]:
    """Say ``said`` until ``text`` is among the answers, and return all answers."""
    found: list[str] = []

    async def there() -> bool:
        found.extend(await rasa.texts(said))
        return any(text in one for one in found)

    await eventually(there, what=f"{text} among {found}")
    return found


async def said_by(rasa: RasaServer, sender: str) -> list[str]:
    return spoken(await rasa.events(sender))


def is_paused(events: list[dict[str, Any]]) -> bool:
    kinds = [event["event"] for event in events if event["event"] in ("pause", "resume")]
    return bool(kinds) and kinds[-1] == "pause"


async def test_nothing_is_missing_after_a_handoff_a_talk_and_an_end(
    rasa: RasaServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    """Away from before the request until after the end; everything else goes on."""
    assert await rasa.texts("hello") == ["Hello."]
    with locked(tmp_path / "tracker.db"):
        assert await rasa.texts("/execute_handoff") == [
            "One moment, please. It takes a little longer than usual to pass you on."
        ]
        conversation = await thandi.take_next()
        handoff_id = conversation["handoff_id"]
        assert (conversation["transcript"], conversation["transcript_follows"]) == ([], True)
        await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
        reported = await rasa.texts("are you there")
        assert any("number 1" in text for text in reported)
        await thandi.hears("message", text="are you there", handoff_id=handoff_id)
        await thandi.say(handoff_id, "yes I am")
        await received(rasa, "yes I am")
        answer = await thandi.ask("resolve", handoff_id=handoff_id, **RESOLVED)
        assert answer["ok"], answer
        await eventually(lambda: rasa.channel.relay.conversation("thabo").state is Control.RETURNING)
        waiting = asyncio.create_task(rasa.texts("what is my plan"))
    assert await within(waiting, 10)
    events = await written(rasa, "customer: are you there", "agent: yes I am", "customer: what is my plan")
    said = spoken(events)
    order = [
        "customer: hello",
        "bot: Hello.",
        "customer: /execute_handoff",
        "customer: are you there",
        "agent: yes I am",
    ]
    assert [text for text in said if text in order] == order
    slots = (await rasa.tracker())["slots"]
    assert (slots["handoff_outcome"], slots["handoff_note"], slots["plan"]) == ("resolved", "sent a new card", "gold")
    kinds = [event["event"] for event in events if event["event"] in ("pause", "resume", "session_started")]
    assert kinds == ["session_started", "pause", "resume"]
    followed = await thandi.hears("conversation", handoff_id=handoff_id, transcript_follows=False)
    assert [line["text"] for line in followed["transcript"]] == ["hello", "Hello."]


async def test_a_transcript_that_is_read_in_time_is_offered_with_the_rest(
    rasa: RasaServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    assert await rasa.texts("hello") == ["Hello."]
    with locked(tmp_path / "tracker.db"):
        await rasa.texts("/execute_handoff")
        assert rasa.channel.relay.conversation("thabo").state is Control.PREPARING
        waiting = asyncio.create_task(rasa.texts("said while it was read"))
    conversation = await thandi.take_next()
    assert [line["text"] for line in conversation["transcript"]] == ["hello", "Hello."]
    assert not conversation["transcript_follows"]
    await waiting
    await thandi.hears("message", text="said while it was read", handoff_id=conversation["handoff_id"])


async def test_a_turn_that_cannot_be_saved_is_written_later(rasa: RasaServer, tmp_path: Path) -> None:
    """The bot answers as in plain Rasa; what it said and heard isn't lost, and nobody is greeted as new."""
    await rasa.texts("hello")
    before = [event["event"] for event in await rasa.events()]
    with locked(tmp_path / "tracker.db"):
        assert await rasa.texts("/greet") == ["Hello."]
        assert await rasa.texts("hello", "lerato") == ["Hello."]
    events = await written(rasa, "customer: /greet")
    kinds = [event["event"] for event in events]
    assert kinds[: len(before)] == before
    assert kinds.count("session_started") == 1
    assert spoken(events) == ["customer: hello", "bot: Hello.", "customer: /greet", "bot: Hello."]
    await rasa.texts("/greet")
    assert spoken(await rasa.events()).count("customer: /greet") == 2
    assert spoken(await rasa.events("lerato")) == ["customer: hello", "bot: Hello."]


async def test_a_turn_that_finds_the_store_back_is_written_behind_one_that_waits(
    rasa: RasaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began while the store was away, so it didn't wait for the one before it; then it could be read and written."""
    deliver, free = TrackerTarget.deliver, asyncio.Event()

    async def held(self: TrackerTarget, lane: str, entries: Sequence[Entry]) -> list[Event]:
        if not free.is_set():
            raise Unreachable("The test holds it.")
        return await deliver(self, lane, entries)

    async def not_now(*_: Any) -> bool:
        return False

    await rasa.texts("hello")
    monkeypatch.setattr(TrackerTarget, "deliver", held)
    with locked(tmp_path / "tracker.db"):
        assert await rasa.texts("/greet") == ["Hello."]
    monkeypatch.setattr(HandoffOffers, "write_unsaved", not_now)
    access(rasa.app.ctx.agent.tracker_store)._failed_at = None
    assert await rasa.texts("show me things")
    free.set()
    said = spoken(await written(rasa, "customer: /greet", "customer: show me things"))
    assert said[2:5] == ["customer: /greet", "bot: Hello.", "customer: show me things"]
    assert len(said) == len(set(said)) + 1, "each once, but for the bot's greeting"


async def test_a_turn_that_can_be_written_nowhere_is_told(rasa: RasaServer, tmp_path: Path) -> None:
    """Neither to the tracker nor into the relay's database, which stand on the same full disk: it isn't accepted in silence."""
    await rasa.texts("hello")
    async with ScriptedCustomer(rasa.url, "acks", acks=True) as page:
        with pytest.MonkeyPatch.context() as patch, locked(tmp_path / "tracker.db"):
            patch.setattr("rasa_handoff.channel.handoff_channel.keep_turn", cannot_be_written)
            assert NOT_TAKEN in await rasa.texts("hello again")
            assert (await page.say_with_id("hello", id="one"))["ok"] is False
        await eventually(lambda: _say_again(page), what="the page's message is taken when it is sent again")
        assert "customer: hello" in spoken(await rasa.events("acks"))


async def test_a_message_that_comes_again_while_its_turn_waits_is_heard_once(
    rasa: RasaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request broke off before it was noted as done, and the tracker doesn't have the turn yet."""

    async def broke_off(_: Any) -> None:
        return None

    await rasa.texts("hello", "acks")
    async with ScriptedCustomer(rasa.url, "acks", acks=True) as page:
        monkeypatch.setattr(rasa.channel.interceptor, "_note_done", broke_off)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrackerTarget, "deliver", cannot_be_reached)
            with locked(tmp_path / "tracker.db"):
                assert (await page.say_with_id("hello", id="one"))["ok"]
            await eventually(lambda: not access(rasa.app.ctx.agent.tracker_store).away, what="the store may be read")
            assert (await page.say_with_id("hello", id="one")).get("code") == "unavailable"
        await eventually(lambda: _say_again(page), what="it is taken when it is sent again")
        assert spoken(await rasa.events("acks")).count("customer: hello") == 2, "the first one, and this once"


async def cannot_be_reached(*_: Any) -> None:
    raise Unreachable("Its turn hasn't come.")


async def cannot_be_written(*_: Any) -> None:
    raise StoreUnavailable("The disk is full.")


async def _say_again(page: ScriptedCustomer) -> bool:
    """Send the message once more, and return whether it was taken."""
    return bool((await page.say_with_id("hello", id="one"))["ok"])


async def test_words_go_on_while_a_bots_turn_waits_for_the_database(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    """Rasa's SQL tracker store blocks while the file is locked: not the event loop."""
    endpoints = {"tracker_store": tracker_store(tmp_path, timeout=min(4.0, 2 * slowness()))}
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path), endpoints) as rasa:
        handoff_id = await live(rasa, thandi)
        with locked(tmp_path / "tracker.db"):
            waiting = asyncio.create_task(rasa.texts("hello", "lerato"))
            await asyncio.sleep(0)
            await rasa.texts("heard at once")
            await thandi.hears("message", text="heard at once", handoff_id=handoff_id)
            assert not waiting.done()
            assert await waiting == ["Hello."]
        await written(rasa, "customer: heard at once")


async def live(rasa: RasaServer, agent: ScriptedAgent) -> str:
    await eventually(lambda: rasa.channel.desk.connected and rasa.channel.desk.availability.staffed)
    await rasa.texts("hello")
    await rasa.texts("/execute_handoff")
    handoff_id = str((await agent.take_next())["handoff_id"])
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
    return handoff_id


async def talk_and_end(rasa: RasaServer, agent: ScriptedAgent, handoff_id: str) -> None:
    """Have both talk and the agent resolve while the store is away: each hears the other, and the return waits."""
    await rasa.texts("are you there")
    await agent.hears("message", text="are you there", handoff_id=handoff_id)
    await agent.say(handoff_id, "yes I am")
    await received(rasa, "yes I am")
    answer = await agent.ask("resolve", handoff_id=handoff_id, **RESOLVED)
    assert answer["ok"], answer
    await eventually(lambda: rasa.channel.relay.conversation("thabo").state is Control.RETURNING)


async def all_is_written(rasa: RasaServer) -> None:
    """Check that the tracker gets what :func:`talk_and_end` says and sets, once, in order."""
    await eventually(lambda: not rasa.channel.relay.under_way, seconds=15)
    events = await written(rasa, "customer: are you there", "agent: yes I am")
    kinds = [event["event"] for event in events if event["event"] in ("pause", "resume")]
    assert kinds == ["pause", "resume"]
    assert [text for text in spoken(events) if "you there" in text or "yes" in text] == [
        "customer: are you there",
        "agent: yes I am",
    ]
    slots = (await rasa.tracker())["slots"]
    assert (slots["handoff_outcome"], slots["handoff_note"], slots["plan"]) == ("resolved", "sent a new card", "gold")


@pytest.mark.sqlite  # only the tracker store is away
async def test_a_postgres_that_stops_answering_or_is_cut_loses_nothing(
    small_model: Path,
    desk: DeskServer,
    thandi: ScriptedAgent,
    tmp_path: Path,
    postgres: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped: connections stay open and nothing comes. Cut: the pool's connections are dead."""
    endpoints = {"tracker_store": postgres.tracker_store()}
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path), endpoints) as rasa:
        handoff_id = await live(rasa, thandi)
        monkeypatch.setattr("rasa_handoff.channel.compat.tracker_store.ANSWER_SECONDS", 0.5)
        postgres.cut()
        with postgres.server.stopped():
            assert await rasa.texts("hello", "lerato") == ["Hello."], "a bot's turn doesn't wait for it either"
            await talk_and_end(rasa, thandi, handoff_id)
        await all_is_written(rasa)
        await eventually(lambda: said_by(rasa, "lerato"))
        assert spoken(await rasa.events("lerato")) == ["customer: hello", "bot: Hello."]
        postgres.cut()
        assert (await rasa.texts("/greet"))[-1] == "Hello."
        assert "customer: /greet" in spoken(await rasa.events()), "a connection that was cut is no reason to do without"


async def test_a_redis_that_stops_answering_or_is_cut_loses_nothing(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped: connections stay open and nothing comes. Cut: they are dead."""
    with RedisServer() as redis:
        endpoints = {"tracker_store": redis.tracker_store()}
        async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path), endpoints) as rasa:
            handoff_id = await live(rasa, thandi)
            monkeypatch.setattr("rasa_handoff.channel.compat.tracker_store.ANSWER_SECONDS", 0.5)
            redis.cut()
            with redis.stopped():
                assert await rasa.texts("hello", "lerato") == ["Hello."]
                await talk_and_end(rasa, thandi, handoff_id)
            await all_is_written(rasa)
            await eventually(lambda: said_by(rasa, "lerato"))
            assert spoken(await rasa.events("lerato")) == ["customer: hello", "bot: Hello."]
            redis.cut()
            assert (await rasa.texts("/greet"))[-1] == "Hello."
            assert "customer: /greet" in spoken(await rasa.events())


class OwnError(Exception):
    """What a store of a project's own raises."""


class OwnStore(InMemoryTrackerStore):
    """A project's own tracker store, that may be away."""

    away: ClassVar[bool] = False

    async def retrieve(self, sender_id: str) -> DialogueStateTracker | None:
        self._look()
        return await super().retrieve(sender_id)

    async def save(self, tracker: DialogueStateTracker) -> None:
        self._look()
        await super().save(tracker)

    def _look(self) -> None:
        if OwnStore.away:
            raise OwnError("The store is away.")


async def test_a_store_of_a_projects_own_and_a_lock_store_that_raise_lose_nothing(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they raise: it waits."""
    endpoints = {"tracker_store": {"type": f"{__name__}.OwnStore"}}
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path), endpoints) as rasa:
        handoff_id = await live(rasa, thandi)
        monkeypatch.setattr(OwnStore, "away", True)
        await talk_and_end(rasa, thandi, handoff_id)
        lock_store = rasa.app.ctx.agent.lock_store
        tried = asyncio.Event()

        @asynccontextmanager
        async def no_lock(conversation_id: str) -> AsyncIterator[None]:
            tried.set()
            raise ConnectionError("The lock store is away.")
            yield

        lock = lock_store.lock
        lock_store.lock = no_lock
        monkeypatch.setattr(OwnStore, "away", False)
        await within(tried.wait(), 10)
        assert rasa.channel.relay.conversation("thabo").state is Control.RETURNING
        lock_store.lock = lock
        await all_is_written(rasa)


async def test_a_paused_tracker_that_cannot_be_read_is_not_resumed(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    """The relay has lost its database, the tracker can't be looked at: the desk knows that an agent has the conversation."""

    def serve() -> RasaServer:
        endpoints = {"tracker_store": tracker_store(tmp_path)}
        return RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path), endpoints)

    handoff_id = await forgotten(serve, thandi, tmp_path)
    async with serve() as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        with locked(tmp_path / "tracker.db"):
            assert "Hello." not in await rasa.texts("hello")
        await thandi.hears("message", text="hello", handoff_id=handoff_id)
        await written(rasa, "customer: hello")
        assert is_paused(await rasa.events())
