"""Control of a conversation on the relay's side: who is active, the bot or the desk, as one state table without I/O.

The rules:

1. Exactly one party is active. Until the desk accepts a handoff it is the bot; from then on the desk, until the tracker has
   been written and the bot has spoken again (``RETURNING`` -> ``BOT``).
2. :func:`step` takes an event and returns the new state and its effects. It does nothing itself.
3. A pair of state and event that isn't in :data:`TABLE` raises :class:`IllegalEvent` and changes nothing.
4. An event of an older handoff is ignored. The exception is an agent's message: it is an error, so that the agent learns that
   nobody receives it.
5. The customer gets a notice of every change; its text is a response of the domain.
"""

from typing import Any

from rasa_handoff.core import control_rules as rules
from rasa_handoff.core.control_rules import Effects, Rule
from rasa_handoff.core.conversation import ASKED, DESK_ACTIVE, Control, Conversation, IllegalEvent
from rasa_handoff.protocol import events, names
from rasa_handoff.protocol.logs import short_id

__all__ = ["ASKED", "DESK_ACTIVE", "TABLE", "Control", "Conversation", "IllegalEvent", "step"]


def step(conversation: Conversation, event: events.Event) -> tuple[Conversation, Effects]:
    """Return the conversation after the event, and its effects.

    Raises:
        IllegalEvent: the table has no such pair, or an agent writes in an older handoff.
    """
    if _is_of_an_older_handoff(conversation, event):
        if isinstance(event, events.AgentSaid):
            raise IllegalEvent(f"The handoff {event.handoff_id} of {short_id(conversation.conversation_id)} is over.")
        return conversation, ()
    key = (conversation.state, type(event))
    if key not in TABLE:
        raise IllegalEvent(
            f"{type(event).__name__} can't happen to conversation {short_id(conversation.conversation_id)} while it is "
            f"'{conversation.state.value}'."
        )
    following, rule = TABLE[key]
    changes, effects = rule(conversation, event)
    if isinstance(event, events.CustomerEvent) and event.channel is not None:
        known = conversation.return_data if event.channel == conversation.channel else {}
        changes = {"channel": event.channel, "return_data": event.return_data or known, **changes}
    return _changed(conversation, state=following, **changes), effects


def _is_of_an_older_handoff(conversation: Conversation, event: events.Event) -> bool:
    if isinstance(event, events.HandoffRequested | events.HandoffAdopted) or event.handoff_id is None:
        return False
    return event.handoff_id != conversation.handoff_id


def _changed(conversation: Conversation, **changes: Any) -> Conversation:
    fields = {name: getattr(conversation, name) for name in conversation.__struct_fields__}
    return Conversation(**{**fields, **changes})


