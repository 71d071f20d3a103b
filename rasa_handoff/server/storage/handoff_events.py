"""The history of handoffs, a row for each thing that happened: reports, audits and the history of a customer read it.

Rows are only added, by the unit of work in the transaction of the change they describe, so a change that was undone has none.
Messages have no rows here, except an agent's first answer. How long a step took is the time between two rows of a handoff.

Rows stay when the handoff itself is deleted, and go after a time of their own (:func:`remove_before`). Erasing a customer
(:func:`erase`) takes texts and names out of ``details`` and keeps the row, so that counts and times stay right.
"""

import enum
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.core.assignment import Assignment, Stage
from rasa_handoff.core.assignment_events import (
    AgentSilent,
    AgentWrote,
    Arrived,
    AssignmentEvent,
    CustomerEnded,
    CustomerSilent,
    MessageLeft,
    NobodyTook,
    RelayLost,
    Released,
    Resolved,
    Taken,
    Transferred,
)
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.payloads import RatingPayload
from rasa_handoff.protocol.text import as_json
from rasa_handoff.protocol.values import Agent, Offer, Value
from rasa_handoff.server.storage.tables import HANDOFF_EVENTS, HANDOFFS


class What(str, enum.Enum):
    """The kinds of events in the history of a handoff."""

    QUEUED = "queued"
    RESUMED = "resumed"
    """Queued by a relay that had it already, after this database had lost it."""
    NOBODY_TOOK = "nobody_took"
    TAKEN = "taken"
    ANSWERED = "answered"
    """The first message of the agent who has it."""
    REMINDED = "reminded"
    """The agent was reminded of a customer who waits for an answer."""
    TRANSFERRED = "transferred"
    QUEUED_AGAIN = "queued_again"
    """Queued again, since its agent was gone, or didn't answer."""
    CUSTOMER_ASKED = "customer_asked"
    """The customer was asked whether they are still there."""
    MESSAGE_LEFT = "message_left"
    RESOLVED = "resolved"
    ENDED = "ended"
    """Ended by anybody but an agent; the outcome says why."""
    RATED = "rated"
    """The customer said what they think of it, also after the end, and maybe more than once."""


class Who(str, enum.Enum):
    """Who did it. For an agent, the column ``agent`` says which one."""

    AGENT = "agent"
    CUSTOMER = "customer"
    BOT = "bot"
    TIMER = "timer"


