"""Commands for a side that runs on Postgres: at its HTTP address, with the admin token, and in no other way."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy.exc import DataError

from rasa_handoff.cli import main
from rasa_handoff.protocol.channel_settings import read_settings
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.tokens import ADMIN_TOKEN_VARIABLE
from rasa_handoff.relay import repository
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.test_dead_letters import live
from tests.support.databases import current
from tests.support.postgres_server import Database, Postgres
from tests.support.started_processes import BIN, Process

SERVER_TOKEN, RELAY_TOKEN = "d" * 40, "r" * 40
LIST = {"command": "dead-letters.list"}


@pytest.fixture
async def desk(postgres_server: Postgres, tmp_path: Path) -> AsyncIterator[DeskServer]:
    own = postgres_server.fresh()
    server = DeskServer(tmp_path, database=own.url, admin_token=SERVER_TOKEN)
    server.add_department("billing", "Billing")
    server.add_agent("Thandi", "billing")
    async with server:
        yield server
    postgres_server.drop(own)


@pytest.fixture
async def rasa(small_model: Path, desk: DeskServer, tmp_path: Path, postgres: Database) -> AsyncIterator[RasaServer]:
    settings = credentials(desk.url, tmp_path, store=postgres.url, admin_token=RELAY_TOKEN)
    async with RasaServer(small_model, tmp_path, settings) as server:
        await eventually(lambda: server.channel.desk.connected)
        yield server


async def run(*arguments: str) -> int:
    """Run ``rasa-handoff dead-letters`` in a thread beside this loop, and return its exit code."""
    return await asyncio.to_thread(main, ["dead-letters", *arguments])


async def test_dead_letters_of_a_relay_on_postgres_are_handled_over_http(
    rasa: RasaServer,
    thandi: ScriptedAgent,
    postgres: Database,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = ("--side", "relay", "--url", rasa.url)
    async with ScriptedCustomer(rasa.url, "thabo") as page:
        handoff_id = await live(rasa, page, thandi)
        channel = rasa.channel.channels["socketio"]
        send, refused = channel.send, {"one", "two"}

        async def picky(output: Any, conversation_id: str, message: dict[str, Any], id: str) -> None:
            if message.get("text") in refused:
                raise KeyError("payload")
            await send(output, conversation_id, message, id)

        monkeypatch.setattr(channel, "send", picky)
        for text in ("one", "two", "newer"):
            await thandi.say(handoff_id, text)
        await eventually(lambda: "newer" in page.texts)

        assert await run("list", "--side", "relay", "--database", postgres.url) == 1
        assert "--url with its address" in capsys.readouterr().err
        assert await run("list", *there) == 1
        assert (
            capsys.readouterr().err == f"--url needs the admin token of that side: set {ADMIN_TOKEN_VARIABLE} to it.\n"
        )
        monkeypatch.setenv(ADMIN_TOKEN_VARIABLE, RELAY_TOKEN)
        assert await run("list", "--json", *there) == 0
        listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [(letter["number"], letter["target"]) for letter in listed] == [(2, "customer"), (1, "customer")]
        refused.clear()
        assert await run("send", "1", *there) == 0
        await eventually(lambda: page.texts[-1] == "[sent late] one")
        assert await run("send", "1", *there) == 1
        assert capsys.readouterr().err == "There is no dead letter 1: see rasa-handoff dead-letters list.\n"
        assert await run("drop", "2", *there) == 0
        assert await run("list", *there) == 0
        assert capsys.readouterr().out.endswith("There are no dead letters.\n")


async def test_dead_letters_of_a_live_agent_server_on_postgres_are_handled_over_http(
    rasa: RasaServer,
    desk: DeskServer,
    thandi: ScriptedAgent,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep_message, refused = repository.keep_message, {"bad"}

    def picky(connection: Any, handoff_id: str, said: Any) -> bool:
        if said.text in refused:
            raise DataError("insert", {}, ValueError("no such words here"))
        return keep_message(connection, handoff_id, said)

    async with ScriptedCustomer(rasa.url, "thabo") as page:
        handoff_id = await live(rasa, page, thandi)
        monkeypatch.setattr(repository, "keep_message", picky)
        monkeypatch.setattr("rasa_handoff.store.failures.LEAST_TRIES", 2)
        monkeypatch.setattr("rasa_handoff.store.failures.LEAST_SECONDS", 0)
        await thandi.say(handoff_id, "bad", id="b")
        await thandi.hears("message.status", message_id="b", status="failed")
        refused.clear()
        monkeypatch.setenv(ADMIN_TOKEN_VARIABLE, SERVER_TOKEN)
        assert await run("list", "--database", desk.database) == 1
        assert "--url with its address" in capsys.readouterr().err
        assert await run("list", "--url", f"{desk.url}/") == 0
        assert capsys.readouterr().out.startswith("1\t")
        assert await run("send", "1", "--url", desk.url) == 0
        await eventually(lambda: any("bad" in text for text in page.texts))
    assert await run("list", "--side", "relay", "--url", rasa.url) == 1
    assert "doesn't take this token" in capsys.readouterr().err


async def test_nobody_gives_commands_without_the_token(
    rasa: RasaServer, desk: DeskServer, caplog: pytest.LogCaptureFixture
) -> None:
    """From this machine too: the token, or nothing. Each refusal is one line, without what was shown."""
    caplog.set_level(logging.WARNING, "rasa_handoff.guard")
    for address, right in ((f"{desk.url}/admin", SERVER_TOKEN), (f"{rasa.url}/webhooks/handoff/admin", RELAY_TOKEN)):
        shown = {"Authorization": f"Bearer {right}"}

        async def asked(method: str = "POST", at: str = address, **more: Any) -> tuple[int, Any]:
            async with rasa.http.request(method, at, **{"json": LIST, **more}) as answer:
                assert answer.headers["Cache-Control"] == "no-store"
                return answer.status, await answer.json()

        assert await asked(headers=shown) == (200, {"ok": True, "answer": []})
        caplog.clear()
        no = {"ok": False, "error": "The admin token isn't right."}
        wrong = [f"Bearer {right}x", f"Basic {right}", right, "", "Bearer", "Bearer \xff"]
        for text in wrong:
            assert await asked(headers={"Authorization": text}) == (401, no)
        assert await asked() == (401, no)
        assert (await asked("GET"))[0] == 401
        assert (await asked("GET", headers=shown))[0] == 405
        assert (await asked(headers={**shown, "Origin": "https://evil.example"}))[0] == 403
        assert len(caplog.records) == 10
        assert right not in caplog.text
        assert (await asked(headers=shown, json={"text": "x" * 70_000}))[0] == 413
        for body in (b"", b"[]", b"\xff", b"{}", b'{"command": "dead-letters.send"}', b"[" * 30_000):
            status, answer = await asked(headers=shown, json=None, data=body)
            assert (status, answer["ok"]) == (200, False)
        for _ in range(200):
            if (await asked())[0] == 429:
                break
        else:
            pytest.fail("guesses aren't slowed down")
        assert (await asked(headers=shown))[0] == 200, "who guesses doesn't shut out who knows"


async def test_without_an_admin_token_there_is_no_such_address(
    small_model: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ADMIN_TOKEN_VARIABLE, SERVER_TOKEN)
    async with DeskServer(tmp_path, **current().desk(tmp_path)) as desk:
        async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as rasa:
            for side, url in (("server", desk.url), ("relay", rasa.url)):
                caplog.clear()
                assert await run("list", "--side", side, "--url", url) == 1
                assert "takes no commands: start that side with an admin token" in capsys.readouterr().err
                assert [record.name for record in caplog.records if "command" in record.message] == [
                    "rasa_handoff.guard"
                ]
        assert await run("list", "--side", "relay", "--url", rasa.url) == 1
        assert "can't be reached" in capsys.readouterr().err


async def test_the_token_goes_to_nobody_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect isn't followed, what isn't an answer of ours is said so, and an address must be one."""
    monkeypatch.setenv(ADMIN_TOKEN_VARIABLE, SERVER_TOKEN)
    asked: list[str] = []

    async def sends_on(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/admin":
            raise web.HTTPTemporaryRedirect("/elsewhere")
        return web.Response(text="<html>")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", sends_on)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    assert await run("list", "--url", url) == 1
    assert "sends the command elsewhere" in capsys.readouterr().err
    assert await run("list", "--url", url, "--side", "relay") == 1
    assert "isn't a side of rasa-handoff" in capsys.readouterr().err
    assert asked == ["/admin", "/webhooks/handoff/admin"]
    await runner.cleanup()
    for bad in ("desk.example.org", "ftp://x", "http://", "http://a:b@c", "http://x:99999", "http://x?y", "http://x\n"):
        assert await run("list", "--url", bad) == 1
        assert "isn't an address such as" in capsys.readouterr().err
    assert await run("list", "--url", url, "--database", "sqlite:///x.db") == 1
    assert SERVER_TOKEN not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("token", "why"), [("short", "can be guessed"), ("ä" * 32, "in a header"), ("a b" * 20, "in a header")]
)
def test_an_unfit_admin_token_is_refused(
    token: str, why: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(ADMIN_TOKEN_VARIABLE, token)
    assert main(["serve", "--database", f"sqlite:///{tmp_path / 'x.db'}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{ADMIN_TOKEN_VARIABLE} has ")
    assert why in said
    desk = {"url": "http://127.0.0.1:1"}
    with pytest.raises(SettingsError, match=f"admin_token has .*{why}") as problem:
        read_settings({"bot_id": "b", "desk": desk, "channels": {"rest": None}, "admin_token": token})
    assert token not in str(problem.value) + said


async def test_serve_takes_commands_with_the_token_of_its_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a process, below a public path."""
    monkeypatch.setenv(ADMIN_TOKEN_VARIABLE, SERVER_TOKEN)
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [BIN / "rasa-handoff", "serve", "--port", port, "--public-url", f"{url}/desk"]
    async with Process(command, tmp_path, f"{url}/health", **{ADMIN_TOKEN_VARIABLE: SERVER_TOKEN}):
        for path in ("", "/desk"):
            assert await run("list", "--url", f"{url}{path}") == 0
            assert capsys.readouterr().out == "There are no dead letters.\n"
