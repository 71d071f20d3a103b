"""Attacks on the hosted socketio of Rasa's server, those of ``tests/support/attacks.py``: pages and other channels go on."""

import asyncio
import contextlib
import io
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from rasa_handoff.guard.buckets import Buckets
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.slowness import slowness
from rasa_handoff.testing.waiting import eventually
from tests.support import attacks
from tests.support.attacks import stranger

pytestmark = pytest.mark.asyncio(loop_scope="package")

CHANNELS = {"socketio": {"session_persistence": True, "jwt_key": "a key of at least thirty-two bytes"}, "rest": None}


@contextlib.asynccontextmanager
async def goes_on(server: RasaServer) -> AsyncIterator[None]:
    """Have a customer connected before, who is answered by the bot after."""
    async with ScriptedCustomer(server.url, uuid.uuid4().hex) as page:
        yield
        await page.say("hello")
        await page.hears("Hello.")


async def test_reserved_events_reach_no_handler(rasa: RasaServer) -> None:
    counted = rasa.channel.guard.refusals.counted  # the log leaves out what one address repeats
    before = counted.get("reserved", 0)
    async with goes_on(rasa), stranger(rasa.url) as attacker:
        await attacker.join()
        for name in attacks.RESERVED:
            await attacker.send(f'427["{name}",{{}},{{"token":"x"}}]')
        await attacker.send('42["session_request",{"session_id":"still-heard"}]')
        assert "still-heard" in await attacker.hears("42")
    assert counted["reserved"] - before == len(attacks.RESERVED)


async def test_packets_that_no_client_sends_end_their_socket(
    rasa: RasaServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with goes_on(rasa):
        for attack in attacks.BINARY + attacks.UNFIT:
            async with stranger(rasa.url) as attacker:
                await attacker.join()
                await attacker.send(attack)
                await attacker.ended()
            sid = await attacks.polling(rasa.url)
            assert await attacks.post(rasa.url, sid, "40") == 200
            status = await attacks.post(rasa.url, sid, attack)
            assert (status, await attacks.post(rasa.url, sid, "3")) in ((400, 400), (200, 400)), attack[:40]
        async with stranger(rasa.url) as attacker:
            await attacker.ws.send_bytes(b"x" * 1_000)
            await attacker.ended()
    assert not [record for record in caplog.records if record.exc_info]


async def test_long_bodies_and_messages_are_not_read(rasa: RasaServer) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"4" * 1_000_000

    began = time.monotonic()
    async with goes_on(rasa):
        for body in (b"4" * 40_000_000, pieces()):
            sid = await attacks.polling(rasa.url)
            assert await attacks.post(rasa.url, sid, body) in (0, 413)
            assert (await attacks.get(rasa.url, f"EIO=4&transport=polling&sid={sid}"))[0] == 400
        async with stranger(rasa.url) as attacker:
            await attacker.send('42["a","' + "x" * 2_000_000 + '"]')
            await attacker.ended()
    assert time.monotonic() - began < 6 * slowness()


async def test_long_bodies_to_a_webhook_are_not_read(rasa: RasaServer) -> None:
    """Announced or in pieces; Sanic itself takes 100 MB."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(60):
            yield b" " * 1_000_000

    refusals = rasa.channel.guard.refusals.counted
    before, address = refusals.get("http 413", 0), f"{rasa.url}/webhooks/rest/webhook"
    for body in (io.BytesIO(b" " * 6_000_000), pieces()):
        try:
            async with aiohttp.ClientSession() as http, http.post(address, data=body) as answer:
                assert answer.status == 413
        except (aiohttp.ClientError, ConnectionError):
            pass  # cut off while it was still sending
    assert refusals.get("http 413", 0) == before + 2
    assert await rasa.texts("hello") == ["Hello."]
    allowed = json.dumps({"sender": "long", "message": "hello", "metadata": {"a": "x" * 4_000_000}}).encode()
    headers = {"Content-Type": "application/json"}
    async with rasa.http.post(address, data=io.BytesIO(allowed), headers=headers) as answer:
        assert [one["text"] for one in await answer.json()] == ["Hello."]


@pytest.mark.parametrize(
    "query", ["EIO=4&transport=polling&j=0", "EIO=3&transport=polling", "EIO=4&transport=polling&sid=a%0A"]
)
async def test_requests_that_no_client_makes_are_refused(rasa: RasaServer, query: str) -> None:
    status, body, headers = await attacks.get(rasa.url, query)
    assert (status, "___eio" in body) == (400, False)
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


async def test_answers_say_that_they_are_not_kept(rasa: RasaServer) -> None:
    _, _, headers = await attacks.get(rasa.url, "EIO=4&transport=polling")
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


async def test_compression_is_not_negotiated(rasa: RasaServer) -> None:
    async with stranger(rasa.url, compress=15) as attacker:
        assert not attacker.ws.compress


async def test_a_flood_of_one_page_is_slowed_down_and_holds_up_nobody_else(rasa: RasaServer) -> None:
    counted = rasa.channel.guard.refusals.counted
    before = counted.get("rate", 0)
    async with goes_on(rasa), stranger(rasa.url) as attacker:
        await attacker.join()
        said = json.dumps(["typing", {"session_id": "flood", "on": True}])
        for _ in range(3_000):
            await attacker.send("42" + said)
        await eventually(lambda: counted.get("rate", 0) > before, what="the page is slowed down")


async def test_sockets_of_one_conversation_share_its_rate(rasa: RasaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is slow enough for itself; what they say together is taken as fast as one conversation may be, and nothing is lost."""
    session, other = uuid.uuid4().hex, uuid.uuid4().hex
    monkeypatch.setattr(rasa.channel.guard, "conversations", Buckets(4, 1))
    async with contextlib.AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(ScriptedCustomer(rasa.url, session, acks=True)) for _ in range(4)]
        quiet = await stack.enter_async_context(ScriptedCustomer(rasa.url, other, acks=True))
        began = time.monotonic()
        said = asyncio.gather(*(page.say_with_id("hello") for page in pages for _ in range(3)))
        assert await quiet.say_with_id("hello") == {"ok": True}
        assert not said.done()
        assert await said == [{"ok": True}] * 12
        assert time.monotonic() - began > 0.9
    users = [event for event in await rasa.events(session) if event["event"] == "user"]
    assert len(users) == 12


