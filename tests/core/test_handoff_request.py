"""What a handoff request takes over from the options that the customer chose it from."""

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
CONTACT_ASKED = {"event": "active_loop", "name": "handoff_contact_form"}
FORM_DONE = {"event": "active_loop", "name": None}
OTHER_FORM = {"event": "active_loop", "name": "move_form"}
BILLING = {"entities": [{"entity": "department", "value": "billing"}]}


def completed(*happened: dict[str, Any], marker: HandoffRequest | None = None) -> HandoffRequest:
    """Return the request of a customer who chose billing, after these events."""
    return complete_request(marker, BILLING, happened, IntentSettings())


@pytest.mark.parametrize("between", [(), (WORDS,), (ASKED, WORDS)])
def test_the_options_say_what_nothing_else_says(between: tuple[dict[str, Any], ...]) -> None:
    chosen = completed(WORDS, URGENT, *between, ASKED)
    assert chosen == HandoffRequest(department="billing", priority=Priority.URGENT, reason="stolen card")


def test_the_contact_may_be_asked_for_between_the_choice_and_the_handoff() -> None:
    assert completed(URGENT, ASKED, CONTACT_ASKED, WORDS, WORDS).priority is Priority.URGENT


def test_a_marker_says_it_first() -> None:
    marker = HandoffRequest(department="cards", reason="angry")
    assert completed(URGENT, ASKED, marker=marker) == HandoffRequest(
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
        (URGENT, ASKED, CONTACT_ASKED, WORDS, FORM_DONE, WORDS),
        (URGENT, ASKED, OTHER_FORM, WORDS),
        (URGENT, CONTACT_ASKED, WORDS),
        (ASKED, CONTACT_ASKED, URGENT, WORDS),
        (URGENT, {"event": "pause"}, {"event": "resume"}, ASKED),
        (URGENT, {"event": "session_started"}, ASKED),
        (URGENT, {"event": "restart"}, ASKED),
        ({"event": "bot", "data": {"custom": {"handoff_options": {"priority": "huge"}}}}, ASKED),
    ],
)
def test_options_from_which_it_was_not_chosen_say_nothing(happened: tuple[dict[str, Any], ...]) -> None:
    assert completed(*happened) == HandoffRequest(department="billing")


def test_what_came_after_the_message_itself_is_not_looked_at() -> None:
    """When a copy of it comes, the pause of its own handoff is there already, and so is what was said since."""
    happened = (URGENT, {**ASKED, "message_id": "1"}, {"event": "pause"}, {"event": "resume"}, WORDS)
    assert completed(*up_to("1", happened)).priority is Priority.URGENT
    assert up_to("2", happened) == happened
