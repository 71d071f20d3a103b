"""The audit log: each change and each look has its row, of the same transaction, and nothing but its retention touches it."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from rasa_handoff.admin.commands import answer_to
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.retention_settings import RetentionSettings
from rasa_handoff.server import accounts, administration
from rasa_handoff.server.accounts import Role
from rasa_handoff.server.forget_handoffs import forget
from rasa_handoff.server.sending_again import DEAD_LETTERS
from rasa_handoff.server.service.deletions import DeletionService
from rasa_handoff.server.service.scheduler import Timekeeper
from rasa_handoff.server.service.unit_of_work import Publisher
from rasa_handoff.server.storage import audit_log
from rasa_handoff.server.storage.audit_log import LOOKED_AGAIN_SECONDS, Audited, AuditEntry
from rasa_handoff.server.storage.tables import OUTBOX, open_store
from rasa_handoff.store.retention import Retention
from rasa_handoff.testing.scripted_desk import PASSWORD
from tests.server.conftest import Server
from tests.server.peers import Relay, agent_at
from tests.server.test_media import PDF, Uploads

CODE = Path(__file__).parents[2] / "rasa_handoff"
THANDI = "thandi@example.org"
SAID = "my card is 4111"
DAY = 86_400.0


def rows(database: str, **wanted: Any) -> list[AuditEntry]:
    return administration.audit_entries(database, **wanted)


def operations(database: str) -> list[tuple[str, str | None]]:
    return [(row.operation, row.subject) for row in rows(database)]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = create_engine(database_url)
    yield made
    made.dispose()


def _add_tokens(url: str) -> None:
    for _ in range(2):
        accounts.add_token(url, "karoo")


CHANGES: dict[str, tuple[Callable[[str], Any], str, dict[str, Any]]] = {
    "department add": (lambda url: accounts.add_department(url, "billing", "Bills"), "billing", {"title": "Bills"}),
    "agent add": (
        lambda url: accounts.add_agent(url, "Sipho@example.org", "Sipho", PASSWORD, ["billing"]),
        "sipho@example.org",
        {"name": "Sipho", "role": "agent", "departments": ["billing"]},
    ),
    "agent role": (
        lambda url: administration.set_role(url, "SIPHO@example.org", Role.SUPERVISOR),
        "sipho@example.org",
        {"before": "agent", "after": "supervisor"},
    ),
    "agent departments": (
        lambda url: administration.set_departments(url, "sipho@example.org", [], True),
        "sipho@example.org",
        {"before": ["billing"], "after": "all"},
    ),
    "agent password": (
        lambda url: administration.set_password(url, "sipho@example.org", "another long one"),
        "sipho@example.org",
        {},
    ),
    "department hours": (
        lambda url: administration.set_hours(url, "billing", None),
        "billing",
        {"hours": "always"},
    ),
    "token add": (_add_tokens, "karoo", {}),
    "token revoke": (lambda url: administration.revoke_tokens(url, "karoo"), "karoo", {"revoked": 1}),
    "department remove": (
        lambda url: administration.remove_department(url, "billing"),
        "billing",
        {"serve_none": []},
    ),
    "agent remove": (
        lambda url: administration.remove_agent(url, "sipho@example.org"),
        "sipho@example.org",
        {"name": "Sipho", "role": "supervisor", "departments": "all"},
    ),
}


def test_each_command_that_changes_something_has_a_row_without_secrets(database_url: str) -> None:
    accounts.add_agent(database_url, THANDI, "Thandi", PASSWORD)
    for operation, (change, subject, details) in CHANGES.items():
        change(database_url)
        row = rows(database_url)[-1]
        assert (row.operation, row.subject, row.who.value, row.who_id) == (operation, subject, "command line", None)
        assert {**row.details, **details} == row.details
    kept = json.dumps([row.details for row in rows(database_url)])
    for secret in (PASSWORD, "argon2", "another long one"):
        assert secret not in kept


def test_what_is_refused_has_no_row(database_url: str) -> None:
    accounts.add_agent(database_url, THANDI, "Thandi", PASSWORD)
    before = rows(database_url)
    for change in (
        lambda: accounts.add_agent(database_url, THANDI, "Thandi", PASSWORD),
        lambda: administration.set_role(database_url, THANDI, Role.AGENT),
        lambda: administration.remove_department(database_url, "billing"),
        lambda: administration.set_departments(database_url, THANDI, ["billing"]),
    ):
        with pytest.raises(HandoffError):
            change()
    assert rows(database_url) == before


def test_the_log_is_found_by_time_and_by_subject(database_url: str) -> None:
    for name in ("billing", "orders"):
        accounts.add_department(database_url, name)
    (billing,) = rows(database_url, subject="billing")
    assert billing.subject == "billing"
    last = rows(database_url)[-1].at
    assert [row.subject for row in rows(database_url, since=last)] == ["orders"]
    assert rows(database_url, since=last + 1) == []


def test_each_operation_of_the_command_line_that_is_audited_is_tested_here() -> None:
    elsewhere = {"forget", "dead-letters send", "dead-letters drop", "open", "file", "transfer", "resolve"}
    assert {one.value for one in Audited} == {*CHANGES, *elsewhere}


def test_nothing_but_the_retention_changes_or_removes_a_row() -> None:
    naming = {str(file.relative_to(CODE)) for file in CODE.rglob("*.py") if re.search(r"\bAUDIT\b", file.read_text())}
    assert naming == {"server/storage/tables.py", "server/storage/audit_log.py"}
    code = (CODE / "server/storage/audit_log.py").read_text()
    assert re.findall(r"\b(update|delete|insert)\(", code) == ["insert", "delete"]
    assert code.index("delete(AUDIT)") > code.index("def remove_before")
    assert not [
        file for file in CODE.rglob("*.py") if re.search(r"(UPDATE|DELETE FROM|DROP TABLE) audit", file.read_text())
    ]


async def test_the_log_has_a_retention_of_its_own(database_url: str, engine: Engine) -> None:
    store = open_store(database_url)
    async with store:
        for at in (10 * DAY, 20 * DAY):
            entry = AuditEntry(at=at, operation="agent add", subject=str(at))
            await store.write(lambda connection, entry=entry: audit_log.add(connection, entry))
        service = DeletionService(store, Publisher(), Timekeeper(None))  # type: ignore[arg-type]
        kept_for_ever = RetentionSettings()
        for days, left in ((100, 2), (15, 1), (5, 0)):
            expiries = service.expiries(kept_for_ever, 400, days)
            await Retention(expiries, lambda: 26 * DAY).check()
            found = await store.write(lambda connection: list(audit_log.find(connection)))
            assert len(found) == left


async def test_a_look_at_what_is_not_ones_own_has_a_row_and_the_owners_work_has_none(
    server: Server, database: str, relay: Any, desk: Any
) -> None:
    thandi, sipho, karoo = await desk(), await desk("sipho"), await relay()
    handoff = await karoo.initiate(department="billing", reason=SAID)
    await karoo.say(handoff, SAID)
    before = len(rows(database))
    await thandi.take(handoff)
    for _ in range(2):
        assert (await thandi.ask("open", handoff_id=handoff))["ok"]
    assert (await thandi.say(handoff, SAID))["ok"]
    assert len(rows(database)) == before
    for _ in range(3):  # a desk opens it anew after each cut
        assert (await sipho.ask("open", handoff_id=handoff, after=1))["ok"]
    (look,) = rows(database)[before:]
    assert (look.who.value, look.name, look.operation, look.subject) == ("account", "Sipho", "open", handoff)
    assert look.details == {"state": "assigned", "department": "billing", "owner": "Thandi"}
    server.ahead = LOOKED_AGAIN_SECONDS + 1
    assert (await sipho.ask("open", handoff_id=handoff))["ok"]
    assert len(rows(database)) == before + 2
    assert (await thandi.resolve(handoff, note=SAID))["ok"]
    assert len(rows(database)) == before + 2
    assert (await thandi.ask("open", handoff_id=handoff))["ok"]  # an archived one
    assert rows(database)[-1].details["state"] == "ended"
    assert SAID not in json.dumps([row.details for row in rows(database)])


async def test_who_is_refused_has_not_looked(database: str, relay: Any, desk: Any) -> None:
    sipho, karoo = await desk("sipho"), await relay()
    await desk()
    handoff = await karoo.initiate(department="orders")
    before = rows(database)
    assert (await sipho.ask("open", handoff_id=handoff))["code"] == "unknown_handoff"
    assert rows(database) == before


async def test_a_left_message_that_a_colleague_resolves_has_a_row(database: str, relay: Any, desk: Any) -> None:
    thandi, sipho, karoo = await desk(), await desk("sipho"), await relay()
    handoff = await karoo.initiate(department="billing")
    left = {"handoff_id": handoff, "id": "left", "number": 2, "status": "message_left"}
    assert (await karoo.call("handoff.status", left))["ok"]
    assert (await thandi.say(handoff, "we call you"))["ok"]
    before = len(rows(database))
    assert (await sipho.resolve(handoff))["ok"]
    (row,) = rows(database)[before:]
    assert (row.operation, row.name, row.subject) == ("resolve", "Sipho", handoff)
    assert row.details == {"state": "message", "department": "billing", "owner": "Thandi", "outcome": "resolved"}


async def test_a_file_that_somebody_fetches_who_does_not_have_the_conversation_has_a_row(
    database: str, tmp_path: Path, opened: Any
) -> None:
    server = Server(database, media=str(tmp_path / "media"))
    await server.start()
    try:
        async with aiohttp.ClientSession() as http:
            desks = {}
            for name in ("thandi", "sipho"):
                desks[name] = agent_at(server.address, name)
                opened.append(desks[name])
                await desks[name].sign_in()
                await desks[name].connect()
            karoo = Relay("karoo")
            opened.append(karoo)
            await karoo.connect(server.address)
            handoff = await karoo.initiate(department="billing")
            await desks["thandi"].take(handoff)
            owner, colleague = (Uploads(http, server, desks[name]) for name in ("thandi", "sipho"))
            _, answer = await owner.add(handoff, PDF)
            id = answer["media"]["id"]
            before = len(rows(database))
            address = (await owner.addresses(handoff, id))[id]
            await owner.fetch(address)
            assert (await owner.fetch(address.replace("signature=", "signature=x")))[0].status == 403
            assert len(rows(database)) == before
            for _ in range(2):  # players ask for parts
                assert (await colleague.fetch(address, Range="bytes=0-7"))[1] == PDF[:8]
            (row,) = rows(database)[before:]
            assert (row.operation, row.name, row.subject) == ("file", "Sipho", id)
            assert row.details == {"handoff": handoff}
    finally:
        for peer in opened:
            await peer.close()
        await server.stop()


async def test_forgetting_a_customer_has_a_row_without_their_id_and_words(database: str, relay: Any, desk: Any) -> None:
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate(conversation_id="thabo-27", reason=SAID, contact={"name": "Thabo"})
    await karoo.say(handoff, SAID)
    assert (await thandi.ask("open", handoff_id=handoff))["ok"]
    await thandi.take(handoff)
    await thandi.resolve(handoff, note=SAID)
    store = open_store(database)
    store.prepare()
    try:
        await asyncio.to_thread(store.run, lambda connection: forget(connection, "thabo-27"))
    finally:
        store.dispose()
    row = rows(database)[-1]
    assert (row.operation, row.details["handoffs"], row.details["bots"]) == ("forget", 1, ["karoo"])
    engine = create_engine(database)
    with engine.connect() as connection:
        kept = str(connection.execute(text("SELECT * FROM audit")).all())
    engine.dispose()
    for word in ("thabo", "Thabo", SAID):
        assert word not in kept


async def test_commands_to_a_running_server_have_rows_too(database_url: str, engine: Engine) -> None:
    """Dead letters and forgetting go to the process that has the database; its handlers write the row."""
    async with open_store(database_url) as store:
        handlers = DEAD_LETTERS.handlers(store.write, lambda _: None)
        refused = await answer_to(handlers, b'{"command": "dead-letters.drop", "arguments": {"number": 7}}')
        assert not refused["ok"]
        assert await store.write(lambda connection: list(audit_log.find(connection))) == []
        table = OUTBOX.dead_letters
        fixed = {"target": "relay", "lane": "h-1", "name": "message", "body": "{}", "reason": "no"}
        more = {"set_aside_at": 1.0, "at": 1.0, "key": 1, "tries": 0}
        values = {name: value for name, value in {**fixed, **more}.items() if name in table.c}
        await store.write(lambda connection: connection.execute(table.insert().values(number=7, **values)))
        done = await answer_to(handlers, b'{"command": "dead-letters.drop", "arguments": {"number": 7}}')
        assert done["ok"], done
        (row,) = await store.write(lambda connection: list(audit_log.find(connection)))
        assert (row.operation, row.subject, row.details) == ("dead-letters drop", "7", {"handoff": "h-1"})
