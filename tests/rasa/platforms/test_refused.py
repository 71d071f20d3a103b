"""What Kommunicate's webhook refuses, and what is done once however often it comes."""

import asyncio
import json
import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.channel.compat.blueprints import HandoffSettingsError
from rasa_handoff.store.sqlite import Ownership
from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.platforms.kommunicate_caller import HEADER, SECRET, Kommunicate, settings
from tests.support.redis import RedisServer
from tests.support.relay_stores import relay_store


@pytest.mark.parametrize(
    ("bot", "headers", "status"),
    [
        ("shop-bot", {}, 401),
        ("shop-bot", {HEADER: "wrong"}, 401),
        ("shop-bot", {HEADER: SECRET + " "}, 200),  # HTTP trims
        ("shop-bot", {HEADER.lower(): SECRET}, 200),
        ("shop-bot", {"Authorization": "Basic 123"}, 401),
        ("other-bot", {"Authorization": "Basic 123"}, 200),
        ("other-bot", {HEADER: SECRET}, 401),
        ("unknown", {HEADER: SECRET}, 404),
        (None, {HEADER: SECRET}, 404),
    ],
)
async def test_each_bot_has_its_header(
    kommunicate: Kommunicate, caplog: pytest.LogCaptureFixture, bot: Any, headers: dict[str, str], status: int
) -> None:
    with caplog.at_level(logging.WARNING):
        answered, _ = await kommunicate.post(kommunicate.body("hello", botId=bot), headers)
    assert answered == status
    assert len(await kommunicate.user_events()) == (status == 200)
    assert SECRET not in caplog.text
    if status != 200:
        assert f"refused with {status}" in caplog.text


async def test_unknown_fields_are_kept(kommunicate: Kommunicate) -> None:
    await kommunicate.say("hello", somethingNew={"a": 1}, metadata={"more": [2]})
    kept = (await kommunicate.user_events())[0]["metadata"]["kommunicate"]
    assert (kept["somethingNew"], kept["metadata"]) == ({"a": 1}, {"more": [2]})


async def test_odd_characters_are_no_trouble(kommunicate: Kommunicate) -> None:
    odd = "4711\\ud800\\u0000"
    asked = (
        json.dumps(kommunicate.body("hello", groupId="G"))
        .replace('"hello"', f'"hello{odd}"')
        .replace('"G"', f'"{odd}"')
    )
    status, answer = await kommunicate.post(asked.encode())
    assert status == 200, answer


async def test_a_message_that_comes_again_has_the_same_answer_and_one_turn(kommunicate: Kommunicate) -> None:
    asked = kommunicate.body("/suggest")
    first, second = await asyncio.gather(kommunicate.call(asked), kommunicate.call(asked))
    assert first == second == await kommunicate.call(asked)
    assert len(await kommunicate.user_events()) == 1


async def test_the_handoff_that_comes_again_stays_one(kommunicate: Kommunicate) -> None:
    asked = kommunicate.body("/give_up")
    assert await kommunicate.call(asked) == await kommunicate.call(asked)
    events = await kommunicate.rasa.events("4711")
    assert [event["event"] for event in events].count("pause") == 1
    assert (await kommunicate.rasa.tracker("4711"))["paused"]


async def test_another_process_gives_a_repeated_message_the_same_answer(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings()) as rasa:
        before, other = Kommunicate(rasa), Kommunicate(rasa, 4712)
        offer = other.will_say({"custom": {"handoff_options": {"priority": "urgent", "reason": "stolen card"}}})
        bodies = [before.body("/suggest"), before.body("/give_up"), other.body(offer), other.body("Billing")]
        answers = [await before.call(asked) for asked in bodies]
        about = {"reason": "stolen card", "priority": "urgent"}
        assert answers[-1][-1]["metadata"]["KM_CHAT_CONTEXT"] == {"handoff": about}
    async with RasaServer(platform_model, tmp_path, settings()) as rasa:
        after = Kommunicate(rasa)
        assert [await after.call(asked) for asked in bodies] == answers
        assert len(await after.user_events()) == 2
        assert (await rasa.tracker("4711"))["paused"]
        assert await after.texts("hello") == ["Hello."], "the bot has it again"
        again = await after.call(bodies[1])
        assert "KM_ASSIGN_TO" not in str(again), "that handoff is over"
        assert not (await rasa.tracker("4711"))["paused"]


