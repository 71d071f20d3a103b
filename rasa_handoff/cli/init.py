"""``rasa-handoff init``: puts the handoff into a Rasa project. Shows the difference, asks, keeps a backup."""

import argparse
import difflib
from collections.abc import Callable
from pathlib import Path

import msgspec

from rasa_handoff.cli import edit_config, edit_credentials
from rasa_handoff.cli.copy_preset import copied_preset
from rasa_handoff.cli.edit_actions import edit_actions
from rasa_handoff.cli.edit_credentials import ByHand
from rasa_handoff.cli.project import NotYaml, Project
from rasa_handoff.presets.parts import Choice
from rasa_handoff.vocabulary.settings import CHANNEL_NAME

NEXT_STEPS = """
Next:
  rasa train
{desk}  rasa run
Forms of your own should list what starts a handoff under ignored_intents; rasa-handoff doctor looks at this and more."""

DESK_STEP = "  rasa-handoff serve          (and once: rasa-handoff agent add you@example.com --name You)\n"


class Change(msgspec.Struct, frozen=True):
    """A file as it is and as it should be; ``before`` is None for a new one."""

    path: Path
    before: str | None
    after: str


class Plan(msgspec.Struct, frozen=True):
    """What would be changed, and what is left to a person."""

    changes: tuple[Change, ...]
    by_hand: tuple[str, ...]


def describe(parser: argparse.ArgumentParser) -> None:
    """The options of ``init``."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path("."), help="the Rasa project")
    parser.add_argument("--yes", action="store_true", help="change without asking")
    parser.add_argument("--copy", action="store_true", help="write the preset's files out for editing, no importer")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Plan, show, ask, write. Returns 1 if something is left to do by hand or the answer was no."""
    plan = planned(Project(arguments.folder), arguments.copy)
    for change in plan.changes:
        print(_difference(change, arguments.folder))
    agreed = not plan.changes or arguments.yes or _agreed()
    if agreed:
        for change in plan.changes:
            _write(change)
    print(_summary(plan, agreed))
    for sentence in plan.by_hand:
        print(f"By hand: {sentence}")
    if agreed and plan.changes and not plan.by_hand:
        own_desk = CHANNEL_NAME in Project(arguments.folder).credentials
        print(NEXT_STEPS.format(desk=DESK_STEP if own_desk else ""))
    return 0 if agreed and not plan.by_hand else 1


def planned(project: Project, copy: bool) -> Plan:
    """Work out all changes; nothing is written."""
    by_hand: list[str] = []
    actions = _attempt(by_hand, lambda: _actions(project)) or []
    choice = Choice(actions=bool(actions))
    changes = list(actions)
    changes += _attempt(by_hand, lambda: _preset(project, choice) if copy else [_config(project, choice)]) or []
    changes += _attempt(by_hand, lambda: [_credentials(project)]) or []
    return Plan(tuple(change for change in changes if change.before != change.after), tuple(by_hand))


def _attempt(by_hand: list[str], work: Callable[[], list[Change]]) -> list[Change] | None:
    try:
        return work()
    except (ByHand, NotYaml) as problem:
        by_hand.append(str(problem))
        return None


def _actions(project: Project) -> list[Change]:
    if not project.endpoints.get("action_endpoint"):
        return []
    path = project.actions_file()
    if path is None:
        raise ByHand(
            "endpoints.yml names an action server, but its actions aren't here. Add there: from rasa_handoff.actions "
            "import *, and write 'actions: true' beside the importer in config.yml. Until then the channel offers."
        )
    name = str(path.relative_to(project.folder))
    return [_edited(path, lambda source: edit_actions(source, name))]


def _config(project: Project, choice: Choice) -> Change:
    edit = lambda text: edit_config.edit_config(text, choice, edit_config.rasas_default)  # noqa: E731
    return _edited(project.folder / edit_config.FILE, edit)


def _preset(project: Project, choice: Choice) -> list[Change]:
    if edit_config.has_importer(project.config):
        raise ByHand("config.yml: the importer rasa_handoff.HandoffImporter is there. Take it out and run this again.")
    files = copied_preset(project, choice)
    return [Change(path, None, text) for path, text in files.items() if not path.exists()]


def _credentials(project: Project) -> Change:
    bot_id = _bot_id(project)
    return _edited(project.folder / edit_credentials.FILE, lambda text: edit_credentials.edit_credentials(text, bot_id))


def _bot_id(project: Project) -> str:
    named = project.config.get("assistant_id")
    if isinstance(named, str) and named != "placeholder_default":
        return named
    return project.folder.resolve().name


def _edited(path: Path, edit: Callable[[str], str]) -> Change:
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    return Change(path, before, edit(before or ""))


def _difference(change: Change, folder: Path) -> str:
    name = str(change.path.relative_to(folder))
    if change.before is None:
        return f"new file {name}\n" + "".join(f"+{line}" for line in change.after.splitlines(keepends=True))
    lines = difflib.unified_diff(
        change.before.splitlines(keepends=True), change.after.splitlines(keepends=True), name, name
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _agreed() -> bool:
    try:
        return input("Change these files? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _write(change: Change) -> None:
    if change.before is not None:
        _free_backup(change.path).write_text(change.before, encoding="utf-8")
    change.path.parent.mkdir(parents=True, exist_ok=True)
    change.path.write_text(change.after, encoding="utf-8")


def _free_backup(path: Path) -> Path:
    """``config.yml.bak``, or a numbered one, so that the oldest is never lost."""
    backup, number = path.with_name(f"{path.name}.bak"), 2
    while backup.exists():
        backup, number = path.with_name(f"{path.name}.bak{number}"), number + 1
    return backup


def _summary(plan: Plan, agreed: bool) -> str:
    if not agreed:
        return "Nothing was changed. Answer y, or add --yes, to change the files."
    if not plan.changes:
        return "Nothing to change."
    return "Done; what was there before is kept in files ending in .bak."
