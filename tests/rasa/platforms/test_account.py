"""The account webhook: what people say and decide, taken into Rasa's tracker."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rasa.shared.core.domain import SessionConfig

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.platforms.kommunicate_caller import Account, Kommunicate, sample, settings
from tests.rasa.platforms.rest_api import RestApi

TOKEN = "abcdef"


@pytest.fixture
async def rasa(platform_model: Path, tmp_path: Path) -> AsyncIterator[RasaServer]:
    async with RasaServer(platform_model, tmp_path, settings(account_token=TOKEN)) as server:
        yield server


@pytest.fixture
def account(rasa: RasaServer) -> Account:
    return Account(rasa)


async def live_words(rasa: RasaServer, conversation: str = "4711") -> list[tuple[str, str]]:
    """Who said what while people had it."""
    events = await rasa.events(conversation)
    return [
        (event["metadata"]["speaker"], event["text"])
        for event in events
        if (event.get("metadata") or {}).get("speaker") in ("agent", "customer")
    ]


async def test_the_documented_calls_reach_the_tracker(kommunicate: Kommunicate, account: Account) -> None:
    await kommunicate.say("/give_up")
    await account.tell(sample("account_message"))
    await account.tell(sample("account_file"))
    words = [("agent", "Good morning, how can I help?"), ("agent", "The form: [Attachment: form.pdf]")]
    assert await live_words(account.rasa) == words
    last = (await account.rasa.events("4711"))[-1]
    assert (last["event"], last["metadata"]["agent"]) == ("agent", "thandi@example.com")
    file = {"type": "application/pdf", "name": "form.pdf", "url": "https://example.com/form.pdf", "size": 28150}
    assert last["metadata"]["attachments"] == [file]
    assert last["metadata"]["at"] == 1_700_000_001
    assert last["metadata"]["handoff_id"]


async def test_both_sides_of_the_chat_once_and_in_order(kommunicate: Kommunicate, account: Account) -> None:
    await kommunicate.say("/give_up")
    calls = [
        account.body("Good morning"),
        account.body("My card is lost", sender="thabo@example.com"),
        account.body("I'll block it."),
    ]
    for call in [*calls, *calls]:
        await account.tell(call)
    words = [("agent", "Good morning"), ("customer", "My card is lost"), ("agent", "I'll block it.")]
    assert await live_words(account.rasa) == words
    assert (await account.rasa.tracker("4711"))["paused"]
    assert await kommunicate.texts("hello") == ["Hello."]


async def test_the_same_call_at_once_is_noted_once(kommunicate: Kommunicate, account: Account) -> None:
    await kommunicate.say("/give_up")
    call = account.body("Good morning")
    await asyncio.gather(*(account.tell(call) for _ in range(4)))
    assert await live_words(account.rasa) == [("agent", "Good morning")]


LEFT_OUT: dict[str, dict[str, Any]] = {
    "our bot": {"from": "shop-bot"},
    "another bot of ours": {"from": "other-bot"},
    "the platform's bot": {"from": "bot"},
    "nobody": {"from": None},
    "hidden": {"metadata": {"category": "HIDDEN"}},
    "a trigger": {"metadata": {"hide": "true"}},
    "a note of the platform": {"contentType": 10},
    "open again": {"metadata": {"KM_STATUS": "Open"}},
    "an assignment to a person": {"metadata": '{"KM_ASSIGN": "thandi@example.com"}'},
    "nothing": {"message": None},
}


@pytest.mark.parametrize("name", LEFT_OUT)
async def test_what_no_person_said_is_left_out(kommunicate: Kommunicate, account: Account, name: str) -> None:
    await kommunicate.say("/give_up")
    before = len(await account.rasa.events("4711"))
    await account.tell({**account.body("Words"), **LEFT_OUT[name]})
    assert len(await account.rasa.events("4711")) == before


async def test_other_conversations_of_the_account_leave_no_trace(account: Account) -> None:
    await account.tell(account.body("Good morning", groupId=99))
    await account.tell(account.body("Bye", groupId=99, metadata={"KM_STATUS": "Resolved"}))
    assert list(await account.rasa.app.ctx.agent.tracker_store.keys()) == []


async def test_the_customers_words_to_the_bot_are_not_doubled(kommunicate: Kommunicate, account: Account) -> None:
    asked = kommunicate.body("hello")
    await kommunicate.call(asked)
    await account.tell(account.body("hello", sender="thabo@example.com", key=asked["key"]))
    assert [event["text"] for event in await kommunicate.user_events()] == ["hello"]


async def test_the_first_words_after_the_way_back_are_the_bots_in_any_order(
    platform_model: Path, tmp_path: Path
) -> None:
    async with RasaServer(platform_model, tmp_path, settings(account_token=TOKEN, crossing_seconds=1)) as rasa:
        kommunicate, account = Kommunicate(rasa), Account(rasa)
        await kommunicate.say("/give_up")
        handed = time.time()
        await eventually(lambda: time.time() - handed > 1)
        asked = kommunicate.body("hello")
        noting = asyncio.ensure_future(
            account.tell(account.body("hello", sender="thabo@example.com", key=asked["key"]))
        )
        await eventually(lambda: rasa.channel._answering.work._under_way)
        assert await kommunicate.call(asked) == [{"message": "Hello."}]
        await noting
        assert [event["text"] for event in await kommunicate.user_events()].count("hello") == 1


async def test_words_that_crossed_the_handoff_are_not_doubled(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(account_token=TOKEN, crossing_seconds=1)) as rasa:
        kommunicate, account = Kommunicate(rasa), Account(rasa)
        await kommunicate.say("/give_up")
        asked = kommunicate.body("hello")
        assert await kommunicate.call(asked) == []
        await account.tell(account.body("hello", sender="thabo@example.com", key=asked["key"]))
        assert await live_words(rasa) == [("customer", "hello")]


async def test_the_bot_is_called_for_what_was_noted_already(kommunicate: Kommunicate, account: Account) -> None:
    asked = kommunicate.body("hello")
    await kommunicate.say("/give_up")
    await account.tell(account.body("hello", sender="thabo@example.com", key=asked["key"]))
    assert await kommunicate.call(asked) == [{"message": "Hello."}], "twice in the tracker, but not lost"


@pytest.mark.parametrize(
    ("metadata", "note"),
    [
        ({"KM_STATUS": "Resolved"}, "Card is blocked."),
        ({"KM_STATUS": "closed"}, None),
        ({"KM_ASSIGN": "shop-bot"}, None),
    ],
    ids=str,
)
async def test_the_end_resumes_it_at_once(
    kommunicate: Kommunicate, account: Account, metadata: dict[str, str], note: str | None
) -> None:
    await kommunicate.say("/give_up")
    call = account.body(note, metadata=metadata, timeStamp=int(time.time() * 1000) + 1)
    await account.tell(call)
    tracker = await account.rasa.tracker("4711")
    assert not tracker["paused"]
    assert (tracker["slots"]["handoff_outcome"], tracker["slots"]["handoff_note"]) == ("resolved", note)
    await account.tell(call)
    assert [event["event"] for event in await account.rasa.events("4711")].count("resume") == 1
    assert await kommunicate.texts("hello") == ["Hello."]


async def test_an_end_told_before_the_pause_is_not_its_end(kommunicate: Kommunicate, account: Account) -> None:
    await kommunicate.say("hello")
    before = int(time.time() * 1000) - 1
    await kommunicate.say("/give_up")
    await account.tell(account.body("", metadata={"KM_ASSIGN": "shop-bot"}, timeStamp=before))
    assert (await account.rasa.tracker("4711"))["paused"]


async def test_the_bot_speaks_first_when_it_is_given_back(platform_model: Path, tmp_path: Path, api: RestApi) -> None:
    own = settings(account_token=TOKEN, api_key="key", api_url=api.url)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        kommunicate, account = Kommunicate(rasa), Account(rasa)
        assert await kommunicate.texts("I want to move") == ["Which street?"]
        await kommunicate.say("/execute_handoff")
        rasa.app.ctx.agent.processor.domain.session_config = SessionConfig(60, True)
        await account.tell(account.body("", metadata={"KM_ASSIGN": "other-bot"}, timeStamp=None))
        assert api.said[-1] == "Which street?"
        assert api.calls[-1].body["fromUserName"] == "other-bot"
        assert await kommunicate.texts("Church Road 17") == ["Which town?"]


async def test_agents_words_leave_the_form_alone(kommunicate: Kommunicate, account: Account) -> None:
    await kommunicate.say("I want to move")
    await kommunicate.say("/execute_handoff")
    await account.tell(account.body("Street?"))
    await account.tell(account.body("It is secret", sender="thabo@example.com"))
    await account.tell(account.body("Bye", metadata={"KM_STATUS": "Resolved"}, timeStamp=None))
    assert (await account.rasa.tracker("4711"))["slots"]["street"] is None
    assert await kommunicate.texts("Church Road 17") == ["Which town?"]