async def test_a_bot_that_fails_answers_500(kommunicate: Kommunicate, caplog: pytest.LogCaptureFixture) -> None:
    """Kommunicate then passes the conversation to people."""
    agent, kommunicate.rasa.app.ctx.agent = kommunicate.rasa.app.ctx.agent, None
    asked = kommunicate.body("hello")
    assert (await kommunicate.post(asked))[0] == 500
    assert "No model is loaded yet" in caplog.text
    kommunicate.rasa.app.ctx.agent = agent
    assert await kommunicate.call(asked) == [{"message": "Hello."}], "nothing was done, so it may be done now"


BOT = {"shop-bot": {"header": HEADER, "secret": SECRET}}
MISTAKES: dict[str, tuple[Any, str]] = {
    "nothing": (None, "needs settings: write at least bots"),
    "no bots": ({"welcome": "greet"}, "needs the setting 'bots': write 'bots: {my-bot-id:"),
    "empty bots": ({"bots": {}}, "no bot stands under 'bots'"),
    "a wrong key": ({"bots": BOT, "welcom": "greet"}, "has no setting 'welcom': did you mean 'welcome'?"),
    "no secret": ({"bots": {"b": {"header": HEADER}}}, "needs the setting 'bots.b.secret'"),
    "an unset variable": ({"bots": {"b": {"header": HEADER, "secret": "${KEY}"}}}, "bots.b.secret is empty"),
    "a list": ({"bots": ["b"]}, "'bots' must be a mapping, not a list."),
    "a team that is none": ({"bots": BOT, "departments": {"d": {"teem": 1}}}, "did you mean 'departments.d.team'?"),
    "too long": ({"bots": BOT, "answer_seconds": 40}, "the platform waits 30"),
    "no bytes": ({"bots": BOT, "body_limit": 0}, "body_limit is 0"),
    "a database that isn't one": ({"bots": BOT, "database": "handoff.db"}, "write sqlite:///handoff-platform.db, or"),
    "a database of another kind": ({"bots": BOT, "database": "mysql://u:s3cret@h/x"}, "database begins with 'mysql'"),
    "a database without a port": (
        {"bots": BOT, "database": "postgresql://u:s3cret@h:port/x"},
        "database: The database URL 'postgresql://***@h:port/x' can't be used",
    ),
    "a file in no folder": ({"bots": BOT, "database": "sqlite:///nowhere/x.db"}, "can't be opened"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_settings_is_one_sentence(name: str) -> None:
    from rasa_handoff import KommunicateChannel

    data, sentence = MISTAKES[name]
    with pytest.raises(HandoffSettingsError) as problem:
        KommunicateChannel.from_credentials(data)
    assert str(problem.value).startswith("rasa_handoff.KommunicateChannel")
    assert sentence in str(problem.value)
    assert "s3cret" not in str(problem.value)


def test_a_file_is_for_one_worker_and_one_side(monkeypatch: pytest.MonkeyPatch) -> None:
    from rasa_handoff import KommunicateChannel

    monkeypatch.setenv("SANIC_WORKERS", "2")
    with pytest.raises(HandoffSettingsError, match=r"SANIC_WORKERS is 2, .* set 'database' to a Postgres"):
        KommunicateChannel.from_credentials({"bots": BOT})
    monkeypatch.delenv("SANIC_WORKERS")
    relay_store("sqlite:///relay.db").prepare()
    with pytest.raises(HandoffSettingsError, match="belongs to the relay, not to the platform"):
        KommunicateChannel.from_credentials({"bots": BOT, "database": "sqlite:///relay.db"})
    with ExitStack() as held:
        ownership = Ownership("sqlite:///handoff-platform.db")
        ownership.take()
        held.callback(ownership.leave)
        with pytest.raises(HandoffSettingsError, match=r"database: .* is in use by another process"):
            KommunicateChannel.from_credentials({"bots": BOT})


@pytest.mark.sqlite
async def test_a_lock_store_for_several_servers_wants_a_database_for_them(
    platform_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer() as redis:
        endpoints = {"lock_store": {"type": "redis", "url": "127.0.0.1", "port": redis.port}}
        async with RasaServer(platform_model, tmp_path, settings(), endpoints):
            assert "but the database of kommunicate serves one: set 'database' to a Postgres" in caplog.text


def test_a_quoted_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rasa fills in plain ones alone, and in a line with braces they must be quoted."""
    from rasa_handoff import KommunicateChannel

    monkeypatch.setenv("KOMMUNICATE_KEY", "pa$$word")
    bots = {"shop-bot": {"header": HEADER, "secret": "${KOMMUNICATE_KEY}"}}
    channel = KommunicateChannel.from_credentials({"bots": bots})
    assert channel.settings.bots["shop-bot"].secret == "pa$$word"  # type: ignore[attr-defined]
