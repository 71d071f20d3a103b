"""A rating, as a front end sends it: ``/handoff_rate{"score": 4, "comment": "..."}``, a message like any other."""

import re
from typing import Final

import msgspec

from rasa_handoff.protocol import names
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.values import Rating, read

COMMAND: Final = re.compile(rf"\s*{re.escape(names.RATE_PAYLOAD)}(?![\w-])")
"""What a rating begins with; the names of a project's own intents may begin so too."""
EXPECTED: Final = f'A rating looks like this: {names.RATE_PAYLOAD}{{"score": 4, "comment": "Quick and kind"}}.'


def is_rating(text: str | None) -> bool:
    """Return whether a customer's message is a rating, or would be one if it could be read."""
    return text is not None and COMMAND.match(text) is not None


def read_rating(text: str) -> Rating:
    """Return what the message says; a comment without words is none.

    Raises:
        Refused: with code ``invalid``; the sentence says what is wrong.

    >>> read_rating('/handoff_rate{"score": 4, "comment": " "}')
    Rating(score=4, comment=None)
    """
    try:
        given = msgspec.json.decode(COMMAND.sub("", text, count=1))
    except (msgspec.DecodeError, RecursionError, UnicodeError) as problem:
        raise Refused("invalid", EXPECTED) from problem
    rating = read(Rating, given)
    return msgspec.structs.replace(rating, comment=(rating.comment or "").strip() or None)
