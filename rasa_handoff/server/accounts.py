"""Accounts of agents, departments, and the bots' tokens.

Passwords are stored as argon2 hashes. Tokens are long and random, so their SHA-256 is enough, and they are found by it.
"""

import base64
import enum
import hashlib
import hmac
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION
from sqlalchemy import bindparam, insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from rasa_handoff.protocol.errors import HandoffError, Refused, StoreError
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.protocol.values import Agent, Value
from rasa_handoff.server.storage import audit_log
from rasa_handoff.server.storage.audit_log import Audited, AuditedChange
from rasa_handoff.server.storage.tables import (
    AGENTS,
    DEPARTMENTS,
    LONGEST_EMAIL,
    LONGEST_NAME,
    SECRETS,
    SERVES,
    SERVES_NONE,
    TOKENS,
    open_store,
)
from rasa_handoff.store.insertions import insert_or_update
from rasa_handoff.store.statements import Statement

T = TypeVar("T")

HASHER: Final = PasswordHasher()
SHORTEST_PASSWORD: Final = 8
CHANGES: Final = "changes"
"""The row of the table `secrets` with the id of the last change by a command, or of a session's end; each running server looks
whether it differs."""
DEPARTMENT_NAME: Final = re.compile(r"[\w-]+")

# Statements of ordinary messages are built once: building one costs more than running it.
_LAST_CHANGE: Final = Statement(select(SECRETS.c.value).where(SECRETS.c.name == bindparam("name")))
_AGENT: Final = Statement(select(AGENTS).where(AGENTS.c.id == bindparam("agent")))
_MEMBER: Final = Statement(select(AGENTS.c.name, AGENTS.c.role).where(AGENTS.c.id == bindparam("agent")))
_SERVES: Final = Statement(
    select(SERVES.c.department).where(SERVES.c.agent == bindparam("agent")).order_by(SERVES.c.department)
)
_SERVES_NONE: Final = Statement(select(SERVES_NONE.c.agent).where(SERVES_NONE.c.agent == bindparam("agent")))


