"""The contract of platform channels: tests that every one passes, whichever vendor calls it.

Kommunicate's passes them, and LivePerson's by a Function and by Custom Endpoint: ``tests/rasa/platforms/test_contract.py``. The
bot is a small one of this package (``rasa_handoff/testing/bot``), trained once per run.
"""

import abc
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
import pytest_asyncio

from rasa_handoff.protocol.values import Value
from rasa_handoff.testing.bots import trained_once
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually

BOT = Path(__file__).parent / "bot"


class ShownAnswer(Value, frozen=True):
    """An answer as the platform shows it.

    ``titles``: of the buttons; ``to``: who got the conversation, in the platform's terms, None if it wasn't handed over;
    ``body``: the whole answer.
    """

    texts: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    to: str | None = None
    body: Any = None


class FarPlatform(abc.ABC):
    """The vendor, which calls the channel as its documents say, for any number of customers.

    ``channel``: the channel's name in ``credentials.yml``. ``refusal``: the status for a caller that isn't authenticated.
    """

    channel: ClassVar[str]
    refusal: ClassVar[int] = 401

    @abc.abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the channel's settings, with a department ``billing``.

        ``crossing_seconds`` must be zero, so that a message right after a handoff counts as one written after it.
        """

    @property
    @abc.abstractmethod
    def billing(self) -> str:
        """The value of ``ShownAnswer.to`` after a handoff to ``billing``."""

    @abc.abstractmethod
    def sender(self, customer: str) -> str:
        """Return the id of the customer's conversation in Rasa."""

    @abc.abstractmethod
    async def says(self, url: str, http: aiohttp.ClientSession, customer: str, text: str, id: str) -> ShownAnswer:
        """Send a customer's message. A repeated one has the same ``id``. ``url`` is Rasa's."""

    @abc.abstractmethod
    async def calls_with(self, url: str, http: aiohttp.ClientSession, body: bytes, known: bool) -> int:
        """Return the status of a call with this body, by a caller that is authenticated or isn't."""


class Customer:
    """A customer who talks to the bot through the platform."""

    def __init__(self, far: FarPlatform, rasa: RasaServer, name: str) -> None:
        self.far, self.rasa, self.name = far, rasa, name
        self._said = 0

    async def says(self, text: str, id: str | None = None) -> ShownAnswer:
        """Send a message; a new one, unless ``id`` is that of an older one."""
        self._said += 1
        return await self.far.says(
            self.rasa.url, self.rasa.http, self.name, text, id or f"{self.name}-message-{self._said}"
        )

    async def tracker(self) -> dict[str, Any]:
        """Return Rasa's tracker of this conversation."""
        return await self.rasa.tracker(self.far.sender(self.name))

    async def messages(self) -> list[str]:
        """Return the customer's messages that the bot has got."""
        return [event["text"] for event in (await self.tracker())["events"] if event["event"] == "user"]


