"""The contract of desks: tests that every desk adapter passes, whichever system is behind it.

Ours, Botlhale's (with their server and ours) and the Tkinter demo's pass them: ``tests/desks/test_desks.py``.
"""

import abc
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytest_asyncio

from rasa_handoff.core.control import Control, Conversation
from rasa_handoff.desks.base import Desk
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import Settings, read_settings
from rasa_handoff.protocol.values import Rating
from rasa_handoff.relay.relay import DESK
from rasa_handoff.testing.relay_side import RelaySide
from rasa_handoff.testing.waiting import eventually


class FarSide(abc.ABC):
    """The real system behind a desk adapter, and the agent who uses it.

    ``kind``: the desk adapter under test; ``near``: the relay that connects to it.
    """

    kind: ClassVar[type[Desk]]
    near: RelaySide

    @abc.abstractmethod
    async def start(self, folder: Path) -> dict[str, Any]:
        """Start the system, which may use ``folder``; return the settings under ``desk``."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Stop the system."""

    async def take(self) -> None:  # noqa: B027 - most protocols have no such step
        """Let the agent take the conversation, if the protocol has such a step."""

    @abc.abstractmethod
    async def say(self, text: str) -> None:
        """Let the agent say something."""

    @abc.abstractmethod
    async def customer_messages(self) -> list[str]:
        """Return the customer's messages since the handoff, in order, each once."""

    @abc.abstractmethod
    async def transcript(self) -> list[str]:
        """Return the messages from before the handoff, as the agent sees them."""

    @abc.abstractmethod
    async def end(self) -> None:
        """Let the agent end the conversation."""

    @abc.abstractmethod
    async def cut(self) -> None:
        """Break the connection without ending the conversation. It can be made again at once."""


@pytest.mark.asyncio
class DeskContract:
    """The tests. Subclass it as ``Test...`` and set ``far_side``."""

    far_side: ClassVar[type[FarSide]]

    def storage(self, folder: Path) -> dict[str, Any]:
        """Return HandoffChannel's settings of its store, if that is to be something else than a SQLite file in this folder."""
        return {}

    @pytest_asyncio.fixture
    async def far(self) -> AsyncIterator[FarSide]:
        """The system behind the desk."""
        side = self.far_side()
        yield side
        await side.stop()

    @pytest_asyncio.fixture
    async def settings(self, far: FarSide, tmp_path: Path) -> Settings:
        """The settings, with the far side started."""
        return settings_for(await far.start(tmp_path), tmp_path, **self.storage(tmp_path))

    @pytest_asyncio.fixture
    async def side(self, far: FarSide, settings: Settings) -> AsyncIterator[RelaySide]:
        """A relay that is connected."""
        async with relay_for(far, settings) as relay_side:
            yield relay_side

    async def test_it_gets_the_transcript(self, side: RelaySide, far: FarSide) -> None:
        """The agent gets the messages from before the handoff."""
        await side.start()
        await far.take()
        assert await eventually(far.transcript) == ["help", "how?"]

    async def test_both_talk_in_order(self, side: RelaySide, far: FarSide) -> None:
        """Ten messages each way arrive in order, each once."""
        await side.start()
        for number in range(10):
            await side.says(f"customer {number}")
        await eventually(lambda: _customer_messages_are(far, [f"customer {number}" for number in range(10)]))
        for number in range(10):
            await far.say(f"agent {number}")
        await eventually(lambda: len(side.agent_messages()) == 10)
        assert side.agent_messages() == [f"agent {number}" for number in range(10)]

    async def test_its_end_brings_the_conversation_back(self, side: RelaySide, far: FarSide) -> None:
        """The conversation returns to the bot, and the tracker gets the pause and the return."""
        await side.start()
        await far.end()
        await eventually(lambda: side.relay.conversation("thabo").state is Control.BOT)
        assert [entry.name for entry in side.tracker.entries] == ["pause", "back"]

    async def test_a_front_end_learns_who_is_active(self, side: RelaySide, far: FarSide) -> None:
        """A front end is told at each change: when people take over, and when the bot is back."""
        shown: list[str] = []

        async def show(conversation: Conversation) -> None:
            shown.append(conversation.active_party["active"])

        side.relay.on_active_changed = show
        await side.start()
        assert shown[0] == "waiting"
        await far.say("hello")
        await eventually(lambda: side.agent_messages() == ["hello"])
        await far.end()
        await eventually(lambda: shown[-1] == "bot")

    async def test_messages_survive_a_cut(self, side: RelaySide, far: FarSide) -> None:
        """Messages sent while the connection is broken arrive in order, and so do later ones."""
        await side.start()
        await side.says("before")
        await eventually(lambda: _customer_messages_are(far, ["before"]))
        await asyncio.gather(far.cut(), side.says("meanwhile"))
        await side.says("after")
        await eventually(lambda: _has_all(far, ["before", "meanwhile", "after"]))
        await far.say("still here")
        await eventually(lambda: side.agent_messages() == ["still here"])

    async def test_a_restart_of_the_relay_goes_on(self, far: FarSide, settings: Settings) -> None:
        """Another process with the same store goes on with the same agent."""
        async with relay_for(far, settings) as side:
            await side.start()
            await side.says("one")
            await eventually(lambda: _customer_messages_are(far, ["one"]))
        async with relay_for(far, settings) as side:
            assert side.relay.silences_bot("thabo")
            await side.says("two")
            await eventually(lambda: _customer_messages_are(far, ["one", "two"]))
            await far.say("welcome back")
            await eventually(lambda: side.agent_messages() == ["welcome back"])

    async def test_a_rating_holds_nothing_up(self, side: RelaySide, far: FarSide) -> None:
        """A desk without a use for what the customer thinks of a chat takes it, during the chat and afterwards."""
        await side.start()
        rated = events.CustomerRated(conversation_id="thabo", rating=Rating(score=4, comment="kind"), at=5.0)
        await side.relay.apply(rated)
        await side.says("and then?")
        await eventually(lambda: _customer_messages_are(far, ["and then?"]))
        await far.end()
        await eventually(lambda: side.relay.conversation("thabo").state is Control.BOT)
        await side.relay.apply(rated)
        await eventually(lambda: _nothing_waits(side))
        assert await side.relay.count_dead_letters() == 0

    async def test_the_customer_may_leave(self, side: RelaySide, far: FarSide) -> None:
        """The customer may leave, and ask for a person again."""
        await side.start()
        await side.relay.apply(events.CustomerLeaving(conversation_id="thabo", id="l", text="disconnect", at=4.0))
        await eventually(lambda: side.relay.conversation("thabo").state is Control.BOT)
        await side.start()


def settings_for(desk: dict[str, Any], folder: Path, **more: Any) -> Settings:
    """Return HandoffChannel's settings with this desk, and a store in this folder, unless ``more`` names another."""
    store = f"sqlite:///{folder / 'relay.db'}"
    return read_settings({"bot_id": "b", "desk": desk, "store": store, "channels": {"rest": None}, **more})


def relay_for(far: FarSide, settings: Settings) -> RelaySide:
    """Return a relay that will connect to this far side, and make it the far side's ``near``."""
    far.near = RelaySide(far.kind, settings)
    return far.near


async def _customer_messages_are(far: FarSide, texts: list[str]) -> bool:
    return await far.customer_messages() == texts


async def _nothing_waits(side: RelaySide) -> bool:
    return not await side.relay.waiting_entries(DESK, "thabo")


async def _has_all(far: FarSide, texts: list[str]) -> bool:
    return [text for text in await far.customer_messages() if text in texts] == texts
