"""Editing a YAML file as text, so that nothing but the lines in question changes.

A YAML library that writes a file back re-flows what it doesn't understand the author's reason for: indents, quotes, long
lines. So ruamel only tells where things stand; after each edit the caller reads the result again and compares.
"""

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap


def places(text: str) -> dict[str, int]:
    """The line (from 0) of each top-level key of a block mapping; empty for any other shape."""
    loaded: Any = YAML().load(text)
    if not isinstance(loaded, CommentedMap) or loaded.fa.flow_style():
        return {}
    return {str(key): loaded.lc.key(key)[0] for key in loaded}


def end_of_block(lines: list[str], start: int) -> int:
    """The line after the last one that belongs to the top-level key at ``start``; comments below it don't."""
    end = start + 1
    for number in range(start + 1, len(lines)):
        if _is_bare(lines[number]):
            continue
        if not lines[number].startswith((" ", "\t", "-")):
            break
        end = number + 1
    return end


def start_of_comments(lines: list[str], start: int) -> int:
    """The first of the comment lines that stand right above ``start``; those at the file's head belong to the file."""
    first = start
    while first > 0 and lines[first - 1].startswith("#"):
        first -= 1
    return first if first > 0 else start


def comments_below(lines: list[str], start: int) -> int:
    """The line after the comments that stand right below ``start``, without a blank line between."""
    end = start
    while end < len(lines) and lines[end].startswith("#"):
        end += 1
    return end


def indented(lines: list[str], by: int) -> list[str]:
    """The lines moved to the right; blank ones stay blank."""
    return [" " * by + line if line.strip() else line for line in lines]


def split(text: str) -> list[str]:
    """The lines with their ends; a last line without one gets it."""
    return lines_of(text if text.endswith("\n") or not text else text + "\n")


def lines_of(text: str) -> list[str]:
    """The lines with their ends. Only a line feed ends one: Python and YAML count no form feed as a line's end."""
    return io.StringIO(text, newline="\n").readlines()


def _is_bare(line: str) -> bool:
    return not line.strip() or line.startswith("#") or line.startswith("---")
