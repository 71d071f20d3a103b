"""The state table of control, walked by Hypothesis."""

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasa_handoff.core.control import DESK_ACTIVE, TABLE, Control, Conversation, IllegalEvent, step
from rasa_handoff.protocol import events
from rasa_handoff.protocol.effects import TellCustomer, TellDesk, WriteTracker
from rasa_handoff.protocol.outbox_bodies import ReturnBody
from rasa_handoff.protocol.payloads import RatingPayload
from rasa_handoff.protocol.values import Agent, BotState, Channel, Offer, Rating, Slot

HERE = {"conversation_id": "thabo"}
SAID = {"id": "m1", "text": "words", "at": 1.0}


def request(handoff_id: str) -> events.HandoffRequested:
    offer = Offer(
        handoff_id=handoff_id,
        conversation_id="thabo",
        bot_id="b",
        channel=Channel(name="rest"),
        bot=BotState(settable=(Slot(name="plan"),)),
    )
    return events.HandoffRequested(**HERE, handoff_id=handoff_id, offer=offer, leaving_word="disconnect")


def awaited(handoff_id: str) -> events.TranscriptAwaited:
    asked = request(handoff_id)
    return events.TranscriptAwaited(**HERE, handoff_id=handoff_id, offer=asked.offer, leaving_word="disconnect")


def message_begun(handoff_id: str) -> events.MessageBegun:
    asked = request(handoff_id)
    return events.MessageBegun(**HERE, handoff_id=handoff_id, offer=asked.offer, leaving_word="disconnect")


def happenings(handoff_id: str) -> dict[type[events.Event], events.Event]:
    """Return an event of each kind that is in the table, by its kind."""
    of = {**HERE, "handoff_id": handoff_id}
    each: list[events.Event] = [
        request(handoff_id),
        events.StartTimedOut(**of),
        events.Returned(**of, words=({"text": "back"},)),
        events.CustomerSaid(**HERE, **SAID),
        events.CustomerLeaving(**HERE, **SAID),
        events.CustomerAskedAgain(**HERE),
        events.HandoffAccepted(**of, position=1),
        events.HandoffRefused(**of, code="nobody_available"),
        events.PositionChanged(**of, position=2),
        events.AgentJoined(**of, agent=Agent(id="a", name="Thandi")),
        events.HandoffTransferred(**of, department="orders"),
        events.AgentSaid(**of, **SAID),
        events.HandoffCompleted(**of, slots={"plan": "gold", "secret": "no"}),
        events.HandoffFailed(**of, reason="agent_gone"),
        events.HandoffAdopted(**of, offer=request(handoff_id).offer, leaving_word="disconnect", channel="rest"),
        events.CustomerChoseToWait(**HERE),
        events.CustomerWantsToWrite(**HERE),
        events.DeskLost(**of),
        events.DeskBack(**of),
        events.DeskForgot(**of, offer=request(handoff_id).offer),
        events.NobodyCame(**of),
        events.NobodyWillCome(**of),
        events.AgentFellSilent(**of),
        events.CustomerFellSilent(**of),
        events.CustomerIsGone(**of),
        events.DeskStayedAway(**of),
        events.MessageTimedOut(**of),
        events.SilenceTooLong(**of),
        events.ReturnTimedOut(**of),
        awaited(handoff_id),
        events.TranscriptRead(**of, offer=request(handoff_id).offer),
        events.TranscriptTimedOut(**of),
        message_begun(handoff_id),
    ]
    return {type(event): event for event in each}


KINDS = tuple(happenings("h"))


def test_every_event_of_the_table_is_walked() -> None:
    assert {kind for _, kind in TABLE} == set(KINDS)
    assert set(typing.get_args(events.DeskEvent)) <= set(KINDS)


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(["h1", "h2"])), max_size=60))
def test_whatever_happens_the_rules_hold(walk: list[tuple[type[events.Event], str]]) -> None:
    conversation, illegal = Conversation(conversation_id="thabo"), set()
    for kind, handoff_id in walk:
        event = happenings(handoff_id)[kind]
        new = isinstance(event, events.HandoffRequested | events.HandoffAdopted)
        older = event.handoff_id not in (None, conversation.handoff_id) and not new
        try:
            after, effects = step(conversation, event)
        except IllegalEvent:
            if older:
                assert isinstance(event, events.AgentSaid), "only an agent's words are refused: who said them must know"
            else:
                illegal.add((conversation.state, type(event)))
            continue
        assert not (older and isinstance(event, events.AgentSaid))
        if older:
            assert (after, effects) == (conversation, ()), "an event of an older handoff changes nothing"
        check_control_passes_cleanly(conversation, after, effects)
        conversation = after
    assert not illegal & set(TABLE)


def check_control_passes_cleanly(before: Conversation, after: Conversation, effects: tuple[object, ...]) -> None:
    records = [effect.body.kind for effect in effects if isinstance(effect, WriteTracker)]
    adopted = before.state is Control.BOT and after.state is Control.WAITING  # found paused
    if after.state in DESK_ACTIVE and before.state not in DESK_ACTIVE and not adopted:
        assert records == ["pause"]
    if after.state is Control.RETURNING and before.state is not Control.RETURNING:
        assert records.count("back") == 1
    if (
        before.state is not after.state
        and after.state is not Control.REQUESTED
        and before.state is not Control.RETURNING
    ):
        silent = {(Control.LEAVING, Control.LIVE), (Control.MESSAGE, Control.WAITING), (Control.LIVE, Control.WAITING)}
        told_elsewhere = adopted or (before.state, after.state) in silent | {(Control.LEAVING, Control.WAITING)}
        assert told_elsewhere or any(isinstance(effect, TellCustomer) for effect in effects), (
            "the customer hears of every change"
        )
    for effect in effects:
        if isinstance(effect, TellDesk):
            assert effect.payload.handoff_id == after.handoff_id
        if isinstance(effect, TellCustomer):
            assert [effect.text, effect.response, effect.message].count(None) == 2


