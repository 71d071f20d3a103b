"""``make test-install``: install the wheel beside the newest Rasa that pip takes for ``rasa==3.6.*``, in both orders.

In the first environment Rasa is there before, and a handoff is made: a project of ``rasa init`` with a SQL tracker store, the
channel and the server as installed, one message to an agent's queue. In the second one Rasa comes afterwards. For all other
combinations pip is only asked what it would install (``--dry-run --report``).
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(1, str(ROOT))

from install_handoff import hand_over  # noqa: E402

RASA = "rasa==3.6.*"
EXTRAS = ("", "[server]", "[rasa]", "[postgres]", "[redis]", "[testing]", "[rasa,server,postgres,redis,testing]")
WITHOUT_RASA = ("3.11", "3.12", "3.13")
NEWER_PINS = {"python-socketio": ">=5.16.3,<5.17", "python-engineio": ">=4.13.2,<4.14"}
"""What pip should take where there is no Rasa 3.6: the versions that Rasa Pro pins, which don't have CVE-2026-48804."""
FULL_VERSION = "import platform; print(platform.python_version())"
TIMEOUT = 420.0
"""Seconds that one command may take."""


class CheckError(Exception):
    """What is wrong: one sentence, or pip's own words."""


class Environment:
    """A virtual environment, with what is installed in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        run(sys.executable, "-m", "venv", str(folder))

    def bin(self, name: str) -> str:
        """Return the path of a command."""
        return str(self.folder / "bin" / name)

    def pip(self, *words: str) -> str:
        """Run the environment's pip, and return what it prints."""
        return run(self.bin("python"), "-m", "pip", "--disable-pip-version-check", *words)

    def installed(self) -> dict[str, tuple[str, list[str]]]:
        """Return the version and the requirements of each distribution, by name."""
        site = next((self.folder / "lib").glob("python*/site-packages"))
        return {
            str(canonicalize_name(each.metadata["Name"])): (each.version, list(each.requires or ()))
            for each in distributions(path=[str(site)])
        }


