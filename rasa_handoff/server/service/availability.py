"""Availability: departments, the agents who serve them, the expected wait. Read inside a transaction."""

from statistics import median
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import and_, bindparam, literal_column, or_, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.core.department_hours import BOT, from_stored
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.values import Availability, Department, Offer, find_department
from rasa_handoff.server.rights import SEES_EVERYTHING
from rasa_handoff.server.storage import handoffs
from rasa_handoff.server.storage.tables import AGENTS, DEPARTMENTS, SERVES, SERVES_NONE
from rasa_handoff.store.statements import Statement

WAITS: Final = 20
"""How many of the last waits count: the expected wait is their median."""
WAITS_WITHIN: Final = 24 * 3600.0
"""Seconds; older waits say nothing about today."""
WAIT_STEP: Final = 10
"""Expected waits are rounded to so many seconds, so that they don't change with every conversation."""


_own = select(SERVES.c.agent).where(SERVES.c.agent == AGENTS.c.id)
_none = select(SERVES_NONE.c.agent).where(SERVES_NONE.c.agent == AGENTS.c.id)
_every = and_(~_own.exists(), ~_none.exists())
_in_department = or_(_every, _own.where(SERVES.c.department == bindparam("department")).exists())
_online = and_(AGENTS.c.online, AGENTS.c.here)
# Statements of ordinary messages are built once: building one costs more than running it. The keys: in a department, only online.
_SERVING: Final = {
    (False, False): Statement(select(AGENTS.c.id)),
    (False, True): Statement(select(AGENTS.c.id).where(_online)),
    (True, False): Statement(select(AGENTS.c.id).where(_in_department)),
    (True, True): Statement(select(AGENTS.c.id).where(_online, _in_department)),
}
_sees_everything = or_(*(AGENTS.c.role == literal_column(f"'{role.value}'") for role in SEES_EVERYTHING))
_SEEING: Final = Statement(select(AGENTS.c.id).where(or_(_sees_everything, _in_department)))
_AGENT_ID: Final = Statement(
    select(AGENTS.c.id).where(or_(AGENTS.c.id == bindparam("named"), AGENTS.c.email == bindparam("email")))
)

_HOURS: Final = select(DEPARTMENTS.c.hours).where(DEPARTMENTS.c.name == bindparam("department"))


def serving(connection: Connection, department: str | None, only_online: bool = False) -> frozenset[str]:
    """Return the ids of the agents who serve a department.

    ``department`` None is no department: all agents serve it. An agent without departments serves all of them, unless theirs were
    removed.
    """
    asked = {} if department is None else {"department": department}
    return frozenset(row.id for row in _SERVING[department is not None, only_online].all(connection, asked))


def seeing(connection: Connection, department: str | None) -> frozenset[str]:
    """Return the ids of the accounts that may look into a department: who serve it, and who see every conversation."""
    if department is None:
        return serving(connection, None)
    return frozenset(row.id for row in _SEEING.all(connection, {"department": department}))


def availability(connection: Connection, now: float) -> Availability:
    """Return which departments are open and staffed, and their expected waits: what relays and desks get at each change."""
    departments = tuple(
        replace(
            one,
            staffed=bool(serving(connection, one.name, only_online=True)),
            wait=expected_wait(connection, one.name),
        )
        for one in _departments(connection, now)
    )
    return Availability(departments=departments, staffed=bool(serving(connection, None, only_online=True)))


def set_here(connection: Connection, agent: str, here: bool) -> None:
    """Note whether a desk of the agent is open, or was moments ago."""
    connection.execute(update(AGENTS).where(AGENTS.c.id == agent).values(here=here))


def expected_wait(connection: Connection, department: str | None) -> float | None:
    """Return the expected seconds until an agent takes a conversation; None if nobody took one there lately."""
    waits = handoffs.recent_waits(connection, department, WAITS, WAITS_WITHIN)
    return float(WAIT_STEP * round(median(waits) / WAIT_STEP)) if waits else None


