"""What several folders of tests share: the small bot, trained once per run."""

from pathlib import Path

import pytest

from tests.support.bots import trained_once


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bot with the preset and without an action server."""
    return trained_once("small", tmp_path_factory)
