"""Attacks on the live-agent server, refused; honest clients beside them go on."""

import asyncio
import contextlib
import json
import logging
import re
import resource
import signal
import sqlite3
import time

import aiohttp
import pytest
from socketio import ASGIApp, AsyncServer

from rasa_handoff.guard.buckets import Bucket
from rasa_handoff.guard.connections import RESERVE
from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.hosts import read_hosts
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.limits import Limits
from rasa_handoff.protocol.logs import short_id
from rasa_handoff.server.accounts import add_token
from rasa_handoff.server.app import ServerSettings, create_app
from rasa_handoff.server.gateways.botlhale_gateway import BotlhaleGateway
from rasa_handoff.server.public_url import read_public_url
from rasa_handoff.server.run import running
from rasa_handoff.testing.slowness import slowness
from rasa_handoff.testing.waiting import eventually, within
from tests.server.peers import Relay, agent_at
from tests.server.served_processes import address_in, serve_in_process
from tests.support import attacks
from tests.support.attacks import stranger


@pytest.fixture
def lines(caplog):
    """``lines()``: the guard's log lines so far."""
    caplog.set_level(logging.WARNING, logger="rasa_handoff.guard")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "rasa_handoff.guard"]


@pytest.fixture
def limited(database):
    """``async with limited(connections=5) as address``: a server with these limits."""

    def serve(**limits):
        return running(create_app(database, ServerSettings(limits=Limits(**limits))))

    return serve


async def test_reserved_events_reach_no_handler(server, relay, lines):
    karoo = await relay()
    async with stranger(server.address) as attacker:
        await attacker.join("/live_agent")
        for name in attacks.RESERVED:
            await attacker.send(f'42/live_agent,7["{name}",{{"REMOTE_ADDR":"127.0.0.1"}},{{"token":"x"}}]')
        await attacker.send('42/live_agent,8["username",{"ConversationID":"c","BotID":"b"}]')
        answer = await attacker.hears("43")
    assert answer.startswith('43/live_agent,8[{"ok":true,')
    assert [line for line in lines() if "reserved" in line]
    assert (await karoo.call("handoff.find", {"conversation_id": "x"}))["ok"]


async def test_an_event_named_connect_gives_no_rights(server, database, lines):
    """Trust is taken once, from the real handshake: a connection stays what it was let in for, whatever token it names later."""
    karoo, other = (add_token(database, bot) for bot in ("karoo", "other"))
    async with stranger(server.address) as attacker:
        joined = await attacker.join(
            "/relay", {"token": karoo, "format": "rasa-handoff", "protocol": 1, "bot_id": "karoo"}
        )
        assert joined.startswith("40")
        auth = json.dumps({"token": other, "format": "rasa-handoff", "protocol": 1, "bot_id": "other"})
        await attacker.send(f'42/relay,["connect",{{}},{auth}]')
        await attacker.send('42/relay,1["handoff.initiate",{"bot_id":"other","handoff_id":"h","id":"i","number":1,'
                            '"conversation_id":"c","channel":{"name":"rest"}}]')  # fmt: skip
        assert "isn't of the bot" in await attacker.hears("43")
    async with stranger(server.address, {"X-Forwarded-For": "203.0.113.9"}) as attacker:
        assert (await attacker.join("/live_agent", {"token": karoo})).startswith("40")
        await attacker.send(f'42/live_agent,["connect",{{}},{json.dumps({"token": other})}]')
        await attacker.send('42/live_agent,1["username",{"ConversationID":"c","BotID":"other"}]')
        assert "isn't one of the bot" in await attacker.hears("43")
    assert len([line for line in lines() if "reserved" in line]) == 2


async def test_a_session_that_ended_hears_nothing_more(server, desk, relay, opened):
    thandi, sipho, karoo = await desk(), await desk("sipho"), await relay()
    await thandi.sio.emit("disconnect", namespace="/desk")
    async with aiohttp.ClientSession(headers={"Cookie": thandi.cookie}) as http:
        page = await (await http.get(server.address)).text()
        token = page.split('name="csrf" content="')[1].split('"')[0]
        await http.post(server.address + "/logout", data={"csrf": token}, headers={"Origin": server.address})
    await eventually(lambda: thandi.all("signed_out"))
    await karoo.initiate(department="billing")
    await eventually(lambda: sipho.all("arrival"))
    assert thandi.all("arrival") == []


