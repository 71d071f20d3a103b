"""What a handoff says when the customer chose it from options that said something."""

from typing import Any

import pytest

from rasa_handoff.channel.turn.handoff_request import complete_request, up_to
from rasa_handoff.protocol.channel_settings import IntentSettings
from rasa_handoff.protocol.markers import HandoffRequest
from rasa_handoff.protocol.values import Priority

URGENT = {"event": "bot", "data": {"custom": {"handoff_options": {"priority": "urgent", "reason": "stolen card"}}}}
OFFERED_AGAIN = {"event": "bot", "data": {"custom": {"handoff_options": {}}}}
ASKED = {"event": "user", "parse_data": {"intent": {"name": "execute_handoff"}}}
WORDS = {"event": "user", "parse_data": {"intent": {"name": "greet"}}}
OFFER_ME = {"event": "user", "parse_data": {"intent": {"name": "provide_handoff_options"}}}
NO_THANKS = {"event": "user", "parse_data": {"intent": {"name": "handoff_carry_on"}}}
BY_AN_ACTION = {"event": "bot", "data": {"buttons": [{"title": "Billing", "payload": "/execute_handoff"}]}}
WHO_IS_IT = {"event": "active_loop", "name": "handoff_contact_form"}
KNOWN = {"event": "active_loop", "name": None}
MOVING = {"event": "active_loop", "name": "move_form"}
BILLING = {"entities": [{"entity": "department", "value": "billing"}]}


def of(*happened: dict[str, Any], marker: HandoffRequest | None = None) -> HandoffRequest:
    return complete_request(marker, BILLING, happened, IntentSettings())


@pytest.mark.parametrize("between", [(), (WORDS,), (ASKED, WORDS)])
def test_the_options_say_what_nothing_else_says(between: tuple[dict[str, Any], ...]) -> None:
    chosen = of(WORDS, URGENT, *between, ASKED)
    assert chosen == HandoffRequest(department="billing", priority=Priority.URGENT, reason="stolen card")


def test_who_it_is_may_be_asked_between_the_choice_and_the_handoff() -> None:
    assert of(URGENT, ASKED, WHO_IS_IT, WORDS, WORDS).priority is Priority.URGENT


def test_a_marker_says_it_first() -> None:
    marker = HandoffRequest(department="cards", reason="angry")
    assert of(URGENT, ASKED, marker=marker) == HandoffRequest(
        department="cards", reason="angry", priority=Priority.URGENT
    )


@pytest.mark.parametrize(
    "happened",
    [
        (URGENT, WORDS),  # handed over for another reason than the customer's choice
        (URGENT, WORDS, OFFERED_AGAIN, ASKED),  # chosen from the later ones
        (URGENT, OFFER_ME, ASKED),  # the same: the channel offered them
        (URGENT, WORDS, BY_AN_ACTION, ASKED),
        (URGENT, NO_THANKS, WORDS, ASKED),
        (URGENT, ASKED, WORDS),  # the choice was refused, and later the bot gives up
        (URGENT, ASKED, WHO_IS_IT, WORDS, KNOWN, WORDS),
        (URGENT, ASKED, MOVING, WORDS),
        (URGENT, WHO_IS_IT, WORDS),
        (ASKED, WHO_IS_IT, URGENT, WORDS),
        (URGENT, {"event": "pause"}, {"event": "resume"}, ASKED),
        (URGENT, {"event": "session_started"}, ASKED),
        (URGENT, {"event": "restart"}, ASKED),
        ({"event": "bot", "data": {"custom": {"handoff_options": {"priority": "huge"}}}}, ASKED),
    ],
)
def test_options_from_which_it_was_not_chosen_say_nothing(happened: tuple[dict[str, Any], ...]) -> None:
    assert of(*happened) == HandoffRequest(department="billing")


def test_what_has_come_of_the_message_itself_is_not_what_it_was_chosen_from() -> None:
    """Its own pause, when it comes again or its action returned one; and what was said since."""
    happened = (URGENT, {**ASKED, "message_id": "1"}, {"event": "pause"}, {"event": "resume"}, WORDS)
    assert of(*up_to("1", happened)).priority is Priority.URGENT
    assert up_to("2", happened) == happened
