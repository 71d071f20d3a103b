"""The preset as a training data importer: the project's own data always takes precedence.

In ``config.yml``, beside Rasa's own importer::

    importers:
      - name: RasaFileImporter
      - name: rasa_handoff.HandoffImporter
        actions: false    # true: offer and request handoffs by the actions of rasa_handoff.actions
        contact: false    # true: ask for name and e-mail first (needs actions)
        fallback: true    # two-stage fallback that ends in the options

A response, slot, form or intent that the project defines replaces the preset's. So does an unconditional rule that begins with
the same intent, and an example that the project gives to another intent. A project with few examples gets few of the preset
(``examples.py``).
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

from rasa.shared.core.constants import RULE_SNIPPET_ACTION_NAME
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, UserUttered
from rasa.shared.core.training_data.structures import StoryGraph, StoryStep
from rasa.shared.exceptions import RasaException
from rasa.shared.importers.importer import TrainingDataImporter
from rasa.shared.importers.rasa import RasaFileImporter
from rasa.shared.importers.utils import story_graph_from_paths, training_data_from_paths
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from rasa_handoff.presets.examples import fitting_numbers
from rasa_handoff.presets.parts import preset_files, read_choice
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.names import ENDED_INTENT

_KEYED = ("responses", "slots", "forms")
_LISTED = ("intents", "entities", "actions")


class PresetError(SettingsError, RasaException):
    """The importer's settings are wrong. Rasa prints a RasaException as one line."""


class HandoffImporter(TrainingDataImporter):
    """Adds the preset dialogues to a Rasa project."""

    def __init__(
        self,
        config_file: str | None = None,
        domain_path: str | None = None,
        training_data_paths: list[str] | str | None = None,
        actions: bool = False,
        contact: bool = False,
        fallback: bool = True,
    ) -> None:
        """Read the settings. Rasa passes the first three arguments; the others are the keys beside ``name`` in ``config.yml``.

        Raises:
            PresetError: a setting is not true or false, or ``contact`` is true without ``actions``.
        """
        try:
            choice = read_choice({"actions": actions, "contact": contact, "fallback": fallback})
        except SettingsError as problem:
            raise PresetError(str(problem)) from problem
        _ignore_expected_warnings()
        self._files = preset_files(choice)
        self._project = RasaFileImporter(config_file, domain_path, training_data_paths)

    def get_domain(self) -> Domain:
        """Return the preset's domain, without what the project defines itself."""
        return Domain.from_dict(_without(deepcopy(self._whole_domain.as_dict()), self._project.get_domain().as_dict()))

    def get_stories(self, exclusion_percentage: int | None = None) -> StoryGraph:
        """Return the preset's rules, without those for which the project has a rule of its own."""
        rules = story_graph_from_paths(self._paths("rules"), self._whole_domain, exclusion_percentage)
        taken = {_trigger(step) for step in self._project.get_stories().story_steps if _is_rule(step)}
        return StoryGraph([step for step in rules.story_steps if _trigger(step) not in taken - {None}])

    def get_conversation_tests(self) -> StoryGraph:
        """Return no tests: ``rasa test`` runs the project's own."""
        return StoryGraph([])

    def get_nlu_data(self, language: str | None = "en") -> TrainingData:
        """Return the preset's examples (English), about a third as many as the project has itself (``examples.py``).

        Examples that the project has itself, also for another intent, are left out.
        """
        own = self._project.get_nlu_data(language).intent_examples
        ours = training_data_from_paths(self._paths("nlu"), language or "en").training_examples
        counted = Counter(example.get("intent") for example in ours)
        numbers = fitting_numbers(counted, sum(example.get("intent") not in counted for example in own))
        taken = {example.get("text") for example in own}
        return TrainingData(_first([example for example in ours if example.get("text") not in taken], numbers))

    def get_config(self) -> dict[str, Any]:
        """Return nothing: the pipeline and the policies are the project's."""
        return {}

    def get_config_file_for_auto_config(self) -> str | None:
        """Return None: Rasa can't choose a pipeline for a project with several importers."""
        return None

    @cached_property
    def _whole_domain(self) -> Domain:
        return Domain.load(self._paths("domain"))

    def _paths(self, kind: str) -> list[str]:
        return [str(path) for path in self._files if _kind(path) == kind]


def _first(examples: Iterable[Message], numbers: Mapping[str, int]) -> list[Message]:
    """Return the first examples of each intent, by ``numbers``."""
    kept, seen = [], Counter[str]()
    for example in examples:
        intent = example.get("intent")
        seen[intent] += 1
        if seen[intent] <= numbers[intent]:
            kept.append(example)
    return kept


def _ignore_expected_warnings() -> None:
    """Ignore warnings of Rasa's validator that there are no stories for what only HandoffChannel sends."""
    warnings.filterwarnings("ignore", message="The utterance 'utter_handoff_")
    warnings.filterwarnings("ignore", message=f"The intent '{ENDED_INTENT}' is listed")


def _kind(path: Path) -> str:
    """Return what a file of the preset has: ``domain``, ``nlu`` or ``rules``, the last part of its name."""
    return path.stem.rsplit("_", 1)[-1]


def _without(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Remove from our domain what is in theirs, and return ours."""
    for key in _KEYED:
        taken = theirs.get(key) or {}
        ours[key] = {name: body for name, body in (ours.get(key) or {}).items() if name not in taken}
    for key in _LISTED:
        names = {_name(entry) for entry in theirs.get(key) or ()}
        ours[key] = [entry for entry in ours.get(key) or () if _name(entry) not in names]
    return ours


def _name(entry: Any) -> str:
    return str(next(iter(entry)) if isinstance(entry, dict) else entry)


def _is_rule(step: StoryStep) -> bool:
    return bool(step.events) and _is_snippet_start(step.events[0])


def _trigger(step: StoryStep) -> str | None:
    """Return the intent that an unconditional rule begins with; None for any other step."""
    if len(step.events) < 2 or not _is_snippet_start(step.events[0]):
        return None
    first = step.events[1]
    return first.intent_name if isinstance(first, UserUttered) else None


def _is_snippet_start(event: Any) -> bool:
    return isinstance(event, ActionExecuted) and event.action_name == RULE_SNIPPET_ACTION_NAME