@pytest.mark.parametrize("attack", attacks.BINARY + attacks.UNFIT, ids=lambda packet: packet[:24])
async def test_packets_that_no_client_sends_end_their_socket(server, attack, lines, caplog):
    async with stranger(server.address) as attacker:
        await attacker.join("/live_agent")
        await attacker.send(attack)
        await attacker.ended()
    sid = await attacks.polling(server.address)
    assert await attacks.post(server.address, sid, "40/live_agent,") == 200
    status = await attacks.post(server.address, sid, attack)
    again = await attacks.post(server.address, sid, '42/live_agent,["username",{}]')
    assert (status, again) in ((400, 400), (200, 400))  # what only decoding shows is answered first, then ended
    assert len(lines()) >= 2
    assert not [record for record in caplog.records if record.exc_info]


async def test_binary_messages_end_their_socket_before_any_namespace(server):
    async with stranger(server.address) as attacker:
        await attacker.ws.send_bytes(b"x" * 1_000)
        await attacker.ended()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("EIO=4&transport=polling&j=0", 400),
        ("EIO=4&transport=polling&%6a=0", 400),
        ("EIO=3&transport=polling", 400),
        ("transport=polling", 400),
        ("EIO=4&transport=flashsocket", 400),
        ("EIO=4&transport=polling&sid=a%0Aforged+line", 400),
        ("EIO=4&transport=polling&" + "a=1&" * 100, 400),
        ("EIO=4&transport=websocket", 400),
    ],
)
async def test_requests_that_no_client_makes_are_refused(server, lines, query, status):
    answered, body, headers = await attacks.get(server.address, query)
    assert (answered, "___eio" in body) == (status, False)
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
    assert all("\n" not in line for line in lines())


async def test_every_answer_says_that_it_is_not_kept(server):
    _, _, headers = await attacks.get(server.address, "EIO=4&transport=polling")
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


@pytest.mark.parametrize("chunked", [False, True])
async def test_long_bodies_are_not_read(server, chunked, old_client):
    async def pieces():
        for _ in range(40):
            yield b"4" * 1_000_000

    sid = await attacks.polling(server.address)
    client = await old_client()
    began = time.monotonic()
    assert await attacks.post(server.address, sid, pieces() if chunked else b"4" * 40_000_000) in (0, 413)
    await client.call("from_user", {**client.ids, "message": "I go on"})
    assert time.monotonic() - began < 2 * slowness()
    status, _, _ = await attacks.get(server.address, f"EIO=4&transport=polling&sid={sid}")
    assert status == 400