async def test_slow_heads_and_sockets_that_join_nothing_are_ended_and_rest_goes_on(
    serve: Callable[..., RasaServer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server = serve(CHANNELS, bot_id="guarded")
    settings = server.credentials["rasa_handoff.HandoffChannel"]
    settings["limits"] = {"head_seconds": 0.5, "join_seconds": 0.5, "body_seconds": 0.5, "connections_per_address": 12}
    async with server:
        kept = await attacks.connect(server.url)  # for more requests, such as a vendor's
        assert await kept.ask("/") == 200
        sid = await attacks.polling(server.url)
        body = await attacks.connect(server.url)
        head = (
            f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n42"
        )
        await body.send(head.encode())
        assert b"413" in await body.answer()
        raws = [await attacks.connect(server.url) for _ in range(3)]
        await raws[0].send(b"GET / HT")
        async with stranger(server.url) as attacker:
            await attacker.send("40/nowhere,")
            await attacker.ended()
        for raw in raws:
            await raw.answer()
        assert await kept.ask("/") == 200
        await kept.close()
        raws += [await attacks.connect(server.url) for _ in range(30)]
        assert await server.texts("hello") == ["Hello."]
        for auth in ('"x"', "[1]", "5", "true", '{"token":5}', '{"token":"x"}', '{"token":{}}', ""):
            async with stranger(server.url) as attacker:
                await attacker.send("40" + auth)
                await attacker.send('42["session_request",{"session_id":"stolen"}]')
                await attacker.never_hears("42")
        for raw in [body, *raws]:
            await raw.close()
        connections = server.channel.guard.connections
        await eventually(lambda: len(connections) <= 12)
    assert "head didn't come" in caplog.text
