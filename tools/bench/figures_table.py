"""The table that ``make bench`` prints at the end, and the same as JSON."""

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tools.bench.measure import Row

ROOT = Path(__file__).parents[2]
PACKAGES = ("rasa", "python-socketio", "python-engineio", "aiohttp", "SQLAlchemy", "uvicorn")
HEAD = ("figure", "unit", "measured", "reference", "ratio", "target", "result", "samples (measured, reference)")
LINE = ("---", "---", "--:", "--:", "--:", "---", "---", "--:")
RESULTS = {True: "met", False: "missed", None: "-"}


def load() -> str:
    """Return how many processes wanted a processor in the last minute, five and fifteen minutes."""
    return ", ".join(f"{average:.2f}" for average in os.getloadavg())


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [HEAD, LINE, *(_cells(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def text(rows: Sequence[Row], failures: Mapping[str, str], seconds: float, load_before: str) -> str:
    """Return the whole result: the machine and versions, the table, and the figures that failed."""
    parts = [*_surroundings(seconds, load_before), "", table(rows)]
    if failures:
        parts += ["", *(f"- **{name} could not be produced**: {why}" for name, why in failures.items())]
    return "\n".join(parts)


def as_json(rows: Sequence[Row], failures: Mapping[str, str], seconds: float, load_before: str) -> str:
    """Return the result as JSON: where it was measured, each row with its ratio and targets, and why figures failed."""
    figures = [
        {**asdict(row), "ratio": row.ratio, "targets": [str(target) for target in row.targets], "met": row.met}
        for row in rows
    ]
    whole = {"surroundings": _surroundings(seconds, load_before), "figures": figures, "failures": dict(failures)}
    return json.dumps(whole, indent=1) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "-" if row.ratio is None else f"{row.ratio:.3g}"
    samples = " and ".join(f"{count:,}" for count in row.samples[: 1 if row.reference is None else 2])
    target = ", ".join(str(target) for target in row.targets) or "-"
    return row.what, row.unit, _number(row.measured), _number(row.reference), ratio, target, RESULTS[row.met], samples


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _surroundings(seconds: float, load_before: str) -> list[str]:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    system = f"{platform.system()} {platform.release()}"
    return [
        f"- {now}, commit {_commit()}; {seconds:g} seconds for each figure",
        f"- {os.cpu_count()} cores, {_processor()}, {system}; load average {load_before} at the start, {load()} at the end",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}",
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    with open("/proc/cpuinfo") as lines:
        names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(names, platform.machine())


def _commit() -> str:
    head, changed = _git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain")
    return f"{head or 'unknown'}{' with changes' if changed else ''}"


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:  # there is no git
        return ""
    return done.stdout.strip()
