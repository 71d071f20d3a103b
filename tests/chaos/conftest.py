"""The bot of the chaos runs."""

from pathlib import Path

import pytest

from tests.support.trained_bots import trained_once


@pytest.fixture(scope="session")
def acting_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small bot; it hands over by an action of the action server."""
    return trained_once("small", tmp_path_factory, actions=True)
