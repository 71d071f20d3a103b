"""What the Tkinter demo's admin window asks for beyond what every desk keeps: a line, whole characters, an end that is an end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.core.control import Control
from rasa_handoff.desks import tkinter
from rasa_handoff.desks.tkinter import TkinterDesk
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import Settings, read_settings
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.protocol.values import Channel, Line, Offer, Speaker
from rasa_handoff.testing.relay_side import RelaySide
from rasa_handoff.testing.waiting import eventually
from tests.support import texts
from tests.support.admin_window import Admin
from tests.support.databases import current


def settings_for(admin: Admin, folder: Path, **more: Any) -> Settings:
    desk = {"type": "tkinter", "admin_port": admin.admin_port, "listen_port": admin.listen_port}
    return read_settings(
        {
            "bot_id": "b",
            "desk": desk,
            **current().relay(folder),
            "channels": {"rest": None},
            "quiet_channels": [],
            **more,
        }
    )


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    async with Admin() as person:
        yield person


@pytest.fixture
async def side(admin: Admin, tmp_path: Path) -> AsyncIterator[RelaySide]:
    async with RelaySide(TkinterDesk, settings_for(admin, tmp_path)) as relay_side:
        yield relay_side


def notices(side: RelaySide, who: str) -> list[tuple[str, Any]]:
    """What the relay itself told the customer, with their place in the line."""
    entries = [entry for entry in side.customer.entries if entry.lane == who and entry.name == "system"]
    return [(entry.body["response"], entry.body["values"].get("position")) for entry in entries]


async def leaves(side: RelaySide, who: str) -> None:
    await side.relay.apply(events.CustomerLeaving(conversation_id=who, id=f"leave-{who}", text="disconnect", at=4.0))


async def test_a_transcript_that_follows_is_shown(side: RelaySide, admin: Admin) -> None:
    """To who has the window when it comes, and with the offer to who waited in line."""
    offer, waiting = await side.start_without_transcript("thabo"), await side.start_without_transcript("lerato")
    for one in (offer, waiting):
        await side.transcript_follows(one)
    await eventually(lambda: "User: help" in admin.windows[0].shown)
    await leaves(side, "thabo")
    await eventually(lambda: len(admin.windows) == 2 and "User: help" in admin.windows[1].shown)


async def test_one_at_a_time_and_the_next_waits_in_line(side: RelaySide, admin: Admin) -> None:
    await side.start("thabo")
    await side.start("lerato")
    await side.start("sipho")
    await side.says("is it my turn?", "lerato")
    await eventually(lambda: notices(side, "sipho"))
    assert notices(side, "thabo") == [("utter_handoff_requested", None)]
    assert notices(side, "lerato") == [("utter_handoff_queued", 1)]
    assert notices(side, "sipho") == [("utter_handoff_queued", 2)]
    assert admin.since() == []

    await admin.say("hello thabo")
    await eventually(lambda: side.agent_messages() == ["hello thabo"])
    await admin.close()
    await eventually(lambda: [line for line in admin.since() if line] == ["is it my turn?"])
    await eventually(lambda: notices(side, "thabo")[-1][0] == "utter_handoff_resolved")
    await eventually(lambda: notices(side, "sipho")[-1] == ("utter_handoff_position", 1))
    await admin.say("it is")
    await eventually(
        lambda: [entry.lane for entry in side.customer.entries if entry.name == "agent"] == ["thabo", "lerato"]
    )
    assert side.relay.conversation("lerato").state is Control.LIVE


async def test_who_leaves_the_line_makes_room(side: RelaySide, admin: Admin) -> None:
    await side.start("thabo")
    await side.start("lerato")
    await side.start("sipho")
    await side.says("never mind", "lerato")
    await leaves(side, "lerato")
    await eventually(lambda: notices(side, "sipho")[-1] == ("utter_handoff_position", 1))
    await eventually(admin.before)
    await leaves(side, "thabo")
    await eventually(lambda: "The customer has left" in admin.windows[0].shown and admin.windows[0].over)
    await eventually(lambda: len(admin.windows) == 2 and admin.before())
    await side.says("sipho here", "sipho")
    await eventually(lambda: admin.since() == ["sipho here"])


async def test_a_window_closed_without_a_word_is_told(side: RelaySide, admin: Admin) -> None:
    await side.start()
    await eventually(admin.before)
    await admin.close()
    await eventually(lambda: side.relay.conversation("thabo").state is Control.BOT)
    assert side.tracker.entries[-1].body["outcome"] == "desk_closed"


async def test_nobody_there_is_told_in_time_and_then_somebody_is(tmp_path: Path) -> None:
    async with Admin(there=False) as admin:
        settings = settings_for(admin, tmp_path, start_timeout=0.3)
        async with RelaySide(TkinterDesk, settings) as side:
            with pytest.raises(AssertionError):
                await side.start()
            await eventually(lambda: notices(side, "thabo") == [("utter_handoff_unreachable", None)])
            await admin.open()
            await eventually(lambda: side.desk.connected)
            await side.start()
            await eventually(admin.before)


async def test_a_window_that_stays_away_is_told_and_gets_it_all_when_it_is_back(
    side: RelaySide, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tkinter, "UNNOTICED_SECONDS", 0.2)
    await side.start()
    await eventually(admin.before)
    admin.window.close(reset=True)
    await side.says("are you there?")
    await eventually(lambda: notices(side, "thabo")[-1][0] == "utter_handoff_desk_away")
    await side.says("hello?")
    await admin.open()
    await eventually(lambda: notices(side, "thabo")[-1][0] == "utter_handoff_desk_back")
    await eventually(lambda: [text for _, text in admin.before()][2:] + admin.since() == ["are you there?", "hello?"])


async def test_who_leaves_while_the_window_is_away_makes_room_too(side: RelaySide, admin: Admin) -> None:
    await side.start("thabo")
    await side.start("lerato")
    await eventually(admin.before)
    admin.window.close(reset=True)
    await eventually(lambda: side.relay.waiting_entries("desk", "thabo"), what="it is offered again")
    await leaves(side, "thabo")
    await eventually(lambda: side.relay.conversation("thabo").state is Control.BOT)
    await admin.open()
    await eventually(admin.before)
    await admin.say("hello lerato")
    await eventually(lambda: side.relay.conversation("lerato").state is Control.LIVE)
    assert len(admin.windows) == 2, "no window was spent on who has left"


async def test_a_message_left_in_the_line_is_shown_and_can_be_answered(side: RelaySide, admin: Admin) -> None:
    await side.start("thabo")
    await side.start("lerato")
    await side.relay.apply(events.CustomerWantsToWrite(conversation_id="lerato"))
    await side.says("call me tomorrow", "lerato")
    await side.says("082 555 0100", "lerato")
    await eventually(lambda: side.relay.conversation("lerato").state is Control.BOT)
    await eventually(admin.before)
    await admin.close()
    await eventually(lambda: admin.since() == ["call me tomorrow", "082 555 0100"])
    await admin.say("I will")
    await eventually(lambda: side.customer.entries[-1].body["response"] == "utter_handoff_reply")
    assert side.customer.entries[-1].body["values"]["text"] == "I will"


async def test_no_character_is_cut_for_a_window_that_reads_late(side: RelaySide, admin: Admin) -> None:
    await side.start()
    await eventually(admin.before)
    texts = [f"{number} " + "ngiyabonga kakhulu, merci à toi €€ 😀 " * 40 for number in range(5)]
    admin.window.slow = True
    for text in texts:
        await side.says(text)
    await eventually(lambda: _is_sent(side))
    admin.window.slow = False
    await eventually(lambda: admin.window.shown.count("ngiyabonga") == 200 or admin.window.broken)
    assert admin.window.broken is None
    assert " ".join(" ".join(admin.since()).split()) == " ".join(" ".join(texts).split())


async def _is_sent(side: RelaySide) -> bool:
    return not await side.relay.waiting_entries("desk", "thabo")


async def test_the_admins_characters_are_put_together(side: RelaySide, admin: Admin) -> None:
    await side.start()
    await eventually(admin.before)
    euro = "€".encode()
    window = admin.window
    await admin.say("it costs")
    await eventually(lambda: side.agent_messages() == ["it costs"])
    assert window._speaking is not None
    window._speaking.sendall(b"5 " + euro[:2])
    await eventually(lambda: side.agent_messages() == ["it costs", "5"])
    window._speaking.sendall(euro[2:])
    await eventually(lambda: side.agent_messages() == ["it costs", "5", "€"])


async def test_a_long_story_leaves_room_for_what_is_said_now(tmp_path: Path) -> None:
    """The window shows twenty lines and doesn't scroll. What was said since the handoff is told whole, however often it is."""
    lines = tuple(Line(speaker=Speaker.CUSTOMER, text=f"before {number}", at=float(number)) for number in range(30))
    async with Admin() as admin, RelaySide(TkinterDesk, settings_for(admin, tmp_path)) as side:
        offer = Offer(
            handoff_id="h", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"), transcript=lines
        )
        here = {"conversation_id": "thabo", "handoff_id": "h"}
        await side.relay.requests.offer(events.HandoffRequested(**here, offer=offer, leaving_word="disconnect"))
        await eventually(admin.before)
        assert [text for _, text in admin.before()] == ["", *(f"before {number}" for number in range(24, 30))]
        assert admin.window.shown.splitlines()[1] == "[...]"
        since = [f"since {number}" for number in range(10)]
        for text in since:
            await side.says(text)
        await eventually(lambda: admin.since() == since)
        await admin.cut()
        await eventually(lambda: len(admin.windows) == 2 and admin.before())
        assert [text for _, text in admin.before()][-10:] == since
        assert len(admin.before()) == 17


