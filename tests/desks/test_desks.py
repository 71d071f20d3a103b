"""Every desk of ours keeps the contract (``rasa_handoff/testing/desks.py``), and what each kind keeps beside it."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rasa_handoff.desks.ours import OurDesk
from rasa_handoff.protocol.events import CustomerRated
from rasa_handoff.protocol.payloads import OpenHandoffPayload
from rasa_handoff.protocol.values import Rating
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.testing.desks import DeskContract, relay_for, settings_for
from rasa_handoff.testing.relay_side import RecordingTarget
from rasa_handoff.testing.waiting import eventually
from tests.desks.far_sides import ForeignFarSide, OurBotlhaleFarSide, OurFarSide, TkinterFarSide
from tests.support.databases import current
from tests.support.foreign import ForeignServer
from tests.support.relay_stores import relay_store


class Contract(DeskContract):
    """The contract, on what this test runs on."""

    def storage(self, folder: Path) -> dict[str, Any]:
        return current().relay(folder)


@pytest.mark.every_database
class TestOurs(Contract):
    far_side = OurFarSide


class TestOursAsBotlhales(Contract):
    far_side = OurBotlhaleFarSide


class TestBotlhales(Contract):
    far_side = ForeignFarSide


class TestTkinter(Contract):
    far_side = TkinterFarSide


async def test_a_server_that_greets_at_once_is_heard(tmp_path: Path) -> None:
    far = ForeignFarSide()
    settings = settings_for(await far.start(tmp_path), tmp_path, **current().relay(tmp_path))
    far.server.greeting = "One moment please."
    async with relay_for(far, settings) as side:
        await side.start()
        await eventually(lambda: side.agent_messages() == ["One moment please."])
        await far.say("What can I do for you?")
        await eventually(lambda: side.agent_messages() == ["One moment please.", "What can I do for you?"])
    await far.stop()


async def test_a_foreign_server_is_read_tolerantly(tmp_path: Path) -> None:
    """A bare string, an unknown key, no payload at all, a second request for the transcript."""
    far = ForeignFarSide()
    async with relay_for(far, settings_for(await far.start(tmp_path), tmp_path, **current().relay(tmp_path))) as side:
        await side.start()
        await far.server.say("to_user", "bare")
        await far.server.say("to_user", {"message": "with more", "mood": "good"})
        await far.server.say("to_user")
        await far.server.say("messages", {"again": True})
        await eventually(lambda: side.agent_messages() == ["bare", "with more"])
        await eventually(lambda: len(far.server.all("messages_to_client")) == 2)
        assert far.server.all("username") == [{"ConversationID": "thabo", "BotID": "b"}]
    await far.stop()


async def test_a_stranger_on_our_type_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server without our namespace: the log says what to write, and a handoff fails kindly."""
    async with ForeignServer() as stranger:
        settings = settings_for({"url": stranger.url}, tmp_path, **current().relay(tmp_path))
        relay = Relay(relay_store(settings.store), settings)
        desk = OurDesk(settings, relay)
        await relay.open({DESK: desk, CUSTOMER: RecordingTarget(), TRACKER: RecordingTarget()})
        await desk.open()
        await eventually(lambda: "can't be reached" in caplog.text)
        assert not desk.connected
        await desk.close()
        await relay.close()


async def test_who_goes_between_hello_and_welcome_is_shown_as_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = OurFarSide()
    async with relay_for(far, settings_for(await far.start(tmp_path), tmp_path, **current().relay(tmp_path))) as side:
        handoff_id = await side.start()
        reconnection = side.relay.reconnection
        reconnection.has_page = lambda _: True
        open_handoffs = reconnection.open_handoffs

        async def open_handoffs_before_they_go() -> list[OpenHandoffPayload]:
            hello = await open_handoffs()
            reconnection.is_away = lambda _: True
            if side.relay.store.shared:
                await side.relay.pages.note_away("thabo")
            return hello

        monkeypatch.setattr(reconnection, "open_handoffs", open_handoffs_before_they_go)
        await far.cut()
        # The agent's desk may be back later than the relay: then they see it in the queue that it opens with.
        await eventually(
            lambda: any(
                one["customer_is_away"]
                for one in [*far.agent.all("ready")[-1]["queue"], *far.agent.shown(handoff_id)]
                if one["handoff_id"] == handoff_id
            )
        )
    await far.stop()


async def test_what_our_server_sends_twice_is_told_once(tmp_path: Path) -> None:
    """An acknowledgement that was lost: the same status and the same message come again, and are acknowledged again."""
    far = OurFarSide()
    async with relay_for(far, settings_for(await far.start(tmp_path), tmp_path, **current().relay(tmp_path))) as side:
        handoff_id = await side.start()
        await eventually(lambda: side.customer.entries)
        desk: Any = side.desk
        moved = {"handoff_id": handoff_id, "id": "s1", "number": 901, "status": "unanswered", "seconds": 1}
        said = {"handoff_id": handoff_id, "id": "m1", "number": 902, "speaker": "agent", "text": "hi", "at": 1.0}
        for _ in range(3):
            assert (await desk._on_status(moved))["ok"]
            assert (await desk._on_message(said))["ok"]
        await eventually(lambda: side.agent_messages() == ["hi"])
        reported = [entry.body.get("response") for entry in side.customer.entries]
        assert reported.count("utter_handoff_nobody_yet") == 1
        assert [(one.handoff_id, one.last) for one in await side.relay.reconnection.open_handoffs()] == [
            (handoff_id, 902)
        ]
    await far.stop()


@pytest.mark.parametrize("known", [None, ("message", "handoff.initiate", "handoff.status")])
async def test_a_server_from_before_ratings_is_sent_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, known: tuple[str, ...] | None
) -> None:
    far = OurFarSide()
    async with relay_for(far, settings_for(await far.start(tmp_path), tmp_path, **current().relay(tmp_path))) as side:
        desk: Any = side.desk
        desk._welcome = replace(desk._welcome, events=known)
        await side.start()
        await side.relay.apply(CustomerRated(conversation_id="thabo", rating=Rating(score=4), at=5.0))
        await side.says("and then?")
        await eventually(lambda: "too old for a rating" in caplog.text)
        assert await far.customer_messages() == ["and then?"]
        assert await side.relay.count_dead_letters() == 0
        assert far.agent.all("message")[-1]["text"] == "and then?"
        assert not [one for one in far.agent.all("message") if one["speaker"] == "system"]
    await far.stop()


async def test_what_an_agent_has_read_is_told_and_nonsense_isnt(tmp_path: Path) -> None:
    far = OurFarSide()
    async with relay_for(far, settings_for(await far.start(tmp_path), tmp_path, **current().relay(tmp_path))) as side:
        seen: list[tuple[str, str]] = []

        async def has_read(conversation_id: str, message_id: str) -> None:
            seen.append((conversation_id, message_id))

        side.desk.on_read = has_read
        handoff_id = await side.start()
        await far.take()
        desk: Any = side.desk
        for nonsense in (None, {}, {"handoff_id": handoff_id}, {"handoff_id": "unknown", "id": "m"}):
            await desk._on_read(nonsense)
        assert (await far.agent.ask("read", handoff_id=handoff_id, id="m-1"))["ok"]
        await eventually(lambda: seen == [("thabo", "m-1")])
    await far.stop()