class Role(str, enum.Enum):
    """What an account may do; the table is in ``rights.py``."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


class Account(Value, frozen=True, kw_only=True):
    """An agent, with what only the desk needs to know. ``password``: its argon2 hash."""

    id: str
    email: str
    name: str
    password: str
    online: bool
    departments: tuple[str, ...]
    role: Role = Role.AGENT
    serves_none: bool = False
    """Whether they serve no department, since theirs were all removed; an agent who never had one serves all."""


class Member(Value, frozen=True, kw_only=True):
    """An account that does something: the agent as customers see them, and their role."""

    agent: Agent
    role: Role


def add_agent(
    database: str, email: str, name: str, password: str, departments: Iterable[str] = (), role: Role | None = None
) -> Role:
    """Add an account, and return its role; without departments it serves all.

    ``role``: None is admin while the database has none, so that somebody can administer it, and agent afterwards.

    Raises:
        HandoffError: the e-mail is taken or isn't one, the password too short, a department unknown.
    """
    email, name = valid_text(email).strip().lower(), valid_text(name).strip()
    check_agent(email, name, password)
    row = {"id": uuid.uuid4().hex, "email": email, "name": name, "password": HASHER.hash(password)}
    change = AuditedChange(operation=Audited.ADD_AGENT, subject=email, details={"name": name})

    def work(connection: Connection) -> Role:
        if by_email(connection, email) is not None:
            raise HandoffError(f"There is an agent with the e-mail {email} already.")
        given = role or (Role.AGENT if admins(connection) else Role.ADMIN)
        connection.execute(insert(AGENTS).values(**row, online=True, here=False, role=given.value))
        for department in dict.fromkeys(departments):
            _must_have_department(connection, department)
            connection.execute(insert(SERVES).values(agent=row["id"], department=department))
        change.details.update(role=given.value, departments=list(dict.fromkeys(departments)) or "all")
        return given

    return change_in(database, change, work)


def add_department(database: str, name: str, title: str | None = None) -> None:
    """Add a department. ``name`` is what bots write, ``title`` (else the name) what people read.

    Raises:
        HandoffError: there is one of this name already, or the name isn't valid.
    """
    if not DEPARTMENT_NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise HandoffError(
            f"'{name}' can't be a department's name, which bots write: letters, digits, - and _, at most {LONGEST_NAME}. "
            "What people read is its --title."
        )
    if title and len(title.strip()) > LONGEST_NAME:
        raise HandoffError(f"The title of the department {name} is too long: at most {LONGEST_NAME} characters.")

    read = valid_text(title or "").strip() or name

    def work(connection: Connection) -> None:
        if has_department(connection, name):
            raise HandoffError(f"There is a department '{name}' already.")
        connection.execute(insert(DEPARTMENTS).values(name=name, title=read, open=True))

    change_in(database, AuditedChange(operation=Audited.ADD_DEPARTMENT, subject=name, details={"title": read}), work)


def add_token(database: str, bot_id: str) -> str:
    """Make a token for a bot and return it; it can't be shown again. Earlier ones stay valid.

    Raises:
        HandoffError: the bot id is empty or too long.
    """
    bot_id, token = valid_text(bot_id).strip(), secrets.token_urlsafe(32)
    if not bot_id or len(bot_id) > LONGEST_ID:
        raise HandoffError(f"A token needs the bot_id of credentials.yml, of at most {LONGEST_ID} characters.")
    row = {"hash": hashed(token), "bot_id": bot_id, "at": time.time()}
    change = AuditedChange(operation=Audited.ADD_TOKEN, subject=bot_id)
    change_in(database, change, lambda connection: connection.execute(insert(TOKENS).values(**row)))
    return token


def any_tokens(connection: Connection) -> bool:
    """Return whether any bot has a token; without one the server serves its own machine only."""
    return connection.execute(select(TOKENS.c.hash).limit(1)).first() is not None


def may_relay(connection: Connection, token: str | None, bot_id: str, local: bool) -> bool:
    """Return whether a relay with this token may speak for this bot. ``local``: it is a program on this machine."""
    if not any_tokens(connection):
        return local  # the server listens on its own machine only; a proxy there may speak for others
    return token_fits(connection, token, bot_id)


def token_fits(connection: Connection, token: str | None, bot_id: str | None = None) -> bool:
    """Return whether this is a token of the bot; without a bot, of any. Compared in constant time."""
    query = select(TOKENS.c.hash) if bot_id is None else select(TOKENS.c.hash).where(TOKENS.c.bot_id == bot_id)
    given = hashed(token or "")
    found = False
    for row in connection.execute(query):
        found |= hmac.compare_digest(given, row.hash)
    return found


def token_hashes(connection: Connection) -> frozenset[str]:
    """Return the hashes of all bots' tokens."""
    return frozenset(connection.execute(select(TOKENS.c.hash)).scalars())


def last_change(connection: Connection) -> str:
    """Return the id of the last change to accounts, departments, tokens or sessions of which running servers are notified."""
    return str(_LAST_CHANGE.scalar(connection, {"name": CHANGES}) or "")


def hashed(token: str) -> str:
    """Return the hash of a random token, which is all that is stored of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_right_password(account: Account | None, password: str) -> bool:
    """Return whether this is the account's password. Slow on purpose: call it in a thread."""
    try:
        return HASHER.verify(account.password if account else _nobodys_hash(), password) and account is not None
    except (VerificationError, InvalidHashError):
        return False


def _nobodys_hash() -> str:
    """Make up a hash to verify for an unknown e-mail, so that the answer takes as long as for a known one.

    No password has it. Its bytes are random, so making it costs nothing.
    """
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (HASHER.salt_len, HASHER.hash_len)
    )
    cost = f"m={HASHER.memory_cost},t={HASHER.time_cost},p={HASHER.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${cost}${salt}${digest}"


