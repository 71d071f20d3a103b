"""Edits of ``config.yml``: add the importer, and write out the pipeline and policies that Rasa would have chosen."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from rasa_handoff.cli.edit_credentials import NotEditable
from rasa_handoff.cli.project import parse_yaml
from rasa_handoff.cli.text_files import complete_lines, end_of_block, key_lines, start_of_comments
from rasa_handoff.presets.parts import Choice

FILE: Final = "config.yml"
IMPORTER: Final = "rasa_handoff.HandoffImporter"
RASAS_IMPORTER: Final = "RasaFileImporter"
CHOSEN_BY_RASA: Final = ("pipeline", "policies")

_GENERATED: Final = "# # No configuration for"
"""The beginning of the comment in which ``rasa train`` notes the block that it chose."""
_COMMENT: Final = "# Rasa would have chosen these; with several importers it can't, so they are written out.\n"


def has_importer(config: dict[str, Any]) -> bool:
    """Return whether the preset's importer is configured."""
    listed = config.get("importers")
    return isinstance(listed, list) and any(_name(entry) == IMPORTER for entry in listed)


def edit_config(text: str, choice: Choice, defaults: Callable[[str], str]) -> str:
    """Add the importer to the text, unless it has it. ``defaults`` returns Rasa's own block for a key.

    Raises:
        NotEditable: the file has a shape that this command can't edit, such as ``importers`` in one line.
    """
    before = parse_yaml(text, FILE)
    if not has_importer(before):
        text = _with_importer(text, before, choice)
    for key in CHOSEN_BY_RASA:
        if before.get(key) is None and not str(before.get("recipe", "")).startswith("graph"):
            text = _written_out(text, key, defaults(key))
    _check(before, text)
    return text


def rasas_default(key: str) -> str:
    """Return the block that Rasa would choose for ``pipeline`` or ``policies``, from its own file.

    Raises:
        NotEditable: Rasa isn't installed here.
    """
    spec = find_spec("rasa")
    if spec is None or not spec.submodule_search_locations:
        raise NotEditable(
            f"{FILE} leaves '{key}' to Rasa, and Rasa isn't installed here. Run this in Rasa's environment "
            "(pip install 'rasa-handoff[rasa]'), or write out the pipeline and the policies."
        )
    path = Path(spec.submodule_search_locations[0]) / "engine/recipes/config_files/default_config.yml"
    text = path.read_text(encoding="utf-8")
    lines, start = complete_lines(text), key_lines(text)[key]
    return "".join(lines[start : end_of_block(lines, start)])


def _with_importer(text: str, before: dict[str, Any], choice: Choice) -> str:
    lines, where = complete_lines(text), key_lines(text)
    listed = before.get("importers")
    if not where:
        raise NotEditable(f"{FILE} is written in one line with braces. Write one key per line and run this again.")
    if listed is None:
        block = ["importers:\n", f"  - name: {RASAS_IMPORTER}\n", *_item(choice, 2)]
        return "".join(_with_importers(lines, where, block))
    indent = _list_indent(text)
    if indent is None:
        raise NotEditable(f"{FILE}: 'importers' isn't a list with one entry a line. Add '- name: {IMPORTER}' to it.")
    end = end_of_block(lines, where["importers"])
    return "".join([*lines[:end], *_item(choice, indent), *lines[end:]])


def _with_importers(lines: list[str], where: dict[str, int], block: list[str]) -> list[str]:
    """Return the lines with the block ``importers``: in place of an empty one, else above the pipeline, else at the end."""
    if "importers" in where:
        return [*lines[: where["importers"]], *block, *lines[where["importers"] + 1 :]]
    if "pipeline" in where:
        start = start_of_comments(lines, where["pipeline"])
        return [*lines[:start], *block, "\n", *lines[start:]]
    return [*lines, "\n", *block]


def _item(choice: Choice, indent: int) -> list[str]:
    settings = {field: getattr(choice, field) for field in Choice.__struct_fields__}
    lines = [f"- name: {IMPORTER}\n", *(f"  {name}: {str(value).lower()}\n" for name, value in settings.items())]
    return [" " * indent + line for line in lines]


def _list_indent(text: str) -> int | None:
    """Return the column of the dashes of ``importers``, or None if it isn't a list with one entry a line."""
    listed: Any = YAML().load(text)["importers"]
    if not isinstance(listed, list) or not listed or listed.fa.flow_style():  # type: ignore[attr-defined]
        return None
    return int(listed.lc.item(0)[1]) - 2  # type: ignore[attr-defined]


def _written_out(text: str, key: str, default: str) -> str:
    """Return the text with Rasa's own block for the key written out."""
    lines, where = complete_lines(text), key_lines(text)
    if key not in where:
        return "".join([*lines, "\n", _COMMENT, default])
    start = where[key]
    return "".join([*lines[:start], _COMMENT, default, *lines[_after_generated(lines, start + 1) :]])


def _after_generated(lines: list[str], start: int) -> int:
    """Return the line after the comment in which ``rasa train`` notes what it chose: the block replaces it."""
    if start >= len(lines) or not lines[start].startswith(_GENERATED):
        return start
    while start < len(lines) and lines[start].startswith("#"):
        start += 1
    return start


def _check(before: dict[str, Any], text: str) -> None:
    after = parse_yaml(text, FILE)
    kept = all(after.get(key) == body for key, body in before.items() if key != "importers" and body is not None)
    if not kept or not has_importer(after):
        raise NotEditable(f"{FILE} has a shape this command doesn't know: add the importer {IMPORTER} by hand.")


def _name(entry: Any) -> Any:
    return entry.get("name") if isinstance(entry, dict) else entry
