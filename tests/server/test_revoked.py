"""What an administrator takes away or adds counts at once, also for those who are connected; and which ids a handoff may have."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rasa_handoff.server import accounts, administration
from rasa_handoff.server.accounts import Role
from rasa_handoff.testing.waiting import eventually
from tests.server.conftest import Server
from tests.server.peers import OldClient, Relay, agent_at, refusal_of

pytestmark = pytest.mark.usefixtures("no_periodic_checks")

CHANGES = {
    "a new password": lambda database: administration.set_password(database, "thandi@example.org", "another long one"),
    "a removed agent": lambda database: administration.remove_agent(database, "thandi@example.org"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_session_ended_by_the_command_line_ends_the_open_desk(server, database, desk, relay, change):
    thandi, sipho, karoo = await desk("thandi"), await desk("sipho"), await relay()
    await asyncio.to_thread(CHANGES[change], database)
    await eventually(lambda: thandi.all("signed_out") == [{}])
    handoff = await karoo.initiate()
    await eventually(lambda: sipho.shown(handoff))
    assert thandi.shown(handoff) == []
    await eventually(lambda: not thandi.sio.connected)


@pytest.fixture
async def elsewhere(server: Server) -> AsyncIterator[Server]:
    """Another server over the same database, where it may serve several; else the same one."""
    if server.database.startswith("sqlite"):
        yield server
        return
    one = Server(server.database)
    await one.start()
    yield one
    await one.stop()


@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
async def test_another_role_counts_at_once_at_every_server(elsewhere, database, desk, relay, opened):
    await asyncio.to_thread(administration.set_departments, database, "thandi@example.org", ["orders"])
    karoo, sipho, thandi = await relay(), await desk("sipho"), agent_at(elsewhere.address, "thandi")
    opened.append(thandi)
    await thandi.sign_in()
    await thandi.connect()
    handoff = await karoo.initiate(department="billing")
    assert (await thandi.ask("open", handoff_id=handoff))["code"] == "unknown_handoff"
    await asyncio.to_thread(administration.set_role, database, "thandi@example.org", Role.ADMIN)
    await eventually(lambda: thandi.all("ready")[-1]["me"]["role"] == "admin")
    assert [shown["handoff_id"] for shown in thandi.all("ready")[-1]["queue"]] == [handoff]
    assert (await thandi.ask("open", handoff_id=handoff))["ok"]
    assert (await sipho.take(handoff))["ok"]
    await asyncio.to_thread(administration.set_role, database, "sipho@example.org", Role.ADMIN)
    await asyncio.to_thread(administration.set_role, database, "thandi@example.org", Role.SUPERVISOR)
    assert (await thandi.ask("open", handoff_id=handoff))["code"] == "unknown_handoff"
    await eventually(lambda: thandi.all("ready")[-1]["me"]["role"] == "supervisor")
    assert thandi.all("ready")[-1]["others"] == []
    await karoo.say(handoff, "for billing alone", "m-1")
    await sipho.hears("message", id="m-1")
    assert not [body for body in thandi.all("message") if body["id"] == "m-1"]


async def test_a_revoked_token_ends_the_relays_connection_and_another_one_stays(server, database, relay, opened):
    old, new, other = (accounts.add_token(database, bot) for bot in ("karoo", "karoo", "other"))
    first, second, third = (
        await relay("karoo", token=old),
        await relay("karoo", token=new),
        await relay("other", token=other),
    )
    assert await asyncio.to_thread(administration.revoke_tokens, database, "karoo") == 1
    await eventually(lambda: not first.sio.connected or first.all("connect_error"))
    assert second.sio.connected
    assert third.sio.connected
    assert (await second.call("handoff.find", {"conversation_id": "c-1"}))["ok"]
    again = Relay("karoo")
    opened.append(again)
    assert "isn't one of the bot 'karoo'" in await refusal_of(again.connect(server.address, old), again)


async def test_the_first_token_ends_connections_that_were_let_in_without_one(database, relay):
    karoo = await relay()
    await asyncio.to_thread(accounts.add_token, database, "karoo")
    await eventually(lambda: not karoo.sio.connected or karoo.all("connect_error"))


async def test_a_revoked_token_ends_a_client_of_botlhales_protocol(server, database, opened):
    token, _ = accounts.add_token(database, "old-bot"), accounts.add_token(database, "another")
    client = OldClient("c-1", "/live_agent", forwarded_for="203.0.113.9")
    opened.append(client)
    await client.connect(server.address, auth={"token": token})
    await eventually(lambda: client.all("messages"))
    await asyncio.to_thread(administration.revoke_tokens, database, "old-bot", True)
    await eventually(lambda: not client.sio.connected or client.all("connect_error"))


async def test_an_added_department_is_known_at_once(database, relay):
    karoo = await relay()
    await asyncio.to_thread(accounts.add_department, database, "advice")

    def known() -> bool:
        reported = karoo.all("availability")
        return bool(reported) and "advice" in [department["name"] for department in reported[-1]["departments"]]

    await eventually(known)


@pytest.mark.parametrize("id", ["a b", "a\nb", "a\u202eb", "<script>", "", "x" * 256, "'", '"'])
async def test_an_id_that_could_harm_a_page_or_a_log_is_refused(relay, id):
    karoo = await relay()
    answer = await karoo.call("handoff.initiate", karoo.offer(handoff_id=id))
    assert (answer["ok"], answer["code"]) == (False, "invalid")


@pytest.mark.parametrize("id", ["constructor", "__proto__", "a.b:c-d_e"])
async def test_any_other_id_is_taken(relay, desk, id):
    karoo, thandi = await relay(), await desk()
    await karoo.initiate(handoff_id=id)
    assert (await thandi.take(id))["ok"]
    assert (await karoo.say(id, "hello", "__proto__"))["ok"]
    assert (await karoo.say(id, "hello", "a\nb"))["code"] == "invalid"
