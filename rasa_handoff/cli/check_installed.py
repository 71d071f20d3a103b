"""Doctor's checks of the installed packages: they meet Rasa's requirements and have no known vulnerability."""

import functools
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Any, Final

from rasa_handoff.cli.findings import Finding, Grade, mend, ok, warn
from rasa_handoff.cli.project import Project

PINS: Final = "pip install 'python-socketio>=5.14,<5.17' 'python-engineio>=4.11,<4.13'"
NEWER_PINS: Final = "pip install 'python-socketio>=5.16.3,<5.17' 'python-engineio>=4.13.2,<4.14'"
"""For Python 3.11 and later."""

UNPICKLES_BELOW: Final = (5, 14)
"""Below this version python-socketio has CVE-2025-61765."""
KEEPS_BINARY_BELOW: Final = (5, 16, 2)
"""Below this version python-socketio has CVE-2026-48804."""
_ONLY_WITH_AN_EXTRA: Final = re.compile(r"""^[^;]*;(?:(?!\bor\b).)*\bextra *== *["'][^"']+["'][ )]*$""")
"""A requirement that only an extra has. Most requirements are of this kind, and Rasa's version of packaging parses slowly."""
VULNERABILITY: Final = "CVE-2026-48804: it keeps binary packets for ever"


def check_requirements(project: Project) -> Iterator[Finding]:
    """Check that the requirements of Rasa, and of the packages it requires, are installed."""
    if _version("rasa") is None:
        return
    if find_spec("packaging") is None:
        yield mend("Rasa requires packaging, which isn't installed: pip install 'packaging>=20,<21'")
        return
    conflicts = sorted(set(_conflicts("rasa")))
    for sentence in conflicts:
        yield mend(sentence)
    if not conflicts:
        yield ok("All packages that Rasa requires are installed, in versions that fit.")


def check_versions(project: Project) -> Iterator[Finding]:
    """Check that Rasa, python-socketio, python-engineio and aiohttp go together, and report known vulnerabilities."""
    rasa, socketio, engineio = _version("rasa"), _version("python-socketio"), _version("python-engineio")
    if rasa is None:
        yield warn(
            "Rasa isn't installed in this environment, so versions weren't compared: run doctor where Rasa runs."
        )
    elif socketio is None or engineio is None:
        yield mend("python-socketio or python-engineio is missing: pip install 'rasa-handoff[rasa]'")
        return
    elif _numbers(engineio) >= (4, 13) and not _aiohttp_has_timeout():
        yield mend(
            f"python-engineio {engineio} needs a newer aiohttp than Rasa {rasa} has; it can't connect to the desk: {PINS}"
        )
        return
    vulnerability = _known_vulnerability(socketio, engineio) if socketio and engineio else None
    if vulnerability is not None:
        yield vulnerability
    if rasa is not None and (vulnerability is None or vulnerability.grade is Grade.WARN):
        yield ok(f"Rasa {rasa}, python-socketio {socketio} and python-engineio {engineio} go together.")


def _known_vulnerability(socketio: str, engineio: str) -> Finding | None:
    pins = PINS if sys.version_info < (3, 11) else NEWER_PINS
    if _numbers(socketio) < UNPICKLES_BELOW:
        return mend(f"python-socketio {socketio} unpickles what it reads from Redis (CVE-2025-61765): {pins}")
    if _numbers(socketio) >= KEEPS_BINARY_BELOW:
        return None
    if sys.version_info >= (3, 11):
        return mend(f"python-socketio {socketio} has a known vulnerability ({VULNERABILITY}): {pins}")
    return warn(
        f"python-socketio {socketio} with python-engineio {engineio} has a known vulnerability ({VULNERABILITY}), and the "
        "versions without it don't run beside Rasa 3.6. HandoffChannel and rasa-handoff serve refuse such packets themselves; a "
        "server of your own with these packages doesn't."
    )


def _conflicts(package: str) -> Iterator[str]:
    """Yield a sentence for each requirement that isn't met, of ``package`` and of the packages it requires."""
    from packaging.requirements import InvalidRequirement
    from packaging.version import InvalidVersion

    waiting: list[tuple[str, frozenset[str]]] = [(package, frozenset())]
    seen = set(waiting)
    # Some packages are required a hundred times, and reading their metadata takes milliseconds.
    version = functools.cache(_version)
    while waiting:
        name, extras = waiting.pop()
        owner = _distribution(name)
        for text in (owner.requires or ()) if owner else ():
            if not extras and _ONLY_WITH_AN_EXTRA.search(text):
                continue
            try:
                required = _requirement(text)
                if not _is_asked(required, extras):
                    continue
                found = version(required.name)
                if found is None:
                    yield f"{name} requires {_plain(required)}, which isn't installed: pip install '{_plain(required)}'"
                    continue
                if not required.specifier.contains(found, prereleases=True):
                    yield (
                        f"{name} requires {_plain(required)}, but {found} is installed: "
                        f"pip install '{_plain(required)}'"
                    )
            except (InvalidRequirement, InvalidVersion):
                continue  # the installed "packaging" is too old for this metadata, so it isn't checked
            each = (required.name, frozenset(required.extras))
            if each not in seen:
                seen.add(each)
                waiting.append(each)


@functools.cache
def _requirement(text: str) -> Any:
    """Parse a requirement, and each text only once: many packages have the same."""
    from packaging.requirements import Requirement

    return Requirement(text)


def _is_asked(required: Any, extras: frozenset[str]) -> bool:
    """Return whether the requirement applies on this machine, for these extras of its owner."""
    if required.marker is None:
        return True
    return any(required.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _plain(required: Any) -> str:
    """Return the requirement in pip's format."""
    extras = f"[{','.join(sorted(required.extras))}]" if required.extras else ""
    return f"{required.name}{extras}{required.specifier}"


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _version(package: str) -> str | None:
    found = _distribution(package)
    return found.version if found else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def _aiohttp_has_timeout() -> bool:
    """Return whether aiohttp has what python-engineio needs. A backport is as good as a newer version."""
    if find_spec("aiohttp") is None:
        return False
    import aiohttp

    return hasattr(aiohttp, "ClientWSTimeout")
