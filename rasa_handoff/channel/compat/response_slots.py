"""Which responses show slots: the others are rendered without the tracker, which costs more the longer it is.

Most notices show only values of their own, such as a place in the queue, and some are sent to everybody who waits.

Seen with ``rasa.core.nlg`` of 3.6.21.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from rasa.core.nlg.generator import NaturalLanguageGenerator
from rasa.core.nlg.response import TemplatedNaturalLanguageGenerator
from rasa.shared.constants import RESPONSE_CONDITION

PLACEHOLDER: Final = re.compile(r"{([^\n{}]+?)}")
"""A placeholder, as Rasa's ``interpolate_text`` finds it."""


def shows_slots(nlg: NaturalLanguageGenerator, response: str, values: Collection[str]) -> bool:
    """Return whether the response with these values may depend on the conversation's slots, in any of its variations.

    A generator other than Rasa's own for the domain's responses may read anything in the tracker.
    """
    if type(nlg) is not TemplatedNaturalLanguageGenerator:
        return True
    return any(
        variation.get(RESPONSE_CONDITION) or any(name not in values for name in _placeholders(variation))
        for variation in nlg.responses.get(response) or ()
    )


def _placeholders(part: Any) -> Iterator[str]:
    """Yield the names in the placeholders of a response's part, however deep."""
    if isinstance(part, str):
        yield from PLACEHOLDER.findall(part)
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from _placeholders(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _placeholders(value)
