"""What whoever runs the desk does with accounts, departments and tokens once they are there: look, change, take away."""

from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.server import accounts, records
from rasa_handoff.server.accounts import Account
from rasa_handoff.server.tables import AGENTS, DEPARTMENTS, HANDOFFS, SERVES, SERVES_NONE, SESSIONS, TOKENS
from rasa_handoff.thinking.assignment import Stage
from rasa_handoff.vocabulary.errors import HandoffError
from rasa_handoff.vocabulary.values import Value


class Serving(Value, frozen=True, kw_only=True):
    """A department and the e-mails of those who were added to it."""

    name: str
    title: str
    agents: tuple[str, ...]


class Tokens(Value, frozen=True, kw_only=True):
    """How many tokens a bot has, and when (seconds since 1970) the newest was made."""

    bot_id: str
    count: int
    newest: float


def agents(database: str) -> list[Account]:
    """Everybody who may sign in, by e-mail."""

    def work(connection: Connection) -> list[Account]:
        ids = connection.execute(select(AGENTS.c.id).order_by(AGENTS.c.email)).scalars().all()
        return [account for id in ids if (account := accounts.by_id(connection, id)) is not None]

    return accounts.run(database, work, looks=True)


def set_departments(database: str, email: str, names: Sequence[str], every: bool = False) -> None:
    """Say which departments an agent serves from now on: these, or all of them.

    Raises:
        HandoffError: there is no such agent or department, or neither a name nor ``every`` is given, or both.
    """
    if bool(names) == every:
        raise HandoffError("Say which departments: --department NAME, as often as needed, or --all.")

    def work(connection: Connection) -> None:
        account = _agent(connection, email)
        for name in names:
            if not accounts.has_department(connection, name):
                raise HandoffError(f"There is no department '{name}'. See: rasa-handoff department list")
        connection.execute(delete(SERVES).where(SERVES.c.agent == account.id))
        connection.execute(delete(SERVES_NONE).where(SERVES_NONE.c.agent == account.id))
        for name in dict.fromkeys(names):
            connection.execute(insert(SERVES).values(agent=account.id, department=name))

    accounts.run(database, work)


def remove_agent(database: str, email: str) -> None:
    """Take an agent away; their desks are closed. What they said stays.

    Raises:
        HandoffError: there is none, or they have conversations.
    """

    def work(connection: Connection) -> None:
        account = _agent(connection, email)
        has = len(records.assigned_to(connection, account.id))
        if has:
            raise HandoffError(f"{account.name} has {has} open conversations: resolve them or pass them on first.")
        for table in (SESSIONS, SERVES, SERVES_NONE):
            connection.execute(delete(table).where(table.c.agent == account.id))
        connection.execute(delete(AGENTS).where(AGENTS.c.id == account.id))

    accounts.run(database, work)


def set_password(database: str, email: str, password: str) -> None:
    """Give an agent another password; they have to sign in again.

    Raises:
        HandoffError: there is none, or the password is too short.
    """

    def work(connection: Connection) -> None:
        account = _agent(connection, email)
        accounts.check_agent(account.email, account.name, password)
        hashed = accounts.HASHER.hash(password)
        connection.execute(update(AGENTS).where(AGENTS.c.id == account.id).values(password=hashed))
        connection.execute(delete(SESSIONS).where(SESSIONS.c.agent == account.id))

    accounts.run(database, work)


def departments(database: str) -> list[Serving]:
    """All departments, by name."""

    def work(connection: Connection) -> list[Serving]:
        found = connection.execute(select(DEPARTMENTS).order_by(DEPARTMENTS.c.name))
        return [Serving(name=row.name, title=row.title, agents=_serving(connection, row.name)) for row in found]

    return accounts.run(database, work, looks=True)


def remove_department(database: str, name: str) -> tuple[str, ...]:
    """Take a department away. Who served it alone serves no department from then on, until :func:`set_departments` says
    otherwise, and not all of them: their e-mails are returned.

    Raises:
        HandoffError: there is none, or somebody waits for it.
    """

    def work(connection: Connection) -> tuple[str, ...]:
        if not accounts.has_department(connection, name):
            raise HandoffError(f"There is no department '{name}'. See: rasa-handoff department list")
        here = (HANDOFFS.c.department == name) & (HANDOFFS.c.stage != Stage.ENDED.value)
        count = connection.execute(select(func.count()).select_from(HANDOFFS).where(here)).scalar_one()
        if count:
            raise HandoffError(
                f"The department '{name}' has {count} open conversations: finish or transfer them first."
            )
        alone = _serving_alone(connection, name)
        for id in alone:
            connection.execute(insert(SERVES_NONE).values(agent=id))
        connection.execute(delete(SERVES).where(SERVES.c.department == name))
        connection.execute(delete(DEPARTMENTS).where(DEPARTMENTS.c.name == name))
        return tuple(alone.values())

    return accounts.run(database, work)


def tokens(database: str) -> list[Tokens]:
    """The bots that have tokens; the tokens themselves aren't kept."""
    query = select(TOKENS.c.bot_id, func.count().label("count"), func.max(TOKENS.c.at).label("newest"))
    query = query.group_by(TOKENS.c.bot_id).order_by(TOKENS.c.bot_id)

    def work(connection: Connection) -> list[Tokens]:
        return [Tokens(**row) for row in connection.execute(query).mappings()]

    return accounts.run(database, work, looks=True)


def revoke_tokens(database: str, bot_id: str, newest_too: bool = False) -> int:
    """Take the tokens of a bot away, all but the newest one unless ``newest_too``; returns how many. A running server ends
    the connections that were made with them.

    Raises:
        HandoffError: it has none, or no bot would have one: a running server would then ask nobody for a token.
    """

    def work(connection: Connection) -> int:
        here = TOKENS.c.bot_id == bot_id
        newest = connection.execute(select(TOKENS.c.hash).where(here).order_by(TOKENS.c.at.desc()).limit(1)).scalar()
        if newest is None:
            raise HandoffError(f"The bot '{bot_id}' has no token. See: rasa-handoff token list")
        going = here if newest_too else here & (TOKENS.c.hash != newest)
        count = int(connection.execute(delete(TOKENS).where(going)).rowcount)
        if not accounts.any_tokens(connection):
            raise HandoffError(
                "These are the last tokens, and a server without any asks nobody for one: add another first."
            )
        return count

    return accounts.run(database, work)


def _agent(connection: Connection, email: str) -> Account:
    account = accounts.by_email(connection, email)
    if account is None:
        raise HandoffError(f"There is no agent with the e-mail {email}. See: rasa-handoff agent list")
    return account


def _serving_alone(connection: Connection, department: str) -> dict[str, str]:
    """Id and e-mail of those who serve this department and no other."""
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
