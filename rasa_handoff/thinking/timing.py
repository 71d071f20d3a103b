"""Which timers run in which state, what starts and stops them, and what they are when they ring.

No state is without a timed way out. ``tests/unit/test_timing.py`` walks it: from every state, with every subset of the timers
that can be switched off, the conversation ends.
"""

from collections.abc import Iterable
from typing import Any

from rasa_handoff.thinking.control import DESK_ACTIVE, Control, Conversation
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.values import Status, Value


class Timing(Value, frozen=True, kw_only=True):
    """One kind of timer. It runs in ``states``, starts by ``starts`` (entering the states, if none are named), begins anew by
    ``renews``, and stops by ``stops`` or on leaving the states."""

    states: frozenset[Control]
    rings: type[e.Event]
    starts: tuple[type[e.Event], ...] = ()
    renews: tuple[type[e.Event], ...] = ()
    stops: tuple[type[e.Event], ...] = ()


TALKING = frozenset({Control.LIVE, Control.LEAVING})

TIMINGS: dict[str, Timing] = {
    "story": Timing(states=frozenset({Control.PREPARING}), rings=e.TranscriptTimedOut),
    "start": Timing(states=frozenset({Control.REQUESTED}), rings=e.StartTimedOut),
    "nobody_takes": Timing(
        states=frozenset({Control.WAITING}),
        rings=e.NobodyCame,
        # A foreign desk doesn't say who took a conversation, only speaks in it.
        renews=(e.NobodyCame, e.CustomerChose, e.DeskForgot, e.AgentSaid),
    ),
    "message": Timing(states=frozenset({Control.MESSAGE}), rings=e.MessageTimedOut),
    "agent_silent": Timing(
        states=TALKING, rings=e.AgentFellSilent, starts=(e.AgentJoined, e.CustomerSaid), stops=(e.AgentSaid,)
    ),
    "customer_silent": Timing(
        states=TALKING,
        rings=e.CustomerFellSilent,
        starts=(e.MessageReported,),
        renews=(e.MessageReported, e.CustomerFellSilent),
        stops=(e.CustomerSaid, e.CustomerLeaving),
    ),
    "desk_away": Timing(
        states=DESK_ACTIVE, rings=e.DeskStayedAway, starts=(e.DeskLost,), stops=(e.DeskBack, e.DeskForgot)
    ),
    "silence": Timing(
        states=DESK_ACTIVE,
        rings=e.SilenceTooLong,
        renews=(e.CustomerSaid, e.CustomerChose, e.CustomerLeaving, e.CustomerAskedAgain, e.AgentSaid, e.AgentJoined),
    ),
    "returning": Timing(states=frozenset({Control.RETURNING}), rings=e.ReturnTimedOut),
}


def rung(kind: str, conversation: Conversation, nobody_takes_then: str) -> e.Event:
    """The event a timer of this kind is now, for the handoff under way: asked once, a customer isn't asked again for ever."""
    here: dict[str, Any] = {"conversation_id": conversation.conversation_id, "handoff_id": conversation.handoff_id}
    if kind == "customer_silent" and conversation.reminded:
        return e.CustomerIsGone(**here)
    if kind == "nobody_takes" and conversation.asked:
        unasked: dict[str, type[e.Event]] = {"bot": e.NobodyWillCome, "message": e.CustomerWantsToWrite}
        return unasked.get(nobody_takes_then, e.NobodyCame)(**here)
    return TIMINGS[kind].rings(**here)


def timers(
    before: Conversation, after: Conversation, event: e.Event, running: Iterable[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """The kinds to start (or start anew) and the kinds to stop because of this event."""
    running = frozenset(running)
    start, stop = set(), set()
    for kind, timing in TIMINGS.items():
        if after.state not in timing.states or isinstance(event, timing.stops):
            stop |= {kind} & running
        elif _starts(timing, before, after, event, kind in running):
            start.add(kind)
    return frozenset(start), frozenset(stop)


def _starts(timing: Timing, before: Conversation, after: Conversation, event: e.Event, runs: bool) -> bool:
    if isinstance(event, e.MessageReported) and event.status is not Status.DELIVERED:
        return False  # what waits for the customer isn't silence of theirs
    if isinstance(event, timing.renews):
        return runs or isinstance(event, timing.starts) or not timing.starts
    if timing.starts:
        return isinstance(event, timing.starts) and not runs
    new = before.handoff_id != after.handoff_id
    return before.state not in timing.states or new
