"""What a message of a live chat asks of a Postgres that several processes share: each statement goes there and back."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import read_settings
from rasa_handoff.protocol.values import Agent, Channel, Offer, Status
from rasa_handoff.relay import repository
from rasa_handoff.relay.conversation_writer import ConversationWriter
from rasa_handoff.relay.relay import CUSTOMER, TRACKER
from rasa_handoff.relay.repository import RelayStore
from rasa_handoff.store import changes
from rasa_handoff.store.change_log import LoggedChange, Snapshot
from rasa_handoff.store.changes import savepoint
from rasa_handoff.store.lane_leases import LANE
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.timers import Timer
from tests.support.counted_statements import statements_on
from tests.support.postgres_server import Database

SETTINGS = read_settings({"bot_id": "b", "desk": {"url": "http://127.0.0.1:1"}, "channels": {"rest": None}})
WRITER = ConversationWriter(SETTINGS)


@pytest.fixture
async def shared(postgres: Database) -> AsyncIterator[RelayStore]:
    """A relay's store that others may share."""
    store = RelayStore(postgres.url, repository.metadata, repository.SIDE, repository.SCHEMA, shares=True)
    async with store:
        yield store


def here(who: str) -> dict[str, Any]:
    return {"conversation_id": who, "handoff_id": f"h-{who}"}


async def asked(store: RelayStore, *happened: events.Event) -> list[str]:
    """Let this happen in one transaction, and return what the database is asked, without what ends the transaction."""

    def work(connection: Connection) -> list[str]:
        with statements_on(connection) as found:
            for event in happened:
                WRITER.apply(connection, event)
        return found

    return await store.write(work)


async def live_chat(store: RelayStore, who: str) -> None:
    offer = Offer(**here(who), bot_id="b", channel=Channel(name="rest"))
    await asked(
        store,
        events.HandoffRequested(**here(who), offer=offer, leaving_word="bye"),
        events.HandoffAccepted(**here(who)),
        events.AgentJoined(**here(who), agent=Agent(id="a", name="Thandi")),
    )


def customer_says(who: str, id: str) -> events.CustomerSaid:
    return events.CustomerSaid(**here(who), id=id, text=id, at=1.0)


def agent_says(who: str, id: str, number: int) -> events.AgentSaid:
    return events.AgentSaid(**here(who), id=id, text=id, at=1.0, agent="Thandi", number=number)


async def logged(store: RelayStore) -> list[LoggedChange]:
    """Return the change log, as another process reads it."""

    def work(connection: Connection) -> list[LoggedChange]:
        change_log = repository.outbox.change_log
        return change_log.between(connection, Snapshot(end=0, under_way=()), change_log.snapshot(connection), "another")

    return await store.write(work)


async def test_a_round_trip_asks_the_relays_database_little(shared: RelayStore) -> None:
    await live_chat(shared, "thabo")
    for number in (1, 2):  # the first messages of both also change the state
        of_customer = await asked(shared, customer_says("thabo", f"c-{number}"))
        of_agent = await asked(shared, agent_says("thabo", f"a-{number}", number))
    reported = events.MessageReported(**here("thabo"), message_id="a-2", status=Status.DELIVERED)
    of_report = await asked(shared, reported)
    assert (len(of_customer), len(of_agent), len(of_report)) == (9, 10, 6), "\n".join(
        [*of_customer, "", *of_agent, "", *of_report]
    )


async def test_what_others_have_to_know_is_written_by_one_statement(shared: RelayStore) -> None:
    for who in ("thabo", "lerato"):
        await live_chat(shared, who)
    before = await logged(shared)

    def work(connection: Connection) -> list[str]:
        under_way: changes.Changes = connection.info[changes.KEY]
        with statements_on(connection) as found:
            for who in ("thabo", "lerato"):
                WRITER.apply(connection, customer_says(who, "hello"))
            under_way.end(connection)
        under_way.logged.clear()  # which the end of the transaction would write again
        return found

    found = await shared.write(work)
    written = [index for index, one in enumerate(found) if "INTO change" in one]
    assert written == [len(found) - 1]
    after = (await logged(shared))[len(before) :]
    assert [change.subject for change in after] == ["thabo", "lerato"]


async def test_what_a_savepoint_rolls_back_is_told_to_nobody(shared: RelayStore) -> None:
    await live_chat(shared, "thabo")
    before = await logged(shared)

    def work(connection: Connection) -> None:
        repository.outbox.change_log.note(connection, "topic", "kept")
        with contextlib.suppress(ValueError), savepoint(connection):
            repository.outbox.change_log.note(connection, "topic", "undone")
            raise ValueError("undone")
        repository.outbox.change_log.note(connection, "topic", "kept too")

    await shared.write(work)
    assert [change.subject for change in (await logged(shared))[len(before) :]] == ["kept", "kept too"]


async def test_a_lane_of_ones_own_is_read_by_one_statement(shared: RelayStore) -> None:
    entries = [Entry(target=CUSTOMER, lane="thabo", name="bot", body={"id": str(number)}) for number in range(3)]
    outbox = repository.outbox

    def read(connection: Connection) -> tuple[list[Entry], list[str]]:
        with statements_on(connection) as found:
            mine, _ = outbox.leased(connection, CUSTOMER, "thabo", 100)
        return mine, found

    put = await shared.write(lambda connection: outbox.put(connection, entries))
    mine, found = await shared.write(read)
    assert (mine, len(found)) == (put, 1)
    await shared.write(lambda connection: outbox.leases.give(connection, CUSTOMER, "thabo", ""))
    mine, found = await shared.write(read)
    assert (mine, len(found)) == (put, 3)  # what rests is leased first

    def remove(connection: Connection) -> list[str]:
        with statements_on(connection) as found:
            outbox.remove(connection, put)
        return found

    assert len(await shared.write(remove)) == 1
    assert not await shared.write(lambda connection: outbox.head(connection, CUSTOMER, "thabo"))


async def test_what_is_removed_from_a_lane_of_another_process_is_told(shared: RelayStore) -> None:
    outbox = repository.outbox
    entry = Entry(target=TRACKER, lane="thabo", name="said", body={"id": "1"})
    (put,) = await shared.write(lambda connection: outbox.put(connection, [entry]))
    await shared.write(lambda connection: outbox.leases.give(connection, TRACKER, "thabo", "other"))
    gone = Entry(target=TRACKER, lane="thabo", name="said", body={}, key=put.key + 1)
    await shared.write(lambda connection: outbox.remove(connection, [put, gone]))
    assert [change.topic for change in await logged(shared)] == [LANE, "removed"]


async def test_timers_are_started_and_stopped_by_one_statement(shared: RelayStore) -> None:
    timers = repository.timers

    def work(connection: Connection) -> tuple[dict[str, float], int]:
        for kind in ("silence", "story", "start"):
            timers.set(connection, Timer(key="thabo", kind=kind, due=1.0))
        timers.set(connection, Timer(key="lerato", kind="story", due=1.0))
        with statements_on(connection) as found:
            timers.change(connection, "thabo", {"silence": 2.0, "message": 3.0}, {"story", "silence"})
            timers.change(connection, "thabo", {}, {"start"})
            timers.change(connection, "thabo", {}, set())
        assert timers.running(connection, "lerato") == {"story": 1.0}
        return timers.running(connection, "thabo"), len(found)

    assert await shared.write(work) == ({"silence": 2.0, "message": 3.0}, 2)
