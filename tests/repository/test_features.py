"""The capability matrix is what the adapters say, and each thing they say is shown by a test."""

import ast
from pathlib import Path

import pytest

from rasa_handoff.protocol.features import Feature, Theirs
from tests.repository.feature_proofs import PROOFS
from tests.support.paths import ROOT
from tools.matrix import PAGE, SYSTEMS, matrix, page

CLAIMS = [
    (system, feature)
    for system, features in SYSTEMS.items()
    for feature, said in features.items()
    if not isinstance(said, Theirs)
]


def test_the_page_shows_the_matrix() -> None:
    assert matrix() in PAGE.read_text(), "run: .venv/bin/python tools/matrix.py"
    assert page(PAGE.read_text()) == PAGE.read_text()


@pytest.mark.parametrize(("system", "feature"), CLAIMS, ids=[f"{system}-{feature.name}" for system, feature in CLAIMS])
def test_each_claim_has_its_test(system: str, feature: Feature) -> None:
    path, _, name = PROOFS[system][feature].partition("::")
    assert name.split("::")[-1] in names_of_tests(ROOT / path), f"{path} has no {name}"


def test_no_test_is_named_for_what_no_system_claims() -> None:
    assert {(system, feature) for system, proofs in PROOFS.items() for feature in proofs} == set(CLAIMS)


def names_of_tests(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
