"""What strangers and load balancers read of the Rasa server's own small pages."""

import contextlib
import sqlite3
from pathlib import Path

import aiohttp
import pytest

from rasa_handoff.testing.rasa_server import RasaServer


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "Origin"])
async def test_only_who_is_at_this_machine_reads_how_many_chats_are_under_way(rasa: RasaServer, header: str) -> None:
    address = f"{rasa.url}/webhooks/handoff/"
    async with aiohttp.ClientSession() as http:
        async with http.get(address) as answer:
            assert await answer.json() == {"status": "ok", "desk": "connected", "under_way": 0, "dead_letters": 0}
        async with http.get(address, headers={header: "203.0.113.9"}) as answer:
            assert await answer.json() == {"status": "ok"}


@pytest.mark.sqlite  # it locks the file; a Postgres that is away: tests/core/test_postgres_away.py
async def test_a_load_balancer_learns_whether_a_process_takes_messages(
    locked_databases_fail_soon: None, rasa: RasaServer, tmp_path: Path
) -> None:
    address, proxied = f"{rasa.url}/webhooks/handoff/ready", {"X-Forwarded-For": "203.0.113.9"}
    async with aiohttp.ClientSession(headers=proxied) as http:
        async with http.get(address) as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})
        with contextlib.closing(sqlite3.connect(tmp_path / "relay.db")) as other:
            other.execute("begin immediate")
            async with http.get(address) as answer:
                assert answer.status == 503
                assert await answer.json() == {
                    "status": "unavailable",
                    "reason": "The database can't be used now; the log says why.",
                }
        async with http.get(address) as answer:
            assert answer.status == 200
        await rasa.channel.interceptor.leave()  # as at the end of the process, while requests still arrive
        async with http.get(address) as answer:
            assert answer.status == 503
            assert (await answer.json())["reason"] == "This process is starting or ending."
