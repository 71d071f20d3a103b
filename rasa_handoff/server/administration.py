"""Administration of existing accounts, departments and tokens: list, change, remove."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.core.assignment import Stage
from rasa_handoff.core.department_hours import DepartmentHours, as_stored, from_stored, read_department_hours
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.values import Value
from rasa_handoff.server import accounts
from rasa_handoff.server.accounts import Account, Role
from rasa_handoff.server.storage import audit_log, handoffs
from rasa_handoff.server.storage.audit_log import Audited, AuditedChange, AuditEntry
from rasa_handoff.server.storage.tables import AGENTS, DEPARTMENTS, HANDOFFS, SERVES, SERVES_NONE, SESSIONS, TOKENS


class ListedDepartment(Value, frozen=True, kw_only=True):
    """A department, the e-mails of the agents who were added to it, and its opening hours; None: it is always open."""

    name: str
    title: str
    agents: tuple[str, ...]
    hours: DepartmentHours | None = None


class BotTokens(Value, frozen=True, kw_only=True):
    """A bot's tokens: how many it has, and when (seconds since 1970) the newest was made."""

    bot_id: str
    count: int
    newest: float


def agents(database: str) -> list[Account]:
    """Return all accounts, sorted by e-mail."""

    def work(connection: Connection) -> list[Account]:
        ids = connection.execute(select(AGENTS.c.id).order_by(AGENTS.c.email)).scalars().all()
        return [account for id in ids if (account := accounts.by_id(connection, id)) is not None]

    return accounts.read_in(database, work)


def set_departments(database: str, email: str, names: Sequence[str], every: bool = False) -> None:
    """Set the departments an agent serves from now on: these, or all of them.

    Raises:
        HandoffError: there is no such agent or department, or neither a name nor ``every`` is given, or both.
    """
    if bool(names) == every:
        raise HandoffError("Say which departments: --department NAME, as often as needed, or --all.")

    change = _change(Audited.SET_DEPARTMENTS, email)

    def work(connection: Connection) -> None:
        account = _agent(connection, email)
        change.details.update(before=_served(account), after=list(dict.fromkeys(names)) or "all")
        for name in names:
            if not accounts.has_department(connection, name):
                raise HandoffError(f"There is no department '{name}'. See: rasa-handoff department list")
        connection.execute(delete(SERVES).where(SERVES.c.agent == account.id))
        connection.execute(delete(SERVES_NONE).where(SERVES_NONE.c.agent == account.id))
        for name in dict.fromkeys(names):
            connection.execute(insert(SERVES).values(agent=account.id, department=name))

    accounts.change_in(database, change, work)


def set_role(database: str, email: str, role: Role) -> None:
    """Give an account another role; running servers follow it at once.

    Raises:
        HandoffError: there is no such agent, or they are the last admin.
    """

    change = _change(Audited.SET_ROLE, email)

    def work(connection: Connection) -> None:
        account = _agent(connection, email)
        change.details.update(before=account.role.value, after=role.value)
        if role is not Role.ADMIN:
            _must_leave_an_admin(connection, account)
        connection.execute(update(AGENTS).where(AGENTS.c.id == account.id).values(role=role.value))

    accounts.change_in(database, change, work)


def remove_agent(database: str, email: str) -> None:
    """Remove an agent; their desks are closed, their messages stay.

    Raises:
        HandoffError: there is no such agent, they have conversations, or they are the last admin.
    """

    change = _change(Audited.REMOVE_AGENT, email)

    def work(connection: Connection) -> None:
        account = _agent(connection, email)
        change.details.update(id=account.id, name=account.name, role=account.role.value, departments=_served(account))
        _must_leave_an_admin(connection, account)
        has = len(handoffs.assigned_to(connection, account.id))
        if has:
            raise HandoffError(f"{account.name} has {has} open conversations: resolve them or pass them on first.")
        for table in (SESSIONS, SERVES, SERVES_NONE):
            connection.execute(delete(table).where(table.c.agent == account.id))
        connection.execute(delete(AGENTS).where(AGENTS.c.id == account.id))

    accounts.change_in(database, change, work)


