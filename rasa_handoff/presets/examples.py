"""How many of the preset's examples a project gets: about a third as many as it has itself.

With more, the NLU of a small bot takes ordinary words for a request for a person ("Berlin", "12 Oak Avenue"), since most of what
it has learnt is ours. With fewer, requests in other words are missed. Needs neither Rasa nor a YAML library.
"""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Final

PART: Final = 3
"""The project's examples for each of ours: a bot of 195 takes all our 60 without harm, one of 68 doesn't."""
FEWEST: Final = 5
"""Examples of our largest intent that every project gets; most requests for a person are understood with these."""
FEWEST_OF_EACH: Final = 2
FEW: Final = 15
"""Examples an intent of the project's own should have; with fewer, guesses are common whatever we add."""


def usual_number(own: Iterable[int]) -> int | None:
    """How many examples an intent of the project's own has, by the median; None where it has none."""
    counted = [number for number in own if number]
    return int(median(counted)) if counted else None


def fitting_numbers(ours: Mapping[str, int], own: int) -> dict[str, int]:
    """How many examples to take of each of our intents: the same part of each. ``own``: all examples of the project's intents.

    >>> fitting_numbers({"ask": 38, "do": 22}, 68)
    {'ask': 13, 'do': 8}
    >>> fitting_numbers({"ask": 38, "do": 22}, 0)
    {'ask': 38, 'do': 22}
    """
    whole, largest = sum(ours.values()), max(ours.values(), default=0)
    wanted = own // PART
    if not own or wanted >= whole:
        return dict(ours)
    fewest = {intent: FEWEST if number == largest else FEWEST_OF_EACH for intent, number in ours.items()}
    return {intent: min(number, max(fewest[intent], number * wanted // whole)) for intent, number in ours.items()}


def shortened(text: str, numbers: Mapping[str, int]) -> str:
    """The text of the preset's ``nlu.yml`` with the first examples of each intent, as many as ``numbers`` says."""
    kept, left = [], 0
    for line in text.splitlines(keepends=True):
        start, _, rest = line.strip().partition(" ")
        if start == "-" and rest.startswith("intent:"):
            left = numbers[rest.removeprefix("intent:").strip()]
        elif start == "-":
            left -= 1
            if left < 0:
                continue
        kept.append(line)
    return "".join(kept)


def examples_in(content: Mapping[str, object]) -> dict[str, int]:
    """How many examples of each intent a file of NLU data has, read from YAML; what isn't of that shape has none."""
    found: dict[str, int] = {}
    blocks = content.get("nlu")
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, Mapping) and isinstance(intent := block.get("intent"), str):
            main = intent.partition("/")[0]  # Rasa counts the parts of a retrieval intent as one
            found[main] = found.get(main, 0) + _number(block.get("examples"))
    return found


def _number(examples: object) -> int:
    if isinstance(examples, str):
        return sum(line.lstrip().startswith("-") for line in examples.splitlines())
    return len(examples) if isinstance(examples, list) else 0
