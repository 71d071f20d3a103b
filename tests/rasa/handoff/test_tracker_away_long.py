"""The tracker store away for 25 s, at its default settings: at a handoff, a take, in a talk, at a resolve.

A real ``rasa run``, whose tracker store is a Postgres that is stopped, or a SQLite file that another process holds. Nothing is
missing in the tracker afterwards, and whoever does something meanwhile hears of it within two seconds.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.test_database import locked
from tests.rasa.handoff.test_tracker_away import RESOLVED, spoken
from tests.support.forked_rasa import forked_rasa
from tests.support.started_processes import Process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

AWAY_SECONDS: Final = 25.0
HEARD_WITHIN: Final = 2.0
MOMENTS: Final = ("handoff", "take", "talk", "resolve")


class Rasa(Process):
    """``rasa run`` with this tracker store."""

    def __init__(self, model: Path, folder: Path, desk_url: str, store: dict[str, Any]) -> None:
        (folder / "credentials.yml").write_text(json.dumps(credentials(desk_url, folder)))
        (folder / "endpoints.yml").write_text(json.dumps({"tracker_store": store}))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [*forked_rasa(), "run", "-m", str(model), "-p", str(port), "-i", "127.0.0.1", "--enable-api"]
        super().__init__(command, folder, up=f"{self.url}/webhooks/handoff/")

    async def tracker(self, conversation_id: str) -> dict[str, Any]:
        address = f"{self.url}/conversations/{conversation_id}/tracker?include_events=ALL"
        async with aiohttp.ClientSession() as http, http.get(address) as answer:
            return dict(await answer.json())

    async def has_its_desk(self) -> bool:
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/webhooks/handoff/") as answer:
            return (await answer.json()).get("desk") == "connected"


class Story:
    """A customer and an agent, from the first word to the bot's again; with the store away from ``moment`` on.

    ``waits``: by what was done, the seconds until it was heard.
    """

    def __init__(self, rasa: Rasa, agent: ScriptedAgent, moment: str, away: AbstractContextManager[Any]) -> None:
        self.rasa, self.agent, self.moment, self.away = rasa, agent, moment, away
        self.customer, self.other = (
            ScriptedCustomer(rasa.url, f"at-{moment}"),
            ScriptedCustomer(rasa.url, f"beside-{moment}"),
        )
        self.waits: dict[str, float] = {}
        self._store = contextlib.ExitStack()

    async def tell(self) -> None:
        """Have both talk from the first word to the last, and check the tracker."""
        async with self.customer, self.other:
            with self._store:
                await self._say_and_hear("hello", "Hello.")
                handoff_id = await self._hand_over()
                await self._talk(handoff_id)
                await self._resolve(handoff_id)
            await self._check_tracker()

    async def _hand_over(self) -> str:
        await self._take_away_at("handoff")
        await self._say_and_hear("/execute_handoff", "One moment" if self.moment == "handoff" else "number 1")
        if self.moment == "handoff":
            await self._say_and_hear("please hurry", "One moment")
            await self._bring_back()
        await self._take_away_at("take")
        async with self._timed("agent: take"):
            handoff_id = str((await self.agent.take_next())["handoff_id"])
        async with self._timed("customer: who took it"):
            await self.customer.hears("Thandi is here")
        return handoff_id

    async def _talk(self, handoff_id: str) -> None:
        await self._take_away_at("talk")
        for number in range(3):
            async with self._timed(f"agent: question {number}"):
                await self.customer.say(f"question {number}")
                await self.agent.hears("message", text=f"question {number}", handoff_id=handoff_id)
            async with self._timed(f"customer: answer {number}"):
                assert (await self.agent.say(handoff_id, f"answer {number}"))["ok"]
                await self.customer.hears(f"answer {number}")

    async def _resolve(self, handoff_id: str) -> None:
        await self._take_away_at("resolve")
        async with self._timed("agent: resolve"):
            answer = await self.agent.ask("resolve", handoff_id=handoff_id, **RESOLVED)
            assert answer["ok"], answer
        async with self._timed("customer: the end"):
            await self.customer.hears("has ended the chat")
        is_away = self.moment != "handoff"
        await self._say_and_hear("/greet", "One moment" if is_away else "Hello.")
        if is_away:
            await self._bring_back()
            await eventually(lambda: self.customer.texts.count("Hello.") == 2, seconds=30)

    async def _say_and_hear(self, text: str, hears: str) -> None:
        before = self._how_often(hears)
        async with self._timed(f"customer: {text}"):
            await self.customer.say(text)
            await eventually(lambda: self._how_often(hears) > before, what=f"{hears!r} among {self.customer.texts}")

    def _how_often(self, words: str) -> int:
        return sum(words in text for text in self.customer.texts)

    async def _take_away_at(self, moment: str) -> None:
        """Take the store away if this is the moment; the bot answers its other customers all the same."""
        if moment == self.moment:
            self._store.enter_context(self.away)
            self._since = time.monotonic()
            async with self._timed("beside: the bot"):  # a customer of the bot's alone
                await self.other.say("/greet")
                await self.other.hears("Hello.")

    async def _bring_back(self) -> None:
        """Bring the store back, once it has been away for ``AWAY_SECONDS``: that long a time is what is tested."""
        await asyncio.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - self._since)))
        self._store.close()

    @contextlib.asynccontextmanager
    async def _timed(self, what: str) -> Any:
        """Keep in ``waits`` how long the block takes."""
        began = time.monotonic()
        yield
        self.waits[what] = time.monotonic() - began

    async def _check_tracker(self) -> None:
        tracker: dict[str, Any] = {}

        async def there() -> bool:
            tracker.update(await self.rasa.tracker(self.customer.session or ""))
            return sum(text == "bot: Hello." for text in spoken(tracker["events"])) == 2

        await eventually(there, seconds=30, what="the bot's last words in the tracker")
        events = tracker["events"]
        wanted = ["customer: hello", "bot: Hello.", "customer: /execute_handoff"]
        wanted += ["customer: please hurry"] if self.moment == "handoff" else []
        for number in range(3):
            wanted += [f"customer: question {number}", f"agent: answer {number}"]
        wanted += ["customer: /greet", "bot: Hello."]
        notices = ("Thandi", "number 1", "One moment", "You're back", "bot: None")  # None: a marker alone
        said = [text for text in spoken(events) if not any(words in text for words in notices)]
        assert [text for text in said if not text.startswith("customer: EXTERNAL")] == wanted
        kinds = [event["event"] for event in events if event["event"] in ("session_started", "pause", "resume")]
        assert kinds == ["session_started", "pause", "resume"]
        slots = tracker["slots"]
        assert (slots["handoff_outcome"], slots["handoff_note"], slots["plan"]) == (
            "resolved",
            "sent a new card",
            "gold",
        )
        assert not tracker["paused"]
        beside = await self.rasa.tracker(self.other.session or "")
        assert spoken(beside["events"]) == ["customer: /greet", "bot: Hello."]


@pytest.fixture(params=["postgres", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[dict[str, Any], Any]]:
    """The tracker store, and what takes it away."""
    if request.param == "sqlite":
        file = tmp_path / "tracker.db"
        yield {"type": "SQL", "dialect": "sqlite", "db": str(file)}, lambda: locked(file)
        return
    postgres = request.getfixturevalue("postgres")
    yield postgres.tracker_store(), postgres.server.stopped


async def test_away_for_25_seconds(
    store: tuple[dict[str, Any], Any], small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    settings, away = store
    waits: dict[str, float] = {}
    async with Rasa(small_model, tmp_path, desk.url, settings) as rasa:
        try:
            await eventually(rasa.has_its_desk)
            for moment in MOMENTS:
                story = Story(rasa, thandi, moment, away())
                await story.tell()
                waits |= {f"{moment}: {what}": seconds for what, seconds in story.waits.items()}
        finally:
            print(*(f"{seconds:.2f} s {what}" for what, seconds in waits.items()), sep="\n")
            print(*(line for line in rasa.said().splitlines() if "tracker store" in line), sep="\n")
        lines = [line for line in rasa.said().splitlines() if "The tracker store" in line]
    assert [("can't be reached" in line, "is back" in line) for line in lines] == [(True, False), (False, True)] * 4
    assert {what: seconds for what, seconds in waits.items() if seconds > HEARD_WITHIN} == {}