def set_password(database: str, email: str, password: str) -> None:
    """Set an agent's password; they have to sign in again.

    Raises:
        HandoffError: there is no such agent, or the password is too short.
    """
    hashed = accounts.HASHER.hash(password)  # before the transaction, during which a running server can't write

    def work(connection: Connection) -> None:
        account = _agent(connection, email)
        accounts.check_agent(account.email, account.name, password)
        connection.execute(update(AGENTS).where(AGENTS.c.id == account.id).values(password=hashed))
        connection.execute(delete(SESSIONS).where(SESSIONS.c.agent == account.id))

    accounts.change_in(database, _change(Audited.SET_PASSWORD, email), work)


def departments(database: str) -> list[ListedDepartment]:
    """Return all departments, sorted by name."""

    def work(connection: Connection) -> list[ListedDepartment]:
        found = connection.execute(select(DEPARTMENTS).order_by(DEPARTMENTS.c.name))
        return [
            ListedDepartment(
                name=row.name, title=row.title, agents=_serving(connection, row.name), hours=from_stored(row.hours)
            )
            for row in found
        ]

    return accounts.read_in(database, work)


def set_hours(database: str, name: str, written: Any) -> DepartmentHours | None:
    """Set a department's opening hours as they are written, and return them; None: it is always open.

    A running server follows within seconds.

    Raises:
        HandoffError: they can't be read, or there is no such department, or none of the name that is to take over outside them.
    """
    hours = None if written is None else read_department_hours(written)
    change = AuditedChange(
        operation=Audited.SET_HOURS, subject=name, details={"hours": "always" if hours is None else hours.written()}
    )

    def work(connection: Connection) -> None:
        overflow = None if hours is None else hours.overflow
        for needed in (name, *(() if overflow is None else (overflow,))):
            if not accounts.has_department(connection, needed):
                raise HandoffError(f"There is no department '{needed}'. See: rasa-handoff department list")
        if overflow == name:
            raise HandoffError(f"The department '{name}' can't take over from itself.")
        stored = None if hours is None else as_stored(hours)
        connection.execute(update(DEPARTMENTS).where(DEPARTMENTS.c.name == name).values(hours=stored))

    accounts.change_in(database, change, work)
    return hours


def remove_department(database: str, name: str) -> tuple[str, ...]:
    """Remove a department, and return the e-mails of the agents who served no other one.

    These agents serve no department from then on, rather than all of them, until :func:`set_departments` is called.

    Raises:
        HandoffError: there is no such department, or it has open conversations.
    """

    change = AuditedChange(operation=Audited.REMOVE_DEPARTMENT, subject=name)

    def work(connection: Connection) -> tuple[str, ...]:
        if not accounts.has_department(connection, name):
            raise HandoffError(f"There is no department '{name}'. See: rasa-handoff department list")
        still_open = (HANDOFFS.c.department == name) & (HANDOFFS.c.stage != Stage.ENDED.value)
        count = connection.execute(select(func.count()).select_from(HANDOFFS).where(still_open)).scalar_one()
        if count:
            raise HandoffError(
                f"The department '{name}' has {count} open conversations: finish or transfer them first."
            )
        alone = _serving_alone(connection, name)
        for id in alone:
            connection.execute(insert(SERVES_NONE).values(agent=id))
        connection.execute(delete(SERVES).where(SERVES.c.department == name))
        connection.execute(delete(DEPARTMENTS).where(DEPARTMENTS.c.name == name))
        change.details["serve_none"] = list(alone.values())
        return tuple(alone.values())

    return accounts.change_in(database, change, work)


