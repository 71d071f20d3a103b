"""What ``make`` does before anything else: a Python 3.10 is found or fetched, and what is missing is said at once."""

import os
import shutil
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from rasa_handoff.testing.slowness import slowness
from tests.support.paths import ROOT

NEEDED = ("sh", "cat", "cksum", "dirname", "id", "rm", "head", "tail", "awk", "mktemp", "mkdir", "ln")

UV = """#!/bin/sh
# Stands in for uv: fetches a Python from FETCHED, where that is, into UV_PYTHON_INSTALL_DIR.
there="$UV_PYTHON_INSTALL_DIR/python3.10"
case "$1 $2" in
"python install") [ -n "$FETCHED" ] && mkdir -p "$UV_PYTHON_INSTALL_DIR" && ln -s "$FETCHED" "$there" ;;
"python find") [ -e "$there" ] && echo "$there" ;;
esac
"""


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that a set-up reads, as in a fresh clone."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH with what every system has, and no Python 3.10."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


@pytest.fixture
def other_python(path: Path) -> None:
    """``python3`` is there and, for whoever asks it, no 3.10; pip is its own."""
    executable(path / "python3", f'#!/bin/sh\n[ "$1" = -c ] && exit 1\nexec {sys.executable} "$@"\n')


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder of wheels with a uv in it, in the place of PyPI."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    metadata, tags = "Metadata-Version: 2.1\nName: uv\nVersion: 1\n", "Wheel-Version: 1.0\nTag: py3-none-any\n"
    files = {"uv-1.data/scripts/uv": UV, "uv-1.dist-info/METADATA": metadata, "uv-1.dist-info/WHEEL": tags}
    with zipfile.ZipFile(folder / "uv-1-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            wheel.writestr(entry, text)
        wheel.writestr("uv-1.dist-info/RECORD", "".join(f"{name},,\n" for name in [*files, "uv-1.dist-info/RECORD"]))
    return folder


def script(clone: Path, path: Path, name: str, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = ["/bin/sh", str(clone / "tools" / name), *words]
    values = {"PATH": str(path), "HOME": str(clone), "TMPDIR": os.environ.get("TMPDIR", "/tmp"), **environment}
    return subprocess.run(command, env=values, capture_output=True, text=True, timeout=60)


def test_uv_comes_from_pypi_and_fetches_a_python(clone: Path, path: Path, other_python: None, index: Path) -> None:
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "FETCHED": sys.executable}
    done = script(clone, path, "python310.sh", **settings)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).samefile(sys.executable) or "python3.10" in done.stdout
    assert [line.split(" ")[0] for line in done.stderr.splitlines()] == ["No", "Fetching"]
    assert (clone / ".uv" / "bin" / "uv").exists(), "in a folder of its own"
    again = script(clone, path, "python310.sh", PIP_NO_INDEX="1")
    assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, ""), "and it is found the next time"


@pytest.mark.parametrize("has_uv", [False, True], ids=["no PyPI", "no download"])
def test_where_the_network_refuses_it_says_two_ways_out_at_once(
    clone: Path, path: Path, other_python: None, index: Path, has_uv: bool
) -> None:
    pypi = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)} if has_uv else {"PIP_INDEX_URL": "http://127.0.0.1:1/"}
    started = time.monotonic()
    done = script(clone, path, "setup.sh", **pypi)
    assert time.monotonic() - started < 10 * slowness()
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("No Python 3.10 was found, which Rasa 3.6 needs, and uv")
    assert "PYTHON310=/path/to/python3.10" in last
    assert "UV_PYTHON_INSTALL_MIRROR" in last
    assert not (clone / ".venv").exists()


def test_a_named_python_must_be_one(clone: Path, path: Path) -> None:
    done = script(clone, path, "python310.sh", PYTHON310="/nowhere/python")
    assert done.returncode == 1
    assert done.stderr.startswith("PYTHON310 is '/nowhere/python', which is no Python 3.10")
    assert script(clone, path, "python310.sh", PYTHON310=sys.executable).stdout.strip() == sys.executable


def test_who_is_not_root_is_told_what_to_install_before_anything_begins(clone: Path, path: Path) -> None:
    (path / "id").unlink()
    executable(path / "id", "#!/bin/sh\necho 1000\n")
    executable(path / "node", "#!/bin/sh\n")
    done = script(clone, path, "setup.sh", "test")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "sudo apt-get install chromium npm" in done.stderr
    assert "nodejs" not in done.stderr
    assert done.stdout == ""


def test_what_root_can_install_is_installed_by_apt(clone: Path, path: Path) -> None:
    (path / "id").unlink()
    executable(path / "id", "#!/bin/sh\necho 0\n")
    log = clone / "apt.log"
    executable(path / "apt-get", f'#!/bin/sh\necho "$@" >>{log}\necho "E: no such thing" >&2\nexit 100\n')
    done = script(clone, path, "setup.sh", "test", PYTHON310=sys.executable)
    assert done.returncode == 1
    assert done.stdout.startswith("Installing chromium nodejs npm")
    assert "E: no such thing" in done.stderr
    assert "apt-get couldn't install" in done.stderr
    assert not (clone / ".venv").exists()