async def test_a_body_that_does_not_come_is_not_waited_for(limited):
    async with limited(body_seconds=0.3) as address:
        sid = await attacks.polling(address)
        slow = await attacks.connect(address)
        head = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n42"
        await slow.send(head.encode())
        assert b"413" in await slow.answer()
        form = await attacks.connect(address)  # another page of the server
        await form.send(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\ncsrf=")
        assert await form.answer() == b""  # its connection is closed
        await slow.close()
        await form.close()


async def test_compression_is_not_negotiated(server):
    """194 kB would become 150 MB."""
    async with stranger(server.address, compress=15) as attacker:
        assert not attacker.ws.compress


async def test_long_messages_end_their_socket_but_not_a_relays(server, relay, desk):
    karoo, _ = await relay(), await desk()
    line = {"speaker": "customer", "text": "x" * 10_000, "at": 1.0}
    await karoo.initiate(transcript=[line] * 300)
    for size in (2_000_000, 20_000_000):
        async with stranger(server.address, compress=0) as attacker:
            await attacker.send('42["a","' + "x" * size + '"]')
            await attacker.ended()


async def test_a_refused_relay_and_its_origin_are_logged_without_its_token(server, database, opened, lines):
    karoo = Relay("karoo")
    opened.append(karoo)
    await karoo.connect(server.address)  # on this machine, while no bot has a token
    for headers in ({"Origin": "https://evil.example"}, {"Origin": server.address}, {"X-Forwarded-For": "203.0.113.9"},
                    {"Forwarded": "for=203.0.113.9"}):  # fmt: skip
        async with stranger(server.address, headers) as attacker:
            assert (
                await attacker.join("/relay", {"format": "rasa-handoff", "protocol": 1, "bot_id": "karoo"})
            ).startswith("44"), headers
    token = add_token(database, "karoo")
    async with stranger(server.address) as attacker:
        answer = await attacker.join(
            "/relay", {"token": f"{token}\n", "format": "rasa-handoff", "protocol": 1, "bot_id": "karoo\nforged"}
        )
        assert answer.startswith("44")
    refusals = [line for line in lines() if "a relay:" in line]
    assert len(refusals) == 5
    assert not any(token in line or "\n" in line for line in refusals)


FOREIGN = (
    "rebound.example",
    "rebound.example:80",
    "localhost.rebound.example",
    "127.0.0.1.rebound.example",
    "[rebound",
    "x:y@z",
)
OURS = ("localhost", "LOCALHOST.:5065", "app.localhost", "127.0.0.1:1", "[::1]:80", "203.0.113.9", "[2001:db8::1]")


async def ask(address, host, path="/health", headers=()):
    """Ask as a browser does when a name of the attacker's leads here, and return the answer's status line."""
    raw = await attacks.connect(address)
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    await raw.send(("\r\n".join(lines) + "\r\n\r\n").encode())
    line = await within(raw.reader.readline(), attacks.SECONDS)
    await raw.close()
    return line.decode().strip()


SOCKET = "/socket.io/?EIO=4&transport="
UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: " + "A" * 22 + "==",
)


async def test_a_name_of_somebody_elses_that_leads_here_reaches_nothing(server, lines):
    """DNS rebinding: to the browser the attacker's page is then of this server's own origin."""
    for host in FOREIGN:
        for path, headers in (("/", ()), ("/health", ()), (SOCKET + "polling", ())):
            assert re.match(r"HTTP/1.1 40[03]", await ask(server.address, host, path, headers)), (host, path)
    origin = ("Origin: http://rebound.example",)
    for headers in (UPGRADE, UPGRADE + origin, (*UPGRADE, "X-Forwarded-For: 127.0.0.1")):
        assert " 403" in await ask(server.address, FOREIGN[0], SOCKET + "websocket", headers)
    for host in OURS:
        assert " 200" in await ask(server.address, host), host
        assert " 200" in await ask(server.address, host, SOCKET + "polling"), host
    assert " 101" in await ask(server.address, OURS[0], SOCKET + "websocket", UPGRADE)
    found = lines()
    assert "a request for the host rebound.example: this server is localhost." in found[0]
    assert "--allowed-host rebound.example" in found[0]
    assert not any("--allowed-host" in line for line in found[1:])


async def test_names_that_are_given_or_public_are_served_and_others_are_not(database, lines):
    public = read_public_url("https://desk.example.org:8443/desk")
    async with running(create_app(database, ServerSettings(public=public, hosts=("intern",)))) as address:
        for host in ("desk.example.org", "Desk.Example.org:8443", "intern:5065", "127.0.0.1"):
            assert " 200" in await ask(address, host), host
        assert " 403" in await ask(address, "rebound.example", headers=["Origin: https://desk.example.org:8443"])
    assert (
        "this server is desk.example.org, intern, localhost. Its page is of https://desk.example.org:8443."
        in lines()[0]
    )


async def test_a_server_of_a_network_is_asked_under_any_name_unless_some_are_given(database):
    add_token(database, "karoo")
    async with running(create_app(database), host="0.0.0.0") as address:
        assert " 200" in await ask(address, "desk.some-network:5065")
    async with running(create_app(database, ServerSettings(hosts=("intern",))), host="0.0.0.0") as address:
        assert [(await ask(address, host))[9:12] for host in ("desk.some-network", "intern", "10.0.0.7")] == [
            "403", "200", "200",
        ]  # fmt: skip


