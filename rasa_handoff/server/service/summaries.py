"""Conversations as the desk shows them (Summary and WholeConversation of docs/protocol.md), and who may see which."""

from typing import Final

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from rasa_handoff.core.assignment import Ending, Stage
from rasa_handoff.protocol.desk_payloads import EndSummary, Message, Summary, WholeConversation
from rasa_handoff.protocol.logs import short_id
from rasa_handoff.protocol.values import Speaker
from rasa_handoff.server.service import availability
from rasa_handoff.server.storage import handoffs
from rasa_handoff.server.storage.handoffs import Record

LONGEST_PREVIEW: Final = 300
"""Characters of a message in a list; the whole of it comes with the conversation."""


def summary(record: Record, last: Message | None) -> Summary:
    """Return what a list shows of a conversation. ``last``: its last message."""
    offer, state = record.offer, record.assignment
    return Summary(
        handoff_id=offer.handoff_id,
        bot_id=offer.bot_id,
        short_id=short_id(offer.conversation_id),
        state=state.stage.value,
        title=_cut(offer.contact.name or offer.contact.email) or f"Customer {short_id(offer.conversation_id)[:4]}",
        department=state.department,
        agent=state.agent,
        reason=_cut(offer.reason),
        priority=offer.priority,
        language=_cut(offer.language),
        channel=offer.channel,
        queued_at=state.queued_at,
        assigned_at=state.assigned_at,
        ahead=state.ahead,
        reminders=state.reminders,
        customer_is_away=record.customer_is_away,
        last=None if last is None else replace(last, text=_cut(last.text), parts=()),
        words=_last_before(record),
        ended=_ended(state.ended, record.followed_up),
    )


def _ended(ending: Ending | None, followed_up: bool) -> EndSummary | None:
    if ending is None:
        return None
    return EndSummary(outcome=ending.outcome, note=ending.note, at=ending.at, followed_up=followed_up)


def _last_before(record: Record) -> str | None:
    """Return the customer's last message before the handoff."""
    lines = (line.text for line in reversed(record.offer.transcript) if line.speaker is Speaker.CUSTOMER)
    return _cut(next(lines, None))


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST_PREVIEW else text[:LONGEST_PREVIEW] + "…"


def load_summary(connection: Connection, record: Record) -> Summary:
    """Return the summary, with the last message read from the database."""
    return summary(record, handoffs.last_message(connection, record.handoff_id))


def conversation(connection: Connection, record: Record, after: int = 0) -> WholeConversation:
    """Return the whole conversation; of its messages those after number ``after``."""
    offer, shown = record.offer, load_summary(connection, record)
    fields = {name: getattr(shown, name) for name in Summary.__struct_fields__}
    return WholeConversation(
        **{**fields, "reason": offer.reason},
        contact=offer.contact,
        note=offer.note,
        transcript=offer.transcript,
        transcript_follows=offer.transcript_follows,
        bot=offer.bot,
        messages=tuple(handoffs.messages_after(connection, record.handoff_id, after)),
    )


def viewers(connection: Connection, record: Record, seeing: frozenset[str] | None = None) -> frozenset[str]:
    """Return the agents who may see a conversation: who look into its department, the assigned one, the one the bot named.

    ``seeing``: those who look into its department, if the caller knows them already.
    """
    seen = availability.seeing(connection, record.assignment.department) if seeing is None else seeing
    if record.assignment.agent is not None:
        seen |= {record.assignment.agent.id}
    if record.offer.agent is not None:
        named = availability.agent_id_of(connection, record.offer.agent)
        seen |= {named} if named else set()
    return seen


def sees(connection: Connection, record: Record, agent: str) -> bool:
    """Return whether the agent may see the conversation."""
    has_it = record.assignment.agent is not None and record.assignment.agent.id == agent
    return has_it or agent in viewers(connection, record)


def lists(connection: Connection, agent: str) -> dict[str, tuple[Summary, ...]]:
    """Return the lists of the event ``ready``: the queue, the agent's own and the others' conversations, messages left, and what
    is to be followed up."""
    listed = [*handoffs.unfinished(connection), *handoffs.to_follow_up(connection)]
    departments = {record.assignment.department for record in listed}
    seeing = {department: availability.seeing(connection, department) for department in departments}
    seen = [record for record in listed if agent in viewers(connection, record, seeing[record.assignment.department])]
    last = handoffs.last_messages(connection, [record.handoff_id for record in seen])
    found: dict[str, list[Summary]] = {"queue": [], "mine": [], "others": [], "messages": [], "follow_ups": []}
    for record in seen:
        found[_list_of(record, agent)].append(summary(record, last.get(record.handoff_id)))
    return {name: tuple(summaries) for name, summaries in found.items()}


def gone_summary(summary: Summary, at: float) -> Summary:
    """Return the summary for agents who may no longer see the conversation: ended, so that their lists drop it."""
    ending = EndSummary(outcome="transferred", note=None, at=at)
    return replace(summary, state=Stage.ENDED.value, last=None, ended=ending)


def _list_of(record: Record, agent: str) -> str:
    if record.assignment.stage is Stage.ENDED:
        return "follow_ups"
    if record.assignment.stage is Stage.QUEUED:
        return "queue"
    if record.assignment.stage is Stage.MESSAGE:
        return "messages"
    return "mine" if record.assignment.agent and record.assignment.agent.id == agent else "others"
