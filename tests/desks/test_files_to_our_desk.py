"""What our desk's adapter does with files, without Rasa: which it brings, and what it says of those that it can't."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from rasa_handoff.core.conversation import Control
from rasa_handoff.desks.ours import OurDesk
from rasa_handoff.media.media_errors import MediaRefused
from rasa_handoff.media.media_table import MediaOwner
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import DeskSettings, Settings
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.message_parts import FilePart, ImagePart, Media, TextPart, in_words
from rasa_handoff.protocol.payloads import MessagePayload, OfferPayload
from rasa_handoff.protocol.values import Line, Speaker
from rasa_handoff.relay import relay_media
from rasa_handoff.relay.repository import DESK
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.relay_side import RelaySide, _offer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually

PDF = b"%PDF-1.7\n" + b"x" * 2_000
THABO = MediaOwner(conversation_id="thabo")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[DeskServer]:
    one = DeskServer(tmp_path)
    one.add_agent("Thandi")
    async with one:
        yield one


@pytest.fixture
async def side(server: DeskServer, tmp_path: Path) -> AsyncIterator[RelaySide]:
    settings = Settings(
        bot_id="b",
        desk=DeskSettings(url=server.url),
        channels={"rest": None},
        store=f"sqlite:///{tmp_path / 'relay.db'}",
    )
    async with RelaySide(OurDesk, settings) as one:
        yield one


@pytest.fixture
async def thandi(server: DeskServer) -> AsyncIterator[ScriptedAgent]:
    async with ScriptedAgent(server.url, "thandi@example.com") as agent:
        yield agent


async def kept_at(server: DeskServer, id: str) -> bytes | None:
    address, headers = f"{server.url}/relay/media/{id}", {"handoff-bot": "b"}
    async with aiohttp.ClientSession() as http, http.get(address, headers=headers) as answer:
        return await answer.read() if answer.status == 200 else None


async def said(side: RelaySide, *parts: Any) -> None:
    event = events.CustomerSaid(
        conversation_id="thabo", id=uuid.uuid4().hex, text=in_words(parts), at=1.0, parts=tuple(parts)
    )
    await side.relay.apply(event)


async def test_a_file_is_at_the_server_before_the_message_that_names_it(
    side: RelaySide, server: DeskServer, thandi: ScriptedAgent
) -> None:
    handoff = await side.start()
    assert side.relay.media.library is not None
    kept = await side.relay.media.library.add(PDF, THABO, "a.pdf")
    await said(side, TextPart(text="Here:"), FilePart(media=kept.media))
    shown = await thandi.hears("message", handoff_id=handoff, speaker="customer")
    assert shown["text"] == "Here: [Attachment: a.pdf]"
    assert await kept_at(server, kept.id) == PDF


async def test_a_server_that_has_lost_its_files_gets_the_agents_again_too(side: RelaySide, server: DeskServer) -> None:
    assert side.relay.media.library is not None
    library = side.relay.media.library
    kept = [await library.add(PDF, THABO, f"{name}.pdf") for name in ("customers", "agents")]
    gone = Media(id="x" * 32, name="gone.pdf", type="application/pdf")
    lines = (
        Line(speaker=Speaker.CUSTOMER, text="", at=1.0, parts=(FilePart(media=kept[0].media), FilePart(media=gone))),
        Line(speaker=Speaker.AGENT, text="", at=2.0, parts=(FilePart(media=kept[1].media), FilePart(media=gone))),
        Line(speaker=Speaker.BOT, text="", at=3.0, parts=(ImagePart(media=Media(url="https://x.example/a.png")),)),
    )
    offer = OfferPayload.of(replace(_offer("thabo"), transcript=lines), resumed=True)
    entry = Entry.of(DESK, "thabo", OfferPayload.event, offer)
    assert isinstance(side.desk, OurDesk)
    body = await side.desk._media.body_of("thabo", entry, 32_000_000)
    named = [
        [part.get("media", {}).get("id") or part.get("text") for part in one["parts"]] for one in body["transcript"]
    ]
    assert named[0] == [kept[0].id, "[Attachment: gone.pdf, which couldn't be passed on: it isn't there any more]"]
    assert named[1] == [kept[1].id, gone.id]  # the server may have it
    assert body["transcript"][2] == entry.body["transcript"][2]
    assert [await kept_at(server, one.id) for one in kept] == [PDF, PDF]


async def test_a_server_that_keeps_no_files_is_told_in_words(side: RelaySide) -> None:
    assert side.relay.media.library is not None
    kept = await side.relay.media.library.add(PDF, THABO, "a.pdf")
    assert isinstance(side.desk, OurDesk)
    line = Line(speaker=Speaker.CUSTOMER, text="", at=1.0, parts=(FilePart(media=kept.media),))
    entry = Entry.of(DESK, "thabo", OfferPayload.event, OfferPayload.of(replace(_offer("thabo"), transcript=(line,))))
    for largest, reason in ((None, "no pictures and files are kept here"), (1_000, "it is too large")):
        body = await side.desk._media.body_of("thabo", entry, largest)
        assert body["transcript"][0]["text"] == f"[Attachment: a.pdf, which couldn't be passed on: {reason}]"


class Away:
    """A vendor that takes a while to fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, side: RelaySide, attempt: float) -> None:
        self.now, self._attempt = 1_000.0, attempt
        monkeypatch.setattr(relay_media.time, "monotonic", lambda: self.now)
        side.relay.media.fetchers = [self]

    def fetches(self, channel: str | None, address: str) -> bool:
        return channel in ("x", "rest")

    async def fetch(self, channel: str | None, address: str) -> AsyncGenerator[bytes, None]:
        self.now += self._attempt
        raise Unreachable("It doesn't answer.")
        yield b""


