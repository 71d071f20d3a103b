"""The server as a process: what it says, refuses, and how it ends."""

import asyncio
import contextlib
import signal
import socket
import sqlite3
import sys

import pytest
from sqlalchemy import text

from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.server.accounts import add_token
from rasa_handoff.server.run import serve
from rasa_handoff.server.storage.tables import open_store
from rasa_handoff.testing.waiting import eventually, within
from tests.server.peers import Relay, agent_at
from tests.server.served_processes import address_in, ready_line, serve_in_process


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_where_it_is_and_ends_quietly_and_soon(database, opened, stop):
    process, line = await serve_in_process(database)
    assert line.startswith("The live-agent server is ready; the desk is at http://127.0.0.1:")
    assert "No bot has a token yet: only this machine is served." in line
    karoo = Relay("karoo")
    opened.append(karoo)
    await karoo.connect(address_in(line))
    process.send_signal(stop)
    assert await within(process.wait(), 5) == 0
    said, complained = await process.communicate()
    assert said + complained == b""


@pytest.mark.sqlite
async def test_a_url_with_an_option_is_taken_and_is_the_same_file(database):
    url = f"{database}?synchronous=FULL"
    add_token(url, "karoo")
    process, line = await serve_in_process(url)
    assert "No bot has a token yet" not in line  # the same file
    process.terminate()
    await process.communicate()
    store = open_store(url)
    assert store.run(lambda connection: connection.execute(text("pragma synchronous")).scalar()) == 2
    store.dispose()


async def test_with_a_token_it_says_no_more_than_where_it_is(database):
    add_token(database, "karoo")
    process, line = await serve_in_process(database)
    assert line == f"The live-agent server is ready; the desk is at {address_in(line)}/.\n"
    process.terminate()
    await process.communicate()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "desk.example.org"])
def test_without_a_token_no_other_machine_is_served(database, host):
    with pytest.raises(HandoffError, match="Make one first: rasa-handoff token add BOT_ID"):
        serve(host, 0, database)


async def test_a_timer_given_to_the_command_rings_on_the_real_process(database, opened):
    command = [sys.executable, "-m", "rasa_handoff.cli", "serve", "--port", "0", "--database", database]
    process = await asyncio.create_subprocess_exec(
        *command, "--timer", "nobody_takes=1", "--timer", "silence=3", stdout=asyncio.subprocess.PIPE
    )
    address = address_in(await ready_line(process))
    karoo, thandi = Relay("karoo"), agent_at(address)
    opened.extend([karoo, thandi])
    await thandi.sign_in()
    await thandi.connect()
    await karoo.connect(address)
    handoff = await karoo.initiate()
    await eventually(lambda: "failed" in karoo.statuses(handoff))
    assert karoo.statuses(handoff)[0] == "unanswered"
    await thandi.hears("conversation", handoff_id=handoff, state="ended")
    assert thandi.shown(handoff)[-1]["ended"]["outcome"] == "silence"
    process.terminate()
    await process.communicate()


@pytest.mark.sqlite
async def test_a_newer_version_beside_a_running_older_one_changes_nothing(database):
    """An older schema would be brought up at the start: it isn't, for somebody has the file."""
    process, _ = await serve_in_process(database)
    with contextlib.closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as file:
        file.execute("update meta set value = '0' where key = 'schema'")
        for newer in (lambda: serve("127.0.0.1", 0, database), lambda: add_token(database, "karoo")):
            with pytest.raises(HandoffError, match=rf"is in use by another process \({process.pid}\)"):
                newer()
        assert file.execute("select value from meta where key = 'schema'").fetchone() == ("0",)
    process.terminate()
    await process.communicate()


def test_a_busy_port_is_one_sentence(database):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HandoffError, match=f"127.0.0.1:{port} can't be listened on .*choose another --port"):
            serve("127.0.0.1", port, database)


def test_a_database_that_can_not_be_opened_is_one_sentence(tmp_path):
    with pytest.raises(HandoffError, match="can't be opened"):
        serve("127.0.0.1", 0, f"sqlite:///{tmp_path}/nowhere/x.db")
