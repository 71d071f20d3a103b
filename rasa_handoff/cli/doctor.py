"""``rasa-handoff doctor``: check a Rasa project, with one line per finding. Exit code 1 if something must be mended."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from rasa_handoff.cli import (
    check_databases,
    check_installed,
    check_media,
    check_platforms,
    check_project,
    check_surroundings,
)
from rasa_handoff.cli.findings import Finding, Grade, mend
from rasa_handoff.cli.project import Project
from rasa_handoff.protocol.errors import HandoffError

Check = Callable[[Project], Iterator[Finding]]

CHECKS: Final[tuple[Check, ...]] = (
    check_project.check_variables,
    check_project.check_channel,
    check_project.check_customer_tokens,
    check_project.check_sessions,
    check_platforms.check_platforms,
    check_project.check_outside_channels,
    check_project.check_importer,
    check_project.check_actions,
    check_project.check_slots,
    check_project.check_forms,
    check_project.check_examples,
    check_project.check_markers,
    check_surroundings.check_tracker_store,
    check_surroundings.check_workers,
    check_databases.check_relays_database,
    check_media.check_media,
    check_installed.check_requirements,
    check_installed.check_versions,
    check_surroundings.check_action_server,
    check_surroundings.check_desk,
    check_surroundings.check_dead_letters,
)

_COLOURS: Final = {Grade.OK: "92", Grade.WARN: "93", Grade.MEND: "91"}


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``doctor``."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path("."), help="the Rasa project")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run all checks and print what they find."""
    findings = examined(Project(arguments.folder))
    for finding in findings:
        print(f"{_label(finding.grade)} {finding.sentence}")
    return 1 if any(finding.grade is Grade.MEND for finding in findings) else 0


def examined(project: Project) -> list[Finding]:
    """Return all findings in order, each once. A file that can't be read is a finding too."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += check(project)
        except HandoffError as problem:
            findings.append(mend(str(problem)))
    return list({finding.sentence: finding for finding in findings}.values())


def _label(grade: Grade) -> str:
    label = f"{grade.value:<4}"
    return f"\033[{_COLOURS[grade]}m{label}\033[0m" if sys.stdout.isatty() else label
