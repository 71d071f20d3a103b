"""What LivePersonChannel refuses, and what is done once however often it comes."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from rasa_handoff.channel.compat.blueprints import HandoffSettingsError
from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.platforms.liveperson.liveperson_caller import (
    ACCOUNT,
    HEADER,
    SECRET,
    LivePerson,
    public_key,
    settings,
    text_event,
    token,
)


@pytest.mark.parametrize(
    ("headers", "status", "caller"),
    [
        ({}, 401, None),
        ({HEADER: "wrong"}, 401, None),
        ({HEADER: SECRET + " "}, 200, "shop"),  # HTTP trims
        ({HEADER.lower(): SECRET}, 200, "shop"),
        ({"Authorization": "Basic 123"}, 200, "other"),
        ({"Authorization": f"Basic {SECRET}"}, 401, None),
    ],
)
async def test_each_function_has_its_header(
    liveperson: LivePerson, caplog: pytest.LogCaptureFixture, headers: dict[str, str], status: int, caller: str | None
) -> None:
    assert (await liveperson.post(liveperson.payload("hello"), headers))[0] == status
    callers = [event["metadata"]["liveperson"]["caller"] for event in await liveperson.user_events()]
    assert callers == ([caller] if caller else [])
    assert SECRET not in caplog.text
    assert ("refused with 401" in caplog.text) == (status == 401)


PATH = "/v1/bots/shop-bot/environments/draft/state"
TOKENS: dict[str, tuple[str, str, int]] = {
    "a good one": (PATH, f"Bearer {token()}", 200),
    "in small letters": (PATH, f"bearer {token()}", 200),
    "none": (PATH, "", 401),
    "another kind": (PATH, "Basic 123", 401),
    "no token": (PATH, "Bearer", 401),
    "nonsense": (PATH, "Bearer abc.def.ghi", 401),
    "another's signature": (PATH, f"Bearer {token('somebody')}", 401),
    "expired": (PATH, f"Bearer {token(exp=time.time() - 60)}", 401),
    "that never ends": (PATH, f"Bearer {token(exp=None)}", 401),
    "another account": (PATH, f"Bearer {token(aud='999')}", 401),
    "no account": (PATH, f"Bearer {token(aud=None)}", 401),
    "any account, where there is no audience": (PATH.replace("shop", "open"), f"Bearer {token(aud='999')}", 200),
    "another issuer": (PATH, f"Bearer {token(iss='me')}", 401),
    "another scope": (PATH, f"Bearer {token(scope='reports')}", 401),
    "several scopes": (PATH, f"Bearer {token(scope='a thirdpartybots.customendpoint.bot')}", 200),
    "signed with the public key": (PATH, f"Bearer {jwt.encode({'aud': ACCOUNT}, 'x' * 32, algorithm='HS256')}", 401),
    "not signed": (PATH, f"Bearer {jwt.encode({'aud': ACCOUNT}, None, algorithm='none')}", 401),
    "an unknown bot": ("/v1/bots/moon-bot/environments", f"Bearer {token()}", 404),
    "an unknown bot without a token": ("/v1/bots/moon-bot/environments", "", 401),
    "an unknown environment": (PATH.replace("draft", "beta"), f"Bearer {token()}", 404),
}


@pytest.mark.timeout(60)
async def test_tokens(liveperson: LivePerson, caplog: pytest.LogCaptureFixture) -> None:
    differing = {"Authorization": f"Bearer {token(exp=time.time() - 5)}"}
    assert (await liveperson.request("GET", PATH, headers=differing))[0] == 200, "clocks may differ a little"
    found = {}
    for name, (path, authorization, _) in TOKENS.items():
        head = {"Authorization": authorization} if authorization else {}
        found[name] = (await liveperson.request("GET", path, headers=head))[0]
    assert found == {name: status for name, (_, _, status) in TOKENS.items()}
    assert "ExpiredSignatureError" in caplog.text
    assert all(
        authorization.split()[-1] not in caplog.text for _, authorization, _ in TOKENS.values() if "." in authorization
    )


async def test_a_key_that_is_being_changed(platform_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "new.pem"
    path.write_text(public_key("new"))
    endpoint = {"public_key": [public_key().replace("\n", "\\n"), str(path)], "bots": {"shop-bot": {"audience": "any"}}}
    async with RasaServer(platform_model, tmp_path, settings(endpoint=endpoint)) as rasa:
        liveperson = LivePerson(rasa)
        for key, status in (("sentinel", 200), ("new", 200), ("somebody", 401)):
            head = {"Authorization": f"Bearer {token(key)}"}
            assert (await liveperson.request("GET", PATH, headers=head))[0] == status


DEEP = b"[" * 100_000
BODIES: dict[str, tuple[Any, int, str]] = {
    "no JSON": (b'{"convId": "c-1", "message": "my card is 4111', 400, "not JSON"),
    "no UTF-8": (b'{"convId": "\xff"}', 400, "not JSON"),
    "nested": (DEEP, 400, "nested too deeply"),
    "nothing": (b"", 400, "not JSON"),
    "null": (b"null", 400, "a JSON NoneType"),
    "a list": ([], 400, "a JSON list"),
    "no conversation": (
        {"message": "my card is 4111", "context": {"lpEvent": {"sequence": 1}}},
        400,
        "convId is missing",
    ),
    "a conversation that is none": ({"message": "4111", "convId": {"id": 1}}, 400, "convId is missing"),
    "a conversation without end": ({"message": "4111", "convId": "c" * 256}, 400, "convId is missing"),
    "too large": ({"convId": "c-1", "message": "x" * 1_000_000}, 413, "body_limit is 1000000"),
}


async def test_a_bad_body_has_its_status_and_a_line_of_evidence(
    liveperson: LivePerson, caplog: pytest.LogCaptureFixture
) -> None:
    for body, status, evidence in BODIES.values():
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert (await liveperson.post(body))[0] == status
        assert evidence in caplog.text
        assert "4111" not in caplog.text
    for name in ("no JSON", "no UTF-8", "nested", "nothing", "null", "a list", "too large"):
        body, status, _ = BODIES[name]
        assert (await liveperson.request("POST", f"{liveperson.conversation()}/events", body))[0] == status
        if name not in ("nothing", "null"):
            assert (await liveperson.request("PUT", liveperson.conversation(), body))[0] == status
    assert await liveperson.messages("hello") == ["Hello."]


@pytest.mark.parametrize(
    "more", [{"message": None}, {"message": 7}, {"context": None}, {"context": {"lpEvent": "none"}}], ids=str
)
async def test_fields_of_other_types_are_no_trouble(liveperson: LivePerson, more: dict[str, Any]) -> None:
    assert (await liveperson.post({**liveperson.payload("hello"), **more}))[0] == 200


async def test_a_message_that_comes_again_has_the_same_answer_and_one_turn(liveperson: LivePerson) -> None:
    asked = liveperson.payload("/suggest")
    first, second = await asyncio.gather(liveperson.call(asked), liveperson.call(asked))
    assert first == second == await liveperson.call(asked)
    assert len(await liveperson.user_events()) == 1


async def test_an_event_that_is_tried_again_has_the_same_answer_and_one_pause(liveperson: LivePerson) -> None:
    await liveperson.create()
    event = {"type": "TEXT", "data": {"message": "/give_up"}, "context": {"lpEvent": text_event("/give_up")}}
    answers = [await liveperson.event(event) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert [event["event"] for event in await liveperson.rasa.events("c-1")].count("pause") == 1


async def test_the_same_words_twice_are_two_messages(liveperson: LivePerson) -> None:
    assert await liveperson.messages("hello") == await liveperson.messages("hello") == ["Hello."]
    assert len(await liveperson.user_events()) == 2


async def test_another_process_gives_a_repeated_message_the_same_answer(platform_model: Path, tmp_path: Path) -> None:
    own = settings(transfer_note=True)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        before, other = LivePerson(rasa), LivePerson(rasa, "c-2")
        bodies = [before.payload(text) for text in ("/suggest", "/picture", "/give_up")]
        offer = other.will_say({"custom": {"handoff_options": {"priority": "urgent", "reason": "stolen card"}}})
        bodies += [other.payload(text) for text in (offer, "Billing")]
        answers = [await before.call(asked) for asked in bodies]
        assert answers[-1]["context"]["actionParameters"] == {"skill": "Billing now"}
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        after = LivePerson(rasa)
        assert [await after.call(asked) for asked in bodies] == answers
        assert len(await after.user_events()) == 3
        assert (await rasa.tracker("c-1"))["paused"]


async def test_a_bot_that_fails_answers_500(
    liveperson: LivePerson, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LivePerson then passes the conversation to people."""
    asked = liveperson.payload("hello")
    with monkeypatch.context() as without:
        without.setattr(liveperson.rasa.app.ctx, "agent", None)
        assert (await liveperson.post(asked))[0] == 500
    assert "No model is loaded yet" in caplog.text
    assert (await liveperson.call(asked))["messages"] == ["Hello."], "nothing was done, so it may be done now"


