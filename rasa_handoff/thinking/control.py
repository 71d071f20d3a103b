"""Who is active, the bot or the desk: the relay's side of every conversation, as one table.

The rules:

1. Exactly one party is active. Up to the desk's acceptance it is the bot, from then on the desk, until the tracker has
   everything and the bot has spoken again (``RETURNING`` -> ``BOT``).
2. ``step`` is given what happened and answers with the new state and what is to be told. It does nothing itself.
3. A pair that isn't in the table is an error (:class:`IllegalEvent`) and leaves everything as it was.
4. An event of an older handoff is not an error; it changes nothing. But for an agent's words: that nobody hears them any more
   must be told to who said them.
5. The customer hears of every change, in words that are responses of the domain.
"""

from typing import Any

from rasa_handoff.thinking import control_rules as rules
from rasa_handoff.thinking.control_rules import Effects, Rule
from rasa_handoff.thinking.conversation import ASKED, DESK_ACTIVE, Control, Conversation, IllegalEvent
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary import names
from rasa_handoff.vocabulary.log_values import short_id

__all__ = ["ASKED", "DESK_ACTIVE", "TABLE", "Control", "Conversation", "IllegalEvent", "step"]


def step(conversation: Conversation, event: e.Event) -> tuple[Conversation, Effects]:
    """The conversation after the event, and what is to be told.

    Raises:
        IllegalEvent: if the table has no such pair, or an agent speaks in an older handoff.
    """
    if _is_of_an_older_handoff(conversation, event):
        if isinstance(event, e.AgentSaid):
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
    if isinstance(event, e.CustomerEvent) and event.channel is not None:
        known = conversation.return_data if event.channel == conversation.channel else {}
        changes = {"channel": event.channel, "return_data": event.return_data or known, **changes}
    return _changed(conversation, state=following, **changes), effects


def _is_of_an_older_handoff(conversation: Conversation, event: e.Event) -> bool:
    if isinstance(event, e.HandoffRequested | e.HandoffAdopted) or event.handoff_id is None:
        return False
    return event.handoff_id != conversation.handoff_id


def _changed(conversation: Conversation, **changes: Any) -> Conversation:
    fields = {name: getattr(conversation, name) for name in conversation.__struct_fields__}
    return Conversation(**{**fields, **changes})