def by_email(connection: Connection, email: str) -> Account | None:
    """Return the account with this e-mail, in capitals or small letters; None if there is none."""
    row = connection.execute(select(AGENTS.c.id).where(AGENTS.c.email == email.strip().lower())).first()
    return by_id(connection, row.id) if row else None


def by_id(connection: Connection, id: str) -> Account | None:
    """Return the account with this id; None if there is none."""
    asked = {"agent": id}
    row = _AGENT.first(connection, asked)
    if row is None:
        return None
    departments = tuple(row.department for row in _SERVES.all(connection, asked))
    none = _SERVES_NONE.first(connection, asked) is not None
    return Account(
        id=id,
        email=row.email,
        name=row.name,
        password=row.password,
        online=row.online,
        departments=departments,
        role=Role(row.role),
        serves_none=none,
    )


def admins(connection: Connection) -> frozenset[str]:
    """Return the ids of all admins, whose rows are locked, so that of two commands at once none takes the last one away."""
    query = select(AGENTS.c.id).where(AGENTS.c.role == Role.ADMIN.value).order_by(AGENTS.c.id).with_for_update()
    return frozenset(connection.execute(query).scalars())


def member(connection: Connection, id: str) -> Member:
    """Return the agent as customers see them, and their role as it is now.

    Raises:
        Refused: the account was removed.
    """
    row = _MEMBER.first(connection, {"agent": id})
    if row is None:
        raise Refused("unknown_agent", "This account was removed. Ask whoever runs the desk.")
    return Member(agent=Agent(id=id, name=row.name), role=Role(row.role))


def roles(connection: Connection) -> dict[str, Role]:
    """Return the role of each account, by its id."""
    return {row.id: Role(row.role) for row in connection.execute(select(AGENTS.c.id, AGENTS.c.role))}


def has_department(connection: Connection, name: str) -> bool:
    """Return whether there is a department of this name."""
    return connection.execute(select(DEPARTMENTS.c.name).where(DEPARTMENTS.c.name == name)).first() is not None


def check_agent(email: str, name: str, password: str) -> None:
    """Check an account's e-mail, name and password.

    Raises:
        HandoffError: one of them isn't valid; the sentence says how to write it.
    """
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", email) or len(email) > LONGEST_EMAIL:
        raise HandoffError(f"'{email}' isn't an e-mail address. Write one such as thandi@example.org.")
    if not name or len(name) > LONGEST_NAME:
        raise HandoffError(f"An agent needs a name of at most {LONGEST_NAME} characters: customers see it.")
    if len(password) < SHORTEST_PASSWORD:
        raise HandoffError(f"The password is too short: it needs at least {SHORTEST_PASSWORD} characters.")


def note_change(connection: Connection) -> None:
    """Notify every running server of a change in this transaction, by a new id that it finds."""
    insert_or_update(connection, SECRETS, name=CHANGES, value=uuid.uuid4().hex)


def _must_have_department(connection: Connection, name: str) -> None:
    if not has_department(connection, name):
        raise HandoffError(f"There is no department '{name}'. Add it first: rasa-handoff department add {name}")


def change_in(database: str, change: AuditedChange, work: Callable[[Connection], T]) -> T:
    """Change something in the desk's database, and note it in the audit log, in one transaction, for the command line.

    A running server is notified of the change.

    Raises:
        StoreError: the database can't be opened, or is locked, full or unreachable.
    """

    def changing(connection: Connection) -> T:
        answer = work(connection)
        audit_log.add_change(connection, change, time.time())
        note_change(connection)
        return answer

    return read_in(database, changing)


def read_in(database: str, work: Callable[[Connection], T]) -> T:
    """Run one transaction that only reads in the desk's database without an event loop, for the command line.

    Raises:
        StoreError: the database can't be opened, or is locked, full or unreachable.
    """
    store = open_store(database)
    try:
        store.prepare()
        return store.run(work)
    except SQLAlchemyError as problem:
        reason = str(getattr(problem, "orig", None) or problem).splitlines()[0].rstrip(".")
        raise StoreError(f"The database can't be used now: {reason}. Nothing was changed; try again.") from problem
    finally:
        store.dispose()
