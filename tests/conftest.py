"""What several folders of tests share: the small bot, trained once per run, and an end to whatever hangs."""

import faulthandler
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

import pytest

from tests.support.bots import trained_once

AFTER_ITS_TIMEOUT: Final = 90.0
"""Seconds a test that ran into its timeout may take to tidy up; pytest-timeout doesn't watch that any more."""
HANGS: Final = pytest.StashKey[TextIO]()


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bot with the preset and without an action server."""
    return trained_once("small", tmp_path_factory)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[Any]:
    """What hangs ends its worker, with all its threads' stacks in ``.pytest_cache/hangs.txt``."""
    own = item.get_closest_marker("timeout")
    _watch(item, float(own.args[0] if own else item.config.getini("timeout")) + AFTER_ITS_TIMEOUT)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[Any]:
    """The watch goes on: pytest calls it off when a test fails."""
    _watch(item, AFTER_ITS_TIMEOUT)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _watch(item: pytest.Item, seconds: float) -> None:
    stash = item.config.stash
    if HANGS not in stash:
        folder = item.config.rootpath / ".pytest_cache"
        folder.mkdir(exist_ok=True)
        stash[HANGS] = (folder / "hangs.txt").open("a")
        item.config.add_cleanup(stash[HANGS].close)
    faulthandler.dump_traceback_later(seconds, exit=True, file=stash[HANGS])
