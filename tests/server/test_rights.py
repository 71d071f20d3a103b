"""The table of rights, cell by cell, with a real server: who may gets through, and who may not changes nothing.

The server is asked everything once, in one event loop (:func:`_ask_everything`); each test then looks at one cell.
"""

import argparse
import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import socketio
from sqlalchemy import create_engine, select, update
from sqlalchemy.engine import Engine
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from rasa_handoff import cli
from rasa_handoff.admin.commands import ADMIN
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.limits import Limits
from rasa_handoff.server import accounts, administration, app, rights
from rasa_handoff.server.accounts import Role
from rasa_handoff.server.app import ServerSettings, create_app
from rasa_handoff.server.http import sign_in
from rasa_handoff.server.rights import Asker, Reach
from rasa_handoff.server.run import running
from rasa_handoff.server.storage.tables import AGENTS, HANDOFF_EVENTS, HANDOFFS, MEDIA, MESSAGES, SESSIONS, TOKENS
from rasa_handoff.testing.recording_client import RecordingClient
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.server.peers import OldClient, Relay
from tests.support.paths import ROOT

WHO: Final = {
    "nobody": Asker.NOBODY,
    "another bot": Asker.BOT,
    "the bot": Asker.BOT,
    "agent of another department": Asker.AGENT,
    "colleague": Asker.AGENT,
    "owner": Asker.AGENT,
    "supervisor": Asker.SUPERVISOR,
    "supervisor of another department": Asker.SUPERVISOR,
    "admin": Asker.ADMIN,
    "removed": Asker.NOBODY,
    "signed out": Asker.NOBODY,
    "expired": Asker.NOBODY,
}
"""Everybody who tries everything, and what they are to the server."""
SERVES: Final = {
    "agent of another department": ("orders", Role.AGENT),
    "colleague": ("billing", Role.AGENT),
    "owner": ("billing", Role.AGENT),
    "supervisor": ("billing", Role.SUPERVISOR),
    "supervisor of another department": ("orders", Role.SUPERVISOR),
    "admin": ("orders", Role.ADMIN),
    "removed": ("billing", Role.AGENT),
    "signed out": ("billing", Role.AGENT),
    "expired": ("billing", Role.AGENT),
}
"""Who has an account: their department and role. Every conversation is one of ``billing``."""
SEES: Final = ("colleague", "owner", "supervisor", "admin")
SESSION_SECONDS: Final = 1.5
"""Seconds until the session that is to expire does."""
ADMIN_TOKEN: Final = "an-admin-token-of-32-characters-at-least"
PDF: Final = b"%PDF-1.7\n" + b"x" * 200
ACCEPTED_IN_VAIN: Final = ("handoff.status", "customer.presence", "rating")
"""What a relay says of a conversation that isn't its bot's is acknowledged, so that it isn't sent again, and has no effect."""
ELSEWHERE: Final = {
    "POST /login": "tests/server/test_sign_in.py",
    "POST /logout": "tests/server/test_sign_in.py",
    "/relay handoff.transcript": "tests/server/test_shared_conversations.py",
}
"""Operations that other tests try."""


def _expected(operation: str, who: str) -> bool:
    """Return whether the table lets them through."""
    reach = rights.TABLE[operation].reach(WHO[who])
    return {
        Reach.NONE: False,
        Reach.LOCAL: False,  # the desk has tokens
        Reach.YES: True,
        Reach.EVERY: True,
        Reach.BOT: who == "the bot",
        Reach.OWN: who == "owner",
        Reach.SEEN: who in SEES,
    }[reach]


