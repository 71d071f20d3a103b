"""Two Rasa processes behind one address, with Postgres and Redis: to Kommunicate and LivePerson they are one bot."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import aiohttp
import aiohttp.web as web
import pytest
import yaml

from rasa_handoff.channel.compat.blueprints import HandoffSettingsError
from rasa_handoff.platforms.memory import Memory
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually, within
from tests.rasa.platforms import kommunicate_caller
from tests.rasa.platforms.kommunicate_caller import Kommunicate
from tests.rasa.platforms.liveperson import liveperson_caller
from tests.rasa.platforms.liveperson.liveperson_caller import LivePerson
from tests.support.postgres_server import Database
from tests.support.redis import RedisServer
from tests.support.started_processes import Process
from tools.rasa_command import RASA

pytestmark = pytest.mark.timeout(300)

LOCK_SECONDS = "3"
"""Rasa's lock of a process that was killed lasts so long."""
ALL = "?include_events=ALL"


class Actions:
    """An action server with one action, which waits until it is let go. ``begun``: the conversations it was asked for."""

    def __init__(self) -> None:
        self.port, self.begun, self.free = free_port(), list[str](), asyncio.Event()
        self.free.set()

    async def answer(self, request: web.Request) -> web.Response:
        self.begun.append((await request.json())["sender_id"])
        await self.free.wait()
        return web.json_response({"events": [], "responses": [{"text": "Done."}]})

    async def __aenter__(self) -> "Actions":
        app = web.Application()
        app.router.add_post("/webhook", self.answer)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.free.set()
        await self.runner.cleanup()


class Rasa(Process):
    """``rasa run`` of the project in a folder, as callers see it: ``url``, ``http``."""

    http: aiohttp.ClientSession

    def __init__(self, model: Path, folder: Path, workers: int = 1) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [*RASA, "run", "-m", str(model), "-p", str(port), "-i", "127.0.0.1", "--enable-api"]
        environment = {"TICKET_LOCK_LIFETIME": LOCK_SECONDS, "SANIC_WORKERS": str(workers)}
        super().__init__(command, folder, up=f"{self.url}/webhooks/kommunicate/", **environment)

    async def events(self, conversation: str) -> list[dict[str, Any]]:
        async with self.http.get(f"{self.url}/conversations/{conversation}/tracker{ALL}") as answer:
            return list((await answer.json())["events"])


@pytest.fixture
async def actions() -> AsyncIterator[Actions]:
    async with Actions() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, postgres: Database, actions: Actions) -> Any:
    """A project whose Rasa processes share a Postgres and a Redis."""
    with RedisServer() as redis:
        own = {
            **kommunicate_caller.settings(database=postgres.url),
            **liveperson_caller.settings(database=postgres.url, answer_seconds=2.0),
        }
        (tmp_path / "credentials.yml").write_text(yaml.safe_dump(own))
        endpoints = {
            "tracker_store": postgres.tracker_store(),
            "lock_store": {"type": "redis", "url": "127.0.0.1", "port": redis.port},
            "action_endpoint": {"url": f"http://127.0.0.1:{actions.port}/webhook"},
        }
        (tmp_path / "endpoints.yml").write_text(yaml.safe_dump(endpoints))
        yield tmp_path


@contextlib.asynccontextmanager
async def running(*servers: Rasa) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await asyncio.gather(*(stack.enter_async_context(server) for server in servers))
        for server in servers:
            server.http = http
        yield


def kommunicate(rasa: Rasa, group: int = 4711) -> Kommunicate:
    return Kommunicate(cast(Any, rasa), group)


def liveperson(rasa: Rasa, conversation_id: str) -> LivePerson:
    return LivePerson(cast(Any, rasa), conversation_id)


async def user_texts(rasa: Rasa, conversation: str) -> list[str]:
    return [event["text"] for event in await rasa.events(conversation) if event["event"] == "user"]


async def test_they_are_one_bot(platform_model: Path, project: Path, actions: Actions) -> None:
    one, other = Rasa(platform_model, project), Rasa(platform_model, project)
    async with running(one, other):
        await repeated_at_the_other(one, other, actions)
        await too_late_for_an_answer(one, other, actions)
        await handed_over_and_back(one, other)
        await at_once(one, other)
        await created_at_one(one, other)
        await killed_in_a_turn(one, other, actions)


async def repeated_at_the_other(one: Rasa, other: Rasa, actions: Actions) -> None:
    """A call that comes again while it is answered by the other process waits, and has the same answer, as one after it."""
    asked = kommunicate(one, 1).body("/remind")
    actions.free.clear()
    first = asyncio.create_task(kommunicate(one, 1).call(asked))
    await eventually(lambda: actions.begun == ["1"])
    again = asyncio.create_task(kommunicate(other, 1).call(asked))
    next_one = asyncio.create_task(kommunicate(other, 1).say("hello"))
    assert not (await asyncio.wait({again, next_one}, timeout=1.0))[0], "they wait"
    actions.free.set()
    done = [{"message": "Done."}]
    assert await first == await again == await kommunicate(other, 1).call(asked) == done
    assert await next_one == [{"message": "Hello."}]
    assert actions.begun == ["1"]
    assert await user_texts(one, "1") == ["/remind", "hello"]


async def too_late_for_an_answer(one: Rasa, other: Rasa, actions: Actions) -> None:
    """What comes too late for its answer is given with the next one, by the other process."""
    actions.free.clear()
    here, there = liveperson(one, "2"), liveperson(other, "2")
    asked = here.payload("/remind")
    silence = [{"delay": 1, "typing": False}]
    assert (await here.call(asked))["messages"] == silence
    actions.free.set()
    assert (await there.say("hello"))["messages"] == ["Done.", "Hello."]
    assert (await there.call(asked))["messages"] == silence
    assert (await here.say("hello"))["messages"] == ["Hello."]