def find(connection: Connection, said: str | None, now: float) -> Department | None:
    """Return the department that a bot means by this name or title. Whether it is staffed isn't looked up."""
    return None if said is None else find_department(_departments(connection, now), said)


def _departments(connection: Connection, now: float) -> list[Department]:
    """Return all departments, and whether they are open; whether they are staffed isn't looked up."""
    rows = connection.execute(select(DEPARTMENTS).order_by(DEPARTMENTS.c.title, DEPARTMENTS.c.name)).all()
    return [_department(row, now) for row in rows]


def _department(row: Any, now: float) -> Department:
    own = from_stored(row.hours)
    department = Department(name=row.name, title=row.title, open=row.open, staffed=False)
    if own is None:
        return department
    state = own.hours.state(now)
    department = replace(department, zone=own.hours.zone, takes_messages=own.then != BOT)
    if state.is_open or not row.open:
        return department
    return replace(department, open=False, opens=state.until, closed_text=own.text)


def destination(connection: Connection, offer: Offer, now: float) -> Department | None:
    """Return the department whose queue takes the offered handoff; None: the queue of all agents.

    It is the offer's own if somebody can take it there, else the one that takes over outside its opening hours, else its
    ``default_department``.

    Raises:
        Refused: with code ``unknown_department``, ``unknown_agent`` or ``nobody_available``.
    """
    if offer.agent is not None:
        _check_agent(connection, offer.agent)
    elif not serving(connection, None, only_online=True):
        if offer.default_department is None:
            _find_or_refuse(connection, offer.department, now)  # a wrong name is the better reason
        raise Refused("nobody_available", "Nobody is there to take this conversation now.")
    try:
        return _open_department(connection, offer, offer.department, now)
    except Refused as problem:
        if offer.default_department is None:
            raise
        try:
            return _open_department(connection, offer, offer.default_department, now)
        except Refused:
            raise problem from None  # the sentence is about what the bot asked for


def agent_id_of(connection: Connection, name: str) -> str | None:
    """Return the id of the agent with this id or e-mail."""
    asked = {"named": name, "email": name.strip().lower()}
    found: str | None = _AGENT_ID.scalar(connection, asked)
    return found


def _open_department(connection: Connection, offer: Offer, said: str | None, now: float) -> Department | None:
    department = _find_or_refuse(connection, said, now)
    if department is None:
        known = _departments(connection, now)
        if known and not any(one.open for one in known):
            raise Refused("nobody_available", "Every department is closed now.")
        return None
    if not department.open:
        instead = _overflow(connection, department, now)
        if instead is not None and (offer.agent is not None or serving(connection, instead.name, only_online=True)):
            return instead
        raise Refused("nobody_available", f"{department.label} is closed now.")
    if offer.agent is None and not serving(connection, department.name, only_online=True):
        raise Refused("nobody_available", f"Nobody is there for {department.label} now.")
    return department


def _overflow(connection: Connection, department: Department, now: float) -> Department | None:
    """Return the department that takes over from one that is closed, if that is open itself."""
    own = from_stored(connection.execute(_HOURS, {"department": department.name}).scalar())
    instead = None if own is None else find(connection, own.overflow, now)
    return instead if instead is not None and instead.open else None


def _find_or_refuse(connection: Connection, said: str | None, now: float) -> Department | None:
    department = find(connection, said, now)
    if said is not None and department is None:
        raise Refused("unknown_department", f"There is no department '{said}' at this desk.")
    return department


def _check_agent(connection: Connection, name: str) -> None:
    agent = agent_id_of(connection, name)
    if agent is None:
        raise Refused("unknown_agent", f"There is no agent '{name}' at this desk.")
    if agent not in serving(connection, None, only_online=True):
        raise Refused("nobody_available", f"{name} isn't there now.")
