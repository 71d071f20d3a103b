"""The files that ``tests/conftest.py`` puts first are there."""

from tests.conftest import LONGEST
from tests.support.paths import ROOT


def test_the_longest_files_are_named_as_they_are() -> None:
    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)
