"""Roles of accounts: who becomes admin, the last admin stays, and databases of the version before."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, insert, inspect, text, update
from sqlalchemy.engine import Engine

from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.server import accounts, administration
from rasa_handoff.server.accounts import Role
from rasa_handoff.server.storage.tables import AGENTS, SCHEMA
from rasa_handoff.testing.scripted_desk import PASSWORD
from rasa_handoff.testing.waiting import eventually
from tests.support.postgres_server import Database

THANDI, SIPHO = "thandi@example.org", "sipho@example.org"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = create_engine(database_url)
    yield made
    made.dispose()


def roles(database: str) -> dict[str, Role]:
    return {account.email: account.role for account in administration.agents(database)}


def test_a_database_of_the_version_before_gets_roles_hours_and_an_audit_log(database_url: str, engine: Engine) -> None:
    accounts.add_department(database_url, "billing", "Billing")
    accounts.add_agent(database_url, THANDI, "Thandi", PASSWORD, ["billing"], Role.ADMIN)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE agents DROP COLUMN role"))
        connection.execute(text("ALTER TABLE departments DROP COLUMN hours"))
        connection.execute(text("DROP TABLE audit"))
        connection.execute(text("UPDATE meta SET value = '3' WHERE key = 'schema'"))
    assert roles(database_url) == {THANDI: Role.AGENT}
    assert [one.agents for one in administration.departments(database_url)] == [(THANDI,)]
    with engine.begin() as connection:
        assert connection.execute(text("SELECT value FROM meta WHERE key = 'schema'")).scalar() == str(SCHEMA)
        assert connection.execute(text("SELECT hours FROM departments")).all() == [(None,)]
        assert inspect(connection).has_table("audit")
        # As a process of the version before adds an account during a rolling update.
        row = {"id": "a", "email": SIPHO, "name": "Sipho", "password": "", "online": True, "here": False}
        connection.execute(insert(AGENTS).values(row))
    assert roles(database_url)[SIPHO] is Role.AGENT
    assert accounts.add_agent(database_url, "lerato@example.org", "Lerato", PASSWORD) is Role.ADMIN


def test_the_first_account_is_admin_unless_a_role_is_given(database_url: str) -> None:
    assert accounts.add_agent(database_url, THANDI, "Thandi", PASSWORD, role=Role.AGENT) is Role.AGENT
    assert accounts.add_agent(database_url, SIPHO, "Sipho", PASSWORD) is Role.ADMIN
    assert accounts.add_agent(database_url, "lerato@example.org", "Lerato", PASSWORD) is Role.AGENT


def test_the_last_admin_is_neither_removed_nor_given_another_role(database_url: str) -> None:
    accounts.add_agent(database_url, THANDI, "Thandi", PASSWORD)
    accounts.add_agent(database_url, SIPHO, "Sipho", PASSWORD)
    for change in (
        lambda: administration.remove_agent(database_url, THANDI),
        lambda: administration.set_role(database_url, THANDI, Role.SUPERVISOR),
    ):
        with pytest.raises(
            HandoffError, match=r"is the last admin\. Make somebody else one first: rasa-handoff agent role"
        ):
            change()
    administration.set_role(database_url, THANDI, Role.ADMIN)
    administration.set_role(database_url, SIPHO, Role.ADMIN)
    administration.set_role(database_url, THANDI, Role.AGENT)
    assert roles(database_url) == {THANDI: Role.AGENT, SIPHO: Role.ADMIN}
    administration.remove_agent(database_url, THANDI)
    with pytest.raises(HandoffError, match="There is no agent with the e-mail"):
        administration.set_role(database_url, THANDI, Role.ADMIN)


async def test_of_two_commands_at_once_one_leaves_an_admin(postgres: Database) -> None:
    accounts.add_agent(postgres.url, THANDI, "Thandi", PASSWORD)
    accounts.add_agent(postgres.url, SIPHO, "Sipho", PASSWORD, role=Role.ADMIN)
    engine = create_engine(postgres.url)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with engine.connect() as one, engine.connect() as looking:
        transaction = one.begin()
        assert len(accounts.admins(one)) == 2
        other = asyncio.create_task(asyncio.to_thread(administration.set_role, postgres.url, SIPHO, Role.AGENT))
        await eventually(lambda: other.done() or looking.execute(waiting).scalar())
        one.execute(update(AGENTS).where(AGENTS.c.email == THANDI).values(role=Role.AGENT.value))
        transaction.commit()
        with pytest.raises(HandoffError, match="is the last admin"):
            await other
    engine.dispose()
    assert sorted(roles(postgres.url).values()) == [Role.ADMIN, Role.AGENT]
