"""Doctor's check of the markers and directives in the project's responses."""

from collections.abc import Iterator

from rasa_handoff.cli.findings import Finding, mend
from rasa_handoff.cli.project import Project
from rasa_handoff.protocol.errors import MarkerError
from rasa_handoff.protocol.markers import read_directives, read_marker


def check_markers(project: Project) -> Iterator[Finding]:
    """Check that each marker and directive in the domain can be read; without a finding if all can."""
    for name, variants in (project.domain.get("responses") or {}).items():
        for variant in variants if isinstance(variants, list) else ():
            custom = variant.get("custom") if isinstance(variant, dict) else None
            try:
                read_marker(custom)
                read_directives(custom)
            except MarkerError as problem:
                yield mend(f"The response {name}: {problem}")
