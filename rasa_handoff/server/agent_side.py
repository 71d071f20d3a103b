"""What the agents do to conversations."""

from typing import Any

from rasa_handoff.server import accounts, records, staffing, summaries
from rasa_handoff.server.door import Door
from rasa_handoff.server.messages import Message
from rasa_handoff.server.news import AgentTyping
from rasa_handoff.server.outcomes import Outcome, check_slots
from rasa_handoff.server.records import Record
from rasa_handoff.server.turn import Turn
from rasa_handoff.thinking.assignment import Stage
from rasa_handoff.thinking.desk_events import AgentCame, AgentLeft, AgentSaid, Resolved, Taken, Transferred
from rasa_handoff.vocabulary.errors import Refused


class AgentSide(Door):
    """The door as the desks use it."""

    async def take(self, agent_id: str, handoff_id: str) -> dict[str, Any]:
        """An agent takes it; all of it in return."""

        def work(turn: Turn) -> dict[str, Any]:
            record = _of_agent(turn, agent_id, handoff_id)
            agent = accounts.person(turn.connection, agent_id)
            return summaries.conversation(turn.connection, turn.apply(record, Taken(at=turn.now, agent=agent)))

        return await self.do(work)

    async def open(self, agent_id: str, handoff_id: str, after: int) -> dict[str, Any]:
        """All of it, with the messages after number ``after``."""

        def work(turn: Turn) -> dict[str, Any]:
            return summaries.conversation(turn.connection, _of_agent(turn, agent_id, handoff_id), after)

        return await self.do(work)

    async def agent_said(self, agent_id: str, handoff_id: str, id: str, text: str) -> Message:
        """The agent who has it wrote."""

        def work(turn: Turn) -> Message:
            record = _of_agent(turn, agent_id, handoff_id)
            agent = accounts.person(turn.connection, agent_id)
            return turn.say(record, AgentSaid(at=turn.now, agent=agent, id=id, text=text))

        return await self.do(work)

    async def agent_typing(self, agent_id: str, handoff_id: str, on: bool) -> None:
        """For the customer, from the agent who has it; never stored."""

        def work(turn: Turn) -> None:
            record = _of_agent(turn, agent_id, handoff_id)
            state = record.assignment
            if state.stage is Stage.ASSIGNED and state.agent is not None and state.agent.id == agent_id:
                offer = record.offer
                turn.news.append(AgentTyping(side=record.side, bot_id=offer.bot_id, handoff_id=handoff_id, on=on))

        await self.do(work)

    async def transfer(self, agent_id: str, handoff_id: str, department: str | None) -> None:
        """The agent passes it on."""

        def work(turn: Turn) -> None:
            if department is not None and not accounts.has_department(turn.connection, department):
                raise Refused("unknown_department", f"There is no department '{department}' at this desk.")
            record = _of_agent(turn, agent_id, handoff_id)
            agent = accounts.person(turn.connection, agent_id)
            turn.apply(record, Transferred(at=turn.now, agent=agent, department=department))

        await self.do(work)

    async def resolve(
        self, agent_id: str, handoff_id: str, outcome: Outcome, note: str | None, slots: dict[str, Any]
    ) -> None:
        """The agent finished it."""

        def work(turn: Turn) -> None:
            record = _of_agent(turn, agent_id, handoff_id)
            check_slots(slots, record.offer.bot.settable)
            agent = accounts.person(turn.connection, agent_id)
            turn.apply(record, Resolved(at=turn.now, agent=agent, outcome=outcome.value, note=note, slots=slots))

        await self.do(work)

    async def agent_here(self, agent_id: str, here: bool) -> None:
        """A desk of the agent is open, or has been closed for longer than a reload takes."""

        def work(turn: Turn) -> None:
            staffing.set_here(turn.connection, agent_id, here)
            for record in records.assigned_to(turn.connection, agent_id):
                with turn.apart("Handoff %s doesn't hear of agent %s.", record.handoff_id, agent_id):
                    turn.apply(record, AgentCame(at=turn.now) if here else AgentLeft(at=turn.now))

        await self.do(work)
        await self.staffing()


def _of_agent(turn: Turn, agent_id: str, handoff_id: str) -> Record:
    record = records.must_find(turn.connection, handoff_id)
    summaries.must_see(turn.connection, record, agent_id)
    return record
