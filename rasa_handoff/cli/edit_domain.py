"""Edits of ``domain.yml``: add the entries of the preset's domain that the project's hasn't, with their comments."""

from typing import Any, Final

from rasa_handoff.cli.edit_credentials import NotEditable
from rasa_handoff.cli.project import parse_yaml
from rasa_handoff.cli.text_files import complete_lines, end_of_block, key_lines

FILE: Final = "domain.yml"
INDENT: Final = 2
"""Columns by which the preset's entries are indented."""


def edit_domain(text: str, preset: str) -> str:
    """Add the preset's entries to the text, unless it has them. Entries that the project defines itself stay.

    Raises:
        NotEditable: the file isn't of the usual shape.
    """
    before, wanted = parse_yaml(text, FILE), parse_yaml(preset, "the preset's domain")
    lines, source = complete_lines(text), complete_lines(preset)
    for section, body in wanted.items():
        if isinstance(body, list | dict):
            missing = [entry for entry in body if _name(entry) not in _names(before.get(section))]
            if missing:
                start = key_lines(preset)[section]
                entries = _entries(source[start + 1 : end_of_block(source, start)])
                lines = _added(lines, section, [line for entry in missing for line in entries[_name(entry)]])
    after = "".join(lines)
    _check(before, wanted, after)
    return after


def _added(lines: list[str], section: str, entries: list[str]) -> list[str]:
    """Return the lines with these entries at the end of the section, which is added if it is missing."""
    text = "".join(lines)
    where = key_lines(text)
    if section not in where:
        if not where and parse_yaml(text, FILE):
            raise NotEditable(f"{FILE} is written in one line with braces. Write one key per line and run this again.")
        return [*lines, "\n", f"{section}:\n", *entries]
    start = where[section]
    end = end_of_block(lines, start)
    first = next((line for line in lines[start + 1 : end] if line.strip() and not line.lstrip().startswith("#")), None)
    if first is None:  # nothing below: `intents:` alone, `intents: []`, or all in one line
        if parse_yaml(text, FILE).get(section):
            raise NotEditable(
                f"{FILE}: '{section}' is written in one line. Write one entry per line and run this again."
            )
        return [*lines[:start], f"{section}:\n", *entries, *lines[start + 1 :]]
    indent = len(first) - len(first.lstrip(" "))
    moved = [" " * indent + line[INDENT:] if line.strip() else line for line in entries]
    return [*lines[:end], *moved, *lines[end:]]


def _entries(lines: list[str]) -> dict[str, list[str]]:
    """Return the lines of each entry of a section by the entry's name, with the comments above it."""
    found: dict[str, list[str]] = {}
    waiting: list[str] = []
    name = ""
    for line in lines:
        if line[:INDENT].isspace() and line[INDENT : INDENT + 1] not in (" ", "\n", "#", ""):
            name = line.strip().removeprefix("- ").partition(":")[0].strip()
            found[name] = [*waiting, line]
            waiting = []
        elif line.lstrip().startswith("#"):
            waiting.append(line)
        elif line.strip():
            found[name] += [*waiting, line]
            waiting = []
    return found


def _check(before: dict[str, Any], wanted: dict[str, Any], text: str) -> None:
    """Check that the new text has everything of the old one and of the preset."""
    after = parse_yaml(text, FILE)
    for section in {*before, *wanted}:
        old, body = before.get(section), wanted.get(section)
        expected: Any = old
        if isinstance(body, list):
            expected = [*(old or ()), *(entry for entry in body if _name(entry) not in _names(old))]
        elif isinstance(body, dict):
            expected = {**body, **(old or {})}
        if after.get(section) != expected:
            raise NotEditable(
                f"{FILE}: '{section}' has a shape this command doesn't know. Leave out --copy, or edit it by hand."
            )


def _names(body: Any) -> set[str]:
    return {_name(entry) for entry in body or ()}


def _name(entry: Any) -> str:
    """Return the name of a section's entry: ``greet``, or ``greet: {use_entities: []}``."""
    return str(next(iter(entry), None) if isinstance(entry, dict) else entry)
