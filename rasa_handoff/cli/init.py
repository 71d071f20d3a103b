"""``rasa-handoff init``: put the handoff into a Rasa project. It shows the changes, asks, and keeps backups."""

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from rasa_handoff.cli import edit_config, edit_credentials, edit_domain, text_files
from rasa_handoff.cli.copy_preset import copied_preset, has_domain_folder, with_preset_domain
from rasa_handoff.cli.edit_actions import edit_actions
from rasa_handoff.cli.edit_credentials import DEFAULT_URL, ChannelValues, NotEditable
from rasa_handoff.cli.project import Project
from rasa_handoff.cli.text_files import lines_of
from rasa_handoff.presets.parts import Choice
from rasa_handoff.protocol.channel_settings import CHANNEL_NAME
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.names import RASAS_SLOTS

HIDDEN_SLOTS: Final = (*RASAS_SLOTS, "handoff_")
"""Prefixes of Rasa's slots and of ours, which an agent needn't see."""
ACTIONS_ELSEWHERE: Final = (
    "endpoints.yml names an action server, but this project has no actions.py. Add the line 'from rasa_handoff.actions import *' "
    "to the action server's actions.py, and write 'actions: true' below the importer in config.yml. Until then the channel "
    "offers the departments itself."
)

NEXT_STEPS = """
Next:
  rasa train
{desk}{actions}  rasa run
{ignore}Forms of your own should list what starts a handoff under ignored_intents; rasa-handoff doctor looks at this and more."""

DESK_STEP = """  rasa-handoff agent add thandi@example.com --name Thandi      (once)
  rasa-handoff serve{port}                                 (goes on running)
"""
IGNORED_FILES: Final = (
    "*.bak",
    "handoff.db*",
    "handoff.media/",
    "handoff-platform.db*",
    "rasa-handoff-desk.db*",
    "rasa-handoff-desk.media/",
)
"""Files for git to ignore: init, the relay, platform channels and the server write them into the project's folder by default."""
ACTIONS_STEP = "  rasa run actions                                       (goes on running)\n"


class FileChange(msgspec.Struct, frozen=True):
    """A file as it is and as it should be; ``before`` is None for a new one."""

    path: Path
    before: str | None
    after: str


