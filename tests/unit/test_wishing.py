"""What a handoff says when the customer chose it from options that said something."""

from typing import Any

import pytest

from rasa_handoff.rasa_room.wishing import up_to, wished
from rasa_handoff.vocabulary.marker import HandoffRequest
from rasa_handoff.vocabulary.values import Priority

URGENT = {"event": "bot", "data": {"custom": {"handoff_options": {"priority": "urgent", "reason": "stolen card"}}}}
OFFERED_AGAIN = {"event": "bot", "data": {"custom": {"handoff_options": {}}}}
ASKED = {"event": "user", "parse_data": {"intent": {"name": "execute_handoff"}}}
WORDS = {"event": "user", "parse_data": {"intent": {"name": "greet"}}}
BILLING = {"entities": [{"entity": "department", "value": "billing"}]}


def of(*happened: dict[str, Any], marker: HandoffRequest | None = None) -> HandoffRequest:
    return wished(marker, BILLING, happened, "execute_handoff")


@pytest.mark.parametrize("between", [(), (WORDS,), (ASKED, WORDS)])  # the last: a form asks who it is first
def test_the_options_say_what_nothing_else_says(between: tuple[dict[str, Any], ...]) -> None:
    chosen = of(WORDS, URGENT, *between, ASKED)
    assert chosen == HandoffRequest(department="billing", priority=Priority.URGENT, reason="stolen card")


def test_a_form_may_stand_between_the_choice_and_the_handoff() -> None:
    assert of(URGENT, ASKED, WORDS, WORDS).priority is Priority.URGENT


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