@pytest.mark.parametrize("host", ["", "https://example.org", "a b", "a/b", "me@host", "x:y:z", "[::1"])
def test_what_can_not_be_an_allowed_host_is_refused(host):
    with pytest.raises(HandoffError, match="can't be an allowed host"):
        read_hosts([host])
    assert read_hosts(["Desk.example.org", "intern:5065"]) == ["Desk.example.org", "intern:5065"]


async def test_refused_relays_and_clients_have_a_log_line_each_without_their_tokens(server, database, lines):
    token, other = add_token(database, "karoo"), add_token(database, "other")
    auths = [{}, {"token": "a guess"}, {"token": other}, {"token": token, "protocol": 9}, {"token": [token]}]
    for auth in auths:
        async with stranger(server.address) as attacker:
            await attacker.join("/relay", {"format": "rasa-handoff", "protocol": 1, "bot_id": "karoo", **auth})
    far = {"X-Forwarded-For": "203.0.113.9"}
    for auth in ({}, {"token": "a guess"}):
        async with stranger(server.address, far) as attacker:
            assert (await attacker.join("/live_agent", auth)).startswith("44")
    async with stranger(server.address, far) as attacker:  # a token of another bot than the one it names
        await attacker.join("/live_agent", {"token": other})
        for _ in range(100):
            await attacker.send('42/live_agent,["username",{"ConversationID":"c\\nforged","BotID":"karoo"}]')
        await attacker.send('42/live_agent,5["username",{"ConversationID":"c","BotID":"karoo"}]')
        await attacker.hears("43")
    found = lines()
    assert [line.partition(": ")[2].partition(":")[0] for line in found] == (
        ["a relay"] * 5 + ["a client of /live_agent"] * 2 + ["a client's username"] * 8
    )
    assert not any(secret in line or "\n" in line for line in found for secret in (token, other, "a guess"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"X-Forwarded-For": "127.0.0.1"},
    ],
    ids=str,
)
async def test_a_foreign_page_in_a_browser_here_is_no_client(server, headers, lines):
    async with stranger(server.address, headers) as attacker:
        assert "auth.token" in await attacker.join("/live_agent")
    assert "auth.token" in lines()[-1]


async def test_a_page_of_this_machine_is_a_client(server):
    async with stranger(server.address, {"Origin": "http://localhost:8080"}) as page:
        assert (await page.join("/live_agent")).startswith("40")


@pytest.mark.sqlite
async def test_who_sends_ten_thousand_events_holds_nobody_else_up(server, desk, relay, database):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    async with stranger(server.address) as attacker:
        await attacker.join("/live_agent")
        said = '42/live_agent,["from_user",{"ConversationID":"c","BotID":"b","message":"flood"}]'

        async def flood():
            for _ in range(10_000):
                await attacker.send(said)

        flooding = asyncio.create_task(flood())
        await eventually(lambda: [s for s in thandi.all("arrival") if s["short_id"] == short_id("c")])
        assert (await thandi.take(handoff))["ok"]
        assert (await thandi.say(handoff, "Good day"))["ok"]
        flooding.cancel()
    with contextlib.closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as kept:
        (taken,) = kept.execute("select count(*) from messages where text = 'flood'").fetchone()
    assert 0 < taken < 3_000, "who answers others meanwhile hasn't taken all of the flood first"


async def test_the_order_of_a_sockets_words_holds_and_the_last_are_taken_after_it_has_gone(server, desk):
    thandi = await desk()
    async with stranger(server.address) as customer:
        await customer.join("/live_agent")
        for number in range(60):
            said = {"ConversationID": "c", "BotID": "b", "message": str(number)}
            await customer.send("42/live_agent," + json.dumps(["from_user", said]))
        await customer.send("41/live_agent,")
        await customer.send("1")
    arrival = (await eventually(lambda: thandi.all("arrival")))[0]
    await eventually(lambda: len(thandi.all("message")) >= 60)
    said = (await thandi.take(arrival["handoff_id"]))["conversation"]["messages"]
    assert [message["text"] for message in said if message["speaker"] == "customer"] == [str(n) for n in range(60)]