@pytest.mark.asyncio
class PlatformContract:
    """The tests. Subclass it as ``Test...`` and set ``platform``."""

    platform: ClassVar[type[FarPlatform]]

    @pytest.fixture
    def far(self) -> FarPlatform:
        """The vendor."""
        return self.platform()

    @pytest_asyncio.fixture
    async def rasa(
        self,
        far: FarPlatform,
        tmp_path: Path,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> AsyncIterator[RasaServer]:
        """A real Rasa server with the channel, in a folder of its own: its database is a file there."""
        model = await asyncio.to_thread(trained_once, BOT, tmp_path_factory)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            async with RasaServer(model, tmp_path, {far.channel: far.settings()}) as server:
                yield server

    @pytest.fixture
    def thabo(self, far: FarPlatform, rasa: RasaServer) -> Customer:
        """A customer."""
        return Customer(far, rasa, "thabo")

    async def test_greet_ask_hand_over_and_back(self, thabo: Customer, far: FarPlatform) -> None:
        """A whole handoff: the bot, a department, and the bot again, which knows that the handoff is resolved."""
        assert (await thabo.says("hello")).texts == ("Hello.",)
        assert (await thabo.says("which colours do you have")).titles == ("The red one", "The blue one")
        handed = await thabo.says("fetch somebody of billing")
        assert (handed.texts, handed.to) == (("I'll fetch somebody.",), far.billing), handed.body
        assert (await thabo.tracker())["paused"]
        assert (await thabo.says("hello")).texts == ("Hello.",)
        tracker = await thabo.tracker()
        assert not tracker["paused"]
        assert tracker["slots"]["handoff_outcome"] == "resolved"

    async def test_it_may_be_handed_over_again(self, thabo: Customer, far: FarPlatform) -> None:
        """A second handoff works, by the intent alone, with the department as its entity."""
        for _ in range(2):
            assert (await thabo.says('/execute_handoff{"department": "billing"}')).to == far.billing
            assert (await thabo.tracker())["paused"]
            assert (await thabo.says("hello")).texts == ("Hello.",)

    async def test_a_button_shows_its_title_and_keeps_its_payload(self, thabo: Customer) -> None:
        """The customer doesn't see the payload, and the bot gets it."""
        shown = await thabo.says("which colours do you have")
        assert "/choose_red" not in str(shown.body)  # without the slash it may be among the NLU's guesses
        assert (await thabo.says("The red one")).texts == ("Red it is.",)

    async def test_a_call_that_comes_again_has_one_turn_and_the_same_answer(self, thabo: Customer) -> None:
        """A repeated call gets the same answer, also if that handed over."""
        for text in ("hello", "fetch somebody of billing"):
            first = await thabo.says(text, id=f"once-{text}")
            assert await thabo.says(text, id=f"once-{text}") == first
        assert (await thabo.messages()).count("hello") == 1
        assert (await thabo.messages()).count("fetch somebody of billing") == 1
        assert (await thabo.tracker())["paused"]

    async def test_what_is_said_at_once_is_answered_each(self, thabo: Customer) -> None:
        """Messages at the same time are each answered, none twice."""
        answers = await asyncio.gather(*(thabo.says("hello", id=f"at-once-{number}") for number in range(5)))
        assert [answer.texts for answer in answers] == [("Hello.",)] * 5
        assert (await thabo.messages()).count("hello") == 5

    async def test_customers_stay_apart(self, thabo: Customer, far: FarPlatform, rasa: RasaServer) -> None:
        """One conversation is with people, another one with the bot."""
        lerato = Customer(far, rasa, "lerato")
        await thabo.says("fetch somebody of billing")
        assert (await lerato.says("hello")).texts == ("Hello.",)
        assert (await thabo.tracker())["paused"]
        assert not (await lerato.tracker())["paused"]

    async def test_a_tracker_store_that_is_away_keeps_nobody_from_people(
        self, thabo: Customer, far: FarPlatform, rasa: RasaServer
    ) -> None:
        """The bot answers and hands over without its store; everything is in the tracker once the store is back."""
        await thabo.says("hello")
        store = rasa.app.ctx.agent.tracker_store._tracker_store
        session_scope = store.session_scope

        def away() -> Any:
            raise ConnectionError("The tracker store is away.")

        store.session_scope = away
        assert (await thabo.says("hello")).texts == ("Hello.",)
        handed = await thabo.says("fetch somebody of billing")
        assert (handed.texts, handed.to) == (("I'll fetch somebody.",), far.billing), handed.body
        store.session_scope = session_scope

        async def is_paused() -> bool:
            return bool((await thabo.tracker())["paused"])

        await eventually(is_paused)
        assert await thabo.messages() == ["hello", "hello", "fetch somebody of billing"]
        assert (await thabo.says("hello")).texts == ("Hello.",)
        assert (await thabo.tracker())["slots"]["handoff_outcome"] == "resolved"

    async def test_a_stranger_is_refused_and_nothing_comes_of_it(
        self, thabo: Customer, far: FarPlatform, rasa: RasaServer
    ) -> None:
        """A caller that isn't authenticated is refused, whatever the body is."""
        for body in (b"{}", b"not json"):
            assert await far.calls_with(rasa.url, rasa.http, body, known=False) == far.refusal
        assert await thabo.messages() == []

    @pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'"text"', b"\xff\xfe"])
    async def test_what_cannot_be_read_is_refused_and_the_next_call_is_answered(
        self, thabo: Customer, far: FarPlatform, rasa: RasaServer, body: bytes
    ) -> None:
        """A body that can't be read is refused with 400."""
        assert await far.calls_with(rasa.url, rasa.http, body, known=True) == 400
        assert (await thabo.says("hello")).texts == ("Hello.",)
