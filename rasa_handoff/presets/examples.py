"""The number of the preset's NLU examples that a project gets: about a third as many as it has itself.

With more, the NLU of a small bot takes ordinary messages for a request for a person ("Berlin", "12 Oak Avenue"), since most of
its training data is the preset's. With fewer, requests in other phrasings are missed. Needs neither Rasa nor a YAML library.
"""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Final

PART: Final = 3
"""The project needs this many examples for each that the preset adds: with 195, all 60 do no harm; with 68 they do."""
FEWEST: Final = 5
"""Examples of the preset's largest intent that every project gets; most requests for a person are understood with these."""
FEWEST_OF_EACH: Final = 2
"""Examples of each other intent of the preset that every project gets."""
FEW: Final = 15
"""Examples that an intent of the project should have; with fewer, wrong predictions are common whatever the preset adds."""


def usual_number(own: Iterable[int]) -> int | None:
    """Return the median number of examples of the project's own intents; None if there are none."""
    counted = [number for number in own if number]
    return int(median(counted)) if counted else None


def fitting_numbers(ours: Mapping[str, int], own: int) -> dict[str, int]:
    """Return how many examples to take of each intent of the preset: the same part of each.

    ``ours``: the numbers of the preset's examples by intent. ``own``: the number of examples of the project's own intents.

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
    """Return the text of the preset's ``nlu.yml`` with only the first examples of each intent, by ``numbers``."""
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
    """Return the number of examples by intent in a file of NLU data, read from YAML; none for anything of another shape."""
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