TABLE: dict[tuple[Control, type[e.Event]], tuple[Control, Rule]] = {
    (Control.BOT, e.HandoffRequested): (Control.REQUESTED, rules.requested),
    (Control.BOT, e.TranscriptAwaited): (Control.PREPARING, rules.preparing),
    (Control.PREPARING, e.TranscriptRead): (Control.REQUESTED, rules.prepared),
    (Control.PREPARING, e.TranscriptTimedOut): (Control.REQUESTED, rules.offered_without_transcript),
    (Control.BOT, e.HandoffAdopted): (Control.WAITING, rules.adopted),
    (Control.REQUESTED, e.HandoffAccepted): (Control.WAITING, rules.accepted),
    (Control.REQUESTED, e.HandoffRefused): (Control.BOT, rules.refused),
    (Control.REQUESTED, e.StartTimedOut): (Control.BOT, rules.timed_out),
    (Control.WAITING, e.PositionChanged): (Control.WAITING, rules.moved),
    (Control.WAITING, e.CustomerSaid): (Control.WAITING, rules.customer_said),
    (Control.WAITING, e.CustomerAskedAgain): (Control.WAITING, rules.standing),
    (Control.WAITING, e.CustomerLeaving): (Control.RETURNING, rules.left),
    (Control.WAITING, e.AgentSaid): (Control.WAITING, rules.agent_said),  # a foreign desk's automatic replies
    (Control.WAITING, e.AgentJoined): (Control.LIVE, rules.joined),
    (Control.WAITING, e.HandoffTransferred): (Control.WAITING, rules.transferred),
    (Control.WAITING, e.HandoffCompleted): (Control.RETURNING, rules.completed),
    (Control.WAITING, e.HandoffFailed): (Control.RETURNING, rules.failed),
    (Control.LIVE, e.CustomerSaid): (Control.LIVE, rules.customer_said),
    (Control.LIVE, e.CustomerAskedAgain): (Control.LIVE, rules.standing),
    (Control.LIVE, e.CustomerLeaving): (Control.LEAVING, rules.ask_to_confirm),
    (Control.LIVE, e.AgentSaid): (Control.LIVE, rules.agent_said),
    (Control.LIVE, e.AgentJoined): (Control.LIVE, rules.joined),
    (Control.LIVE, e.HandoffTransferred): (Control.WAITING, rules.transferred),
    (Control.LIVE, e.HandoffCompleted): (Control.RETURNING, rules.completed),
    (Control.LIVE, e.HandoffFailed): (Control.RETURNING, rules.failed),
    (Control.LEAVING, e.CustomerSaid): (Control.LIVE, rules.customer_said),
    (Control.LEAVING, e.CustomerAskedAgain): (Control.LIVE, rules.standing),
    (Control.LEAVING, e.CustomerLeaving): (Control.RETURNING, rules.left),
    (Control.LEAVING, e.AgentSaid): (Control.LEAVING, rules.agent_said),
    (Control.LEAVING, e.AgentJoined): (Control.LIVE, rules.joined),
    (Control.LEAVING, e.HandoffTransferred): (Control.WAITING, rules.transferred),
    (Control.LEAVING, e.HandoffCompleted): (Control.RETURNING, rules.completed),
    (Control.LEAVING, e.HandoffFailed): (Control.RETURNING, rules.failed),
    (Control.MESSAGE, e.CustomerSaid): (Control.RETURNING, rules.message_left),
    (Control.MESSAGE, e.CustomerLeaving): (Control.RETURNING, rules.left),
    (Control.MESSAGE, e.CustomerAskedAgain): (Control.WAITING, rules.standing),
    (Control.MESSAGE, e.CustomerChose): (Control.WAITING, rules.goes_on_waiting),
    (Control.MESSAGE, e.CustomerWantsToWrite): (Control.MESSAGE, rules.nothing),
    (Control.MESSAGE, e.PositionChanged): (Control.MESSAGE, rules.nothing),
    (Control.MESSAGE, e.AgentJoined): (Control.LIVE, rules.joined),
    (Control.MESSAGE, e.AgentSaid): (Control.WAITING, rules.agent_said),
    (Control.MESSAGE, e.HandoffTransferred): (Control.WAITING, rules.transferred),
    (Control.MESSAGE, e.HandoffCompleted): (Control.RETURNING, rules.completed),
    (Control.MESSAGE, e.HandoffFailed): (Control.RETURNING, rules.failed),
    (Control.RETURNING, e.Returned): (Control.BOT, rules.returned),
    # Offered again to a desk that forgot.
    (Control.WAITING, e.HandoffAccepted): (Control.WAITING, rules.accepted_again),
    (Control.WAITING, e.HandoffRefused): (Control.RETURNING, rules.refused_again),
    # The clock.
    (Control.WAITING, e.NobodyCame): (Control.WAITING, rules.nobody_came),
    (Control.MESSAGE, e.MessageTimedOut): (
        Control.RETURNING,
        rules.given_up("customer_left", names.UTTER_LEFT, speak=True),
    ),
    (Control.LIVE, e.AgentFellSilent): (
        Control.RETURNING,
        rules.given_up("agent_gone", names.UTTER_FAILED, speak=True),
    ),
    (Control.LEAVING, e.AgentFellSilent): (
        Control.RETURNING,
        rules.given_up("agent_gone", names.UTTER_FAILED, speak=True),
    ),
    (Control.LIVE, e.CustomerFellSilent): (Control.LIVE, rules.are_you_there),
    (Control.LEAVING, e.CustomerFellSilent): (Control.LIVE, rules.are_you_there),
    (Control.LIVE, e.CustomerIsGone): (
        Control.RETURNING,
        rules.given_up("customer_silent", names.UTTER_FELL_SILENT, speak=False),
    ),
    (Control.LEAVING, e.CustomerIsGone): (
        Control.RETURNING,
        rules.given_up("customer_silent", names.UTTER_FELL_SILENT, speak=False),
    ),
    (Control.WAITING, e.CustomerChose): (Control.WAITING, rules.goes_on_waiting),
    (Control.WAITING, e.CustomerWantsToWrite): (Control.MESSAGE, rules.wants_to_write),
    (Control.WAITING, e.NobodyWillCome): (
        Control.RETURNING,
        rules.given_up("nobody_available", names.UTTER_NOBODY, speak=True),
    ),
    (Control.RETURNING, e.ReturnTimedOut): (Control.BOT, rules.returned_without),
    (Control.BOT, e.Returned): (
        Control.BOT,
        rules.returned,
    ),  # the tracker could be written at last, and the bot has spoken
    # What is true of a handoff in every state: see EVERYWHERE below.
    # The queue may move once more while the conversation is already on its way back.
    (Control.LIVE, e.PositionChanged): (Control.LIVE, rules.nothing),
    (Control.LEAVING, e.PositionChanged): (Control.LEAVING, rules.nothing),
    (Control.RETURNING, e.PositionChanged): (Control.RETURNING, rules.nothing),
    (Control.RETURNING, e.AgentJoined): (Control.RETURNING, rules.nothing),
    (Control.RETURNING, e.HandoffTransferred): (Control.RETURNING, rules.nothing),
    (Control.RETURNING, e.HandoffCompleted): (Control.RETURNING, rules.nothing),
    (Control.RETURNING, e.HandoffFailed): (Control.RETURNING, rules.nothing),
}

EVERYWHERE: dict[type[e.Event], tuple[Control | None, Rule]] = {
    e.DeskLost: (None, rules.desk_lost),
    e.DeskBack: (None, rules.desk_back),
    e.DeskForgot: (Control.WAITING, rules.offered_again),
    e.DeskStayedAway: (Control.RETURNING, rules.given_up("desk_unreachable", names.UTTER_UNREACHABLE, speak=True)),
    e.SilenceTooLong: (Control.RETURNING, rules.given_up("silence", names.UTTER_FELL_SILENT, speak=False)),
}
"""What may happen whenever the desk is active, and where it leads (None: it stays)."""

_WITHOUT_OFFER = frozenset({Control.BOT, Control.PREPARING})
TABLE.update(
    {(state, event): (end or state, rule) for event, (end, rule) in EVERYWHERE.items() for state in sorted(DESK_ACTIVE)}
)
# A transcript that couldn't be read in time follows, whatever has happened since.
TABLE.update(
    {(state, e.TranscriptRead): (state, rules.transcript_follows) for state in Control if state not in _WITHOUT_OFFER}
)
TABLE[Control.BOT, e.TranscriptRead] = (Control.BOT, rules.nothing)
# A desk that is found again while the conversation is on its way back changes nothing there.
TABLE.update({(Control.RETURNING, event): (Control.RETURNING, rules.nothing) for event in EVERYWHERE})