async def test_messages_that_were_slowed_down_are_kept_though_their_socket_closes(limited, opened, monkeypatch):
    """No acknowledgement would tell the customer that they were refused."""
    waits, gone = asyncio.Event(), asyncio.Event()
    disconnect = BotlhaleGateway._disconnect

    async def noted_disconnect(gateway, sid, *more):
        await disconnect(gateway, sid, *more)
        gone.set()

    async def wait_until_gone(bucket, cost=1):
        waits.set()
        await gone.wait()

    monkeypatch.setattr(BotlhaleGateway, "_disconnect", noted_disconnect)
    monkeypatch.setattr(Bucket, "wait", wait_until_gone)
    async with limited() as address:
        thandi = agent_at(address)
        opened.append(thandi)
        await thandi.sign_in()
        await thandi.connect()
        async with stranger(address) as customer:
            await customer.join("/live_agent")
            said = {"ConversationID": "c", "BotID": "b", "message": "before I go"}
            await customer.send("42/live_agent," + json.dumps(["from_user", said]))
            await within(waits.wait(), 10)
        await eventually(lambda: [said["text"] for said in thandi.all("message")] == ["before I go"])


async def test_pages_of_one_address_are_bounded_and_refused_in_one_place(limited, lines):
    """Whatever is asked for; who comes from elsewhere, a program of this machine and sockets aren't held up."""
    paths = ("/", "/health", "/login", "/static/main.js", "/nowhere")

    async with limited(requests_per_second=1) as address, aiohttp.ClientSession() as http:

        async def statuses(source, count=1):
            headers = {"X-Forwarded-For": source} if source else {}
            found = []
            for number in range(count):
                url = f"{address}{paths[number % len(paths)]}"
                async with http.get(url, headers=headers, allow_redirects=False) as answer:
                    found.append(answer.status)
                    body = await answer.text()
                    if answer.status == 429:
                        assert "Please try again" in body
                        assert answer.headers["Retry-After"] == "1"
                        assert answer.headers["X-Content-Type-Options"] == "nosniff"
            return found

        first = await statuses("203.0.113.7", 40)
        assert 429 not in first[:20]
        assert first[-5:] == [429] * 5
        async with http.post(f"{address}/login", data={"x": "y"}, headers={"X-Forwarded-For": "203.0.113.7"}) as answer:
            assert answer.status == 429
        status, _, _ = await attacks.get(address, "EIO=4&transport=polling", headers={"X-Forwarded-For": "203.0.113.7"})
        assert status == 200
        assert 429 not in await statuses("198.51.100.9", 5) + await statuses(None, 40)
        logged = [line for line in lines() if "203.0.113.7" in line]
        assert 0 < len(logged) <= 10
        assert all("more than 1 requests a second" in line for line in logged)


async def test_conversations_of_one_address_are_bounded_and_refused_aloud(limited, lines):
    async with limited(conversations_per_minute=0.5) as address, stranger(address) as attacker:
        await attacker.join("/live_agent")
        for number in range(7):
            await attacker.send(f'42/live_agent,{number}["username",{{"ConversationID":"c{number}","BotID":"b"}}]')
        answers = [await attacker.hears("43") for _ in range(7)]
        assert ["busy" in answer for answer in answers] == [False] * 5 + [True] * 2
    assert "new conversations a minute" in lines()[-1]


async def test_a_message_has_at_most_twenty_thousand_characters_and_lists_show_less(server, desk, old_client):
    thandi, client = await desk(), await old_client()
    assert (await client.call("from_user", {**client.ids, "message": "x" * 20_001}))["code"] == "too_long"
    assert "20,000" in (await eventually(client.texts))[-1]
    assert (await client.call("from_user", {**client.ids, "message": "x" * 20_000}))["ok"]
    other = agent_at(server.address)
    await other.sign_in()
    await other.connect()
    (summary,) = other.all("ready")[0]["queue"]
    assert len(summary["last"]["text"]) < 500
    conversation = (await other.take(summary["handoff_id"]))["conversation"]
    assert max(len(message["text"]) for message in conversation["messages"]) == 20_000
    await other.close()
    assert thandi.all("arrival")


