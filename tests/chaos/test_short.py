"""A short run of ``make chaos``: every kind of fault may come, nothing may be found."""

import time
from pathlib import Path

import pytest

from tests.chaos.run import chaos

FAULTS, SECONDS = 50, 60.0


@pytest.mark.timeout(400)
async def test_nothing_lost_doubled_reordered_or_stuck(small_model: Path, tmp_path: Path) -> None:
    seed = int(time.time())
    report = await chaos(tmp_path, small_model, seed, FAULTS, SECONDS, gap=1.0, size=(6, 1, 1, 2, 2))
    assert not report.findings, report.text()
    assert report.book.tables, report.text()
