"""Checks of what the project's responses ask of the channel: found here rather than when a customer needs it."""

from collections.abc import Iterator

from rasa_handoff.cli.findings import Finding, mend
from rasa_handoff.cli.project import Project
from rasa_handoff.vocabulary.directives import read_directives
from rasa_handoff.vocabulary.errors import MarkerError
from rasa_handoff.vocabulary.marker import read_marker


def check_markers(project: Project) -> Iterator[Finding]:
    """Each marker and directive in the domain can be read; quiet where all can."""
    for name, variants in (project.domain.get("responses") or {}).items():
        for variant in variants if isinstance(variants, list) else ():
            custom = variant.get("custom") if isinstance(variant, dict) else None
            try:
                read_marker(custom)
                read_directives(custom)
            except MarkerError as problem:
                yield mend(f"The response {name}: {problem}")