class Plan(msgspec.Struct, frozen=True):
    """The changes to make, what prevents them, and the steps that are left to a person."""

    changes: tuple[FileChange, ...]
    hindrances: tuple[str, ...] = ()
    manual_steps: tuple[str, ...] = ()


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``init``."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path("."), help="the Rasa project")
    parser.add_argument("--yes", action="store_true", help="change without asking")
    parser.add_argument("--copy", action="store_true", help="write the preset's files out for editing, no importer")
    parser.add_argument(
        "--bot-id", metavar="NAME", help="the bot's name at the desk (default: assistant_id, or the folder's)"
    )
    parser.add_argument(
        "--desk-url", metavar="URL", default=DEFAULT_URL, help=f"where rasa-handoff serve runs (default: {DEFAULT_URL})"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Plan the changes, show them, ask, and write them. Returns 1 if a step is left to a person or the answer was no."""
    project = Project(arguments.folder)
    values = ChannelValues(arguments.bot_id or _bot_id(project), _checked_url(arguments.desk_url), _slots(project))
    plan = planned(project, values, arguments.copy)
    if plan.hindrances:
        print("Nothing was changed, since not all of it can be done:")
        for sentence in plan.hindrances:
            print(f"By hand: {sentence}")
        return 1
    for change in plan.changes:
        print(_difference(change, arguments.folder))
    agreed = not plan.changes or arguments.yes or _agreed()
    if agreed:
        _write(plan.changes)
    print(_summary(plan, agreed))
    for sentence in plan.manual_steps:
        print(f"By hand: {sentence}")
    if agreed and plan.changes:
        print(_next_steps(Project(arguments.folder), arguments.desk_url))
    return 0 if agreed and not plan.manual_steps else 1


def planned(project: Project, values: ChannelValues, copy: bool) -> Plan:
    """Work out all changes, without writing any."""
    hindrances: list[str] = []
    manual_steps = [ACTIONS_ELSEWHERE] if project.has_action_server and project.actions_file() is None else []
    if CHANNEL_NAME in project.credentials and (values.bot_id, values.url) != (_bot_id(project), DEFAULT_URL):
        manual_steps.append(
            f"{edit_credentials.FILE} has {CHANNEL_NAME} already: change its bot_id and desk.url there."
        )
    actions = _attempt(hindrances, lambda: _actions(project))
    choice = Choice(actions=bool(actions))
    changes = list(actions)
    changes += _attempt(hindrances, lambda: _preset(project, choice) if copy else [_config(project, choice)])
    changes += _attempt(hindrances, lambda: [_credentials(project, values)])
    return Plan(
        tuple(change for change in changes if change.before != change.after), tuple(hindrances), tuple(manual_steps)
    )


def _attempt(hindrances: list[str], work: Callable[[], list[FileChange]]) -> list[FileChange]:
    """Return the changes that the work plans; none if it can't be done, with the reason added to the hindrances."""
    try:
        return work()
    except HandoffError as problem:
        hindrances.append(str(problem))
        return []


def _actions(project: Project) -> list[FileChange]:
    path = project.actions_file()
    if path is None or not project.has_action_server:
        return []
    name = str(path.relative_to(project.folder))
    return [_edited(path, lambda source: edit_actions(source, name))]


def _config(project: Project, choice: Choice) -> FileChange:
    edit = lambda text: edit_config.edit_config(text, choice, edit_config.rasas_default)  # noqa: E731
    return _edited(project.folder / edit_config.FILE, edit)


def _preset(project: Project, choice: Choice) -> list[FileChange]:
    if edit_config.has_importer(project.config):
        raise NotEditable(
            "config.yml: it has the importer rasa_handoff.HandoffImporter already. Take it out, or leave out --copy."
        )
    files = copied_preset(project, choice)
    changes = [FileChange(path, None, text) for path, text in files.items() if not path.exists()]
    if not has_domain_folder(project):
        path = project.folder / edit_domain.FILE
        changes.append(_edited(path, lambda text: with_preset_domain(text, choice)))
    return changes


def _credentials(project: Project, values: ChannelValues) -> FileChange:
    return _edited(project.folder / edit_credentials.FILE, lambda text: edit_credentials.edit_credentials(text, values))


def _bot_id(project: Project) -> str:
    named = project.config.get("assistant_id")
    if isinstance(named, str) and named != "placeholder_default":
        return named
    return project.folder.resolve().name


def _slots(project: Project) -> tuple[str, ...]:
    """Return the project's own slots, which agents may want to see."""
    slots = project.domain.get("slots")
    return tuple(str(name) for name in slots or () if not str(name).startswith(HIDDEN_SLOTS))


def _checked_url(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
        raise HandoffError(f"--desk-url is '{url}': write the address of rasa-handoff serve, such as {DEFAULT_URL}.")
    return url


def _edited(path: Path, edit: Callable[[str], str]) -> FileChange:
    before = text_files.read(path) if path.is_file() else None
    return FileChange(path, before, edit(before or ""))


def _difference(change: FileChange, folder: Path) -> str:
    name = str(change.path.relative_to(folder))
    if change.before is None:
        return f"new file {name}\n" + "".join(f"+{line}" for line in lines_of(change.after))
    lines = difflib.unified_diff(lines_of(change.before), lines_of(change.after), name, name)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _agreed() -> bool:
    try:
        return input("Change these files? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _write(changes: Sequence[FileChange]) -> None:
    """Write all changes. All existing files are backed up before the first one is changed."""
    for change in changes:
        if change.before is not None:
            text_files.back_up(change.path)
    for change in changes:
        text_files.write(change.path, change.after)


def _next_steps(project: Project, url: str) -> str:
    port = urlsplit(url).port
    option = f" --port {port}" if port not in (None, urlsplit(DEFAULT_URL).port) else ""
    desk = DESK_STEP.format(port=option) if CHANNEL_NAME in project.credentials else ""
    actions = ACTIONS_STEP if project.has_action_server else ""
    return NEXT_STEPS.format(desk=desk, actions=actions, ignore=_ignore_step(project.folder))


def _ignore_step(folder: Path) -> str:
    """Name the files with customers' words and old credentials that git would take in; nothing if it ignores all of them."""
    path = folder / ".gitignore"
    known = text_files.read(path).split() if path.is_file() else []
    missing = [pattern for pattern in IGNORED_FILES if pattern not in known]
    return f"If the project is in git, add to .gitignore: {', '.join(missing)}\n" if missing else ""


def _summary(plan: Plan, agreed: bool) -> str:
    if not agreed:
        return "Nothing was changed. Answer y, or add --yes, to change the files."
    if not plan.changes:
        return "Nothing to change."
    return "Done; what was there before is kept in files ending in .bak."
