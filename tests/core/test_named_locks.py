"""Named locks: one process at a time, without waiting inside a transaction."""

import contextlib

import pytest
from sqlalchemy import create_engine, text

from rasa_handoff.store import named_locks
from rasa_handoff.store.named_locks import Held, StillHeld, try_lock, when_free


@pytest.fixture
def transactions(postgres):
    """``transactions()`` begins a transaction on a connection of its own."""
    with contextlib.ExitStack() as stack:

        def begin(url=postgres.url):
            engine = create_engine(url, future=True)
            stack.callback(engine.dispose)
            connection = stack.enter_context(engine.connect())
            return connection, connection.begin()

        yield begin


def test_a_name_is_locked_until_the_transaction_that_has_it_ends(transactions):
    (one, first), (other, _) = transactions(), transactions()
    assert try_lock(one, ["a", "b"])
    assert try_lock(one, ["b"]), "it has it already"
    assert not try_lock(other, ["b", "c"])
    assert try_lock(other, ["d"])
    first.commit()
    assert try_lock(other, ["b"])


def test_each_side_of_a_shared_database_has_names_of_its_own(transactions, postgres):
    postgres.execute("create schema desk")
    (one, _), (other, _) = transactions(), transactions(f"{postgres.url}?options=-csearch_path%3Ddesk")
    assert other.execute(text("select current_schema()")).scalar() == "desk"
    assert try_lock(one, ["a"])
    assert try_lock(other, ["a"])


async def test_who_does_not_get_it_tries_again_and_gives_up_in_the_end(monkeypatch):
    answers = [Held.BY_ANOTHER_PROCESS, Held.BY_ANOTHER_PROCESS, "done"]

    async def attempt():
        return answers.pop(0)

    assert await when_free(attempt) == "done"
    monkeypatch.setattr(named_locks, "FREE_WITHIN", -1.0)
    answers.extend([Held.BY_ANOTHER_PROCESS, "never"])
    with pytest.raises(StillHeld, match="Try again"):
        await when_free(attempt)
