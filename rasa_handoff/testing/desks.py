"""What every desk keeps, whichever system stands behind it.

Ours, Botlhale's (their server and ours), and the Tkinter demo pass it: ``tests/contract/test_desks.py``.
"""

import abc
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytest_asyncio

from rasa_handoff.desks.base import Desk
from rasa_handoff.testing.relay_side import RelaySide
from rasa_handoff.testing.waiting import until
from rasa_handoff.thinking.control import Control, Conversation
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.settings import Settings, read_settings


class FarSide(abc.ABC):
    """The system behind a desk, played for real, and the person at it. ``kind``: the desk to be tried; ``near``: the relay that
    met it, once it has."""

    kind: ClassVar[type[Desk]]
    near: RelaySide

    @abc.abstractmethod
    async def start(self, folder: Path) -> dict[str, Any]:
        """Start it; returns what stands under ``desk`` in the settings. ``folder`` is its own."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """End it."""

    async def take(self) -> None:  # noqa: B027 - most protocols know no such thing
        """The agent takes the conversation, where the protocol knows such a thing."""

    @abc.abstractmethod
    async def say(self, text: str) -> None:
        """The agent says something."""

    @abc.abstractmethod
    async def heard(self) -> list[str]:
        """The customer's words since the handoff, in order, each once."""

    @abc.abstractmethod
    async def transcript(self) -> list[str]:
        """What was said before the handoff, as the agent sees it."""

    @abc.abstractmethod
    async def end(self) -> None:
        """The agent ends the conversation."""

    @abc.abstractmethod
    async def cut(self) -> None:
        """Break the connection, without ending the conversation; it can be made again at once."""


@pytest.mark.asyncio
class DeskContract:
    """Subclass it as ``Test...`` and name your far side."""

    far_side: ClassVar[type[FarSide]]

    @pytest_asyncio.fixture
    async def far(self) -> AsyncIterator[FarSide]:
        """The system behind the desk."""
        side = self.far_side()
        yield side
        await side.stop()

    @pytest_asyncio.fixture
    async def settings(self, far: FarSide, tmp_path: Path) -> Settings:
        """Settings with the far side started."""
        return settings_for(await far.start(tmp_path), tmp_path)

    @pytest_asyncio.fixture
    async def side(self, far: FarSide, settings: Settings) -> AsyncIterator[RelaySide]:
        """A relay, connected."""
        async with meeting(far, settings) as relay_side:
            yield relay_side

    async def test_it_gets_the_transcript(self, side: RelaySide, far: FarSide) -> None:
        """What was said before reaches the agent."""
        await side.start()
        await far.take()
        assert await until(far.transcript) == ["help", "how?"]

    async def test_both_talk_in_order(self, side: RelaySide, far: FarSide) -> None:
        """Ten words each way, each once."""
        await side.start()
        for number in range(10):
            await side.says(f"customer {number}")
        await until(lambda: _is(far, [f"customer {number}" for number in range(10)]))
        for number in range(10):
            await far.say(f"agent {number}")
        await until(lambda: len(side.told()) == 10)
        assert side.told() == [f"agent {number}" for number in range(10)]

    async def test_its_end_brings_the_conversation_back(self, side: RelaySide, far: FarSide) -> None:
        """The bot has it again, and the tracker is told both."""
        await side.start()
        await far.end()
        await until(lambda: side.relay.conversation("thabo").state is Control.BOT)
        assert [entry.name for entry in side.tracker.entries] == ["pause", "back"]

    async def test_a_front_end_learns_who_is_active(self, side: RelaySide, far: FarSide) -> None:
        """At each change: somebody else, and the bot again."""
        shown: list[str] = []

        async def show(conversation: Conversation) -> None:
            shown.append(conversation.shown["active"])

        side.relay.on_shown = show
        await side.start()
        assert shown[0] == "waiting"
        await far.say("hello")
        await until(lambda: side.told() == ["hello"])
        await far.end()
        await until(lambda: shown[-1] == "bot")

    async def test_words_survive_a_cut(self, side: RelaySide, far: FarSide) -> None:
        """What is said while the connection is away arrives in order, and so does what comes after."""
        await side.start()
        await side.says("before")
        await until(lambda: _is(far, ["before"]))
        await asyncio.gather(far.cut(), side.says("meanwhile"))
        await side.says("after")
        await until(lambda: _has_all(far, ["before", "meanwhile", "after"]))
        await far.say("still here")
        await until(lambda: side.told() == ["still here"])

    async def test_a_restart_of_the_relay_goes_on(self, far: FarSide, settings: Settings) -> None:
        """Another process on the same store talks to the same agent."""
        async with meeting(far, settings) as side:
            await side.start()
            await side.says("one")
            await until(lambda: _is(far, ["one"]))
        async with meeting(far, settings) as side:
            assert side.relay.desk_active("thabo")
            await side.says("two")
            await until(lambda: _is(far, ["one", "two"]))
            await far.say("welcome back")
            await until(lambda: side.told() == ["welcome back"])

    async def test_the_customer_may_leave(self, side: RelaySide, far: FarSide) -> None:
        """And may come again."""
        await side.start()
        await side.relay.apply(e.CustomerLeaving(conversation_id="thabo", id="l", text="disconnect", at=4.0))
        await until(lambda: side.relay.conversation("thabo").state is Control.BOT)
        await side.start()


def settings_for(desk: dict[str, Any], folder: Path) -> Settings:
    """HandoffChannel's settings with this desk, and a store in this folder."""
    store = f"sqlite:///{folder / 'relay.db'}"
    return read_settings({"bot_id": "b", "desk": desk, "store": store, "channels": {"rest": None}})


def meeting(far: FarSide, settings: Settings) -> RelaySide:
    """A relay with the far side's kind of desk."""
    far.near = RelaySide(far.kind, settings)
    return far.near


async def _is(far: FarSide, texts: list[str]) -> bool:
    return await far.heard() == texts


async def _has_all(far: FarSide, texts: list[str]) -> bool:
    return [text for text in await far.heard() if text in texts] == texts
