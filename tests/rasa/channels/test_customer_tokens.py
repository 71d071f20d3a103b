"""``customer_tokens``: who knows a conversation's id and has no token for it reads nothing, says nothing and ends nothing."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_asyncio
from socketio.exceptions import ConnectionError

from rasa_handoff.guard.refusals import Refusals
from rasa_handoff.protocol.errors import StoreUnavailable
from rasa_handoff.protocol.tokens import HEADER, Issuer, make_token
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.conftest import credentials
from tests.rasa.channels.talking import resolve
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")

NEW, OLD, OTHER = "n" * 32, "o" * 32, "x" * 32
JWT_KEY = "j" * 40

Serve = Callable[..., RasaServer]


@pytest.fixture(scope="package")
def serve_with(
    small_model: Path, desk: DeskServer, vendors: Vendors, tmp_path_factory: pytest.TempPathFactory
) -> Serve:
    """Make a Rasa server with this setting; in the same folder it goes on where another one stopped."""

    def serve(setting: str, folder: Path | None = None) -> RasaServer:
        folder = folder or tmp_path_factory.mktemp("tokens")
        channels = {
            "rest": None,
            "callback": {"url": f"{vendors.url}/callback/callback"},
            "socketio": {"session_persistence": True},
            "tests.rasa.channels.own_channels.KioskInput": {
                "session_persistence": True,
                "socketio_path": "/signed.io",
                "jwt_key": JWT_KEY,
            },
        }
        settings = credentials(desk.url, folder, channels, bot_id=f"tokens-{folder.name}")
        settings["rasa_handoff.HandoffChannel"] |= {"customer_tokens": setting, "customer_token_secrets": [NEW, OLD]}
        return RasaServer(small_model, folder, settings)

    return serve


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def required(serve_with: Serve) -> AsyncIterator[RasaServer]:
    async with serve_with("required") as server:
        await eventually(lambda: server.channel.desk.connected)
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def optional(serve_with: Serve) -> AsyncIterator[RasaServer]:
    async with serve_with("optional") as server:
        await eventually(lambda: server.channel.desk.connected)
        yield server


def token(server: RasaServer, session: str, expires: int = 0, secret: str = NEW, bot_id: str = "") -> str:
    return make_token(secret, bot_id or server.channel.settings.bot_id, session, expires)


async def post(server: RasaServer, session: Any, text: str = "hello", channel: str = "rest", **more: Any) -> Any:
    """Say something by HTTP, and return the status of the answer and what it says."""
    headers = more.pop("headers", {})
    body = {"sender": session, "message": text, **more}
    async with server.http.post(f"{server.url}/webhooks/{channel}/webhook", json=body, headers=headers) as answer:
        found = await answer.json(content_type=None) if "json" in answer.content_type else await answer.text()
        return answer.status, found


def refusals(page: ScriptedCustomer) -> list[str]:
    return [reported["code"] for reported in page.all("session_refused")]


# A page with the backend's token


async def test_with_its_token_a_conversation_works_as_ever(
    required: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(required.url, session, token=token(required, session)) as page:
        await page.say("hello")
        await page.hears("Hello.")
        await page.say("I give up completely")
        handoff_id = (await thandi.take_next())["handoff_id"]
        await page.hears("Thandi is here")
        await page.type(True)
        await thandi.hears("typing", handoff_id=handoff_id, on=True)
        await thandi.say(handoff_id, "Are you there?", id="there")
        await page.hears("Are you there?")
        async with ScriptedCustomer(required.url, session, token=token(required, session, secret=OLD)) as second_tab:
            await second_tab.say("Yes.")
            await thandi.hears("message", handoff_id=handoff_id, text="Yes.")
            await thandi.say(handoff_id, "Both of you.")
            await page.hears("Both of you.")
            await second_tab.hears("Both of you.")
        status, _ = await post(required, session, "by rest", headers={HEADER: token(required, session)})
        assert status == 200
        await thandi.hears("message", handoff_id=handoff_id, text="by rest")
        await page.say("back on the page")
        await thandi.hears("message", handoff_id=handoff_id, text="back on the page")
        await resolve(thandi, handoff_id)
        await page.hears("back with me")


@pytest.mark.parametrize("mode", ["required", "optional"])
@pytest.mark.parametrize(
    "wrong",
    [
        "no token",
        "",
        "1.0.",
        "1.0." + "A" * 43,
        "another conversation",
        "another bot",
        "another secret",
        "expired",
        "later",
        "kind",
        "unicode",
        "\ud800",
        7,
        {"a": 1},
    ],
)
async def test_who_knows_the_id_alone_gets_nothing(
    mode: str, wrong: Any, required: RasaServer, optional: RasaServer, session: str
) -> None:
    server = {"required": required, "optional": optional}[mode]
    soon = int(time.time()) + 60
    made = {
        "another conversation": token(server, session + "x"),
        "another bot": token(server, session, bot_id="karoo"),
        "another secret": token(server, session, secret=OTHER),
        "expired": token(server, session, expires=int(time.time()) - 1),
        "later": token(server, session, expires=soon).replace(str(soon), str(soon + 9)),
        "kind": token(server, session).replace("1.", "1p.", 1),
        "unicode": token(server, session).replace("1", "１", 1),
    }
    shown = made.get(wrong, wrong) if isinstance(wrong, str) else wrong
    extra = {} if wrong == "no token" else {"token": shown}
    async with ScriptedCustomer(server.url, session, token=token(server, session)) as page:
        await page.say("hello")
        await page.hears("Hello.")
        async with ScriptedCustomer(server.url, session, **extra) as thief:
            assert refusals(thief) == ["customer_token"]
            refused = await thief.say_with_id("give me everything", id="next")
            assert refused["ok"] is False
            refused = await thief.sio.call(
                "user_uttered", {"message": "more", "session_id": session, "id": "n2", **extra}, timeout=10
            )
            assert refused["ok"] is False
            inside = {"metadata": {"handoff_token": shown}} if extra else {}
            status, answer = await post(server, session, "give me everything", **inside)
            assert (status, answer["code"]) == (403, "customer_token")
            status, _ = await post(server, session, "give me everything", channel="callback", **inside)
            assert status == 403
            assert await page.say_with_id("hello", id="next") == {"ok": True}
            await eventually(lambda: page.texts.count("Hello.") == 2)
            assert thief.texts == []
    said = [event["text"] for event in await server.events(session) if event["event"] == "user"]
    assert said == ["hello", "hello"]


async def test_a_token_is_for_one_conversation_on_one_socket(required: RasaServer, session: str) -> None:
    other = uuid.uuid4().hex
    async with ScriptedCustomer(required.url, session, token=token(required, session)) as page:
        await page.join(other, token=token(required, session))
        assert refusals(page) == ["customer_token"]
        page.session = other
        assert (await page.say_with_id("hello"))["code"] == "not_joined"
        page.session = session  # where it still is
        assert await page.say_with_id("hello") == {"ok": True}
        await page.join(other, token=token(required, other))
        assert await page.say_with_id("hello") == {"ok": True}


async def test_an_expired_token_ends_what_it_let_in(required: RasaServer, session: str) -> None:
    soon = int(time.time()) + 2
    async with ScriptedCustomer(required.url, session, token=token(required, session, expires=soon)) as page:
        await page.say("hello")
        await page.hears("Hello.")
        await eventually(lambda: refusals(page) == ["customer_token"])
        assert (await page.say_with_id("hello"))["code"] == "not_joined"
        assert not required.channel.channels["socketio"].connected(session)
        await page.join(session, token=token(required, session))
        assert await page.say_with_id("hello") == {"ok": True}


# A page that is given its token


@pytest.mark.parametrize("mode", ["required", "optional"])
async def test_a_new_conversation_is_given_its_token_once(
    mode: str, required: RasaServer, optional: RasaServer, session: str
) -> None:
    server = {"required": required, "optional": optional}[mode]
    async with ScriptedCustomer(server.url, session, token=None) as page:
        (given,) = page.all("customer_token")
        assert given["session_id"] == session
        assert [event for event, _ in page.received] == ["customer_token", "session_confirm"]
        await page.say("hello")
        await page.hears("Hello.")
        async with ScriptedCustomer(server.url, session, token=None) as thief:
            assert refusals(thief) == ["customer_token"]
            assert thief.all("customer_token") == []
        async with ScriptedCustomer(server.url, session, token=given["token"]) as again:
            await again.say("hello")
            await again.hears("Hello.")
    status, answer = await post(server, session, metadata={"handoff_token": None})
    assert status == 403, answer


async def test_of_several_who_ask_at_once_for_one_new_conversation_one_is_given_it(
    required: RasaServer, session: str
) -> None:
    pages = [ScriptedCustomer(required.url, uuid.uuid4().hex, token=None) for _ in range(4)]
    for page in pages:
        await page.__aenter__()
    await asyncio.gather(*(page.join(session, token=None) for page in pages))
    given = [reported for page in pages for reported in page.all("customer_token") if reported["session_id"] == session]
    assert len(given) == 1
    for page in pages:
        await page.__aexit__()


async def test_a_conversation_without_an_id_is_given_both(required: RasaServer) -> None:
    async with ScriptedCustomer(required.url, None, token=None) as page:
        (given,) = page.all("customer_token")
        assert page.all("session_confirm") == [given["session_id"]]


async def test_an_id_that_others_may_know_is_not_given_away(required: RasaServer, optional: RasaServer) -> None:
    for known in ("user-42", "thabo@example.org", "27821234567", uuid.uuid4().hex[:31], "Ü" * 32):
        async with ScriptedCustomer(required.url, known + "-required", token=None) as page:
            assert refusals(page) == ["customer_token"]
        async with ScriptedCustomer(optional.url, known, token=None) as page:
            assert page.all("customer_token") == []
            assert page.all("session_confirm") == [known]


async def test_rest_gives_the_token_with_the_first_answer(required: RasaServer, session: str) -> None:
    status, answer = await post(required, session, metadata={"handoff_token": None})
    assert status == 200
    given = answer[0]["custom"]["handoff_token"]
    assert [each.get("text") for each in answer[1:]] == ["Hello."]
    assert (await post(required, session, metadata={"handoff_token": None}))[0] == 403
    assert (await post(required, session))[0] == 403
    status, answer = await post(required, session, metadata={"handoff_token": given, "mine": 1})
    assert (status, [each.get("text") for each in answer]) == (200, ["Hello."])
    assert "handoff_token" not in str(await required.events(session))
    assert given not in str(await required.events(session))
    users = [event for event in await required.events(session) if event["event"] == "user"]
    assert users[-1]["metadata"]["mine"] == 1


async def test_a_mailbox_needs_the_token_too(required: RasaServer, session: str) -> None:
    mailbox = {"handoff_after": None, "handoff_message_id": "a"}
    assert (await post(required, session, metadata=mailbox))[0] == 403
    status, answer = await post(required, session, metadata={**mailbox, "handoff_token": token(required, session)})
    assert (status, [each["text"] for each in answer]) == (200, ["Hello."])
    assert (await post(required, session, "", metadata={"handoff_after": None}))[0] == 403


async def test_the_backend_outranks_who_came_first(required: RasaServer, session: str) -> None:
    """A stranger began the conversation of somebody whose id they knew."""
    async with ScriptedCustomer(required.url, session, token=None) as stranger:
        (given,) = stranger.all("customer_token")
        async with ScriptedCustomer(required.url, session, token=token(required, session)) as page:
            await eventually(lambda: refusals(stranger) == ["customer_token"])
            await page.say("hello")
            await page.hears("Hello.")
            assert stranger.texts == []
            assert (await stranger.say_with_id("hello"))["ok"] is False
            await stranger.join(session, token=given["token"])
            assert refusals(stranger) == ["customer_token"] * 2


# Optional


async def test_without_tokens_optional_changes_nothing(
    optional: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(optional.url, session) as page:
        await page.say("I give up completely")
        handoff_id = (await thandi.take_next())["handoff_id"]
        await page.hears("Thandi is here")
        assert (await post(optional, session, "by rest"))[0] == 200
        await thandi.hears("message", handoff_id=handoff_id, text="by rest")
        await page.say("back on the page")
        await thandi.hears("message", handoff_id=handoff_id, text="back on the page")
        await resolve(thandi, handoff_id)
        await page.hears("back with me")
        names = {event for event, _ in page.received}
        assert names == {"session_confirm", "bot_uttered", "handoff_state"}
    # It exists, so nobody is given a token for it.
    async with ScriptedCustomer(optional.url, session, token=None) as thief:
        assert thief.all("customer_token") == []


async def test_who_listened_before_the_first_token_is_out_with_it(optional: RasaServer, session: str) -> None:
    async with ScriptedCustomer(optional.url, session) as thief, ScriptedCustomer(optional.url, session) as page:
        await page.say("hello")
        await page.hears("Hello.")
        await thief.hears("Hello.")
        await page.join(session, token=token(optional, session))
        assert refusals(page) == []
        await eventually(lambda: refusals(thief) == ["customer_token"])
        await page.say("hello")
        await eventually(lambda: page.texts.count("Hello.") == 2)
        assert thief.texts == ["Hello."]
        assert (await thief.say_with_id("hello"))["ok"] is False
        assert (await post(optional, session))[0] == 403


async def test_a_token_shown_by_rest_puts_listening_pages_out(optional: RasaServer, session: str) -> None:
    async with ScriptedCustomer(optional.url, session) as thief:
        assert (await post(optional, session, headers={HEADER: token(optional, session)}))[0] == 200
        await eventually(lambda: refusals(thief) == ["customer_token"])
        assert not optional.channel.channels["socketio"].connected(session)


async def test_a_token_in_a_message_counts_as_one_in_the_request(optional: RasaServer, session: str) -> None:
    async with ScriptedCustomer(optional.url, session) as page:
        body = {"session_id": session, "message": "hello", "id": "1", "token": token(optional, session)}
        assert await page.sio.call("user_uttered", body, timeout=10) == {"ok": True}
        assert await page.say_with_id("hello") == {"ok": True}
        assert (await post(optional, session))[0] == 403


async def test_what_was_shown_outlives_a_restart_and_a_pause_of_the_setting(
    serve_with: Serve, tmp_path: Path, session: str
) -> None:
    async with serve_with("optional", tmp_path) as server:
        assert (await post(server, session, headers={HEADER: token(server, session)}))[0] == 200
    async with serve_with("off", tmp_path) as server:
        assert (await post(server, session))[0] == 200
    async with serve_with("optional", tmp_path) as server:
        assert (await post(server, session))[0] == 403
        assert (await post(server, "older"))[0] == 200
    async with serve_with("required", tmp_path) as server:
        assert (await post(server, "older"))[0] == 403


# JSON web tokens


def signed_in(subject: Any) -> dict[str, str]:
    return {"token": jwt.encode({"sub": subject} if subject else {"name": "x"}, JWT_KEY, algorithm="HS256")}


async def test_a_web_token_opens_only_its_subjects_conversations(required: RasaServer, session: str) -> None:
    thabo, thief = {"path": "signed.io", "auth": signed_in("thabo")}, {"path": "signed.io", "auth": signed_in("thief")}
    async with ScriptedCustomer(required.url, session, **thabo) as page:
        assert await page.say_with_id("hello") == {"ok": True}
        async with ScriptedCustomer(required.url, session, **thief) as other:
            assert refusals(other) == ["customer_token"]
            await other.join("thabo")
            assert refusals(other) == ["customer_token"] * 2
        async with ScriptedCustomer(required.url, session, path="signed.io", auth=signed_in(None)) as nobody:
            assert refusals(nobody) == ["customer_token"]
        async with ScriptedCustomer(required.url, session, **thabo) as again:
            assert await again.say_with_id("hello") == {"ok": True}
            await again.join("thabo")
            assert await again.say_with_id("hello") == {"ok": True}
    assert (await post(required, session))[0] == 403


async def test_of_several_web_tokens_for_one_new_conversation_one_is_let_in(optional: RasaServer, session: str) -> None:
    pages = [
        ScriptedCustomer(optional.url, uuid.uuid4().hex, path="signed.io", auth=signed_in(f"s{number}"))
        for number in range(4)
    ]
    for page in pages:
        await page.__aenter__()
    await asyncio.gather(*(page.join(session) for page in pages))
    assert sorted(len(refusals(page)) for page in pages) == [0, 1, 1, 1]
    for page in pages:
        await page.__aexit__()


# The log


async def test_who_is_refused_has_a_bounded_log_line_without_tokens_and_ids(
    required: RasaServer, session: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    refusals_now = Refusals()
    monkeypatch.setattr(required.channel.guard, "refusals", refusals_now)
    wrong, forged = token(required, session, secret=OTHER), jwt.encode({"sub": "thabo"}, "k" * 40, algorithm="HS256")
    for auth in (None, {"token": forged}):
        page = ScriptedCustomer(required.url, session, path="signed.io", auth=auth)
        with pytest.raises(ConnectionError):
            await page.__aenter__()
        await page.sio.shutdown()
    async with ScriptedCustomer(required.url, session, token=wrong) as page:
        await page.say_with_id("hello", id="m")
        assert (await post(required, session, headers={HEADER: wrong}))[0] == 403
        found = [record.getMessage() for record in caplog.records if record.name == "rasa_handoff.guard"]
        assert [line.removeprefix("Refused 127.0.0.1: ").partition(":")[0] for line in found] == [
            "a page of the channel kiosk", "a page of the channel kiosk", "a page", "a message on the channel socketio",
            "a request for a customer's conversation",
        ]  # fmt: skip
        for number in range(300):
            await page.sio.emit("user_uttered", {"message": "flood", "session_id": session, "id": str(number)})
        await page.say_with_id("hello", id="last")
        for _ in range(30):
            await post(required, session)
    assert refusals_now.counted["customer"] > 330
    assert len(caplog.records) < 30, "the rest is counted"
    assert not any(secret in caplog.text for secret in (wrong, forged, session))


# The store


async def test_while_the_store_cannot_be_asked_nobody_is_let_in(
    required: RasaServer, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> None:
        raise StoreUnavailable("locked")

    monkeypatch.setattr(required.channel.authentication._proofs, "note", fails)
    monkeypatch.setattr(required.channel.authentication._proofs, "find", fails)
    async with ScriptedCustomer(required.url, session, token=token(required, session)) as page:
        assert refusals(page) == ["unavailable"]
    assert (await post(required, session, headers={HEADER: token(required, session)}))[0] == 503
    assert (await post(required, session))[0] == 503


def test_a_channels_token_is_not_a_backends() -> None:
    assert make_token(NEW, "b", "c") != make_token(NEW, "b", "c", issuer=Issuer.CHANNEL)
