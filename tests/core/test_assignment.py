"""The table of assignment: walked by Hypothesis, and looked at where two agents, or both sides, act at the same moment."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasa_handoff.core.assignment import HELP_AFTER, TABLE, Stage, step
from rasa_handoff.core.assignment_events import (
    AgentCame,
    AgentLeft,
    AgentSilent,
    AgentWrote,
    Arrived,
    ConversationIdle,
    CustomerEnded,
    CustomerSilent,
    CustomerWrote,
    Delivered,
    KeepMessage,
    MessageLeft,
    NobodyTook,
    RelayLost,
    Released,
    Resolved,
    SendStatus,
    Taken,
    Transferred,
)
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.values import Agent

AGENTS = [Agent(id="1", name="Thandi"), Agent(id="2", name="Sipho")]
DEPARTMENTS = st.sampled_from([None, "billing", "orders"])
AGENT = st.sampled_from(AGENTS)
AT = st.floats(0, 1e9)
EVENTS = st.one_of(
    st.builds(Arrived, at=AT, department=DEPARTMENTS),
    st.builds(Taken, at=AT, agent=AGENT),
    st.builds(CustomerWrote, at=AT, id=st.text(), text=st.text()),
    st.builds(AgentWrote, at=AT, agent=AGENT, id=st.text(), text=st.text()),
    st.builds(Transferred, at=AT, agent=AGENT, department=DEPARTMENTS),
    st.builds(Released, at=AT),
    st.builds(Resolved, at=AT, agent=AGENT, outcome=st.sampled_from(["resolved", "follow_up"])),
    st.builds(MessageLeft, at=AT),
    st.builds(RelayLost, at=AT),
    st.builds(Delivered, at=AT),
    st.builds(AgentLeft, at=AT),
    st.builds(AgentCame, at=AT),
    st.builds(NobodyTook, at=AT),
    st.builds(AgentSilent, at=AT, seconds=AT),
    st.builds(CustomerSilent, at=AT, seconds=AT),
    st.builds(ConversationIdle, at=AT),
    st.builds(CustomerEnded, at=AT, reason=st.sampled_from(["customer_left", "cancelled"])),
)


def tried(state, event):
    """Return what a step gives, and None; or, if it is refused, the state as it was, no effects and the refusal's code."""
    try:
        return *step(state, event), None
    except Refused as no:
        return state, (), no.code


@given(st.lists(EVENTS, max_size=30))
def test_on_any_walk_the_promises_hold(events):
    state, reported = None, []
    for event in events:
        after, effects, code = tried(state, event)
        if code is not None:
            assert code in {"ended", "taken", "not_yours", "unknown_handoff", "invalid"}
            continue
        if state is not None and state.stage is Stage.ENDED:
            assert after == state
            assert all(isinstance(effect, KeepMessage) for effect in effects)
        if any(isinstance(effect, KeepMessage) for effect in effects):
            assert after.stage is state.stage
        if state is not None and state.agent and after.agent and state.agent != after.agent:
            # One agent follows another without the queue only after reminders in vain, or on a message that was left.
            assert state.reminders == HELP_AFTER or state.stage is Stage.MESSAGE
        reported += [effect.status for effect in effects if isinstance(effect, SendStatus)]
        state = after
        assert state.stage is not Stage.QUEUED or state.agent is None
        assert state.stage is not Stage.ASSIGNED or (state.agent is not None and state.assigned_at is not None)
        assert (state.ended is not None) == (state.stage is Stage.ENDED)
    assert reported.count("completed") <= 1
    owners = [status for status in reported if status in ("accepted", "transferred")]
    assert ("transferred", "transferred") not in itertools.pairwise(owners)
    assert owners[:1] in ([], ["accepted"])


@given(st.lists(EVENTS, max_size=10), EVENTS)
def test_an_event_without_a_key_in_the_table_is_refused(events, last):
    state = None
    for event in events:
        state, _, _ = tried(state, event)
    if (state.stage if state else None, type(last)) not in TABLE:
        with pytest.raises(Refused):
            step(state, last)


def queued(department=None):
    return step(None, Arrived(at=1.0, department=department))[0]


def taken():
    return step(queued("billing"), Taken(at=2.0, agent=AGENTS[0]))[0]


def test_the_second_who_takes_it_is_told_who_did():
    with pytest.raises(Refused, match="Thandi took this conversation a moment ago") as no:
        step(taken(), Taken(at=3.0, agent=AGENTS[1]))
    assert no.value.code == "taken"


def test_after_two_reminders_anybody_may_take_it_and_after_three_it_is_queued_ahead():
    state, reported = taken(), []
    for _ in range(2):
        state, (effect,) = step(state, AgentSilent(at=9.0, seconds=60.0))
        reported.append((effect.agent.name, effect.seconds))
    assert reported == [("Thandi", 60.0), ("Thandi", 120.0)]
    over, _ = step(state, Taken(at=10.0, agent=AGENTS[1]))
    assert (over.agent, over.reminders) == (AGENTS[1], 0)
    answered, _ = step(state, AgentWrote(at=10.0, agent=AGENTS[0], id="1", text="here I am"))
    assert answered.reminders == 0
    queued_again, _ = step(state, AgentSilent(at=10.0, seconds=60.0))
    assert (queued_again.stage, queued_again.ahead, queued_again.agent) == (Stage.QUEUED, True, None)


def test_a_released_one_goes_back_to_its_old_place_and_a_transferred_one_to_the_end():
    released, effects = step(taken(), Released(at=9.0))
    assert (released.stage, released.department, released.queued_at) == (Stage.QUEUED, "billing", 1.0)
    assert released.ahead
    assert effects == (SendStatus(status="transferred", details={"department": "billing"}),)
    transferred, _ = step(taken(), Transferred(at=9.0, agent=AGENTS[0], department="orders"))
    assert (transferred.department, transferred.queued_at, transferred.agent) == ("orders", 9.0, None)


def test_both_sides_ending_at_once_is_no_error():
    ended, _ = step(taken(), Resolved(at=3.0, agent=AGENTS[0], outcome="resolved"))
    assert step(ended, CustomerEnded(at=4.0, reason="customer_left")) == (ended, ())
    left, _ = step(taken(), CustomerEnded(at=3.0, reason="customer_left"))
    with pytest.raises(Refused, match="has ended"):
        step(left, Resolved(at=4.0, agent=AGENTS[0], outcome="resolved"))
