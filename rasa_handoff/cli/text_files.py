"""Reading and writing of a project's text files, which keep their line ends and byte order mark."""

import difflib
import shutil
from pathlib import Path
from typing import Final

from rasa_handoff.cli.lines import lines_of
from rasa_handoff.protocol.errors import HandoffError

MARK: Final = "\ufeff"


def read(path: Path) -> str:
    """Return a file's text, with line ends as ``\\n`` and without a byte order mark.

    Raises:
        HandoffError: it isn't UTF-8.
    """
    return _lf(raw(path)).removeprefix(MARK)


def raw(path: Path) -> str:
    """Return a file's text unchanged.

    Raises:
        HandoffError: it isn't UTF-8.
    """
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as problem:
        line = problem.object[: problem.start].count(b"\n") + 1
        raise HandoffError(f"{path.name} isn't UTF-8 text (line {line}). Save it in UTF-8.") from problem


def write(path: Path, text: str) -> None:
    """Write the text. In an existing file each line that stays keeps its line end, and new lines get the most usual one."""
    before = raw(path) if path.exists() else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_as_before(before, text).encode())


def back_up(path: Path) -> Path:
    """Copy a file to ``config.yml.bak``, or to a numbered one, so that the oldest backup is never lost. The copy has the file's
    permissions."""
    backup, number = path.with_name(f"{path.name}.bak"), 2
    while backup.exists():
        backup, number = path.with_name(f"{path.name}.bak{number}"), number + 1
    shutil.copy2(path, backup)
    return backup


def _as_before(before: str, text: str) -> str:
    old, new = lines_of(before.removeprefix(MARK)), lines_of(text)
    crlf = sum(line.endswith("\r\n") for line in old)
    if crlf:
        usual = "\r\n" if crlf * 2 > len(old) else "\n"
        matcher = difflib.SequenceMatcher(a=[_lf(line) for line in old], b=new, autojunk=False)
        new = [line.removesuffix("\n") + usual if line.endswith("\n") else line for line in new]
        for first, second, size in matcher.get_matching_blocks():
            new[second : second + size] = old[first : first + size]
    return (MARK if before.startswith(MARK) else "") + "".join(new)


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n")
