"""GitHub's workflow runs what the Makefile has, on the versions of Python that the package names; its forms are valid."""

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.paths import ROOT

GITHUB = ROOT / ".github"
PYPROJECT = (ROOT / "pyproject.toml").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
OLDEST = re.findall(r'^requires-python = ">=([\d.]+)"', PYPROJECT, flags=re.MULTILINE)[0]
PYTHONS = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PYPROJECT)
SECTIONS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}


def read(name: str) -> Any:
    return YAML(typ="base").load(GITHUB / name)  # not "safe", in which Rasa expands ${...}


JOBS = read("workflows/ci.yml")["jobs"]


def commands(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def versions(job: str) -> list[str]:
    (version,) = [
        step["with"]["python-version"] for step in JOBS[job]["steps"] if "python-version" in step.get("with", {})
    ]
    return list(JOBS[job]["strategy"]["matrix"]["python-version"]) if "matrix" in version else [version]


def test_each_job_runs_its_target() -> None:
    assert list(JOBS) == ["lint", "core", "rasa"]
    targets = {job: re.findall(r"make ([\w-]+)", "\n".join(commands(job))) for job in JOBS}
    assert targets == {"lint": ["lint"], "core": ["test-fast"], "rasa": ["test"]}
    for target in ("lint", "test-fast", "test"):
        assert re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE)


def test_core_runs_on_each_python_and_the_rest_on_the_makefiles() -> None:
    assert PYTHONS[0] == OLDEST
    assert versions("core") == PYTHONS
    (of_make,) = set(re.findall(r"Python (3\.\d+)", MAKEFILE.splitlines()[0]))
    assert versions("lint") == versions("rasa") == [of_make]


def test_core_installs_what_its_tests_need() -> None:
    assert 'pip install --group core -e ".[server]"' in "\n".join(commands("core"))
    assert re.search(r"^core = \[$", PYPROJECT, flags=re.MULTILINE)


def test_what_the_whole_suite_needs_of_the_system_is_installed() -> None:
    """Of the programs that ``make test`` asks for, those that GitHub's machine doesn't have."""
    needed = set(
        re.findall(r"\b\w+:(\w+)\b", re.findall(r"for each in (.*?); do", (ROOT / "tools" / "setup.sh").read_text())[0])
    )
    installed = set(re.findall(r"--no-install-recommends (.*)", "\n".join(commands("rasa")))[0].split())
    assert needed - installed == {"nodejs", "npm"}


def test_each_step_and_job_is_one_that_github_takes() -> None:
    for job in JOBS.values():
        assert {"runs-on", "timeout-minutes", "steps"} <= set(job)
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert "@" in step.get("uses", "@")


@pytest.mark.parametrize("name", ["bug_report.yml", "feature_request.yml"])
def test_a_form_for_issues_is_valid(name: str) -> None:
    form = read(f"ISSUE_TEMPLATE/{name}")
    assert {"name", "description", "body"} <= set(form)
    ids = [section["id"] for section in form["body"] if section["type"] != "markdown"]
    assert len(ids) == len(set(ids))
    for section in form["body"]:
        assert section["type"] in SECTIONS
        assert section["attributes"].get("label") or section["attributes"].get("value")
        assert ("options" in section["attributes"]) == (section["type"] == "dropdown")


def test_whoever_has_found_a_hole_is_sent_elsewhere() -> None:
    links = read("ISSUE_TEMPLATE/config.yml")["contact_links"]
    assert any("security" in link["name"].lower() and "SECURITY.md" in link["about"] for link in links)
    assert all(link["url"].startswith("https://") for link in links)
    assert "SECURITY.md" in (GITHUB / "ISSUE_TEMPLATE" / "bug_report.yml").read_text()