async def test_silence_ends_it_by_the_relays_timers(tmp_path: Path) -> None:
    timers = {"nobody_takes": 0.3, "silence": 3}
    async with Admin() as admin, RelaySide(TkinterDesk, settings_for(admin, tmp_path, timers=timers)) as side:
        await side.start()
        await eventually(lambda: "utter_handoff_nobody_yet" in [response for response, _ in notices(side, "thabo")])
        await eventually(lambda: side.relay.conversation("thabo").state is Control.BOT)
        assert side.tracker.entries[-1].body["outcome"] == "silence"
        await eventually(lambda: admin.windows[0].over)


async def test_texts_of_every_kind_both_ways(side: RelaySide, admin: Admin) -> None:
    """The streams are of bytes, which may be anything; nothing kills the window's reader."""
    await side.start()
    kinds = [text for text in texts.some(texts.COUNT, seed=8) if valid_text(text).strip()]
    for text in (*kinds, "the last"):
        await side.says(text)
    await eventually(lambda: "the last" in admin.window.shown, seconds=30)
    assert texts.dense("".join(map(valid_text, kinds))) in texts.dense(admin.window.shown)
    said = b"".join(text.encode("utf-8", "surrogatepass") for text in (*kinds, "That is all."))
    await asyncio.to_thread(admin.window.send, said)
    await eventually(lambda: any("That is all." in text for text in side.agent_messages()), seconds=30)
    assert texts.dense("".join(side.agent_messages())) == texts.dense(valid_text(said.decode("utf-8", "replace")))
