"""An earlier commit of this repository, laid out beside this checkout."""

import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

from tests.support.paths import ROOT

NUMBERED: Final = (
    "rasa_handoff/protocol/handshake.py",
    "rasa_handoff/relay/repository.py",
    "rasa_handoff/server/storage/tables.py",
    "rasa_handoff/platforms/memory_tables.py",
)
"""The files with a number of a schema or of the protocol."""
NUMBER: Final = re.compile(r"^(?:SCHEMA|PROTOCOL): Final = (\d+)$", re.MULTILINE)
FINGERPRINTS: Final = "tests/core/test_schemas.py"
"""Says which tables each schema has. Before the first release schema 1 may change by itself."""
RECORDED: Final = r"-G^    \(\"\w+\", [0-9]+\): "
"""The option by which git finds the commits that changed it."""


class NoEarlier(Exception):
    """The commit isn't to be had here; the sentence says why."""


def git(*words: str) -> str:
    """Run git in this checkout, and return what it says.

    Raises:
        NoEarlier: it can't.
    """
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError as problem:
        raise NoEarlier(f"git isn't installed: {problem}.") from problem
    if done.returncode:
        raise NoEarlier(f"git {words[0]} says: {(done.stderr.strip() or 'nothing').splitlines()[-1]}")
    return done.stdout.strip()


def earlier_commit(asked: str | None = None) -> str:
    """Return the commit to update from. By default the furthest one that must work beside this one.

    That is the parent of the newest commit that gave a schema or the protocol another number. If none has, it is the newest that
    changed a table of schema 1, which it might do before the first release without a step that leads there.

    Raises:
        NoEarlier: it isn't in this clone, because that is shallow or no clone at all.
    """
    if git("rev-parse", "--is-shallow-repository") == "true":
        raise NoEarlier("This clone is shallow, so earlier commits aren't here: git fetch --unshallow")
    if asked is not None:
        return git("rev-parse", "--verify", f"{asked}^{{commit}}")
    commit = _newest_of_another_number() or git("log", "-1", "--format=%H", RECORDED, "HEAD~1", "--", FINGERPRINTS)
    if not commit:
        raise NoEarlier("No commit before this one has the tables of today.")
    return commit


def _newest_of_another_number() -> str | None:
    changed = git("log", "--format=%H", "-G^(SCHEMA|PROTOCOL): Final = ", "--", *NUMBERED).split()
    for commit in changed:
        before = _numbers(f"{commit}^")
        if before is not None and before != _numbers(commit):
            return git("rev-parse", f"{commit}^")
    return None


def _numbers(commit: str) -> list[str] | None:
    """Return the numbers in a commit; None if it hasn't all of them yet."""
    try:
        found = [NUMBER.findall(git("show", f"{commit}:{path}")) for path in NUMBERED]
    except NoEarlier:
        return None
    return [number for numbers in found for number in numbers]


def lay_out(commit: str, folder: Path) -> Path:
    """Write the files of a commit into a folder, and return it. A process started with it as ``PYTHONPATH`` runs that commit."""
    archive = folder / "commit.tar"
    tree = folder / "earlier"
    git("archive", f"--output={archive}", commit, "rasa_handoff")
    with tarfile.open(archive) as files:
        files.extractall(tree)
    archive.unlink()
    check_it_is_used(tree, folder)
    return tree


def check_it_is_used(tree: Path, folder: Path) -> None:
    """Check that a process with this ``PYTHONPATH`` imports the package from there, and not the installed one."""
    script = "import rasa_handoff.protocol.handshake as module; print(module.__file__)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(tree)}, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith(str(tree)), f"{done.stdout}{done.stderr} isn't in {tree}"
