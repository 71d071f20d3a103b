"""Writes the tables of ``docs/public-names.md``: each name that people may rely on, read from the code."""

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import rasa_handoff  # noqa: E402
from rasa_handoff import cli  # noqa: E402
from rasa_handoff.protocol import names  # noqa: E402

PAGE = ROOT / "docs" / "public-names.md"
BEGIN, END = "<!-- names: made by tools/public_names.py -->", "<!-- end of names -->"
NOTES = {
    "HandoffChannel": "the channel that hosts your channels, in `credentials.yml` ([settings](settings.md))",
    "KommunicateChannel": "the channel for [Kommunicate](adapters/kommunicate.md), in `credentials.yml`",
    "LivePersonChannel": "the channel for [LivePerson](adapters/liveperson.md), in `credentials.yml`",
    "Desk": "base of a [desk of your own](adapters/adding.md#a-desk)",
    "PlatformChannel": "base of a [platform channel of your own](adapters/adding.md#a-platform)",
    "HandoffImporter": "the dialogues, in `config.yml` ([settings](settings.md#the-dialogues-in-configyml))",
    "__version__": "the package's version",
}
NAMES_OF_PROJECTS = {
    "intents": ("OPTIONS_INTENT", "EXECUTE_INTENT", "ENDED_INTENT", "CARRY_ON_INTENT"),
    "entity": ("DEPARTMENT_ENTITY",),
    "slots": ("OUTCOME_SLOT", "NOTE_SLOT", "CONTACT_NAME_SLOT", "CONTACT_EMAIL_SLOT"),
    "form": ("CONTACT_FORM",),
    "actions": ("OPTIONS_ACTION", "EXECUTE_ACTION", "TEMPLATE_ACTION"),
    "keys of a response's `custom`": (
        "HANDOFF_MARKER",
        "OPTIONS_MARKER",
        "BOTLHALE_MARKER",
        "CLOSE_DIRECTIVE",
        "TRANSFER_DIRECTIVE",
        "ASSIGN_DIRECTIVE",
        "PRIORITY_DIRECTIVE",
    ),
    "event or key that tells who has the customer": ("STATE_KEY",),
    "key of a message's metadata, for actions": ("METADATA_KEY",),
}


def imported_names() -> Iterator[str]:
    """Yield a row for each name of the package."""
    yield "| name | what it is |"
    yield "| --- | --- |"
    for name in sorted(rasa_handoff.__all__, key=list(NOTES).index):
        yield f"| `rasa_handoff.{name}` | {NOTES[name]} |"
    for name in _all_of(ROOT / "rasa_handoff" / "actions.py"):
        yield f"| `rasa_handoff.actions.{name}` | an action for your action server: `from rasa_handoff.actions import *` |"


def _all_of(module: Path) -> list[str]:
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(one, ast.Name) and one.id == "__all__" for one in node.targets
        ):
            return list(ast.literal_eval(node.value))
    return []


def _is_public(node: ast.stmt) -> TypeGuard[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return whether this is a class or function for others. The declarations of an overloaded function don't count."""
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
        return False
    return not any(isinstance(one, ast.Name) and one.id == "overload" for one in node.decorator_list)


def testing_names() -> Iterator[str]:
    """Yield a row for each class and function of the testing package, with the first line of its docstring."""
    yield "| name | what it is |"
    yield "| --- | --- |"
    folder = ROOT / "rasa_handoff" / "testing"
    for module in sorted(folder.glob("*.py")):
        for node in ast.parse(module.read_text()).body:
            if _is_public(node):
                where = "" if module.stem == "__init__" else f"{module.stem}."
                first = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ").replace("``", "`")
                yield f"| `rasa_handoff.testing.{where}{node.name}` | {first} |"


def commands() -> Iterator[str]:
    """Yield a row for each command of the command line, with its options."""
    yield "| command | options |"
    yield "| --- | --- |"
    top = cli._parser(list(cli._COMMANDS))
    for name, parser in _subcommands(top):
        for path, command in [(name, parser), *((f"{name} {sub}", each) for sub, each in _subcommands(parser))]:
            if not any(isinstance(action, argparse._SubParsersAction) for action in command._actions):
                yield f"| `rasa-handoff {path}` | {', '.join(_options(command)) or '–'} |"


def _subcommands(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [(name, command) for action in actions for name, command in action.choices.items()]


def _options(parser: argparse.ArgumentParser) -> list[str]:
    given = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    positional = [f"`{action.metavar or action.dest}`" for action in given if not action.option_strings]
    return positional + [f"`{action.option_strings[-1]}`" for action in given if action.option_strings]


def project_names() -> Iterator[str]:
    """Yield a row for each kind of name in a bot's project."""
    yield "| kind | names |"
    yield "| --- | --- |"
    for kind, found in NAMES_OF_PROJECTS.items():
        yield f"| {kind} | {', '.join(f'`{getattr(names, name)}`' for name in found)} |"


def tables() -> str:
    """Return all tables, each below its heading."""
    parts = {
        "Python": imported_names(),
        "The command": commands(),
        "Names in a bot's project": project_names(),
        "The testing package": testing_names(),
    }
    return "\n\n".join(f"## {heading}\n\n" + "\n".join(rows) for heading, rows in parts.items())


def page(text: str) -> str:
    """Return the page with the names as they are now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    print(f"Written: {PAGE.relative_to(ROOT)}")
