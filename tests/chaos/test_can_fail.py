"""The harness can fail: a product that breaks one of its guarantees is found out. By hand: ``make test ARGS='-m slow'``."""

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.chaos_run import chaos

ON_THE_LINK = ("Rasa and desk: cut", "Rasa and desk: half-open", "desk: kill -9", "desk: SIGSTOP, SIGCONT")
UNASKED = ("a reminder falls due", "an intent by HTTP", "Rasa's clock past the session's expiry")
HARMLESS = ("agent: page reloaded",)
QUICK: dict[str, Any] = {"size": (5, 0, 0, 1, 2), "pace": 0.3, "gap": 0.8, "patient": False, "pages": 0}

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]


async def test_without_acknowledgements_words_are_lost(acting_model: Path, tmp_path: Path) -> None:
    report = await chaos(tmp_path, acting_model, 1, 12, 40.0, careless="no-acks", only=ON_THE_LINK, **QUICK)
    assert report.found("lost"), report.text()


async def test_without_deduplication_words_are_doubled(acting_model: Path, tmp_path: Path) -> None:
    slower = {**QUICK, "pace": 0.5, "gap": 2.0, "latency": 0.1}  # what is cut off on its way back was heard
    report = await chaos(
        tmp_path, acting_model, 1, 15, 40.0, careless="no-dedup", only=("Rasa and desk: cut",), **slower
    )
    assert report.found("doubled"), report.text()


async def test_without_guards_the_bot_speaks_in_a_live_chat(acting_model: Path, tmp_path: Path) -> None:
    calmer = {**QUICK, "pace": 2.0, "gap": 0.25}  # each word said at the desk keeps the session from expiring
    report = await chaos(tmp_path, acting_model, 1, 48, 12.0, careless="no-guards", only=UNASKED, **calmer)
    assert report.found("bot spoke"), report.text()


async def test_files_that_are_left_out_without_a_word_are_found(acting_model: Path, tmp_path: Path) -> None:
    report = await chaos(tmp_path, acting_model, 1, 12, 20.0, careless="no-files", only=HARMLESS, **QUICK)
    assert report.found("file lost"), report.text()
    assert not report.found("lost"), report.text()


async def test_a_file_in_the_place_of_another_is_found(acting_model: Path, tmp_path: Path) -> None:
    report = await chaos(tmp_path, acting_model, 1, 12, 20.0, careless="mixed-files", only=HARMLESS, **QUICK)
    assert report.found("file changed"), report.text()