def main() -> int:
    """Run all checks, and return the exit code."""
    parser = argparse.ArgumentParser(description="Installs the wheel beside Rasa, and says what is wrong then.")
    parser.add_argument("wheel", type=Path)
    wheel = parser.parse_args().wheel.resolve()
    folder = Path(tempfile.mkdtemp(prefix="rasa-handoff-install-"))
    started = time.monotonic()
    problems = []
    try:
        for check in (rasa_first, rasa_afterwards, without_rasa):
            try:
                check(wheel, folder)
            except CheckError as problem:
                problems.append(str(problem))
                print(f"FAILED: {problem}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"Installing: {len(problems)} problems, {time.monotonic() - started:.0f} s.")
    return 1 if problems else 0


def rasa_first(wheel: Path, folder: Path) -> None:
    """Check an environment with Rasa, to which this package is added as the README says; then have a handoff in it."""
    step(f"A fresh environment with {RASA} (2 to 4 minutes) ...")
    environment = Environment(folder / "rasa-first")
    environment.pip("install", "--quiet", "--no-compile", RASA)
    before = environment.installed()
    for extras in EXTRAS:
        step(f"What pip would install for rasa-handoff{extras} beside it ...")
        would = report(environment.bin("python"), folder, f"{wheel}{extras}")
        check_requirements({**before, **would}, f"rasa-handoff{extras} beside Rasa")
    step("rasa-handoff[server] beside it ...")
    environment.pip("install", "--quiet", f"{wheel}[server]")
    check_installed(environment)
    step("A handoff: rasa run with a SQL tracker store, rasa-handoff serve, one message ...")
    try:
        lines = asyncio.run(hand_over(environment.folder / "bin", folder))
    except AssertionError as problem:
        raise CheckError(f"No handoff beside Rasa: {problem}") from problem
    for line in lines:
        step(f"  {line}")


def rasa_afterwards(wheel: Path, folder: Path) -> None:
    """Check an environment with this package, to which Rasa is added by the newest pip."""
    step(f"A fresh environment with rasa-handoff[server], then {RASA} (2 to 4 minutes) ...")
    environment = Environment(folder / "rasa-afterwards")
    environment.pip("install", "--quiet", "--upgrade", "pip")
    environment.pip("install", "--quiet", "--no-compile", f"{wheel}[server]")
    environment.pip("install", "--quiet", "--no-compile", RASA)
    check_installed(environment)
    step("All extras and Rasa at once ...")
    python = environment.bin("python")
    would = report(python, folder, RASA, f"{wheel}[rasa,server,postgres,redis,testing]", "--ignore-installed")
    check_requirements(would, "all extras with Rasa at once")


def without_rasa(wheel: Path, folder: Path) -> None:
    """Check the server on newer Pythons, where there is no Rasa 3.6: pip takes the versions of ``NEWER_PINS``."""
    for version in WITHOUT_RASA:
        python = interpreter(version)
        if python is None:
            step(f"Python {version} isn't on this machine: what pip would install there is not checked.")
            continue
        step(f"What pip would install on Python {version}, all extras ...")
        would = report(python, folder, f"{wheel}[server,rasa,postgres,redis,testing]", "--ignore-installed")
        check_requirements(would, f"all extras on Python {version}", run(python, "-c", FULL_VERSION).strip())
        for name, wanted in NEWER_PINS.items():
            if not Requirement(f"{name}{wanted}").specifier.contains(would[name][0]):
                raise CheckError(f"On Python {version} pip takes {name} {would[name][0]}, not {wanted}.")


def check_installed(environment: Environment) -> None:
    """Check that pip finds no conflict, and that the packages of Rasa's SQL, Redis and Mongo stores can be imported."""
    environment.pip("check")
    check_requirements(environment.installed(), "what is installed")
    stores = "import sqlalchemy, redis, pymongo, socketio, rasa.core.tracker_store, rasa_handoff.server.app"
    run(environment.bin("python"), "-W", "ignore", "-c", stores)
    step("  pip check finds nothing, and the tracker stores' packages load")


def check_requirements(
    packages: Mapping[str, tuple[str, Iterable[str]]], title: str, python: str | None = None
) -> None:
    """Check that every requirement of every package is met.

    Raises:
        CheckError: names what isn't.
    """
    surroundings = {"python_version": python.rpartition(".")[0], "python_full_version": python} if python else {}
    for name, (_, requires) in packages.items():
        for text in requires:
            required = Requirement(text)
            if required.marker is not None and not required.marker.evaluate({**surroundings, "extra": ""}):
                continue
            found = packages.get(str(canonicalize_name(required.name)))
            if found is None:
                raise CheckError(f"{title}: {name} requires {text}, which isn't there.")
            if not required.specifier.contains(found[0], prereleases=True):
                raise CheckError(f"{title}: {name} requires {text}, and it is {found[0]}.")


def report(python: str, folder: Path, *words: str) -> dict[str, tuple[str, list[str]]]:
    """Return what pip would install: version and requirements, by name."""
    path = folder / "report.json"
    run(
        python,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--dry-run",
        "--quiet",
        "--report",
        str(path),
        *words,
    )
    installs = json.loads(path.read_text())["install"]
    metadata = [each["metadata"] for each in installs]
    return {str(canonicalize_name(each["name"])): (each["version"], each.get("requires_dist", [])) for each in metadata}


def interpreter(version: str) -> str | None:
    """Return the path of a Python of this version with pip, on PATH or pyenv's; None if there is none."""
    kept = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [shutil.which(f"python{version}"), *(str(each) for each in sorted(kept.glob(f"{version}*/bin/python")))]
    for path in found:
        if path and subprocess.run([path, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def run(*command: str) -> str:
    """Run a command, and return what it prints.

    Raises:
        CheckError: it failed, or took too long.
    """
    # Nothing of this repository may be found beside what is installed.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd="/", env=environment, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as problem:
        raise CheckError(f"{' '.join(command)} took more than {TIMEOUT:.0f} s.") from problem
    if done.returncode != 0:
        raise CheckError(f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def step(sentence: str) -> None:
    """Say what is going on."""
    print(sentence, flush=True)


if __name__ == "__main__":
    sys.exit(main())
