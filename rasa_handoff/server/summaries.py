"""How the desk sees conversations: Summary and Conversation of docs/protocol.md, and who may see which."""

from typing import Any, Final

from sqlalchemy.engine import Connection

from rasa_handoff.server import messages, records, staffing
from rasa_handoff.server.messages import Message
from rasa_handoff.server.records import Record
from rasa_handoff.thinking.assignment import Stage
from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.log_values import short_id
from rasa_handoff.vocabulary.values import Speaker, plain

LONGEST_PREVIEW: Final = 300
"""Characters of a message in a list; the whole of it comes with the conversation."""


def summary(record: Record, last: Message | None) -> dict[str, Any]:
    """One line of a list."""
    offer, state = record.offer, record.assignment
    return {
        "handoff_id": offer.handoff_id,
        "bot_id": offer.bot_id,
        "short_id": short_id(offer.conversation_id),
        "state": state.stage.value,
        "title": _cut(offer.contact.name or offer.contact.email) or f"Customer {short_id(offer.conversation_id)[:4]}",
        "department": state.department,
        "agent": plain(state.agent),
        "reason": _cut(offer.reason),
        "priority": offer.priority.value,
        "language": _cut(offer.language),
        "channel": plain(offer.channel),
        "queued_at": state.queued_at,
        "assigned_at": state.assigned_at,
        "ahead": state.ahead,
        "reminders": state.reminders,
        "position": record.position,
        "last": _preview(last),
        "words": _words_before(record),
        "ended": plain(state.ended),
    }


def _words_before(record: Record) -> str | None:
    """The customer's last words before they were handed over."""
    lines = (line.text for line in reversed(record.offer.transcript) if line.speaker is Speaker.CUSTOMER)
    return _cut(next(lines, None))


def _preview(last: Message | None) -> dict[str, Any] | None:
    return None if last is None else {**plain(last), "text": _cut(last.text)}


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST_PREVIEW else text[:LONGEST_PREVIEW] + "…"


def summarized(connection: Connection, record: Record) -> dict[str, Any]:
    """The summary with the last message looked up."""
    return summary(record, messages.last(connection, [record.handoff_id]).get(record.handoff_id))


def conversation(connection: Connection, record: Record, after: int = 0) -> dict[str, Any]:
    """All of it; of the messages those after number ``after``."""
    offer = record.offer
    return {
        **summarized(connection, record),
        "reason": offer.reason,
        "contact": plain(offer.contact),
        "note": offer.note,
        "transcript": plain(offer.transcript),
        "transcript_follows": offer.transcript_follows,
        "bot": plain(offer.bot),
        "messages": plain(messages.after(connection, record.handoff_id, after)),
    }


def viewers(connection: Connection, record: Record, serving: frozenset[str] | None = None) -> frozenset[str]:
    """The agents who may see it: who serve its department (if not known yet), who has it, whom the bot named."""
    seen = staffing.serving(connection, record.assignment.department) if serving is None else serving
    if record.assignment.agent is not None:
        seen |= {record.assignment.agent.id}
    if record.offer.agent is not None:
        named = staffing.agent_called(connection, record.offer.agent)
        seen |= {named} if named else set()
    return seen


def must_see(connection: Connection, record: Record, agent: str) -> None:
    """Whether the agent may see it.

    Raises:
        Refused: with code ``unknown_handoff``, as if there were none.
    """
    if agent not in viewers(connection, record):
        raise Refused("unknown_handoff", "This conversation isn't known here.")


def lists(connection: Connection, agent: str) -> dict[str, list[dict[str, Any]]]:
    """Queue, the agent's own and the others' conversations, and messages left, as ``ready`` has them."""
    unfinished = records.unfinished(connection)
    departments = {record.assignment.department for record in unfinished}
    serving = {department: staffing.serving(connection, department) for department in departments}
    seen = [
        record for record in unfinished if agent in viewers(connection, record, serving[record.assignment.department])
    ]
    last = messages.last(connection, [record.handoff_id for record in seen])
    found: dict[str, list[dict[str, Any]]] = {"queue": [], "mine": [], "others": [], "messages": []}
    for record in seen:
        found[_list_of(record, agent)].append(summary(record, last.get(record.handoff_id)))
    return found


def faded(summary: dict[str, Any], at: float) -> dict[str, Any]:
    """The summary for one who may no longer see it: over, as far as their lists go."""
    ending = {"outcome": "transferred", "note": None, "at": at}
    return {**summary, "state": Stage.ENDED.value, "last": None, "ended": ending}


def _list_of(record: Record, agent: str) -> str:
    if record.assignment.stage is Stage.QUEUED:
        return "queue"
    if record.assignment.stage is Stage.MESSAGE:
        return "messages"
    return "mine" if record.assignment.agent and record.assignment.agent.id == agent else "others"