TABLE: dict[tuple[Control, type[events.Event]], tuple[Control, Rule]] = {
    (Control.BOT, events.HandoffRequested): (Control.REQUESTED, rules.requested),
    (Control.BOT, events.TranscriptAwaited): (Control.PREPARING, rules.preparing),
    (Control.PREPARING, events.TranscriptRead): (Control.REQUESTED, rules.prepared),
    (Control.PREPARING, events.TranscriptTimedOut): (Control.REQUESTED, rules.offered_without_transcript),
    (Control.BOT, events.HandoffAdopted): (Control.WAITING, rules.adopted),
    (Control.REQUESTED, events.HandoffAccepted): (Control.WAITING, rules.accepted),
    (Control.REQUESTED, events.HandoffRefused): (Control.BOT, rules.refused),
    (Control.REQUESTED, events.StartTimedOut): (Control.BOT, rules.timed_out),
    (Control.WAITING, events.PositionChanged): (Control.WAITING, rules.moved),
    (Control.WAITING, events.CustomerSaid): (Control.WAITING, rules.customer_said),
    (Control.WAITING, events.CustomerAskedAgain): (Control.WAITING, rules.standing),
    (Control.WAITING, events.CustomerLeaving): (Control.RETURNING, rules.left),
    (Control.WAITING, events.AgentSaid): (Control.WAITING, rules.agent_said),  # a foreign desk's automatic replies
    (Control.WAITING, events.AgentJoined): (Control.LIVE, rules.joined),
    (Control.WAITING, events.HandoffTransferred): (Control.WAITING, rules.transferred),
    (Control.WAITING, events.HandoffCompleted): (Control.RETURNING, rules.completed),
    (Control.WAITING, events.HandoffFailed): (Control.RETURNING, rules.failed),
    (Control.LIVE, events.CustomerSaid): (Control.LIVE, rules.customer_said),
    (Control.LIVE, events.CustomerAskedAgain): (Control.LIVE, rules.standing),
    (Control.LIVE, events.CustomerLeaving): (Control.LEAVING, rules.ask_to_confirm),
    (Control.LIVE, events.AgentSaid): (Control.LIVE, rules.agent_said),
    (Control.LIVE, events.AgentJoined): (Control.LIVE, rules.joined),
    (Control.LIVE, events.HandoffTransferred): (Control.WAITING, rules.transferred),
    (Control.LIVE, events.HandoffCompleted): (Control.RETURNING, rules.completed),
    (Control.LIVE, events.HandoffFailed): (Control.RETURNING, rules.failed),
    (Control.LEAVING, events.CustomerSaid): (Control.LIVE, rules.customer_said),
    (Control.LEAVING, events.CustomerAskedAgain): (Control.LIVE, rules.standing),
    (Control.LEAVING, events.CustomerLeaving): (Control.RETURNING, rules.left),
    (Control.LEAVING, events.AgentSaid): (Control.LEAVING, rules.agent_said),
    (Control.LEAVING, events.AgentJoined): (Control.LIVE, rules.joined),
    (Control.LEAVING, events.HandoffTransferred): (Control.WAITING, rules.transferred),
    (Control.LEAVING, events.HandoffCompleted): (Control.RETURNING, rules.completed),
    (Control.LEAVING, events.HandoffFailed): (Control.RETURNING, rules.failed),
    (Control.MESSAGE, events.CustomerSaid): (Control.RETURNING, rules.message_left),
    (Control.MESSAGE, events.CustomerLeaving): (Control.RETURNING, rules.left),
    (Control.MESSAGE, events.CustomerAskedAgain): (Control.WAITING, rules.standing),
    (Control.MESSAGE, events.CustomerChose): (Control.WAITING, rules.goes_on_waiting),
    (Control.MESSAGE, events.CustomerWantsToWrite): (Control.MESSAGE, rules.nothing),
    (Control.MESSAGE, events.PositionChanged): (Control.MESSAGE, rules.nothing),
    (Control.MESSAGE, events.AgentJoined): (Control.LIVE, rules.joined),
    (Control.MESSAGE, events.AgentSaid): (Control.WAITING, rules.agent_said),
    (Control.MESSAGE, events.HandoffTransferred): (Control.WAITING, rules.transferred),
    (Control.MESSAGE, events.HandoffCompleted): (Control.RETURNING, rules.completed),
    (Control.MESSAGE, events.HandoffFailed): (Control.RETURNING, rules.failed),
    (Control.RETURNING, events.Returned): (Control.BOT, rules.returned),
    # Offered again to a desk that lost its database.
    (Control.WAITING, events.HandoffAccepted): (Control.WAITING, rules.accepted_again),
    (Control.WAITING, events.HandoffRefused): (Control.RETURNING, rules.refused_again),
    # Timers.
    (Control.WAITING, events.NobodyCame): (Control.WAITING, rules.nobody_came),
    (Control.MESSAGE, events.MessageTimedOut): (
        Control.RETURNING,
        rules.given_up("customer_left", names.UTTER_LEFT, speak=True),
    ),
    (Control.LIVE, events.AgentFellSilent): (
        Control.RETURNING,
        rules.given_up("agent_gone", names.UTTER_FAILED, speak=True),
    ),
    (Control.LEAVING, events.AgentFellSilent): (
        Control.RETURNING,
        rules.given_up("agent_gone", names.UTTER_FAILED, speak=True),
    ),
    (Control.LIVE, events.CustomerFellSilent): (Control.LIVE, rules.are_you_there),
    (Control.LEAVING, events.CustomerFellSilent): (Control.LIVE, rules.are_you_there),
    (Control.LIVE, events.CustomerIsGone): (
        Control.RETURNING,
        rules.given_up("customer_silent", names.UTTER_FELL_SILENT, speak=False),
    ),
    (Control.LEAVING, events.CustomerIsGone): (
        Control.RETURNING,
        rules.given_up("customer_silent", names.UTTER_FELL_SILENT, speak=False),
    ),
    (Control.WAITING, events.CustomerChose): (Control.WAITING, rules.goes_on_waiting),
    (Control.WAITING, events.CustomerWantsToWrite): (Control.MESSAGE, rules.wants_to_write),
    (Control.WAITING, events.NobodyWillCome): (
        Control.RETURNING,
        rules.given_up("nobody_available", names.UTTER_NOBODY, speak=True),
    ),
    (Control.RETURNING, events.ReturnTimedOut): (Control.BOT, rules.returned_without),
    # The tracker could be written only after ReturnTimedOut, and the bot has spoken.
    (Control.BOT, events.Returned): (Control.BOT, rules.returned),
    # The desk's events may cross with a change of state. EVERYWHERE below adds those that are legal in every active state.
    (Control.LIVE, events.PositionChanged): (Control.LIVE, rules.nothing),
    (Control.LEAVING, events.PositionChanged): (Control.LEAVING, rules.nothing),
    (Control.RETURNING, events.PositionChanged): (Control.RETURNING, rules.nothing),
    (Control.RETURNING, events.AgentJoined): (Control.RETURNING, rules.nothing),
    (Control.RETURNING, events.HandoffTransferred): (Control.RETURNING, rules.nothing),
    (Control.RETURNING, events.HandoffCompleted): (Control.RETURNING, rules.nothing),
    (Control.RETURNING, events.HandoffFailed): (Control.RETURNING, rules.nothing),
}

EVERYWHERE: dict[type[events.Event], tuple[Control | None, Rule]] = {
    events.DeskLost: (None, rules.desk_lost),
    events.DeskBack: (None, rules.desk_back),
    events.DeskForgot: (Control.WAITING, rules.offered_again),
    events.DeskStayedAway: (Control.RETURNING, rules.given_up("desk_unreachable", names.UTTER_UNREACHABLE, speak=True)),
    events.SilenceTooLong: (Control.RETURNING, rules.given_up("silence", names.UTTER_FELL_SILENT, speak=False)),
}
"""Events that are legal in every state in which the desk is active, and the state they lead to (None: unchanged)."""

_WITHOUT_OFFER = frozenset({Control.BOT, Control.PREPARING})
TABLE.update(
    {(state, event): (end or state, rule) for event, (end, rule) in EVERYWHERE.items() for state in sorted(DESK_ACTIVE)}
)
# A transcript that couldn't be read in time is sent later, whatever the state is by then.
TABLE.update(
    {
        (state, events.TranscriptRead): (state, rules.transcript_follows)
        for state in Control
        if state not in _WITHOUT_OFFER
    }
)
TABLE[Control.BOT, events.TranscriptRead] = (Control.BOT, rules.nothing)
# These events change nothing in a conversation that is already on its way back.
TABLE.update({(Control.RETURNING, event): (Control.RETURNING, rules.nothing) for event in EVERYWHERE})
