"""What an action may ask of the channel without a handoff."""

from typing import Any

import pytest

from rasa_handoff.core.rasa_messages import message_in_words
from rasa_handoff.protocol.errors import MarkerError
from rasa_handoff.protocol.markers import (
    Assign,
    Close,
    SetPriority,
    Transfer,
    key_of,
    read_directives,
    without_directives,
)
from rasa_handoff.protocol.values import Priority

READ: list[tuple[Any, Any]] = [
    ({"handoff_close": True}, Close()),
    ({"handoff_close": {}}, Close()),
    ({"handoff_close": None}, Close()),
    ({"handoff_close": {"without_survey": True}}, Close(without_survey=True)),
    ({"handoff_priority": "high"}, SetPriority(priority=Priority.HIGH)),
    ({"handoff_priority": {"seconds": 120}}, SetPriority(seconds=120)),
    ({"handoff_transfer": "returns"}, Transfer(bot="returns")),
    ({"handoff_transfer": {"skill": "night"}}, Transfer(skill="night")),
    ({"handoff_assign": "thandi"}, Assign(to="thandi")),
    ({"handoff_assign": 77}, Assign(to="77")),
    ({"handoff": {}}, None),
    ({"delay": 1}, None),
    ("handoff_close", None),
    (None, None),
]


@pytest.mark.parametrize(("custom", "directive"), READ, ids=str)
def test_each_form_is_read(custom: Any, directive: Any) -> None:
    assert read_directives(custom) == (() if directive is None else (directive,))


@pytest.mark.parametrize(
    ("custom", "where"),
    [
        ({"handoff_close": False}, "custom.handoff_close doesn't fit"),
        ({"handoff_close": {"survey": False}}, "survey"),
        ({"handoff_priority": "soon"}, "custom.handoff_priority doesn't fit: Invalid enum value 'soon'"),
        ({"handoff_priority": {"seconds": -5}}, "custom.handoff_priority doesn't fit: Expected `int` >= 1"),
        ({"handoff_priority": {"seconds": 0}}, "custom.handoff_priority doesn't fit: Expected `int` >= 1"),
        ({"handoff_priority": {}}, "custom.handoff_priority says neither priority nor seconds: write one"),
        ({"handoff_priority": 3}, "custom.handoff_priority doesn't fit"),
        ({"handoff_transfer": ["returns"]}, "custom.handoff_transfer doesn't fit"),
        ({"handoff_assign": ""}, "custom.handoff_assign doesn't fit"),
        ({"handoff_assign": True}, "custom.handoff_assign doesn't fit"),
        ({"handoff_transfer": {}}, "custom.handoff_transfer names neither bot nor skill"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_said(custom: Any, where: str) -> None:
    with pytest.raises(MarkerError, match=where):
        read_directives(custom)


def test_the_transcript_leaves_a_directive_out() -> None:
    assert message_in_words("Bye.", {"custom": {"handoff_close": True}}) == "Bye."


def test_several_are_read_and_told_apart_from_the_rest() -> None:
    custom = {"handoff_close": {}, "calendar": 1, "handoff_assign": "thandi"}
    assert set(read_directives(custom)) == {Close(), Assign(to="thandi")}
    assert without_directives(custom) == {"calendar": 1}
    assert [key_of(one) for one in read_directives(custom)] == ["handoff_close", "handoff_assign"]
