"""Where an earlier commit isn't to be had, that is said."""

import subprocess
from pathlib import Path

import pytest

from tests.rolling import earlier
from tests.support.paths import ROOT


def test_a_shallow_clone_is_told_from_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = ["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(tmp_path / "clone")]
    if subprocess.run(clone, capture_output=True, check=False).returncode:
        pytest.skip("this is no clone")
    monkeypatch.setattr(earlier, "ROOT", tmp_path / "clone")
    with pytest.raises(earlier.NoEarlier, match=r"This clone is shallow, .*: git fetch --unshallow"):
        earlier.earlier_commit()


def test_what_is_no_clone_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earlier, "ROOT", tmp_path)
    with pytest.raises(earlier.NoEarlier, match="not a git repository"):
        earlier.earlier_commit("HEAD")


def test_an_unknown_commit_is_named_by_git() -> None:
    with pytest.raises(earlier.NoEarlier, match=r"git rev-parse says|shallow"):
        earlier.earlier_commit("no-such-commit")