async def test_lists_show_no_more_of_what_a_bot_says_of_a_conversation(desk, relay):
    thandi, karoo = await desk(), await relay()
    long = "x" * 100_000
    handoff = await karoo.initiate(contact={"name": long, "email": long}, reason=long, note=long, language="x" * 99)
    arrived = await thandi.hears("arrival", handoff_id=handoff)
    taken = (await thandi.take(handoff))["conversation"]
    await eventually(lambda: len(thandi.shown(handoff)) >= 2)
    assert max(len(json.dumps(summary)) for summary in (arrived, *thandi.shown(handoff))) < 2_500
    assert (taken["reason"], taken["note"], taken["contact"]["name"]) == (long, long, long)


async def test_a_socket_that_joins_nothing_is_ended(limited, lines):
    async with limited(join_seconds=0.5) as address:
        sid = await attacks.polling(address)
        async with stranger(address) as honest, stranger(address) as attacker:
            await honest.join("/live_agent")
            await attacker.send("40/nowhere,")
            await attacker.ended()
            assert (await attacks.get(address, f"EIO=4&transport=polling&sid={sid}"))[0] == 400
            await honest.send('42/live_agent,1["username",{"ConversationID":"c","BotID":"b"}]')
            await honest.hears("43")
    assert "joined nothing" in lines()[0]


async def test_attempts_to_join_are_bounded(server):
    async with stranger(server.address) as attacker:
        for _ in range(200):
            await attacker.send('40/relay,{"protocol":1,"bot_id":"b","token":"guess"}')
            await attacker.send("40/nowhere,")
        await attacker.ended()


async def test_an_upgrade_that_is_begun_and_left_is_ended(limited):
    async with limited(join_seconds=0.5) as address:
        sid = await attacks.polling(address)
        assert await attacks.post(address, sid, "40/live_agent,") == 200
        url = address.replace("http", "ws", 1) + f"/socket.io/?EIO=4&transport=websocket&sid={sid}"
        async with aiohttp.ClientSession() as http, http.ws_connect(url) as ws:
            message = await within(ws.receive(), 5)
            assert message.type is not aiohttp.WSMsgType.TEXT


async def test_a_handshake_that_is_no_object_is_refused(server, lines):
    for auth in ('"x"', "[1]", "5", "true"):
        async with stranger(server.address) as attacker:
            await attacker.send("40/relay," + auth)
            await attacker.never_hears("40")


async def test_a_handshake_whose_handler_fails_joins_nothing(lines):
    """python-socketio leaves such a socket joined, whatever its handler hadn't checked yet."""
    sio, guard, received = AsyncServer(async_mode="asgi"), Guard(), []

    async def connect(*_):
        raise LookupError("a handler's own trouble")

    sio.on("connect", connect, namespace="/n")
    sio.on("said", lambda *said: received.append(said), namespace="/n")
    guard.protect(sio, 1)
    async with guard, running(ASGIApp(sio)) as address, stranger(address) as attacker:
        await attacker.send("40/n,")
        await attacker.send('42/n,["said"]')
        await attacker.ended()
    assert received == []
    assert "a handshake that can't be handled (LookupError)" in lines()[0]


@contextlib.asynccontextmanager
async def stopped_with_an_attacker_connected(**handlers):
    """Give a protected server and an attacker at its namespace ``/n``. At the end the server stops while they are connected."""
    sio, guard = AsyncServer(async_mode="asgi"), Guard()
    for event, handler in {"connect": lambda *_: None, **handlers}.items():
        sio.on(event, handler, namespace="/n")
    guard.protect(sio, 1)
    async with contextlib.AsyncExitStack() as stack:
        async with guard, running(ASGIApp(sio)) as address:
            attacker = await stack.enter_async_context(stranger(address))
            await attacker.join("/n")
            yield sio, attacker
        await eventually(lambda: not sio.eio.sockets)


