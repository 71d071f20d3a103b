"""The relay's timers: in which states each runs, what starts and stops it, and which event it becomes when it is due.

Every state has a timed way out. ``tests/core/test_control_timers.py`` checks this: from every state, with any subset of the
optional timers switched off, the conversation ends.
"""

from collections.abc import Collection
from typing import Any, Final

from rasa_handoff.core.control import DESK_ACTIVE, MACHINE, Control, Conversation
from rasa_handoff.core.conversation import LEAVING_MESSAGE
from rasa_handoff.core.state_machine import Timing
from rasa_handoff.protocol import events
from rasa_handoff.protocol.values import Status

TALKING: Final = frozenset({Control.LIVE, Control.LEAVING})
FOLLOW_UPS: Final[dict[str, type[events.Event]]] = {
    "wait": events.NobodyCame,
    "bot": events.NobodyWillCome,
    "message": events.CustomerWantsToWrite,
}
"""The event for a customer who was asked whether to go on waiting and doesn't answer, by the setting ``nobody_takes_then``."""

TIMINGS: Final[dict[str, Timing[Control, Conversation, events.Event]]] = {
    "story": Timing(states=frozenset({Control.PREPARING}), event=events.TranscriptTimedOut, on_entering=True),
    "start": Timing(states=frozenset({Control.REQUESTED}), event=events.StartTimedOut, on_entering=True),
    "nobody_takes": Timing(
        states=frozenset({Control.WAITING}),
        event=events.NobodyCame,
        on_entering=True,
        # A foreign desk doesn't report who took a conversation; an agent just writes in it.
        restarts=(events.NobodyCame, events.CustomerChoseToWait, events.DeskForgot, events.AgentSaid),
    ),
    "message": Timing(
        states=LEAVING_MESSAGE | {Control.MESSAGE},
        event=events.MessageTimedOut,
        on_entering=True,
        restarts=(events.CustomerSaid, events.CustomerAskedAgain),
    ),
    "agent_silent": Timing(
        states=TALKING,
        event=events.AgentFellSilent,
        starts=(events.AgentJoined, events.CustomerSaid),
        stops=(events.AgentSaid,),
    ),
    "customer_silent": Timing(
        states=TALKING,
        event=events.CustomerFellSilent,
        restarts=(events.MessageReported,),
        prolongs=(events.CustomerFellSilent,),
        stops=(events.CustomerSaid, events.CustomerLeaving),
    ),
    "desk_away": Timing(
        states=DESK_ACTIVE,
        event=events.DeskStayedAway,
        starts=(events.DeskLost,),
        stops=(events.DeskBack, events.DeskForgot),
    ),
    "silence": Timing(
        states=DESK_ACTIVE | LEAVING_MESSAGE,
        event=events.SilenceTooLong,
        on_entering=True,
        restarts=(
            events.CustomerSaid,
            events.CustomerChoseToWait,
            events.CustomerLeaving,
            events.CustomerAskedAgain,
            events.AgentSaid,
            events.AgentJoined,
        ),
    ),
    "returning": Timing(states=frozenset({Control.RETURNING}), event=events.ReturnTimedOut, on_entering=True),
}


def due_event(kind: str, conversation: Conversation, nobody_takes_then: str) -> events.Event:
    """Return the event that a due timer of this kind becomes, for the handoff under way.

    After a question that wasn't answered it is another event: :class:`CustomerIsGone`, or what ``nobody_takes_then`` says.
    """
    here: dict[str, Any] = {"conversation_id": conversation.conversation_id, "handoff_id": conversation.handoff_id}
    if kind == "customer_silent" and conversation.reminded:
        return events.CustomerIsGone(**here)
    if kind == "nobody_takes" and conversation.asked:
        return FOLLOW_UPS[nobody_takes_then](**here)
    return TIMINGS[kind].due_event(**here)


def timer_changes(
    before: Conversation, after: Conversation, event: events.Event, running: Collection[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the kinds of timers to start, and the kinds to stop, because of this event.

    A running timer that is started again runs from the beginning.
    """
    if (
        isinstance(event, events.MessageReported)
        and event.status is not Status.DELIVERED
        and not event.customer_is_away
    ):
        return frozenset(), frozenset()  # a customer whom the message couldn't reach yet isn't silent
    return MACHINE.timer_changes(TIMINGS, before, after, event, running)
