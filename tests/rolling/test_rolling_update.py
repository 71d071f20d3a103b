"""A rolling update of both sides with live chats: nothing is lost, doubled or reordered, the bot is silent, nobody is told."""

import os
from pathlib import Path

import pytest

from tests.rolling.earlier import NoEarlier, earlier_commit
from tests.rolling.fleet import NEW, Fleet
from tests.rolling.rolling_update import from_earlier, rolling_update
from tests.rolling.windows import Windows
from tests.support.chromium import launched
from tests.support.forked_rasa import forked_rasa
from tests.support.postgres_server import Postgres
from tests.support.redis import RedisServer


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_each_process_is_replaced_in_turn_while_people_talk(
    small_model: Path, tmp_path: Path, postgres_server: Postgres, redis_server: RedisServer
) -> None:
    async with (
        Fleet(tmp_path, small_model, forked_rasa(), NEW, postgres_server, redis_server) as fleet,
        launched() as browser,
        Windows(fleet, browser) as windows,
    ):
        await windows.talk()
        report = await rolling_update(fleet, 2, [NEW])
        assert report.findings == []
        await windows.stop()
        assert await windows.noticed() == {}


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_an_earlier_version_is_updated_and_comes_back_with_ten_live_chats(
    small_model: Path, tmp_path: Path, postgres_server: Postgres
) -> None:
    """``EARLIER``: the commit to update from."""
    try:
        commit = earlier_commit(os.environ.get("EARLIER"))
    except NoEarlier as problem:
        pytest.skip(str(problem))
    report = await from_earlier(tmp_path, small_model, commit, 10, postgres_server)
    assert report.findings == []