class Details(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Further facts of an event, each where it fits.

    ``seconds``: how long somebody has waited. ``previous_agent``: the id of the agent from whom it was taken over.
    ``to``: the department it was transferred to; none means every agent. ``reason``: the bot's, for the handoff. ``score``: the
    customer's, from 1 to 5, with their ``comment``.
    """

    bot_id: str | None = None
    channel: str | None = None
    priority: str | None = None
    previous_agent: str | None = None
    to: str | None = None
    seconds: float | None = None
    outcome: str | None = None
    reason: str | None = None
    note: str | None = None
    agent_name: str | None = None
    score: int | None = None
    comment: str | None = None


TEXTS: Final = ("reason", "note", "agent_name", "comment")
"""The fields of :class:`Details` that erasing a customer empties: what people wrote, and names."""


class HandoffEvent(Value, frozen=True, kw_only=True):
    """A row. ``agent``: the id of the agent who did it, or whom it is about. ``department``: the one it happened in."""

    handoff_id: str
    at: float
    what: What
    who: Who
    agent: str | None = None
    department: str | None = None
    details: Details = Details()


def add(
    connection: Connection, offer: Offer, before: Assignment | None, event: AssignmentEvent, after: Assignment
) -> None:
    """Add a row for an event, if events of its kind have one; ``before`` and ``after``: the handoff's states."""
    row = _describe(offer, before, event, after)
    if row is not None:
        _add(connection, row)


def add_rating(connection: Connection, handoff_id: str, assignment: Assignment, rating: RatingPayload) -> None:
    """Add a row for a rating, about the agent who has the handoff, or had it when it ended."""
    agent = assignment.agent
    details = Details(score=rating.score, comment=rating.comment, agent_name=agent.name if agent else None)
    row = HandoffEvent(
        handoff_id=handoff_id,
        at=rating.at,
        what=What.RATED,
        who=Who.CUSTOMER,
        agent=agent.id if agent else None,
        department=assignment.department,
        details=details,
    )
    _add(connection, row)


def _add(connection: Connection, row: HandoffEvent) -> None:
    values = {"what": row.what.value, "who": row.who.value, "details": as_json(row.details)}
    fixed = {name: getattr(row, name) for name in ("handoff_id", "at", "agent", "department")}
    connection.execute(insert(HANDOFF_EVENTS).values(**fixed, **values))


def of_handoff(connection: Connection, handoff_id: str) -> list[HandoffEvent]:
    """Return what happened to a handoff, in order. The first row is its first queueing, unless that was removed by its age."""
    columns = HANDOFF_EVENTS.c
    query = select(HANDOFF_EVENTS).where(columns.handoff_id == handoff_id).order_by(columns.key)
    return [_row(row) for row in connection.execute(query)]


def knows(connection: Connection, handoff_id: str) -> bool:
    """Return whether something has happened to this handoff here."""
    query = select(HANDOFF_EVENTS.c.key).where(HANDOFF_EVENTS.c.handoff_id == handoff_id).limit(1)
    return connection.execute(query).first() is not None


def check_not_deleted(connection: Connection, handoff_id: str) -> None:
    """Check that an unknown handoff wasn't deleted here: a late copy must not bring it back.

    Raises:
        Refused: with code ``ended``; the history knows it.
    """
    if knows(connection, handoff_id):
        raise Refused("ended", "This conversation has ended, and was deleted.")


def erase(connection: Connection, bot_id: str, conversation_id: str) -> None:
    """Empty texts and names in what happened to a customer's handoffs.

    To be called before the handoffs themselves are deleted: by them the customer's rows are found.
    """
    handoffs, columns = HANDOFFS.c, HANDOFF_EVENTS.c
    theirs = select(handoffs.handoff_id).where(handoffs.bot_id == bot_id, handoffs.conversation_id == conversation_id)
    query = select(columns.key, columns.details).where(columns.handoff_id.in_(theirs))
    for row in connection.execute(query).all():
        kept = {name: value for name, value in msgspec.json.decode(row.details).items() if name not in TEXTS}
        connection.execute(update(HANDOFF_EVENTS).where(columns.key == row.key).values(details=as_json(kept)))


def remove_before(connection: Connection, at: float, most: int) -> int:
    """Remove rows older than ``at``, the oldest first and ``most`` at once, and return how many were removed."""
    columns = HANDOFF_EVENTS.c
    oldest = select(columns.key).where(columns.at < at).order_by(columns.at).limit(most)
    return int(connection.execute(delete(HANDOFF_EVENTS).where(columns.key.in_(oldest))).rowcount)


def _describe(
    offer: Offer, before: Assignment | None, event: AssignmentEvent, after: Assignment
) -> HandoffEvent | None:
    """Return what an event did; None if that isn't kept."""
    if before is None:
        return _arrival(offer, event, after)
    if before == after and not isinstance(event, NobodyTook):
        return None
    found = _by_people(before, event) or _by_timers_and_relays(before, event, after)
    if found is None:
        return None
    what, who, agent, details = found
    if agent is not None:
        details = replace(details, agent_name=agent.name)
    return HandoffEvent(
        handoff_id=offer.handoff_id,
        at=event.at,
        what=what,
        who=who,
        agent=agent.id if agent else None,
        department=before.department,
        details=details,
    )


def _arrival(offer: Offer, event: AssignmentEvent, after: Assignment) -> HandoffEvent:
    resumed = isinstance(event, Arrived) and event.ahead
    return HandoffEvent(
        handoff_id=offer.handoff_id,
        at=event.at,
        what=What.RESUMED if resumed else What.QUEUED,
        who=Who.BOT,
        department=after.department,
        details=Details(
            bot_id=offer.bot_id, channel=offer.channel.name, priority=offer.priority.value, reason=offer.reason
        ),
    )


Found = tuple[What, Who, Agent | None, Details]


def _by_people(before: Assignment, event: AssignmentEvent) -> Found | None:
    previous = before.agent if before.stage is Stage.ASSIGNED else None
    match event:
        case Taken():
            return What.TAKEN, Who.AGENT, event.agent, Details(previous_agent=previous.id if previous else None)
        case AgentWrote() if not before.answered:
            return What.ANSWERED, Who.AGENT, event.agent, Details()
        case Transferred():
            return What.TRANSFERRED, Who.AGENT, event.agent, Details(to=event.department)
        case Resolved():
            return What.RESOLVED, Who.AGENT, event.agent, Details(outcome=event.outcome, note=event.note)
        case MessageLeft():
            return What.MESSAGE_LEFT, Who.CUSTOMER, previous, Details()
        case CustomerEnded():
            return What.ENDED, Who.CUSTOMER, previous, Details(outcome=event.reason)
    return None


def _by_timers_and_relays(before: Assignment, event: AssignmentEvent, after: Assignment) -> Found | None:
    previous = before.agent if before.stage is Stage.ASSIGNED else None
    if after.ended is not None:
        who = Who.BOT if isinstance(event, RelayLost) else Who.TIMER
        return What.ENDED, who, previous, Details(outcome=after.ended.outcome)
    match event:
        case NobodyTook():
            return What.NOBODY_TOOK, Who.TIMER, None, Details(seconds=event.at - before.queued_at)
        case Released() | AgentSilent() if after.stage is Stage.QUEUED:
            return What.QUEUED_AGAIN, Who.TIMER, previous, Details()
        case AgentSilent():
            return What.REMINDED, Who.TIMER, previous, Details(seconds=after.reminders * event.seconds)
        case CustomerSilent():
            return What.CUSTOMER_ASKED, Who.TIMER, previous, Details(seconds=event.seconds)
    return None


def _row(row: Any) -> HandoffEvent:
    return HandoffEvent(
        handoff_id=row.handoff_id,
        at=row.at,
        what=What(row.what),
        who=Who(row.who),
        agent=row.agent,
        department=row.department,
        details=msgspec.json.decode(row.details, type=Details),
    )