@pytest.mark.parametrize(("attempt", "tries"), [(0.0, 13), (50.0, 2)])
async def test_a_file_is_given_up_after_a_minute_however_long_each_try_takes(
    side: RelaySide, monkeypatch: pytest.MonkeyPatch, attempt: float, tries: int
) -> None:
    count, code = 0, ""
    with monkeypatch.context() as patched:
        away, media = Away(patched, side, attempt), Media(url="vendor:x/1")
        while not code:
            count += 1
            try:
                await side.relay.media.of_customer("thabo", "x", media)
            except MediaRefused as problem:
                code = problem.code
            except Unreachable:
                away.now += 5
    assert (code, count) == ("away", tries)


async def test_the_time_counts_anew_after_nobody_was_there_to_try_for(
    side: RelaySide, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        away, media = Away(patched, side, 0), Media(url="vendor:x/2")
        for _ in range(5):
            with pytest.raises(Unreachable):
                await side.relay.media.of_customer("thabo", "x", media)
            away.now += 40


async def test_a_file_that_cant_be_had_is_told_with_its_reason_also_when_the_handoff_has_ended_meanwhile(
    side: RelaySide, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    handoff = await side.start()
    await thandi.take_next()
    await side.relay.apply(events.CustomerSaid(conversation_id="thabo", id="m-1", text="look", at=1.0, channel="rest"))
    await thandi.resolve(handoff)
    await eventually(lambda: side.relay.conversation("thabo").state is Control.BOT)
    parts = (ImagePart(media=Media(url="https://scontent.xx.fbcdn.net/a.jpg")),)
    said = MessagePayload(handoff_id=handoff, id="m-2", text=in_words(parts), at=2.0, parts=parts)
    entry = Entry.of(DESK, "thabo", MessagePayload.event, said)
    assert isinstance(side.desk, OurDesk)
    with monkeypatch.context() as patched:
        away = Away(patched, side, 50)
        with pytest.raises(Unreachable):
            await side.desk._media.body_of("thabo", entry, 32_000_000)
        away.now += 5
        body = await side.desk._media.body_of("thabo", entry, 32_000_000)
    assert body["text"] == (
        "[Image: https://scontent.xx.fbcdn.net/a.jpg, which couldn't be passed on: it couldn't be had in time]"
    )


async def test_a_picture_that_stays_elsewhere_is_still_a_picture(side: RelaySide, thandi: ScriptedAgent) -> None:
    await side.start()
    await said(side, ImagePart(media=Media(url="https://x.example/a.png")))
    shown = await thandi.hears("message", speaker="customer")
    assert shown["parts"] == [{"type": "image", "media": {"url": "https://x.example/a.png"}}]
    assert shown["text"] == "[Image: https://x.example/a.png]"
