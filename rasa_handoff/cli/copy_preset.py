"""``init --copy``: write the preset's files into the project, for editing."""

from pathlib import Path

from rasa_handoff.cli.edit_domain import edit_domain
from rasa_handoff.cli.project import Project, parse_yaml
from rasa_handoff.presets.examples import examples_in, fitting_numbers, shortened
from rasa_handoff.presets.parts import Choice, preset_files


def copied_preset(project: Project, choice: Choice) -> dict[Path, str]:
    """Return the new files to write, by path.

    A project with a single ``domain.yml`` gets no domain file: its own one is edited.
    """
    files = [path for path in preset_files(choice) if has_domain_folder(project) or not _is_domain(path)]
    return {_target(project.folder, path): _fitting(project, path) for path in files}


def with_preset_domain(text: str, choice: Choice) -> str:
    """Add the preset's entries to the text of a single ``domain.yml``.

    Raises:
        NotEditable: it isn't of the usual shape.
    """
    for path in preset_files(choice):
        if _is_domain(path):
            text = edit_domain(text, path.read_text(encoding="utf-8"))
    return text


def has_domain_folder(project: Project) -> bool:
    """Return whether the project's domain may be several files."""
    return (project.folder / "domain").is_dir()


def _fitting(project: Project, path: Path) -> str:
    """Return the file's text, with as many examples as fit the project's own, as the importer does."""
    text = path.read_text(encoding="utf-8")
    ours = examples_in(parse_yaml(text, path.name))
    if not ours:
        return text
    own = sum(number for intent, number in project.examples.items() if intent not in ours)
    return shortened(text, fitting_numbers(ours, own))


def _is_domain(path: Path) -> bool:
    return path.stem.endswith("domain")


def _target(folder: Path, path: Path) -> Path:
    part = path.parent.name
    if _is_domain(path):
        return folder / "domain" / f"handoff_{part}.yml"
    return folder / "data" / "handoff" / f"{part}_{path.name}"