def tokens(database: str) -> list[BotTokens]:
    """Return the bots that have tokens; the tokens themselves aren't stored."""
    query = select(TOKENS.c.bot_id, func.count().label("count"), func.max(TOKENS.c.at).label("newest"))
    query = query.group_by(TOKENS.c.bot_id).order_by(TOKENS.c.bot_id)

    def work(connection: Connection) -> list[BotTokens]:
        return [BotTokens(**row) for row in connection.execute(query).mappings()]

    return accounts.read_in(database, work)


def revoke_tokens(database: str, bot_id: str, newest_too: bool = False) -> int:
    """Revoke a bot's tokens, all but the newest one unless ``newest_too``; return how many.

    A running server ends the connections that were made with them.

    Raises:
        HandoffError: the bot has no token, or these are the last ones of any bot: without tokens a running server asks
            nobody for one.
    """

    change = AuditedChange(operation=Audited.REVOKE_TOKENS, subject=bot_id)

    def work(connection: Connection) -> int:
        of_bot = TOKENS.c.bot_id == bot_id
        newest = connection.execute(select(TOKENS.c.hash).where(of_bot).order_by(TOKENS.c.at.desc()).limit(1)).scalar()
        if newest is None:
            raise HandoffError(f"The bot '{bot_id}' has no token. See: rasa-handoff token list")
        revoked = of_bot if newest_too else of_bot & (TOKENS.c.hash != newest)
        count = int(connection.execute(delete(TOKENS).where(revoked)).rowcount)
        if not accounts.any_tokens(connection):
            raise HandoffError(
                "These are the last tokens, and a server without any asks nobody for one: add another first."
            )
        change.details["revoked"] = count
        return count

    return accounts.change_in(database, change, work)


def audit_entries(database: str, since: float | None = None, subject: str | None = None) -> list[AuditEntry]:
    """Return the audit log, in order. ``since``: from this time on. ``subject``: what is about it alone."""
    return accounts.read_in(database, lambda connection: list(audit_log.find(connection, since, subject)))


def _change(operation: Audited, email: str) -> AuditedChange:
    return AuditedChange(operation=operation, subject=email.strip().lower())


def _served(account: Account) -> list[str] | str:
    """Return what the audit log says of the departments that an account serves."""
    return list(account.departments) or ("none" if account.serves_none else "all")


def _agent(connection: Connection, email: str) -> Account:
    account = accounts.by_email(connection, email)
    if account is None:
        raise HandoffError(f"There is no agent with the e-mail {email}. See: rasa-handoff agent list")
    return account


def _must_leave_an_admin(connection: Connection, account: Account) -> None:
    """Check that somebody else is admin, if this account is.

    Raises:
        HandoffError: they are the last one; the sentence says what to do.
    """
    if accounts.admins(connection) == {account.id}:
        raise HandoffError(
            f"{account.email} is the last admin. Make somebody else one first: rasa-handoff agent role EMAIL admin"
        )


def _serving_alone(connection: Connection, department: str) -> dict[str, str]:
    """Return ids and e-mails of the agents who serve this department and no other."""
    others = select(SERVES.c.agent).where(SERVES.c.agent == AGENTS.c.id, SERVES.c.department != department)
    joined = SERVES.join(AGENTS, AGENTS.c.id == SERVES.c.agent)
    query = select(AGENTS.c.id, AGENTS.c.email).select_from(joined)
    query = query.where(SERVES.c.department == department, ~others.correlate(AGENTS).exists()).order_by(AGENTS.c.email)
    return {row.id: row.email for row in connection.execute(query)}


def _serving(connection: Connection, department: str) -> tuple[str, ...]:
    joined = SERVES.join(AGENTS, AGENTS.c.id == SERVES.c.agent)
    query = select(AGENTS.c.email).select_from(joined).where(SERVES.c.department == department).order_by(AGENTS.c.email)
    found: Sequence[str] = connection.execute(query).scalars().all()
    return tuple(found)
