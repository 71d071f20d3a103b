"""Client libraries from npm, installed once with its ordinary client, and again when the list of versions changes."""

import fcntl
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.support.paths import ROOT

LIST: Final = ROOT / "tests" / "server" / "clients" / "package.json"
FOLDER: Final = ROOT / ".pytest_cache" / "clients"


def program(name: str) -> str:
    """Return the path of ``node`` or ``npm``.

    Raises:
        RuntimeError: it isn't installed. These tests are never skipped: no others show that real clients work.
    """
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(
            f"{name} isn't on PATH. Install it (on Debian: apt-get install nodejs npm), or run make test as root."
        )
    return found


def installed() -> Path:
    """Return the folder with the packages of ``LIST``. Several workers may ask for it.

    Raises:
        RuntimeError: npm is missing or failed; with its output.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted, done = LIST.read_text(), FOLDER / "installed.json"
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != wanted:
            done.unlink(missing_ok=True)
            shutil.rmtree(FOLDER / "node_modules", ignore_errors=True)
            shutil.copy(LIST, FOLDER / "package.json")
            _install()
            done.write_text(wanted)
    return FOLDER / "node_modules"


def _install() -> None:
    command = [program("npm"), "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    answer = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=150, check=False)
    if answer.returncode != 0:
        raise RuntimeError(f"npm couldn't install what {LIST.relative_to(ROOT)} lists:\n{answer.stdout}{answer.stderr}")
