"""Where the options were shown, for a transcript: once each, whoever answered the request."""

from typing import Any

import pytest

from rasa_handoff.channel.turn.bot_turn import indexes_of_options
from rasa_handoff.protocol.channel_settings import IntentSettings

ASKED = {"event": "user", "parse_data": {"intent": {"name": "provide_handoff_options"}}}
MARKER = {"event": "bot", "data": {"custom": {"handoff_options": {}}}}
HANDOFF = {"event": "bot", "data": {"custom": {"handoff": {}}}}
FORM = {"event": "active_loop", "name": "handoff_contact_form"}
BUTTONS = {"event": "bot", "data": {"buttons": [{"title": "Billing", "payload": "/execute_handoff"}]}}


@pytest.mark.parametrize(
    ("happened", "indexes"),
    [
        ([ASKED], {0}),  # the channel answered
        ([ASKED, MARKER], {1}),
        ([ASKED, BUTTONS], set()),  # an action answered: the tracker has them
        ([ASKED, BUTTONS, ASKED], {2}),
        ([ASKED, HANDOFF], set()),  # handed over at once
        ([ASKED, FORM], set()),  # the contact form asked instead
        ([FORM, ASKED], set()),
        ([ASKED, FORM, MARKER], {2}),
    ],
)
def test_options_are_told_once(happened: list[dict[str, Any]], indexes: set[int]) -> None:
    assert indexes_of_options(happened, IntentSettings()) == indexes
