"""``init --copy``: the preset's files written into the project, for those who want to edit them."""

from pathlib import Path

from rasa_handoff.cli.edit_credentials import ByHand
from rasa_handoff.cli.project import Project
from rasa_handoff.presets.parts import Choice, preset_files


def copied_preset(project: Project, choice: Choice) -> dict[Path, str]:
    """The files to write, by path.

    Raises:
        ByHand: the project has no folder for several domain files.
    """
    if not (project.folder / "domain").is_dir():
        raise ByHand(
            "The preset has a domain of its own, and here is a single domain.yml. Make a folder 'domain', move "
            "domain.yml into it, run this again, and train with: rasa train --domain domain"
        )
    return {_target(project.folder, path): path.read_text(encoding="utf-8") for path in preset_files(choice)}


def _target(folder: Path, path: Path) -> Path:
    part = path.parent.name
    if path.stem.endswith("domain"):
        return folder / "domain" / f"handoff_{part}.yml"
    return folder / "data" / "handoff" / f"{part}_{path.name}"