async def handed_over_and_back(one: Rasa, other: Rasa) -> None:
    """A handoff that one process has made ends with the next call, at the other one; a copy of its call hands over again only
    before that."""
    here, there = kommunicate(one, 3), kommunicate(other, 3)
    asked = here.body("/give_up")
    answer = await here.call(asked)
    assert answer[-1]["metadata"] == {"KM_ASSIGN_TO": ""}
    assert await there.call(asked) == answer
    assert await there.texts("hello") == ["Hello."]
    assert "KM_ASSIGN_TO" not in str(await here.call(asked))
    kinds = [event["event"] for event in await one.events("3") if event["event"] in ("pause", "resume")]
    assert kinds == ["pause", "resume"]


async def at_once(one: Rasa, other: Rasa) -> None:
    """Whatever comes at once, each message has one turn, and one answer at both."""
    callers = itertools.cycle((kommunicate(one, 4), kommunicate(other, 4)))
    bodies = [next(callers).body("hello") for _ in range(8)]
    calls = [(next(callers), body) for body in bodies for _ in range(3)]
    answers = await within(asyncio.gather(*(caller.call(body) for caller, body in calls)), 60)
    assert answers == [[{"message": "Hello."}]] * len(calls)
    assert await user_texts(one, "4") == ["hello"] * len(bodies)


async def created_at_one(one: Rasa, other: Rasa) -> None:
    """A conversation that Custom Endpoint has created at one process is known to the other."""
    assert await liveperson(one, "5").create({"sdes": {"customer": "77"}, "context": {}}) == 201
    there = liveperson(other, "5")
    event = liveperson_caller.text_event("hello", conversationId="5", dialogId="5")
    body = {"type": "TEXT", "data": {"message": "hello"}, "context": {"lpEvent": event}}
    status, _ = await there.request("POST", f"{there.conversation()}/events", body)
    assert status == 200
    said = [event for event in await other.events("5") if event["event"] == "user"]
    assert said[0]["metadata"]["liveperson"]["attributes"] == {"customer": "77"}


async def killed_in_a_turn(one: Rasa, other: Rasa, actions: Actions) -> None:
    """A call whose process is killed has its turn at the other one when it is repeated; who comes after it waits."""
    actions.free.clear()
    actions.begun.clear()
    asked = kommunicate(one, 6).body("/remind")
    cut_off = asyncio.create_task(kommunicate(one, 6).post(asked))
    await eventually(lambda: actions.begun == ["6"])
    one.kill()
    assert isinstance((await asyncio.gather(cut_off, return_exceptions=True))[0], aiohttp.ClientError)
    actions.free.set()
    again = asyncio.create_task(kommunicate(other, 6).call(asked))
    next_one = asyncio.create_task(kommunicate(other, 6).say("hello"))
    assert await within(again, 25) == [{"message": "Done."}]
    assert await within(next_one, 25) == [{"message": "Hello."}]
    assert await kommunicate(other, 6).call(asked) == [{"message": "Done."}]
    assert await user_texts(other, "6") == ["/remind", "hello"]


async def test_workers_of_one_server_are_one_bot_too(platform_model: Path, project: Path) -> None:
    rasa = Rasa(platform_model, project, workers=2)
    async with running(rasa):
        await eventually(lambda: rasa.said().count("Rasa server is up and running") == 2, seconds=60)
        bodies = [kommunicate(rasa, group).body("hello") for group in range(4) for _ in range(3)]
        calls = [kommunicate(rasa).call(body) for body in bodies for _ in range(3)]
        answers = await within(asyncio.gather(*calls), 60)
        assert answers == [[{"message": "Hello."}]] * len(calls)
        for group in range(4):
            assert await user_texts(rasa, str(group)) == ["hello"] * 3


async def test_workers_that_share_too_little_end_with_one_line_before_they_are_forked(
    platform_model: Path, project: Path
) -> None:
    endpoints = yaml.safe_load((project / "endpoints.yml").read_text())
    (project / "endpoints.yml").write_text(yaml.safe_dump({**endpoints, "tracker_store": None}))
    rasa = Rasa(platform_model, project, workers=2)
    rasa.up = None
    async with rasa:
        await eventually(lambda: rasa.process.poll() is not None, seconds=90, what="it ends by itself")
        assert rasa.process.returncode == 1
        assert rasa.said().count("HandoffSettingsError: endpoints.yml: the tracker store is in memory") == 1
        assert "Traceback" not in rasa.said()


@pytest.mark.parametrize(
    ("shared", "sentence"),
    [
        ("tracker_store", "no lock store that several Rasa processes share"),
        ("lock_store", "the tracker store is a SQLite file"),
    ],
)
async def test_a_second_process_that_shares_no_more_than_the_database_is_refused(
    platform_model: Path, project: Path, postgres: Database, tmp_path: Path, shared: str, sentence: str
) -> None:
    endpoints = yaml.safe_load((project / "endpoints.yml").read_text())
    own = kommunicate_caller.settings(database=postgres.url)
    first = Memory("kommunicate", f"{postgres.url}?application_name=first")
    await first.open()
    with pytest.raises(HandoffSettingsError, match=sentence):
        await RasaServer(platform_model, tmp_path, own, {shared: endpoints[shared]}).__aenter__()
    assert not await first.others_are_at_work(), "nothing of the other one is left"
    await first.close()
