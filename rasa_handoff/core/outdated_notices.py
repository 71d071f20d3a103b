"""Notices that are out of date before the customer got them: which newer notice makes which older one so.

On a channel that can't push, or while a page is away, notices wait and would all be read at once: the third position in the
queue, the second, and then that somebody is here. An agent's words, the beginning of a handoff and its end are never out of date.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from rasa_handoff.protocol import names

ENDINGS: Final = frozenset(
    {
        names.UTTER_ENDED,
        names.UTTER_FAILED,
        names.UTTER_FELL_SILENT,
        names.UTTER_LEFT,
        names.UTTER_LEFT_QUEUE,
        names.UTTER_NOBODY,
        names.UTTER_RESOLVED,
        names.UTTER_UNREACHABLE,
    }
)
POSITIONS: Final = frozenset({names.UTTER_POSITION, names.UTTER_ALREADY_WAITING})
OUT_OF_QUEUE: Final = ENDINGS | {names.UTTER_JOINED, names.UTTER_WRITE_MESSAGE}
"""Notices after which the customer no longer waits for an agent."""
ELSEWHERE: Final = frozenset({names.UTTER_TRANSFERRED, names.UTTER_PASSED_ON})
"""Notices after which the customer waits for another agent or department."""
CONNECTION: Final = frozenset({names.UTTER_DESK_AWAY, names.UTTER_DESK_BACK})
"""Notices that say whether the desk can be reached."""

REPLACED_BY: Final[Mapping[str, frozenset[str]]] = {
    names.UTTER_POSITION: POSITIONS | ELSEWHERE | OUT_OF_QUEUE,
    names.UTTER_ALREADY_WAITING: POSITIONS | ELSEWHERE | OUT_OF_QUEUE,
    names.UTTER_ALREADY_ASKED: OUT_OF_QUEUE | {names.UTTER_ALREADY_ASKED},
    names.UTTER_NOBODY_YET: OUT_OF_QUEUE | {names.UTTER_NOBODY_YET},
    names.UTTER_WAITING_ON: OUT_OF_QUEUE | {names.UTTER_WAITING_ON},
    names.UTTER_DESK_AWAY: ENDINGS | CONNECTION,
    names.UTTER_DESK_BACK: ENDINGS | CONNECTION,
    names.UTTER_STILL_THERE: ENDINGS | {names.UTTER_STILL_THERE},
    names.UTTER_CONFIRM_LEAVE: ENDINGS,
}
"""The notices that can be out of date, each with the newer ones that make it so: for a question, those after which nobody awaits
its answer."""


def outdated(responses: Sequence[str | None]) -> set[int]:
    """Return the indexes of the messages that later ones make out of date.

    ``responses``: those of the messages in their order; None for any message that isn't a notice.

    >>> outdated(["utter_handoff_position", None, "utter_handoff_position", "utter_handoff_desk_away"])
    {0}
    """
    found: set[int] = set()
    later: set[str] = set()
    for index in reversed(range(len(responses))):
        response = responses[index]
        if response is None:
            continue
        if not later.isdisjoint(REPLACED_BY.get(response, ())):
            found.add(index)
        later.add(response)
    return found
