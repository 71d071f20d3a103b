"""The operations of the agents, and the check of the slots that they fill in."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from rasa_handoff.core.assignment import Stage
from rasa_handoff.core.assignment_events import AgentCame, AgentLeft, Resolved, Taken, Transferred
from rasa_handoff.protocol.desk_payloads import WholeConversation
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.values import Agent, Outcome, Slot
from rasa_handoff.server import accounts
from rasa_handoff.server.service import availability, summaries
from rasa_handoff.server.service.publications import AgentTyping
from rasa_handoff.server.service.unit_of_work import Service, UnitOfWork, must_find_for_agent
from rasa_handoff.server.storage import audit_log, handoffs, whereabouts
from rasa_handoff.server.storage.audit_log import Audited
from rasa_handoff.server.storage.handoffs import Record

# A bool is an int in Python; for Rasa it isn't a number.
FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "text": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
}
"""Whether a value fits a slot type of Rasa's; types that aren't listed take any value."""
WANTED: Final = {"text": "a text", "bool": "yes or no", "float": "a number", "list": "a list"}


Loaded = Callable[[WholeConversation], Awaitable[None]]


def check_slots(slots: Mapping[str, Any], settable: Sequence[Slot]) -> None:
    """Check that these slots may be set to these values; None empties any of them.

    Raises:
        Refused: with code ``invalid``; names the slot.
    """
    known = {slot.name: slot for slot in settable}
    for name, value in slots.items():
        if name not in known:
            raise Refused("invalid", f"The slot '{name}' can't be set in this conversation.")
        if value is not None:
            _check_value(known[name], value)


def _check_value(slot: Slot, value: Any) -> None:
    if slot.values is not None and value not in slot.values:
        choice = ", ".join(str(item) for item in slot.values)
        raise Refused("invalid", f"The slot '{slot.name}' must be one of: {choice}.")
    fits = FITS.get(slot.type)
    if fits is not None and not fits(value):
        raise Refused("invalid", f"The slot '{slot.name}' must be {WANTED[slot.type]}.")


class AgentService(Service):
    """The operations of the agents."""

    async def take(self, agent_id: str, handoff_id: str) -> WholeConversation:
        """Assign a handoff to the agent, and return the whole conversation."""

        def work(unit: UnitOfWork) -> WholeConversation:
            record, agent = must_find_for_agent(unit, "/desk take", agent_id, handoff_id)
            return summaries.conversation(unit.connection, unit.apply(record, Taken(at=unit.now, agent=agent)))

        return await self.do(work)

    async def open(self, agent_id: str, handoff_id: str, after: int, loaded: Loaded | None = None) -> WholeConversation:
        """Return the whole conversation, with the messages after number ``after``.

        ``loaded`` is called with it before anything of a later transaction is published.
        """

        def work(unit: UnitOfWork) -> WholeConversation:
            record, agent = must_find_for_agent(unit, "/desk open", agent_id, handoff_id)
            if audit_log.is_look(record.assignment, agent_id):
                audit_log.add_of_agent(unit.connection, agent, Audited.OPEN, handoff_id, unit.now, **_about(record))
            whole = summaries.conversation(unit.connection, record, after)
            if loaded is not None:
                unit.afterwards.append(partial(loaded, whole))
            return whole

        return await self.do(work)

    async def show_to_colleagues(self, handoff_ids: Sequence[str]) -> list[str]:
        """Publish the summaries of assigned conversations to those who may see them and don't have them.

        Return those that another process is changing: they are to be shown later.
        """

        def work(unit: UnitOfWork) -> list[str]:
            left = []
            for handoff_id in handoff_ids:
                record = handoffs.find_if_free(unit.connection, handoff_id)
                if record is None and handoffs.look_at(unit.connection, handoff_id) is not None:
                    left.append(handoff_id)
                elif record is not None and record.assignment.stage is Stage.ASSIGNED:
                    unit.show(record, summaries.viewers(unit.connection, record) - unit.readers(record))
            return left

        return await self.do(work)

    async def viewers_of(self, handoff_ids: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return the agents who may see each of these conversations; nobody may see an unknown one."""

        def work(unit: UnitOfWork) -> dict[str, frozenset[str]]:
            found = {handoff_id: handoffs.look_at(unit.connection, handoff_id) for handoff_id in handoff_ids}
            return {
                handoff_id: summaries.viewers(unit.connection, record) if record else frozenset()
                for handoff_id, record in found.items()
            }

        return await self.do(work)

    async def agent_typing(self, agent_id: str, handoff_id: str, on: bool) -> None:
        """Publish the assigned agent's typing to the customer. It is never stored."""

        def work(unit: UnitOfWork) -> None:
            record, _ = must_find_for_agent(unit, "/desk typing", agent_id, handoff_id)
            state = record.assignment
            if state.stage is Stage.ASSIGNED and state.agent is not None and state.agent.id == agent_id:
                offer = record.offer
                unit.publications.append(
                    AgentTyping(side=record.side, bot_id=offer.bot_id, handoff_id=handoff_id, on=on)
                )

        await self.do(work)

    async def transfer(self, agent_id: str, handoff_id: str, department: str | None) -> None:
        """Put the handoff back into a department's queue; None: into the queue of all agents."""

        def work(unit: UnitOfWork) -> None:
            if department is not None and not accounts.has_department(unit.connection, department):
                raise Refused("unknown_department", f"There is no department '{department}' at this desk.")
            record, agent = must_find_for_agent(unit, "/desk transfer", agent_id, handoff_id)
            unit.apply(record, Transferred(at=unit.now, agent=agent, department=department))
            _note_if_not_owner(unit, record, agent, Audited.TRANSFER, to=department)

        await self.do(work)

    async def resolve(
        self, agent_id: str, handoff_id: str, outcome: Outcome, note: str | None, slots: dict[str, Any]
    ) -> None:
        """End the handoff with the agent's outcome, note and slots."""

        def work(unit: UnitOfWork) -> None:
            record, agent = must_find_for_agent(unit, "/desk resolve", agent_id, handoff_id)
            check_slots(slots, record.offer.bot.settable)
            unit.apply(record, Resolved(at=unit.now, agent=agent, outcome=outcome.value, note=note, slots=slots))
            _note_if_not_owner(unit, record, agent, Audited.RESOLVE, outcome=outcome.value)

        await self.do(work)

    async def follow_up(self, agent_id: str, handoff_id: str) -> None:
        """Note that what the outcome "follow_up" of a conversation asks for was done; a second time changes nothing."""

        def work(unit: UnitOfWork) -> None:
            record, _ = must_find_for_agent(unit, "/desk followed_up", agent_id, handoff_id)
            ended = record.assignment.ended
            if ended is None or ended.outcome != Outcome.FOLLOW_UP.value:
                raise Refused("invalid", "There is nothing to follow up in this conversation.")
            if not record.followed_up:
                after = replace(record, followed_up=True)
                handoffs.save(unit.connection, after)
                unit.show(after)

        await self.do(work)

    async def agent_here(self, agent_id: str, here: bool, was_here: bool = False) -> None:
        """Note that a desk of the agent is open, or has been closed for longer than a reload takes.

        An agent whose desk is open at another server stays. ``was_here``: one who isn't here any more, since another server has
        noted that, has left already.
        """

        def work(unit: UnitOfWork) -> None:
            # First, so that of two servers one goes on when the other has noted what it knows.
            is_here = whereabouts.lock_agent(unit.connection, agent_id)
            if here:
                whereabouts.desk_came(unit.connection, agent_id)
            elif whereabouts.desk_went(unit.connection, agent_id) or (was_here and not is_here):
                return
            availability.set_here(unit.connection, agent_id, here)
            for record in handoffs.assigned_to(unit.connection, agent_id):
                with unit.isolated("Handoff %s can't be informed about agent %s.", record.handoff_id, agent_id):
                    unit.apply(record, AgentCame(at=unit.now) if here else AgentLeft(at=unit.now))

        await self.do(work)
        await self.refresh_availability()


def _about(record: Record) -> dict[str, str | None]:
    """Return what the audit log says of a conversation: where it is, and who has it or had it."""
    state = record.assignment
    return {
        "state": state.stage.value,
        "department": state.department,
        "owner": None if state.agent is None else state.agent.name,
    }


def _note_if_not_owner(unit: UnitOfWork, record: Record, agent: Agent, operation: Audited, **details: Any) -> None:
    """Note in the audit log what somebody did with a conversation that another agent had. ``record``: as it was before."""
    owner = record.assignment.agent
    if owner is not None and owner.id != agent.id:
        about = {**_about(record), **details}
        audit_log.add_of_agent(unit.connection, agent, operation, record.handoff_id, unit.now, **about)
