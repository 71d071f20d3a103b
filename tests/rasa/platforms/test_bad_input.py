"""Bad input at both webhooks: the status, a line of evidence without secrets or words, nothing done, and the next call works."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rasa_handoff.platforms.base import NOT_TRUSTED
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.platforms.kommunicate_caller import HEADER, SECRET, Account, Kommunicate, account_header, settings

TOKEN = "a token nobody guesses"
WORDS = "my card is 4111"
WRONG = "Basic d3Jvbmc="


class Bad(NamedTuple):
    """A request: its body, its headers (None: the right ones), the status it gets, and what the log says."""

    body: Any
    headers: dict[str, str] | None
    status: int
    evidence: str


BOT: dict[str, Any] = {"botId": "shop-bot", "groupId": 4711, "key": "k", "message": WORDS}
SEEN: dict[str, Any] = {"key": "k", "from": "thandi@example.com", "groupId": 4711, "message": WORDS}
LARGE = {"message": WORDS + "x" * 1_000_000}

REFUSED: dict[str, dict[str, Bad]] = {
    "webhook": {
        "no header": Bad(BOT, {}, 401, f"none of the headers Authorization, {HEADER}"),
        "a wrong header": Bad(BOT, {HEADER: WRONG}, 401, f"a wrong value in {HEADER}"),
        "another bot's header": Bad(BOT, {"Authorization": "Basic 123"}, 401, "another bot's header"),
        "the account's header": Bad(BOT, account_header(TOKEN), 401, "none of the headers"),
        "an unknown bot": Bad({**BOT, "botId": "x"}, None, 404, "botId is 'x'"),
        "a bot that is none": Bad({**BOT, "botId": ["shop-bot"]}, None, 404, "botId is"),
        "no JSON": Bad(
            b'{"botId": "shop-bot", "message": "my card is 4111', None, 400, "not JSON: Unterminated string"
        ),
        "nothing": Bad(b"", None, 400, "The body of 0 bytes is not JSON"),
        "no UTF-8": Bad(b'{"botId": "\xff"}', None, 400, "not JSON: it isn't UTF-8"),
        "nested": Bad(b"[" * 100_000, None, 400, "nested too deeply"),
        "a long number": Bad(
            b'{"botId": %s}' % (b"1" * 5000), None, 400, "not JSON: it has a number with too many digits"
        ),
        "a list": Bad([BOT], None, 400, "a JSON list"),
        "no conversation": Bad({**BOT, "groupId": None}, None, 400, "groupId is missing"),
        "a conversation that is none": Bad({**BOT, "groupId": {"id": 1}}, None, 400, "groupId is missing"),
        "a conversation too long": Bad({**BOT, "groupId": "1" * 300}, None, 400, "groupId is missing"),
        "too large": Bad({**BOT, **LARGE}, None, 413, "body_limit is 1000000"),
    },
    "account": {
        "no header": Bad(SEEN, {}, 401, "neither of the headers Authentication or Authorization"),
        "a wrong header": Bad(SEEN, {"Authentication": WRONG}, 401, "a wrong value in the header Authentication"),
        "another scheme": Bad(SEEN, {"Authentication": f"Bearer {TOKEN}"}, 401, "a wrong value"),
        "the token itself": Bad(SEEN, {"Authentication": f"Basic {TOKEN}"}, 401, "a wrong value"),
        "a bot's header": Bad(SEEN, {HEADER: SECRET}, 401, "neither of the headers"),
        "no JSON": Bad(b'{"key": "k", "message": "my card is 4111', None, 400, "not JSON: Unterminated string"),
        "nothing": Bad(b"", None, 400, "The body of 0 bytes is not JSON"),
        "no UTF-8": Bad(b'{"key": "\xff"}', None, 400, "not JSON: it isn't UTF-8"),
        "nested": Bad(b"[" * 100_000, None, 400, "nested too deeply"),
        "a list": Bad([SEEN], None, 400, "a JSON list"),
        "no conversation": Bad({**SEEN, "groupId": None}, None, 400, "groupId is missing"),
        "no key": Bad({**SEEN, "key": {}}, None, 400, "key is missing"),
        "too large": Bad({**SEEN, **LARGE}, None, 413, "body_limit is 1000000"),
    },
}


@pytest.fixture
async def rasa(platform_model: Path, tmp_path: Path) -> AsyncIterator[RasaServer]:
    async with RasaServer(platform_model, tmp_path, settings(account_token=TOKEN)) as server:
        yield server


@pytest.fixture
def account(rasa: RasaServer) -> Account:
    return Account(rasa, TOKEN)


@pytest.mark.parametrize("endpoint", REFUSED)
async def test_what_is_refused_is_said_and_does_nothing(
    kommunicate: Kommunicate, account: Account, caplog: pytest.LogCaptureFixture, endpoint: str
) -> None:
    """One server for all cases of a webhook: none may harm the next."""
    await kommunicate.say("/give_up")
    before = await kommunicate.rasa.events("4711")
    for name, bad in REFUSED[endpoint].items():
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            status, answer = await (kommunicate if endpoint == "webhook" else account).post(bad.body, bad.headers)
        assert (name, status) == (name, bad.status)
        assert bad.evidence in caplog.text, name
        assert answer["error"] == NOT_TRUSTED if status == 401 else bad.evidence in answer["error"], name
        for secret in ("4111", SECRET, TOKEN, account_header(TOKEN)["Authentication"], WRONG):
            assert secret not in caplog.text + str(answer), name
    assert await kommunicate.rasa.events("4711") == before
    await account.tell(account.body("Good morning"))
    assert await kommunicate.texts("hello") == ["Hello."]


TAKEN: dict[str, dict[str, Any]] = {
    "unknown fields": {"somethingNew": {"a": [1]}, "metadata": {"more": None}},
    "metadata that is none": {"metadata": 7},
    "metadata that is broken": {"metadata": '{"KM_STATUS": '},
    "an unknown event": {"eventName": "NOBODY_KNOWS"},
    "an event that is none": {"eventName": {"a": 1}},
    "an unknown status": {"metadata": {"KM_CHAT_CONTEXT": [], "attachments": "x"}},
    "a kind that is none": {"contentType": [], "timeStamp": "yesterday", "createdAt": {}},
    "a file that is none": {"file": ["x"], "attachments": [7]},
    "a time out of reach": {"timeStamp": 10**30},
}


@pytest.mark.parametrize("name", TAKEN)
async def test_what_is_odd_is_taken(kommunicate: Kommunicate, account: Account, name: str) -> None:
    assert await kommunicate.texts("hello", **TAKEN[name]) == ["Hello."]
    await account.tell({**account.body("Good morning"), **TAKEN[name]})
    said = [event for event in await kommunicate.rasa.events("4711") if event["event"] == "agent"]
    assert [event["text"] for event in said] == ["Good morning"]


async def test_odd_characters_are_no_trouble_to_the_account(kommunicate: Kommunicate, account: Account) -> None:
    await kommunicate.say("/give_up")
    body = b'{"key": "k\\ud800", "groupId": "4711", "from": "a\\u0000b", "message": "Hi\\ud800\\u0000"}'
    await account.tell(body)
    assert (await kommunicate.rasa.events("4711"))[-1]["text"] == "Hi\ufffd"


async def test_a_call_that_could_not_be_noted_answers_500_and_may_come_again(
    kommunicate: Kommunicate, account: Account, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kommunicate.say("/give_up")
    call = account.body(WORDS)
    with monkeypatch.context() as while_there_is_no_model:
        while_there_is_no_model.setattr("rasa_handoff.platforms.kommunicate.account_events.DONE_WITHIN", 0.0)
        while_there_is_no_model.setattr(kommunicate.rasa.app.ctx, "agent", None)
        assert (await account.post(call))[0] == 500
    assert f"The message {call['key']} of de650d61 isn't in the tracker." in caplog.text
    assert "4111" not in caplog.text
    await account.tell(call)
    assert [event["event"] for event in await kommunicate.rasa.events("4711")][-1] == "agent"


async def test_without_a_token_there_is_no_account_webhook(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings()) as rasa:
        answer = await rasa.http.post(f"{rasa.url}/webhooks/kommunicate/account", json=SEEN)
        assert answer.status == 404
        answer.release()


async def test_a_late_call_that_comes_again_is_answered_once_and_whole(
    platform_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with RasaServer(platform_model, tmp_path, settings(answer_seconds=1.0)) as rasa:
        kommunicate = Kommunicate(rasa)
        asked = kommunicate.body(f"/greet {WORDS}")
        async with rasa.app.ctx.agent.lock_store.lock("4711"):
            assert await asyncio.gather(kommunicate.call(asked), kommunicate.call(asked)) == [[], []]
        await eventually(lambda: not rasa.channel._answering.work._under_way)
        assert f"The answer to {asked['key']} of de650d61 isn't complete after 1.0 s" in caplog.text
        assert "4111" not in caplog.text
        replies = [*await kommunicate.texts("/welcome"), *await kommunicate.texts("/welcome")]
        assert replies.count("Welcome.") == 2
        assert len(replies) == 3, "what came late is said once"
        assert len(await kommunicate.user_events()) == 3