async def test_a_server_stops_in_the_middle_of_a_flood():
    """A socket whose events wait for their handlers is cancelled. python-engineio discards that, and would read on."""
    handling = asyncio.Event()

    async def handle(*_):
        handling.set()
        await asyncio.Event().wait()

    async with stopped_with_an_attacker_connected(said=handle) as (_, attacker):
        for _ in range(500):
            await attacker.send('42/n,["said"]')
        await handling.wait()


async def test_a_server_stops_although_a_client_does_not_read():
    """What is written to such a client never gets through, and uvicorn waits for that even when it closes the socket."""
    async with stopped_with_an_attacker_connected() as (sio, _):
        for _ in range(30):
            await sio.emit("said", "x" * 1_000_000, namespace="/n")


async def test_a_socket_that_is_too_fast_waits(limited, lines):
    """A burst of twenty seconds' events is free; of what is beyond it five a second are heard."""
    async with limited(events_per_second=5) as address, stranger(address) as attacker:
        await attacker.join("/live_agent")
        began = time.monotonic()
        for _ in range(5 * 20 + 8):
            await attacker.send('42/live_agent,["nothing"]')
        await attacker.send('42/live_agent,1["nothing"]')
        await attacker.hears("43")
        assert time.monotonic() - began > 1
    assert [line for line in lines() if "slowed down" in line] == [
        "Refused 127.0.0.1: a socket has sent more than 5 events a second, and is slowed down."
    ]


async def test_sockets_of_one_address_are_bounded(limited):
    async with limited(connections_per_address=4) as address:
        statuses = [(await attacks.get(address, "EIO=4&transport=polling"))[0] for _ in range(6)]
        assert statuses == [200] * 4 + [429] * 2
    async with limited(new_sockets_per_second=0.1) as address:
        statuses = [(await attacks.get(address, "EIO=4&transport=polling"))[0] for _ in range(6)]
        assert statuses == [200] * 4 + [429] * 2


async def test_half_a_head_is_not_waited_for(limited, lines):
    async with limited(head_seconds=0.5) as address:
        raws = [await attacks.connect(address) for _ in range(3)]
        await raws[0].send(b"GET / HT")
        await raws[1].send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")  # and then half of a second one
        assert b"200 OK" in await raws[1].reader.readuntil(b"\r\n")
        await raws[1].send(b"GET / HT")
        for raw in raws:
            await raw.answer()
            await raw.close()
    assert sum("head didn't come" in line for line in lines()) >= 2


async def test_a_connection_that_is_kept_for_the_next_request_is_let_be(limited, lines):
    async with limited(head_seconds=0.2) as address:
        kept = await attacks.connect(address)
        until = time.monotonic() + 2.5  # a few looks of the guard's; uvicorn itself keeps it for five seconds
        while time.monotonic() < until:
            assert await kept.ask("/health") == 200
            await asyncio.sleep(0.3)
        await kept.close()
    assert not [line for line in lines() if "head didn't come" in line]


async def test_a_long_head_is_refused(server):
    raw = await attacks.connect(server.address)
    await raw.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 100_000)
    await raw.answer()
    await raw.close()


async def test_as_many_half_heads_as_there_are_descriptors_shut_nobody_out(database):
    few = RESERVE + 40
    process, line = await serve_in_process(
        database, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (few, few))
    )
    address = address_in(line)
    raws = []
    try:
        for _ in range(2):
            for _ in range(few):
                raws.append(await attacks.connect(address))
                await raws[-1].send(b"GET / HT")
            karoo = Relay("karoo")
            await karoo.connect(address)
            assert (await karoo.call("handoff.find", {"conversation_id": "x"}))["ok"]
            await karoo.close()
    finally:
        process.send_signal(signal.SIGTERM)
        _, complained = await within(process.communicate(), 20)
        for raw in raws:
            await raw.close()
    assert len(complained) < 20_000
