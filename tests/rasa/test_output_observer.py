"""The options take the marker's place, behind what the message itself says."""

from typing import Any

import pytest
from rasa.core.channels.channel import CollectingOutputChannel

from rasa_handoff.channel.compat.output_observer import ObservedTurn, OutputObserver, merged_with_options
from rasa_handoff.protocol.markers import HandoffRequest

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
    marked = {"text": said, "custom": {"handoff_options": {}}}
    message = merged_with_options(marked, OFFERED, "/execute_handoff", ends_fallback=False)
    assert message["text"] == reads
    assert message["buttons"] == OFFERED["buttons"]
    assert "custom" not in message


async def offered(_: str, ends_fallback: bool) -> dict[str, Any]:
    return OFFERED


async def seen(custom: dict[str, Any], follows: bool) -> tuple[list[Any], ObservedTurn]:
    """Return what is left in the ``custom`` for the output channel, and what the turn has shown."""
    output = CollectingOutputChannel()
    with OutputObserver("/execute_handoff", show_marker=False, follows=follows).turn(
        output, "thabo", offered
    ) as observed:
        await output.send_response("thabo", {"custom": custom})
    return [message["custom"] for message in output.messages if "custom" in message], observed


@pytest.mark.parametrize(
    ("custom", "left"),
    [
        ({"handoff": {}, "handoff_priority": "urgent"}, {"handoff_priority": "urgent"}),
        ({"handoff_options": {}, "handoff_close": {}}, {"handoff_close": {}}),
        ({"handoff_options": {"priority": "high"}}, {"handoff_priority": "high"}),
        ({"handoff_options": {"priority": "high"}, "handoff_priority": "low"}, {"handoff_priority": "low"}),
    ],
    ids=str,
)
async def test_directives_beside_a_marker_are_left_to_a_platform(custom: dict[str, Any], left: dict[str, Any]) -> None:
    assert (await seen(custom, follows=False))[0] == [left]


async def test_directives_beside_a_marker_are_followed(caplog: pytest.LogCaptureFixture) -> None:
    left, observed = await seen({"handoff_options": {}, "handoff_close": {}}, follows=True)
    assert (left, observed.offered, observed.close) == ([], True, True)
    left, observed = await seen({"handoff": {}, "handoff_priority": "urgent"}, follows=True)
    assert (left, observed.request) == ([], HandoffRequest())
    assert "The channel of decaf8a6 can't do what handoff_priority asks for." in caplog.text