class World:
    """A server with accounts of every kind, a bot with relays, and all who are connected to it."""

    def __init__(self, url: str, address: str, http: aiohttp.ClientSession) -> None:
        self.url, self.address, self.http = url, address, http
        self.engine: Engine = create_engine(url)
        self.desks: dict[str, ScriptedAgent] = {}
        self.relays: dict[str, Relay] = {}
        self.peers: list[RecordingClient] = []
        self.tokens = {"another bot": accounts.add_token(url, "other"), "the bot": accounts.add_token(url, "karoo")}

    @property
    def owner(self) -> ScriptedAgent:
        return self.desks["owner"]

    @property
    def relay(self) -> Relay:
        return self.relays["the bot"]

    async def everybody_comes(self) -> None:
        ids = await asyncio.to_thread(self._add_accounts)
        for who in SERVES:
            one = ScriptedAgent(self.address, f"{ids[who]}@example.org")
            with self.engine.begin() as connection:
                token = sign_in.begin(connection, ids[who])
            one.cookie = f"{sign_in.SESSION_COOKIE}={token}"
            if who == "expired":
                self._change(update(SESSIONS).where(SESSIONS.c.agent == ids[who]), until=time.time() + SESSION_SECONDS)
            await one.connect()
            self.desks[who] = one
            self.peers.append(one)
        for who, bot_id in {"another bot": "other", "the bot": "karoo"}.items():
            self.relays[who] = Relay(bot_id)
            self.peers.append(self.relays[who])
            await self.relays[who].connect(self.address, self.tokens[who])
        await asyncio.to_thread(administration.remove_agent, self.url, f"{ids['removed']}@example.org")
        with self.engine.begin() as connection:
            sign_in.end(connection, self.desks["signed out"].cookie.partition("=")[2])
        for who in ("removed", "signed out"):
            await eventually(lambda who=who: not self.desks[who].sio.connected)
        await eventually(lambda: time.time() > self._until(ids["expired"]))

    def _add_accounts(self) -> dict[str, str]:
        accounts.add_department(self.url, "billing")
        accounts.add_department(self.url, "orders")
        ids = {who: uuid.uuid4().hex for who in SERVES}
        for who, (department, role) in SERVES.items():
            row = {"id": ids[who], "email": f"{ids[who]}@example.org", "name": who, "password": "", "role": role.value}
            self._change(AGENTS.insert(), **row, online=True, here=False)
            administration.set_departments(self.url, row["email"], [department])
        return ids

    def _change(self, statement: Any, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(statement.values(**values))

    def _until(self, agent: str) -> float:
        with self.engine.begin() as connection:
            return float(connection.execute(select(SESSIONS.c.until).where(SESSIONS.c.agent == agent)).scalar_one())

    def rows(self, handoff_id: str) -> list[Any]:
        """Return all rows that somebody could have changed."""
        with self.engine.begin() as connection:
            found: list[Any] = []
            for table in (HANDOFFS, MESSAGES, HANDOFF_EVENTS):
                query = select(table).where(table.c.handoff_id == handoff_id)
                found += [tuple(row) for row in connection.execute(query)]
            for table in (AGENTS, TOKENS, MEDIA.table):
                found += sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
        return found

    async def conversation(self, taken: bool = True) -> str:
        handoff_id = await self.relay.initiate(department="billing")
        if taken:
            answer = await self.owner.take(handoff_id)
            assert answer["ok"], answer
            await eventually(lambda: "accepted" in self.relay.statuses(handoff_id))
        return handoff_id

    async def has_reached_bot(self, event: str, handoff_id: str, marker: dict[str, Any]) -> bool:
        """Return whether the bot heard of it, once it has heard what the owner did afterwards in another conversation."""
        other = await self.conversation()
        await self.owner.ask(event, handoff_id=other, **marker)
        await eventually(lambda: any(body["handoff_id"] == other for body in self.relay.all(event)))
        return any(body["handoff_id"] == handoff_id for body in self.relay.all(event))

    async def leave(self) -> None:
        for one in self.peers:
            await one.close()
        self.engine.dispose()


Outcome = tuple[bool, str, bool]
"""Whether it got through, what was answered, and whether anything changed."""


async def _at_desk(world: World, who: str, event: str, **body: Any) -> tuple[bool, str]:
    """Send an event as they would who have this account, token, or neither."""
    desk = world.desks.get(who)
    if desk is None or not desk.sio.connected:
        again = ScriptedAgent(world.address, "")
        again.cookie = desk.cookie if desk is not None else "nothing=x"
        again.token = _no_token  # type: ignore[method-assign]
        world.peers.append(again)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await again.connect()
        return False, str(again.all("connect_error")[0]["message"])
    answer = await desk.ask(event, **body)
    return bool(answer["ok"]), str(answer.get("code") or "")


async def _no_token() -> str:
    return "x"


def _desk(
    event: str, make: Callable[[World], Awaitable[str]], reached: dict[str, Any] | None = None, **body: Any
) -> Callable[[World, str], Awaitable[Outcome]]:
    """Return how an event of the desk is tried. ``reached``: it is no news to the database, so the bot is asked, with this."""

    async def tried(world: World, who: str) -> Outcome:
        handoff_id = await make(world)
        before = world.rows(handoff_id)
        given = {"handoff_id": handoff_id, **body} if event != "presence" else body
        through, answer = await _at_desk(world, who, event, **given)
        if reached is not None:
            through = await world.has_reached_bot(event, handoff_id, body)
        return through, answer, world.rows(handoff_id) != before

    return tried


async def _queued(world: World) -> str:
    return await world.conversation(taken=False)


async def _taken(world: World) -> str:
    return await world.conversation()


async def _to_follow_up(world: World) -> str:
    handoff_id = await world.conversation()
    await world.owner.resolve(handoff_id, "follow_up")
    await eventually(lambda: "completed" in world.relay.statuses(handoff_id))
    return handoff_id


async def _be_away(world: World, who: str) -> Outcome:
    outcome = await _desk("presence", _queued, online=False)(world, who)
    if outcome[0]:  # somebody has to be there for the next conversation
        await world.desks[who].ask("presence", online=True)
    return outcome


async def _connect_desk(world: World, who: str) -> Outcome:
    desk, again = world.desks.get(who), ScriptedAgent(world.address, "")
    again.cookie = "nothing=x" if desk is None else desk.cookie
    world.peers.append(again)
    try:
        await again.connect()
    except socketio.exceptions.ConnectionError as no:
        return False, str(no), False
    return True, "", False


def _relayed(event: str, **body: Any) -> Callable[[World, str], Awaitable[Outcome]]:
    """Return how an event of a relay is tried, about a conversation of the bot ``karoo``."""

    async def tried(world: World, who: str) -> Outcome:
        handoff_id = await world.conversation()
        before, more = world.rows(handoff_id), {"handoff_id": handoff_id, "id": uuid.uuid4().hex, "number": 2}
        if who not in world.relays:
            return *await _connect_relay(world, who), world.rows(handoff_id) != before
        asked = world.relay.offer() if event == "handoff.initiate" else more
        asked = {"conversation_id": f"c-{handoff_id}"} if event == "handoff.find" else {**asked, **body}
        if event == "message.status":
            asked["message_id"] = (await world.owner.say(handoff_id, "hello"))["message"]["id"]
            before = world.rows(handoff_id)
        if event == "rating":
            await world.owner.resolve(handoff_id)
            before = world.rows(handoff_id)
        answer = await world.relays[who].call(event, asked)
        through = bool(answer["ok"])
        if event == "handoff.find":
            through = answer.get("handoff") is not None
        if event == "typing":
            through = await _typed(world, handoff_id)
        changed = world.rows(handoff_id) != before
        if event in ACCEPTED_IN_VAIN:
            through = changed
        return through, str(answer.get("code") or ""), changed

    return tried


async def _typed(world: World, handoff_id: str) -> bool:
    """Return whether the agent saw the customer type, once they have seen another customer do so afterwards."""
    other = await world.conversation()
    await world.relay.call("typing", {"handoff_id": other, "on": True})
    await world.owner.hears("typing", handoff_id=other)
    return any(body["handoff_id"] == handoff_id for body in world.owner.all("typing"))


async def _connect_relay(world: World, who: str) -> tuple[bool, str]:
    """Connect as the bot ``karoo``, with what these people have."""
    again = Relay("karoo")
    try:
        await again.connect(world.address, world.tokens.get(who))
    except socketio.exceptions.ConnectionError as no:
        return False, str(no)
    finally:
        await again.close()  # what is delivered goes to the newest relay of a bot
    return bool(again.all("welcome")), ""


async def _relay_connects(world: World, who: str) -> Outcome:
    return *await _connect_relay(world, who), False


def _old(event: str) -> Callable[[World, str], Awaitable[Outcome]]:
    """Return how a client of Botlhale's protocol, from elsewhere, is tried, about a conversation of the bot ``karoo``."""

    async def tried(world: World, who: str) -> Outcome:
        namespace, _, name = event.partition(" ")
        client = OldClient(f"c-{uuid.uuid4().hex}", namespace, answers=(), forwarded_for="203.0.113.9")
        client.ids["BotID"] = "karoo"
        world.peers.append(client)
        try:
            await client.connect(world.address, auth={"token": world.tokens.get(who, "")})
        except socketio.exceptions.ConnectionError as no:
            return False, str(no), False
        if name == "connect":
            return True, "", False
        body = {**client.ids, "message": "hello", "messages": [], "bot_id": "karoo"}
        if name == "messages_to_client" and who == "the bot":
            await client.call("username", body)
        answer = await client.call(name, body)
        return bool(answer["ok"]), str(answer.get("code") or ""), world.rows("") != world.rows("")

    return tried


def _http(
    method: str, path: str, headers: Callable[[World, str], dict[str, str]], **more: Any
) -> Callable[[World, str], Awaitable[Outcome]]:
    async def tried(world: World, who: str) -> Outcome:
        before = world.rows("")
        async with world.http.request(method, world.address + path, headers=headers(world, who), **more) as answer:
            await answer.read()
            return answer.status < 400, str(answer.status), world.rows("") != before

    return tried


def _as_browser(world: World, who: str) -> dict[str, str]:
    return {"Cookie": world.desks[who].cookie} if who in world.desks else {}


def _as_relay(world: World, who: str) -> dict[str, str]:
    headers = {"Handoff-Bot": "karoo", "Handoff-Conversation": "c-1", **_as_browser(world, who)}
    return {**headers, "Authorization": f"Bearer {world.tokens[who]}"} if who in world.tokens else headers


async def _add_file(world: World, who: str) -> Outcome:
    handoff_id, desk = await world.conversation(), world.desks.get(who)
    token = "x" if desk is None else await desk.token()
    headers = {**_as_browser(world, who), "X-CSRF-Token": token, "Origin": world.address}
    return await _http("POST", f"/desk/media?handoff={handoff_id}&name=a.pdf", lambda *_: headers, data=PDF)(world, who)


async def _fetch_file(world: World, who: str) -> Outcome:
    handoff_id = await world.conversation()
    headers = {**_as_browser(world, "owner"), "X-CSRF-Token": await world.owner.token()}
    where = f"{world.address}/desk/media?handoff={handoff_id}&name=a.pdf"
    async with world.http.post(where, data=PDF, headers=headers) as answer:
        id = (await answer.json())["media"]["id"]
    address = (await world.owner.ask("media", handoff_id=handoff_id, ids=[id]))["addresses"][id]
    return await _http("GET", f"/{address}", _as_browser)(world, who)


async def _take_file(world: World, who: str) -> Outcome:
    path = f"/relay/media/{uuid.uuid4().hex}"
    brought = await _http("PUT", path, lambda world, _: _as_relay(world, "the bot"), data=PDF)(world, "the bot")
    assert brought[0], brought
    return await _http("GET", path, _as_relay)(world, who)


def _command(name: str) -> Callable[[World, str], Awaitable[Outcome]]:
    body = {"command": name, "arguments": {"number": 1, "conversation_id": "c-1"}}
    return _http("POST", ADMIN, _as_relay, json=body)


TRIED: Final[dict[str, Callable[[World, str], Awaitable[Outcome]]]] = {
    "GET /": _http("GET", "/", _as_browser),
    "GET /login": _http("GET", "/login", _as_browser),
    "GET /health": _http("GET", "/health", _as_browser),
    "GET /static": _http("GET", "/static/main.js", _as_browser),
    "GET /relay-token": _http("GET", "/relay-token?bot_id=karoo", _as_relay),
    "PUT /relay/media/{id}": lambda world, who: _http("PUT", f"/relay/media/{uuid.uuid4().hex}", _as_relay, data=PDF)(
        world, who
    ),
    "GET /relay/media/{id}": _take_file,
    "POST /desk/media": _add_file,
    "GET /desk/media/{id}": _fetch_file,
    **{
        row.operation: _command(row.operation.split()[-1])
        for row in rights.ROWS
        if row.operation.startswith("POST /admin ")
    },
    "/desk connect": _connect_desk,
    "/desk presence": _be_away,
    "/desk take": _desk("take", _queued),
    "/desk open": _desk("open", _taken),
    "/desk media": _desk("media", _taken, ids=[]),
    "/desk followed_up": _desk("followed_up", _to_follow_up),
    "/desk message": _desk("message", _taken, id="m-1", text="hello"),
    "/desk typing": _desk("typing", _taken, {}, on=True),
    "/desk read": _desk("read", _taken, {}, id="m-1"),
    "/desk transfer": _desk("transfer", _taken, department="orders"),
    "/desk resolve": _desk("resolve", _taken, outcome="resolved"),
    "/relay connect": _relay_connects,
    "/relay hello": _relay_connects,
    "/relay handoff.find": _relayed("handoff.find"),
    "/relay handoff.initiate": _relayed("handoff.initiate"),
    "/relay handoff.status": _relayed("handoff.status", status="ended", reason="left"),
    "/relay message": _relayed("message", speaker="customer", text="hello", at=1.0),
    "/relay message.status": _relayed("message.status", status="delivered"),
    "/relay rating": _relayed("rating", score=5, at=1.0),
    "/relay typing": _relayed("typing", on=True),
    "/relay customer.presence": _relayed("customer.presence", here=False),
    **{
        row.operation: _old(row.operation)
        for row in rights.ROWS
        if row.operation.split()[0] in ("/live_agent", "/live_server", "/")
    },
}
"""How each operation is tried."""
CELLS: Final = [(operation, who) for operation in TRIED for who in WHO]


async def _ask_everything(url: str, media: Path) -> dict[tuple[str, str], Outcome]:
    many = 1_000_000.0
    limits = Limits(
        new_sockets_per_second=many, events_per_second=many, conversations_per_minute=many, requests_per_second=many
    )
    settings = ServerSettings(media=str(media), admin_token=ADMIN_TOKEN, limits=limits)
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        address = await stack.enter_async_context(running(create_app(url, settings)))
        world = World(url, address, http)
        stack.push_async_callback(world.leave)
        await world.everybody_comes()
        return {(operation, who): await TRIED[operation](world, who) for operation, who in CELLS}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Outcome]]:
    folder = tmp_path_factory.mktemp("rights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rasa_handoff.server.service.scheduler.EVERY", 3_600.0)
        yield asyncio.run(_ask_everything(f"sqlite:///{folder / 'desk.db'}", folder / "media"))


