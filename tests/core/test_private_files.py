"""Databases are for their owner alone: what customers said stands in them."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData

from rasa_handoff.store.engine import Store


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.usefixtures("usual_umask")
async def test_only_its_owner_may_use_a_new_database_and_the_files_beside_it(tmp_path: Path) -> None:
    async with Store(f"sqlite:///{tmp_path / 'desk.db'}?synchronous=FULL", MetaData(), "server", 1) as store:
        await store.write(lambda connection: None)
        found = modes(tmp_path)
        assert found.keys() == {"desk.db", "desk.db-wal", "desk.db-shm", "desk.db-owner"}
        assert set(found.values()) == {0o600}


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o640, 0o640), (0o664, 0o660), (0o600, 0o600)])
async def test_an_older_one_is_closed_to_all_others(tmp_path: Path, before: int, after: int) -> None:
    for name in ("desk.db", "desk.db-owner"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(before)
    async with Store(f"sqlite:///{tmp_path / 'desk.db'}", MetaData(), "server", 1) as store:
        await store.write(lambda connection: None)
        assert set(modes(tmp_path).values()) == {after}