FUNCTIONS = {"shop": {"header": HEADER, "secret": SECRET}}
KEY = public_key()
OWN = {"skill": "human", "functions": FUNCTIONS}
BOTS = {"b": {"audience": "any"}}
MISTAKES: dict[str, tuple[Any, str]] = {
    "nothing": (None, "needs settings: write at least skill"),
    "no skill": ({"functions": FUNCTIONS}, "needs the setting 'skill': write 'skill: human_skill'"),
    "an empty skill": ({**OWN, "skill": " "}, "skill is empty"),
    "no caller": (
        {"skill": "human"},
        "has neither functions nor endpoint: write 'functions: {shop: {header: X-Handoff-Key",
    ),
    "a wrong key": ({**OWN, "welcom": "greet"}, "has no setting 'welcom': did you mean 'welcome'?"),
    "no secret": ({"skill": "human", "functions": {"f": {"header": HEADER}}}, "needs the setting 'functions.f.secret'"),
    "an unset variable": (
        {"skill": "human", "functions": {"f": {"header": HEADER, "secret": "${KEY}"}}},
        "functions.f.secret is empty",
    ),
    "a list": ({**OWN, "functions": ["f"]}, "'functions' must be a mapping, not a list."),
    "a department without a skill": ({**OWN, "departments": {"d": {}}}, "needs the setting 'departments.d.skill'"),
    "a priority that is none": ({**OWN, "departments": {"d": {"skill": "s", "priorities": {"soon": "t"}}}}, "soon"),
    "no bots": ({**OWN, "endpoint": {"public_key": KEY, "bots": {}}}, "no bot stands under 'endpoint.bots'"),
    "a bot's key": (
        {**OWN, "endpoint": {"public_key": KEY, "bots": {"b": {"audence": "1"}}}},
        "did you mean 'endpoint.bots.b.audience'?",
    ),
    "no audience": ({**OWN, "endpoint": {"public_key": KEY, "bots": {"b": {}}}}, "endpoint.bots.b has no audience"),
    "an empty audience": (
        {**OWN, "endpoint": {"public_key": KEY, "bots": {"b": {"audience": " "}}}},
        "endpoint.bots.b has no audience",
    ),
    "no key": ({**OWN, "endpoint": {"bots": BOTS}}, "needs the setting 'endpoint.public_key'"),
    "a key that is none": (
        {**OWN, "endpoint": {"public_key": "-----BEGIN X-----", "bots": BOTS}},
        "endpoint.public_key can't be read",
    ),
    "a file that isn't there": ({**OWN, "endpoint": {"public_key": "no.pem", "bots": BOTS}}, "FileNotFoundError"),
    "too long": ({**OWN, "answer_seconds": 30}, "the platform waits 30"),
    "crossing": ({**OWN, "crossing_seconds": -1}, "crossing_seconds is -1"),
    "no bytes": ({**OWN, "body_limit": 0}, "body_limit is 0"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_settings_is_one_sentence(name: str) -> None:
    from rasa_handoff import LivePersonChannel

    data, sentence = MISTAKES[name]
    with pytest.raises(HandoffSettingsError) as problem:
        LivePersonChannel.from_credentials(data)
    assert str(problem.value).startswith("rasa_handoff.LivePersonChannel")
    assert sentence in str(problem.value)


def test_a_bot_open_to_every_account_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    from rasa_handoff import LivePersonChannel

    LivePersonChannel.from_credentials({"skill": "human", "endpoint": {"public_key": KEY, "bots": BOTS}})
    assert "b takes any audience" in caplog.text
