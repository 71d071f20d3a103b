"""The options take the marker's place, behind what the message itself says."""

import pytest

from rasa_handoff.rasa_room.watching import _with_options

OFFERED = {"text": "Nobody is there.", "buttons": [{"title": "Carry on", "payload": "/x"}]}


@pytest.mark.parametrize(
    ("said", "reads"),
    [
        (None, "Nobody is there."),
        ("Sorry, I didn't get that.", "Sorry, I didn't get that. Nobody is there."),
        ("Nobody is there.", "Nobody is there."),  # the action says it already
    ],
)
def test_nothing_is_said_twice(said: str | None, reads: str) -> None:
    message = _with_options({"text": said, "custom": {"handoff_options": {}}}, OFFERED)
    assert message["text"] == reads
    assert message["buttons"] == OFFERED["buttons"]
    assert "custom" not in message