@pytest.mark.parametrize(("operation", "who"), CELLS)
def test_who_may_gets_through_and_who_may_not_changes_nothing(
    outcomes: dict[tuple[str, str], Outcome], operation: str, who: str
) -> None:
    through, answer, changed = outcomes[operation, who]
    assert through is _expected(operation, who), answer
    assert through or not changed, answer


def _routes(parts: Starlette) -> Iterator[str]:
    for route in parts.routes:
        if isinstance(route, Mount):
            yield f"GET {route.path}"
        elif isinstance(route, Route) and route.path == ADMIN:
            continue  # its commands have rows
        else:
            assert isinstance(route, Route)
            for method in (route.methods or {"GET"}) - {"HEAD"}:
                yield f"{method} {route.path}"


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield name
    for action in below:
        for each, command in action.choices.items():
            yield from _commands(command, f"{name} {each}")


def _part_of(application: Any, kind: type) -> Any:
    """Return the innermost application of this kind."""
    while not isinstance(application, kind):
        application = next(
            found for name in ("_app", "other_asgi_app", "_inner") if (found := vars(application).get(name)) is not None
        )
    return application


async def test_every_operation_has_a_row_and_every_row_an_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    server = app._LiveAgentServer
    monkeypatch.setattr(app, "_LiveAgentServer", lambda *given: made.append(server(*given)) or made[0])
    application = create_app(f"sqlite:///{tmp_path / 'desk.db'}", ServerSettings())
    async with running(application):
        found = list(_routes(_part_of(application, Starlette)))
        found += [f"POST {ADMIN} {name}" for name in made[0]._commands]
        for namespace, handlers in made[0]._sio.handlers.items():
            found += [f"{namespace} {name}" for name in handlers if name not in ("disconnect", "*")]
    found += _commands(cli._parser(list(cli._COMMANDS)), "rasa-handoff")
    assert len(found) == len(set(found))
    assert set(found) == set(rights.TABLE), (
        "write a row into rasa_handoff/server/rights.py, and run tools/rights_table.py"
    )


def test_every_row_is_tried() -> None:
    tried = {*TRIED, *ELSEWHERE}
    assert {row.operation for row in rights.ROWS if not row.operation.startswith("rasa-handoff ")} == tried
    for file in ELSEWHERE.values():
        assert (ROOT / file).is_file()


def test_a_role_that_is_not_enough_is_refused_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    row = rights.Right(operation="/desk new", supervisor=Reach.SEEN, admin=Reach.EVERY, code="signed_out")
    monkeypatch.setattr(rights, "TABLE", {row.operation: row})

    def code(asker: Asker, sees: bool | None = None) -> str:
        try:
            rights.check(row.operation, asker, sees)
        except Refused as no:
            return no.code
        return ""

    assert code(Asker.NOBODY) == "signed_out"
    assert code(Asker.AGENT, sees=True) == "forbidden"
    assert (code(Asker.SUPERVISOR, sees=False), code(Asker.SUPERVISOR, sees=True)) == ("unknown_handoff", "")
    assert code(Asker.ADMIN, sees=False) == ""
