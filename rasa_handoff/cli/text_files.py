"""Read, edit and write a project's text files, so that only the lines in question change.

Line ends and the byte order mark are kept. A YAML library that writes a file back changes its indents, quotes and long lines, so
ruamel is only used to find the lines; after each edit the caller parses the result and compares.
"""

import difflib
import io
import shutil
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from rasa_handoff.protocol.errors import HandoffError

BYTE_ORDER_MARK: Final = "\ufeff"


def key_lines(text: str) -> dict[str, int]:
    """Return the line (from 0) of each top-level key of a block mapping; empty for any other shape."""
    loaded: Any = YAML().load(text)
    if not isinstance(loaded, CommentedMap) or loaded.fa.flow_style():
        return {}
    return {str(key): loaded.lc.key(key)[0] for key in loaded}


def end_of_block(lines: list[str], start: int) -> int:
    """Return the line after the last one of the top-level key at ``start``. Comments below it don't belong to it."""
    end = start + 1
    for number in range(start + 1, len(lines)):
        if _is_blank_or_comment(lines[number]):
            continue
        if not lines[number].startswith((" ", "\t", "-")):
            break
        end = number + 1
    return end


def start_of_comments(lines: list[str], start: int) -> int:
    """Return the line at which the comments right above ``start`` begin, or ``start`` if there are none.

    Comments at the head of the file are about the file, so they aren't taken.
    """
    first = start
    while first > 0 and lines[first - 1].startswith("#"):
        first -= 1
    return first if first > 0 else start


def comments_below(lines: list[str], start: int) -> int:
    """Return the line after the comments right below ``start``, without a blank line between."""
    end = start
    while end < len(lines) and lines[end].startswith("#"):
        end += 1
    return end


def indented(lines: list[str], by: int) -> list[str]:
    """Return the lines moved to the right by so many columns; blank ones stay blank."""
    return [" " * by + line if line.strip() else line for line in lines]


def complete_lines(text: str) -> list[str]:
    """Return the lines with their line ends; if the last line has none, it gets one."""
    return lines_of(text if text.endswith("\n") or not text else text + "\n")


def lines_of(text: str) -> list[str]:
    """Return the lines with their line ends. Only a line feed ends a line: for Python and YAML a form feed doesn't."""
    return io.StringIO(text, newline="\n").readlines()


def _is_blank_or_comment(line: str) -> bool:
    return not line.strip() or line.startswith("#") or line.startswith("---")


def read(path: Path) -> str:
    """Return a file's text, with line ends as ``\\n`` and without a byte order mark.

    Raises:
        HandoffError: it isn't UTF-8.
    """
    return _with_line_feeds(raw(path)).removeprefix(BYTE_ORDER_MARK)


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
    """Return the text with the byte order mark of the file as it was, and with the line ends of the lines that stay."""
    old, new = lines_of(before.removeprefix(BYTE_ORDER_MARK)), lines_of(text)
    crlf = sum(line.endswith("\r\n") for line in old)
    if crlf:
        usual = "\r\n" if crlf * 2 > len(old) else "\n"
        matcher = difflib.SequenceMatcher(a=[_with_line_feeds(line) for line in old], b=new, autojunk=False)
        new = [line.removesuffix("\n") + usual if line.endswith("\n") else line for line in new]
        for first, second, size in matcher.get_matching_blocks():
            new[second : second + size] = old[first : first + size]
    return (BYTE_ORDER_MARK if before.startswith(BYTE_ORDER_MARK) else "") + "".join(new)


def _with_line_feeds(text: str) -> str:
    return text.replace("\r\n", "\n")
