"""What every platform channel keeps, whichever vendor calls it.

Kommunicate's passes it, and LivePerson's by both its doors: ``tests/platforms/test_contract.py``. The bot is a small one of the
package's own (``rasa_handoff/testing/bot``), trained once per run.
"""

import abc
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
import pytest_asyncio

from rasa_handoff.testing.bots import trained_once
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import until
from rasa_handoff.vocabulary.values import Value

BOT = Path(__file__).parent / "bot"


class Heard(Value, frozen=True):
    """What the platform made of an answer. ``titles``: of the buttons shown. ``to``: whom the conversation was handed to, in the
    platform's own terms; None if it wasn't. ``body``: all of it."""

    texts: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    to: str | None = None
    body: Any = None


class FarPlatform(abc.ABC):
    """The vendor: calls the channel as its documents say, for as many customers as are named.

    ``channel``: what stands in ``credentials.yml``. ``refusal``: the status it understands as "I don't know you".
    """

    channel: ClassVar[str]
    refusal: ClassVar[int] = 401

    @abc.abstractmethod
    def settings(self) -> dict[str, Any]:
        """What stands under the channel's name, with a department ``billing`` and no time for messages to cross."""

    @property
    @abc.abstractmethod
    def billing(self) -> str:
        """What ``Heard.to`` is after a handoff to ``billing``."""

    @abc.abstractmethod
    def sender(self, customer: str) -> str:
        """The customer's conversation, as Rasa knows it."""

    @abc.abstractmethod
    async def says(self, url: str, http: aiohttp.ClientSession, customer: str, text: str, id: str) -> Heard:
        """The customer's message, ``id`` its own; sent again it has the same. ``url`` is Rasa's."""

    @abc.abstractmethod
    async def knocks(self, url: str, http: aiohttp.ClientSession, body: bytes, known: bool) -> int:
        """The status of a call with this body, by somebody it knows or by a stranger."""


class Customer:
    """Talks to the bot through the platform."""

    def __init__(self, far: FarPlatform, rasa: RasaServer, name: str) -> None:
        self.far, self.rasa, self.name = far, rasa, name
        self._said = 0

    async def says(self, text: str, id: str | None = None) -> Heard:
        """A message, a new one unless ``id`` names an older."""
        self._said += 1
        return await self.far.says(
            self.rasa.url, self.rasa.http, self.name, text, id or f"{self.name}-message-{self._said}"
        )

    async def tracker(self) -> dict[str, Any]:
        """Rasa's tracker of this conversation."""
        return await self.rasa.tracker(self.far.sender(self.name))

    async def words(self) -> list[str]:
        """What the bot has heard from them."""
        return [event["text"] for event in (await self.tracker())["events"] if event["event"] == "user"]


@pytest.mark.asyncio
class PlatformContract:
    """Subclass it as ``Test...`` and name your platform."""

    platform: ClassVar[type[FarPlatform]]

    @pytest.fixture
    def far(self) -> FarPlatform:
        """The vendor."""
        return self.platform()

    @pytest_asyncio.fixture
    async def rasa(
        self, far: FarPlatform, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> AsyncIterator[RasaServer]:
        """A real Rasa server with the channel."""
        model = await asyncio.to_thread(trained_once, BOT, tmp_path_factory)
        async with RasaServer(model, tmp_path, {far.channel: far.settings()}) as server:
            yield server

    @pytest.fixture
    def thabo(self, far: FarPlatform, rasa: RasaServer) -> Customer:
        """A customer."""
        return Customer(far, rasa, "thabo")

    async def test_greet_ask_hand_over_and_back(self, thabo: Customer, far: FarPlatform) -> None:
        """The story: the bot, a department, and the bot again, knowing that it is settled."""
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
        """By the intent alone, with the department as its entity."""
        for _ in range(2):
            assert (await thabo.says('/execute_handoff{"department": "billing"}')).to == far.billing
            assert (await thabo.tracker())["paused"]
            assert (await thabo.says("hello")).texts == ("Hello.",)

    async def test_a_button_shows_its_title_and_keeps_its_payload(self, thabo: Customer) -> None:
        """The customer sees no payload, and the bot hears it."""
        shown = await thabo.says("which colours do you have")
        assert "/choose_red" not in str(shown.body)  # without the slash it may be among the NLU's guesses
        assert (await thabo.says("The red one")).texts == ("Red it is.",)

    async def test_a_call_that_comes_again_has_one_turn_and_the_same_answer(self, thabo: Customer) -> None:
        """Also if it handed over."""
        for text in ("hello", "fetch somebody of billing"):
            first = await thabo.says(text, id=f"once-{text}")
            assert await thabo.says(text, id=f"once-{text}") == first
        assert (await thabo.words()).count("hello") == 1
        assert (await thabo.words()).count("fetch somebody of billing") == 1
        assert (await thabo.tracker())["paused"]

    async def test_what_is_said_at_once_is_answered_each(self, thabo: Customer) -> None:
        """Nothing lost, nothing heard twice."""
        answers = await asyncio.gather(*(thabo.says("hello", id=f"at-once-{number}") for number in range(5)))
        assert [answer.texts for answer in answers] == [("Hello.",)] * 5
        assert (await thabo.words()).count("hello") == 5

    async def test_customers_stay_apart(self, thabo: Customer, far: FarPlatform, rasa: RasaServer) -> None:
        """One is with people, the other with the bot."""
        lerato = Customer(far, rasa, "lerato")
        await thabo.says("fetch somebody of billing")
        assert (await lerato.says("hello")).texts == ("Hello.",)
        assert (await thabo.tracker())["paused"]
        assert not (await lerato.tracker())["paused"]

    async def test_a_tracker_store_that_is_away_keeps_nobody_from_people(
        self, thabo: Customer, far: FarPlatform, rasa: RasaServer
    ) -> None:
        """The bot answers and hands over; all of it is in the tracker when the store is back."""
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

        await until(is_paused)
        assert await thabo.words() == ["hello", "hello", "fetch somebody of billing"]
        assert (await thabo.says("hello")).texts == ("Hello.",)
        assert (await thabo.tracker())["slots"]["handoff_outcome"] == "resolved"

    async def test_a_stranger_is_refused_and_nothing_comes_of_it(
        self, thabo: Customer, far: FarPlatform, rasa: RasaServer
    ) -> None:
        """Whatever the body is."""
        for body in (b"{}", b"not json"):
            assert await far.knocks(rasa.url, rasa.http, body, known=False) == far.refusal
        assert await thabo.words() == []

    @pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'"text"', b"\xff\xfe"])
    async def test_what_cannot_be_read_is_refused_and_the_next_call_is_answered(
        self, thabo: Customer, far: FarPlatform, rasa: RasaServer, body: bytes
    ) -> None:
        """A 400, not a 500: nothing of ours broke."""
        assert await far.knocks(rasa.url, rasa.http, body, known=True) == 400
        assert (await thabo.says("hello")).texts == ("Hello.",)
