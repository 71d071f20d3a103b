"""The relay's timers: in which states each runs, what starts and stops it, and which event it becomes when it is due.

Every state has a timed way out. ``tests/core/test_control_timers.py`` checks this: from every state, with any subset of the
optional timers switched off, the conversation ends.
"""

from collections.abc import Iterable
from typing import Any

from rasa_handoff.core.control import DESK_ACTIVE, Control, Conversation
from rasa_handoff.protocol import events
from rasa_handoff.protocol.values import Status, Value

TALKING = frozenset({Control.LIVE, Control.LEAVING})


class Timing(Value, frozen=True, kw_only=True):
    """The rules of one kind of timer.

    It runs only in ``states`` and stops on leaving them, or on an event of ``stops``. An event of ``starts`` starts it (entering
    the states, where none is named), one of ``renews`` starts it again from the beginning.
    """

    states: frozenset[Control]
    event: type[events.Event]
    starts: tuple[type[events.Event], ...] = ()
    renews: tuple[type[events.Event], ...] = ()
    stops: tuple[type[events.Event], ...] = ()


TIMINGS: dict[str, Timing] = {
    "story": Timing(states=frozenset({Control.PREPARING}), event=events.TranscriptTimedOut),
    "start": Timing(states=frozenset({Control.REQUESTED}), event=events.StartTimedOut),
    "nobody_takes": Timing(
        states=frozenset({Control.WAITING}),
        event=events.NobodyCame,
        # A foreign desk doesn't report who took a conversation; an agent just writes in it.
        renews=(events.NobodyCame, events.CustomerChose, events.DeskForgot, events.AgentSaid),
    ),
    "message": Timing(states=frozenset({Control.MESSAGE}), event=events.MessageTimedOut),
    "agent_silent": Timing(
        states=TALKING,
        event=events.AgentFellSilent,
        starts=(events.AgentJoined, events.CustomerSaid),
        stops=(events.AgentSaid,),
    ),
    "customer_silent": Timing(
        states=TALKING,
        event=events.CustomerFellSilent,
        starts=(events.MessageReported,),
        renews=(events.MessageReported, events.CustomerFellSilent),
        stops=(events.CustomerSaid, events.CustomerLeaving),
    ),
    "desk_away": Timing(
        states=DESK_ACTIVE,
        event=events.DeskStayedAway,
        starts=(events.DeskLost,),
        stops=(events.DeskBack, events.DeskForgot),
    ),
    "silence": Timing(
        states=DESK_ACTIVE,
        event=events.SilenceTooLong,
        renews=(
            events.CustomerSaid,
            events.CustomerChose,
            events.CustomerLeaving,
            events.CustomerAskedAgain,
            events.AgentSaid,
            events.AgentJoined,
        ),
    ),
    "returning": Timing(states=frozenset({Control.RETURNING}), event=events.ReturnTimedOut),
}


def due_event(kind: str, conversation: Conversation, nobody_takes_then: str) -> events.Event:
    """Return the event that a due timer of this kind becomes, for the handoff under way.

    A customer who was asked once and hasn't answered isn't asked again, so the second time the event is another one.
    """
    here: dict[str, Any] = {"conversation_id": conversation.conversation_id, "handoff_id": conversation.handoff_id}
    if kind == "customer_silent" and conversation.reminded:
        return events.CustomerIsGone(**here)
    if kind == "nobody_takes" and conversation.asked:
        follow_up: dict[str, type[events.Event]] = {
            "bot": events.NobodyWillCome,
            "message": events.CustomerWantsToWrite,
        }
        return follow_up.get(nobody_takes_then, events.NobodyCame)(**here)
    return TIMINGS[kind].event(**here)


def timers(
    before: Conversation, after: Conversation, event: events.Event, running: Iterable[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the kinds of timers to start (or restart) and the kinds to stop because of this event."""
    running = frozenset(running)
    start, stop = set(), set()
    for kind, timing in TIMINGS.items():
        if after.state not in timing.states or isinstance(event, timing.stops):
            stop |= {kind} & running
        elif _starts(timing, before, after, event, kind in running):
            start.add(kind)
    return frozenset(start), frozenset(stop)


def _starts(timing: Timing, before: Conversation, after: Conversation, event: events.Event, runs: bool) -> bool:
    if isinstance(event, events.MessageReported) and event.status is not Status.DELIVERED:
        return False  # a customer who hasn't got the message yet isn't silent
    if isinstance(event, timing.renews):
        return runs or isinstance(event, timing.starts) or not timing.starts
    if timing.starts:
        return isinstance(event, timing.starts) and not runs
    new = before.handoff_id != after.handoff_id
    return before.state not in timing.states or new
