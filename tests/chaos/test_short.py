"""A short run of ``make chaos``: every kind of fault may come, nothing may be found. ``.ci/run`` runs it beside the suite."""

import time
from pathlib import Path

import pytest

from tests.chaos.chaos_run import chaos

FAULTS, SECONDS = 50, 60.0


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_nothing_lost_doubled_reordered_or_stuck(acting_model: Path, tmp_path: Path) -> None:
    seed = int(time.time())
    report = await chaos(tmp_path, acting_model, seed, FAULTS, SECONDS, gap=1.0, size=(5, 1, 1, 2, 2), pages=1)
    assert not report.findings, report.text()
    assert report.book.tables, report.text()