def reach(*kinds: type[events.Event]) -> Conversation:
    """Return a conversation after these events."""
    conversation = Conversation(conversation_id="thabo")
    for kind in kinds:
        conversation, _ = step(conversation, happenings("h")[kind])
    return conversation


WAITING = (events.HandoffRequested, events.HandoffAccepted)
LIVE = (*WAITING, events.AgentJoined)
LEAVING = (*LIVE, events.CustomerLeaving)
MESSAGE = (*WAITING, events.CustomerWantsToWrite)


@pytest.mark.parametrize("walk", [WAITING, LIVE, LEAVING, MESSAGE], ids=lambda walk: walk[-1].__name__)
def test_the_desk_can_end_it_while_it_waits_and_afterwards(walk: tuple[type[events.Event], ...]) -> None:
    ended, _ = step(reach(*walk), happenings("h")[events.HandoffCompleted])
    assert ended.state is Control.RETURNING
    home, _ = step(ended, happenings("h")[events.Returned])
    assert home.state is Control.BOT


def test_only_settable_slots_come_back() -> None:
    _, effects = step(reach(*LIVE), happenings("h")[events.HandoffCompleted])
    (back,) = [effect for effect in effects if isinstance(effect, WriteTracker)]
    assert isinstance(back.body, ReturnBody)
    assert back.body.slots == {"plan": "gold"}


def test_who_writes_on_after_the_leaving_word_stays() -> None:
    leaving = reach(*LEAVING)
    assert leaving.state is Control.LEAVING
    assert step(leaving, happenings("h")[events.CustomerSaid])[0].state is Control.LIVE


def test_a_page_is_told_the_place_and_the_wait_as_long_as_the_customer_waits() -> None:
    def moved(conversation: Conversation, position: int | None, wait: float | None) -> tuple[Conversation, int]:
        event = events.PositionChanged(**HERE, handoff_id="h", position=position, wait=wait)
        after, effects = step(conversation, event)
        return after, len(effects)

    waiting = reach(events.HandoffRequested, events.HandoffAccepted)
    assert waiting.place == {"position": 1, "wait": None}
    waiting, said = moved(waiting, 2, 240.0)
    assert (waiting.place, said) == ({"position": 2, "wait": 240.0}, 1)
    waiting, said = moved(waiting, 2, 120.0)  # nothing new to say in the chat
    assert (waiting.place, said) == ({"position": 2, "wait": 120.0}, 0)
    assert moved(waiting, None, None)[0].place == waiting.place
    assert step(waiting, happenings("h")[events.AgentJoined])[0].place == {}


def test_an_adopted_handoff_begins_without_what_an_earlier_one_left() -> None:
    kinds = (events.HandoffRequested, events.HandoffAccepted, events.AgentJoined, events.CustomerFellSilent)
    earlier = reach(*kinds, events.DeskLost, events.HandoffCompleted, events.Returned)
    assert (earlier.reminded, earlier.desk_away) == (True, True)
    adopted, _ = step(earlier, happenings("h2")[events.HandoffAdopted])
    assert (adopted.state, adopted.handoff_id) == (Control.WAITING, "h2")
    assert (adopted.reminded, adopted.desk_away) == (False, False)


def test_an_illegal_event_names_event_and_state() -> None:
    with pytest.raises(IllegalEvent, match=r"AgentSaid can't happen to conversation decaf8a6 while it is 'bot'"):
        step(Conversation(conversation_id="thabo", handoff_id="h"), happenings("h")[events.AgentSaid])


UNREAD = (events.TranscriptAwaited, events.TranscriptTimedOut)
"""The handoff is offered without its transcript, which couldn't be read in time."""


@pytest.mark.parametrize(
    ("walk", "reported"),
    [
        ((events.TranscriptAwaited,), ["handoff.initiate"]),
        (UNREAD, ["handoff.transcript"]),
        ((*UNREAD, events.HandoffAccepted), ["handoff.transcript"]),
        ((*UNREAD, events.HandoffAccepted, events.AgentJoined), ["handoff.transcript"]),
        ((*UNREAD, events.HandoffAccepted, events.AgentJoined, events.HandoffCompleted), ["handoff.transcript"]),
        ((*UNREAD, events.HandoffRefused), []),
    ],
    ids=lambda walk: walk[-1].__name__ if isinstance(walk, tuple) else "",
)
def test_a_transcript_is_told_to_the_desk_once(walk: tuple[type[events.Event], ...], reported: list[str]) -> None:
    """In time it is in the offer; later it follows, in every state but the bot's."""
    _, effects = step(reach(*walk), happenings("h")[events.TranscriptRead])
    assert [effect.payload.event for effect in effects if isinstance(effect, TellDesk)] == reported


@pytest.mark.parametrize("state", Control)
def test_a_rating_reaches_the_desk_in_every_state_and_changes_none(state: Control) -> None:
    rated = events.CustomerRated(**HERE, rating=Rating(score=4, comment="kind"), at=2.0)
    before = Conversation(conversation_id="thabo", state=state, handoff_id="h", choices=())
    to_desk = TellDesk(payload=RatingPayload(handoff_id="h", score=4, comment="kind", at=2.0))
    assert step(before, rated) == (before, (to_desk,))


def test_a_rating_of_no_handoff_reaches_nobody() -> None:
    before = Conversation(conversation_id="thabo")
    assert step(before, events.CustomerRated(**HERE, rating=Rating(score=1), at=2.0)) == (before, ())
