"""Which notices newer ones make out of date."""

import pytest

from rasa_handoff.core.outdated_notices import ENDINGS, REPLACED_BY, outdated
from rasa_handoff.protocol import names


@pytest.mark.parametrize(
    ("responses", "left"),
    [
        (["position", "position", "position"], ["position"]),
        (["position", "nobody_yet", "joined"], ["joined"]),
        (["position", "transferred", "position"], ["transferred", "position"]),
        (["desk_away", "desk_back"], ["desk_back"]),
        (["desk_back", "desk_away"], ["desk_away"]),
        (["joined", "position"], ["joined", "position"]),
        (["nobody_yet", "position"], ["nobody_yet", "position"]),
        (["queued", "position", "joined", "transferred", "joined", "resolved"], None),
        (["confirm_leave", "still_there", "resolved"], ["resolved"]),
    ],
)
def test_what_is_left(responses: list[str], left: list[str] | None) -> None:
    old = outdated([f"utter_handoff_{response}" for response in responses])
    kept = [response for index, response in enumerate(responses) if index not in old]
    assert kept == (left or [response for response in responses if response != "position"])


def test_messages_between_are_kept() -> None:
    assert outdated([names.UTTER_POSITION, None, names.UTTER_POSITION, None]) == {0}


def test_no_end_beginning_or_answer_is_ever_out_of_date() -> None:
    never = {*ENDINGS, names.UTTER_QUEUED, names.UTTER_REQUESTED, names.UTTER_JOINED, names.UTTER_REPLY}
    assert never.isdisjoint(REPLACED_BY)
