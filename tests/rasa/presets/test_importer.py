"""What the project says itself always wins, and the preset never makes Rasa's own checks fail."""

from collections import Counter
from pathlib import Path

import pytest
from rasa.shared.importers.importer import TrainingDataImporter

from rasa_handoff.cli.project import read_yaml
from rasa_handoff.presets.importer import PresetError
from rasa_handoff.presets.parts import HERE as PRESET
from rasa_handoff.protocol import names
from tests.rasa.presets.conftest import run_rasa, starter_project

UTTERANCES = [value for name, value in vars(names).items() if name.startswith("UTTER_")]


def importer_of(project: Path) -> TrainingDataImporter:
    return TrainingDataImporter.load_from_config(
        str(project / "config.yml"), str(project / "domain.yml"), [str(project / "data")]
    )


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return starter_project(tmp_path / "bot", actions=False)


def test_every_response_the_relay_speaks_is_in_the_preset(project: Path) -> None:
    responses = importer_of(project).get_domain().responses
    assert set(UTTERANCES) <= set(responses)


def test_a_response_of_the_projects_own_wins(project: Path) -> None:
    replace(project / "domain.yml", "responses:\n", "responses:\n  utter_handoff_queued:\n  - text: Hold on.\n")
    domain = importer_of(project).get_domain()
    assert domain.responses["utter_handoff_queued"] == [{"text": "Hold on."}]
    assert "utter_handoff_joined" in domain.responses


def test_the_projects_own_wins_even_when_our_importer_stands_first(project: Path) -> None:
    replace(project / "config.yml", "- name: RasaFileImporter\n", "")
    replace(project / "config.yml", "pipeline:", "- name: RasaFileImporter\npipeline:")
    add(
        project / "domain.yml",
        "\nslots:\n  handoff_note:\n    type: any\n    mappings:\n    - type: custom\n",
    )
    slots = {slot.name: slot.type_name for slot in importer_of(project).get_domain().slots}
    assert slots["handoff_note"] == "any"
    assert slots["handoff_outcome"] == "text"


def test_a_rule_of_the_projects_own_replaces_ours(project: Path) -> None:
    add(
        project / "data" / "rules.yml",
        "\n- rule: mine\n  steps:\n  - intent: nlu_fallback\n  - action: utter_iamabot\n",
    )
    names_of_rules = {step.block_name for step in importer_of(project).get_stories().story_steps}
    assert "mine" in names_of_rules
    assert "handoff - two-stage fallback" not in names_of_rules
    assert "handoff - hand over" in names_of_rules


def test_an_example_the_project_gives_to_another_intent_is_left_out(project: Path) -> None:
    add(
        project / "data" / "nlu.yml",
        "\n- intent: bot_challenge\n  examples: |\n    - I don't want to talk to a bot\n",
    )
    examples = importer_of(project).get_nlu_data().intent_examples
    labels = [example.get("intent") for example in examples if example.get("text") == "I don't want to talk to a bot"]
    assert labels == ["bot_challenge"]


def example_counts(project: Path) -> Counter[str]:
    """Return how many examples each intent has."""
    examples = importer_of(project).get_nlu_data().intent_examples
    return Counter(str(example.get("intent")) for example in examples)


def test_the_examples_are_at_most_a_third_as_many_as_the_projects_own(project: Path) -> None:
    """The starter project has 68: a small bot would take ordinary words for requests if most it learnt were the preset's."""
    counted = example_counts(project)
    assert (counted["provide_handoff_options"], counted["execute_handoff"], counted["handoff_carry_on"]) == (13, 5, 2)
    texts = [example.get("text") for example in importer_of(project).get_nlu_data().intent_examples]
    assert "I want to talk to a human" in texts
    assert "a person please" not in texts


def test_examples_the_project_adds_to_an_intent_of_ours_leave_our_numbers_as_they_were(project: Path) -> None:
    more = "".join(f"    - colleague number {number}\n" for number in range(40))
    add(project / "data" / "nlu.yml", f"\n- intent: execute_handoff\n  examples: |\n{more}")
    counted = example_counts(project)
    assert (counted["provide_handoff_options"], counted["execute_handoff"]) == (13, 45)


def test_a_tiny_project_gets_the_few_that_requests_are_understood_with(project: Path) -> None:
    (project / "data" / "nlu.yml").write_text(
        'version: "3.1"\nnlu:\n- intent: greet\n  examples: |\n    - hello\n    - hi\n'
    )
    assert example_counts(project)["provide_handoff_options"] == 5


def test_a_project_with_many_examples_gets_all(project: Path) -> None:
    more = "".join(f"    - sentence number {number}\n" for number in range(90))
    (project / "data" / "nlu.yml").write_text(
        f'version: "3.1"\nnlu:\n- intent: greet\n  examples: |\n{more}- intent: deny\n  examples: |\n{more}'
    )
    counted = example_counts(project)
    assert (counted["provide_handoff_options"], counted["execute_handoff"], counted["handoff_carry_on"]) == (38, 15, 7)


def test_the_first_examples_have_no_word_alone_and_none_that_is_said_to_anything() -> None:
    """A word alone draws all that a small bot doesn't know; with "please" among them it took "yes please" for a request."""
    preset = read_yaml(PRESET / "common" / "nlu.yml")
    for block in preset["nlu"]:
        for example in block["examples"].splitlines()[: 10 if block["intent"] == names.OPTIONS_INTENT else 4]:
            words = example.removeprefix("- ").split()
            assert len(words) > 1, example
            assert not {"please", "now", "yes", "thanks"} & set(words), example


def test_the_fallback_can_be_switched_off(tmp_path: Path) -> None:
    importer = importer_of(starter_project(tmp_path / "bot", fallback=False))
    assert "utter_default" not in importer.get_domain().responses


def test_the_contact_form_without_actions_is_refused_in_one_line(tmp_path: Path) -> None:
    project = starter_project(tmp_path / "bot", contact=True)
    with pytest.raises(PresetError, match="needs 'actions: true'"):
        importer_of(project)
    done = run_rasa(project, "data", "validate")
    assert done.returncode == 1
    assert "needs 'actions: true'" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("settings", [{"actions": False}, {"actions": True}, {"actions": True, "contact": True}])
def test_rasa_data_validate_passes_with_warnings_as_failures(tmp_path: Path, settings: dict[str, bool]) -> None:
    done = run_rasa(starter_project(tmp_path / "bot", **settings), "data", "validate", "--fail-on-warnings")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "utter_handoff_" not in done.stderr


def test_rasa_test_passes(plain_project: Path) -> None:
    done = run_rasa(plain_project, "test", "core", "--stories", "tests", "--fail-on-prediction-errors")
    assert done.returncode == 0, done.stdout + done.stderr
