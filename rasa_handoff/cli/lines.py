"""Editing of YAML files as text, so that only the lines in question change.

A YAML library that writes a file back changes its indents, quotes and long lines. So ruamel is only used to find the lines;
after each edit the caller parses the result and compares.
"""

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap


def places(text: str) -> dict[str, int]:
    """Return the line (from 0) of each top-level key of a block mapping; empty for any other shape."""
    loaded: Any = YAML().load(text)
    if not isinstance(loaded, CommentedMap) or loaded.fa.flow_style():
        return {}
    return {str(key): loaded.lc.key(key)[0] for key in loaded}


def end_of_block(lines: list[str], start: int) -> int:
    """Return the line after the last one of the top-level key at ``start``. Comments below it don't belong to it."""
    end = start + 1
    for number in range(start + 1, len(lines)):
        if _is_bare(lines[number]):
            continue
        if not lines[number].startswith((" ", "\t", "-")):
            break
        end = number + 1
    return end


def start_of_comments(lines: list[str], start: int) -> int:
    """Return the first of the comment lines right above ``start``. Comments at the file's head belong to the file."""
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
    """Return the lines moved to the right; blank ones stay blank."""
    return [" " * by + line if line.strip() else line for line in lines]


def split(text: str) -> list[str]:
    """Return the lines with their line ends; a last line without one gets it."""
    return lines_of(text if text.endswith("\n") or not text else text + "\n")


def lines_of(text: str) -> list[str]:
    """Return the lines with their line ends. Only a line feed ends a line: for Python and YAML a form feed doesn't."""
    return io.StringIO(text, newline="\n").readlines()


def _is_bare(line: str) -> bool:
    return not line.strip() or line.startswith("#") or line.startswith("---")
