"""The guard's parts by themselves, and what of the libraries' private parts it stands on."""

import asyncio
import contextlib
import logging

import pytest
from engineio.async_server import AsyncServer as EngineServer
from engineio.async_socket import AsyncSocket
from hypothesis import given
from hypothesis import strategies as st
from socketio import AsyncServer

from rasa_handoff.guard import packets
from rasa_handoff.guard.buckets import Bucket, Buckets
from rasa_handoff.guard.compat.protected_server import GuardedPacket, read_packet
from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.packets import UnfitPacket
from rasa_handoff.guard.refusals import LINES_A_MINUTE, LimitedLog, Refusals, escaped
from rasa_handoff.guard.sessions import Pending
from rasa_handoff.guard.socketio_requests import Head, is_local, is_loopback, read_query
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.limits import Limits, read_limits
from rasa_handoff.testing.waiting import eventually


def test_the_libraries_have_the_private_parts_that_are_replaced() -> None:
    sio = AsyncServer(async_mode="asgi")
    for name in (
        "_handle_connect", "_handle_disconnect", "_handle_ack", "_handle_event_internal", "_handle_eio_connect",
        "_handle_eio_disconnect",
    ):  # fmt: skip
        assert callable(getattr(sio, name)), name
    assert {"translate_request", "websocket", "make_response"} <= set(sio.eio._async)
    assert set(sio.eio.handlers) == {"connect", "disconnect", "message"}
    assert callable(EngineServer._make_response)
    assert callable(AsyncSocket._websocket_handler)


def test_protecting_changes_one_server_alone() -> None:
    one, other = AsyncServer(async_mode="asgi"), AsyncServer(async_mode="asgi")
    Guard().protect(one, 1)
    assert one.eio._async is not other.eio._async
    assert other.packet_class is not GuardedPacket


@given(st.text(max_size=300) | st.binary(max_size=50))
def test_whatever_comes_is_read_or_unfit(data: str | bytes) -> None:
    with contextlib.suppress(UnfitPacket):
        packets.check_raw(data)
        if isinstance(data, str) and data.startswith("4"):
            read_packet(data[1:])
    with contextlib.suppress(UnfitPacket):
        packets.check_body(data if isinstance(data, bytes) else data.encode("utf-8", "replace"))


@pytest.mark.parametrize(
    "data", ["1", "2probe", "3", "5", "6", "40", "40/desk,{}", "41", '42["a"]', '421["a"]', "430[]"]
)
def test_what_clients_send_is_fit(data: str) -> None:
    packets.check_raw(data)
    packets.check_body(data.encode())


@given(st.text())
def test_what_stands_in_a_log_line_is_one_line(text: str) -> None:
    shown = escaped(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1


def test_refusals_of_one_address_are_bounded_and_do_not_hide_anothers(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    for _ in range(1_000):
        refusals.note("203.0.113.9", "http 400", "JSONP.")
    refusals.note("203.0.113.10\nforged", "http 400", "JSONP.")
    assert len(caplog.records) == LINES_A_MINUTE + 1
    assert "Refused 203.0.113.10\\nforged: JSONP." in caplog.messages
    assert refusals.counted == {"http 400": 1_001}
    for number in range(5_000):
        refusals.note(str(number), "http 400", "JSONP.")
    assert len(refusals._sources) <= 1_000


def test_a_library_logs_so_many_lines_a_minute_and_no_more() -> None:
    bounded = LimitedLog()
    records = [logging.LogRecord("asyncio", logging.ERROR, "", 0, "socket.accept() %s", (n,), None) for n in range(99)]
    assert sum(bounded.filter(record) for record in records) == LINES_A_MINUTE


async def test_buckets_slow_down_and_are_forgotten() -> None:
    loop = asyncio.get_running_loop()
    bucket, began = Bucket(100, 10), loop.time()
    for _ in range(20):
        await bucket.wait()
    assert 0.08 < loop.time() - began < 2
    assert not bucket.take(5)
    buckets = Buckets(1_000, 0.01)
    for key in range(30_000):
        buckets.of(str(key))
    assert len(buckets) <= 20_000
    buckets.sweep()
    assert len(buckets) == 0


async def test_events_of_a_socket_are_handled_one_at_a_time_in_their_order() -> None:
    done: list[int] = []
    running, most = 0, 0

    def job(number: int):  # type: ignore[no-untyped-def]
        async def work() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            done.append(number)
            running -= 1
            if number % 7 == 0:
                raise ValueError("a handler's own trouble")

        return work

    pending = Pending(1, 1_000)
    for number in range(300):
        await pending.add(job(number), 100)
    await pending.drain()
    await eventually(lambda: len(done) == 300)
    assert (done, most) == (list(range(300)), 1)


async def test_a_busy_server_begins_all_events_of_a_socket_that_has_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasa_handoff.guard.sessions.DRAIN_WITHIN", 0.5)
    pending, done = Pending(1, 1_000), []

    async def slow() -> None:
        await asyncio.sleep(0.05)
        done.append(1)

    for _ in range(20):
        await pending.add(slow, 1)
    await pending.drain()
    assert len(done) == 19  # the last has begun


async def test_what_comes_after_the_end_is_discarded() -> None:
    pending, begun, goes_on = Pending(1, 1_000), [], asyncio.Event()

    async def job() -> None:
        begun.append(1)
        await goes_on.wait()

    for _ in range(51):
        await pending.add(job, 1)
    late = asyncio.create_task(pending.add(job, 1))
    await eventually(lambda: begun)
    pending.close()
    await late
    goes_on.set()
    await pending.drain()
    assert begun == [1]


def head(address: str = "127.0.0.1", version: str = "1.1", **headers: str) -> dict[str, Head]:
    named = {name.replace("_", "-"): value for name, value in {"host": "localhost:5065", **headers}.items()}
    return {"handoff.head": Head(address=address, method="GET", query={}, headers=named, version=version)}


@pytest.mark.parametrize(
    ("environ", "local"),
    [
        (head(), True),
        (head("::1", host="[::1]:5065"), True),
        (head("::ffff:127.0.0.1"), True),
        (head(origin="http://localhost:3000"), True),
        (head(origin="null"), False),
        (head(origin="https://localhost.evil.example"), False),
        (head(origin="http://["), False),
        (head(host="evil.example"), False),
        (head(host=""), False),
        (head("10.0.0.9"), False),
        (head("unix"), False),
        (head(x_forwarded_for="127.0.0.1"), False),
        (head(forwarded="for=127.0.0.1"), False),
        (head(version="1.0"), False),
        ({}, False),
    ],
)
def test_who_is_on_this_machine(environ: dict[str, Head], local: bool) -> None:
    assert is_local(environ) is local


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9:1", "localhost", "LOCALHOST:80", "[::1]", "a.localhost"])
def test_names_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "127.0.0.1.nip.io", "localhost.example", "", "[", "2130706433", "localhost@evil"]
)
def test_names_of_other_machines(host: str) -> None:
    assert not is_loopback(host)


def test_a_query_is_read_as_python_engineio_reads_it() -> None:
    assert read_query("EIO=4&s%69d=a&sid=b&j") == {"EIO": "4", "sid": "a", "j": ""}


def test_limits_are_read_or_refused_in_a_sentence() -> None:
    assert read_limits(["connections=50", "head_seconds=2.5"]) == Limits(connections=50, head_seconds=2.5)
    wrong = ("conections=5", "connections=0", "connections=many", "connections", "connections=1.5", "head_seconds=inf")
    for one in wrong:
        with pytest.raises(SettingsError, match="--limit"):
            read_limits([one])
