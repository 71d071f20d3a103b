"""What the relay deletes by its age, in which steps, and what it never deletes."""

from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, update

from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import read_settings
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.retention_settings import RetentionSettings, read_retention
from rasa_handoff.protocol.values import Agent, Channel, Offer, Rating, Status
from rasa_handoff.relay import long_payloads, repository
from rasa_handoff.relay.conversation_writer import ConversationWriter
from rasa_handoff.relay.long_payloads import LongPayloads
from rasa_handoff.relay.old_handoffs import MESSAGE_LEFT_SECONDS, delete_ended, expire_undelivered, retention_of
from rasa_handoff.relay.relay import Relay
from rasa_handoff.relay.repository import CUSTOMER, DESK, RelayStore
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.retention import MOST_LOOKED_AT, MOST_ROWS, delete_dead_letters
from rasa_handoff.testing.relay_side import RecordingTarget
from rasa_handoff.testing.waiting import eventually
from tests.support.counted_statements import cost_on
from tests.support.relay_stores import relay_store

BASE = {"bot_id": "b", "desk": {"url": "http://127.0.0.1:1"}, "channels": {"rest": None}}
OLD, NOW = 1_000.0, 1_000_000_000.0


async def add(
    store: RelayStore,
    *ids: str,
    ended_at: float | None = OLD,
    messages: int = 1,
    left: bool = False,
    state: str = "bot",
) -> None:
    """Add handoffs, each with a conversation of its own."""
    fixed = {"sent": 0, "received": 0, "offer": "{}", "message_left": left, "started_at": 1.0, "ended_at": ended_at}
    handoffs = [{"handoff_id": id, "conversation_id": f"c-{id}", **fixed} for id in ids]
    conversations = [
        {"conversation_id": f"c-{id}", "state": state, "body": f'{{"conversation_id": "c-{id}"}}'} for id in ids
    ]
    said = [
        {"handoff_id": id, "id": f"m{place}", "place": place, "speaker": "customer", "text": "x", "at": 1.0}
        for id in ids
        for place in range(messages)
    ]

    def work(connection: Any) -> None:
        tables = (repository.handoffs, repository.conversations, repository.messages)
        for table, rows in zip(tables, (handoffs, conversations, said), strict=True):
            connection.execute(insert(table), rows)

    await store.write(work)


async def ids_in(store: RelayStore, column: Any) -> list[str]:
    return await store.write(lambda connection: list(connection.execute(select(column).order_by(column)).scalars()))


async def delete_all(store: RelayStore, before: float = NOW) -> None:
    """Take steps until all was looked at."""
    step = await store.write(lambda connection: delete_ended(connection, before))
    while (place := step.place) is not None:
        step = await store.write(lambda connection, place=place: delete_ended(connection, before, place))  # type: ignore[misc]


async def test_the_buttons_of_a_conversation_go_with_it(store: RelayStore) -> None:
    await add(store, "old")
    await add(store, "new", ended_at=NOW + 1)
    kept = LongPayloads(store)
    for id in ("c-old", "c-new"):
        await kept.shortened(id, "Order", "/order" * 20)
    await delete_all(store)
    assert await ids_in(store, long_payloads.buttons.c.conversation_id) == ["c-new"]


async def test_what_has_ended_long_ago_goes_and_everything_else_stays(store: RelayStore) -> None:
    await add(store, "old", "waits")
    await add(store, "new", ended_at=NOW + 1)
    await add(store, "live", ended_at=None, state="live")
    await add(store, "left", ended_at=NOW - 1, left=True)
    await add(store, "left-long-ago", ended_at=NOW - MESSAGE_LEFT_SECONDS - 1, left=True)
    entry = Entry(target=CUSTOMER, lane="c-waits", name="agent", body={})
    await store.write(lambda connection: repository.outbox.put(connection, [entry]))
    await delete_all(store)
    stays = ["left", "live", "new", "waits"]
    assert await ids_in(store, repository.handoffs.c.handoff_id) == stays
    assert await ids_in(store, repository.messages.c.handoff_id) == stays
    assert await ids_in(store, repository.conversations.c.conversation_id) == [f"c-{id}" for id in stays]


async def test_a_conversation_stays_while_one_of_its_handoffs_does(store: RelayStore) -> None:
    await add(store, "old")
    await add(store, "new", ended_at=NOW + 1)
    same = repository.handoffs.c.handoff_id == "new"
    move = update(repository.handoffs).where(same).values(conversation_id="c-old")
    await store.write(lambda connection: connection.execute(move))
    await delete_all(store)
    assert await ids_in(store, repository.handoffs.c.handoff_id) == ["new"]
    assert "c-old" in await ids_in(store, repository.conversations.c.conversation_id)


async def cost_of_a_step(store: RelayStore) -> dict[str, int]:
    with cost_on(store._engine) as cost:
        await store.write(lambda connection: delete_ended(connection, NOW))
    return cost


async def test_a_step_costs_the_same_however_much_there_is(store: RelayStore) -> None:
    await add(store, *(f"a{number:05}" for number in range(2 * MOST_LOOKED_AT)))
    few = await cost_of_a_step(store)
    await add(store, *(f"b{number:05}" for number in range(5_000)))
    await add(store, *(f"n{number:05}" for number in range(1_000)), ended_at=NOW + 1)
    assert await cost_of_a_step(store) == few


async def test_a_long_conversation_goes_in_several_steps(store: RelayStore) -> None:
    await add(store, "long", messages=2 * MOST_ROWS + 1)
    step = await store.write(lambda connection: delete_ended(connection, NOW))
    assert step.deleted == 0
    assert step.place is not None
    assert len(await ids_in(store, repository.messages.c.id)) == MOST_ROWS + 1
    await delete_all(store)
    assert await ids_in(store, repository.handoffs.c.handoff_id) == []


async def test_what_waits_too_long_has_failed_unless_its_conversation_goes_on(store: RelayStore) -> None:
    await add(store, "ended")
    await add(store, "live", ended_at=None, state="live")
    for id in ("ended", "live"):
        entry = Entry(target=CUSTOMER, lane=f"c-{id}", name="agent", body={"id": "m", "handoff_id": id, "text": "x"})
        await store.write(lambda connection, entry=entry: repository.outbox.put(connection, [entry]))  # type: ignore[misc]
    step, _ = await store.write(lambda connection: expire_undelivered(connection, OLD))
    assert step.deleted == 0
    step, (failed,) = await store.write(lambda connection: expire_undelivered(connection, 1e12))
    assert step.deleted == 1
    assert isinstance(failed, events.MessageReported)
    assert (failed.handoff_id, failed.message_id, failed.status) == ("ended", "m", Status.FAILED)
    assert await store.write(repository.outbox.lane_keys) == [(CUSTOMER, "c-live")]


async def test_dead_letters_go_by_their_own_time(store: RelayStore) -> None:
    entries = [Entry(target=DESK, lane="c", name="message", body={}) for _ in range(3)]
    put = await store.write(lambda connection: repository.outbox.put(connection, entries))
    for entry in put:
        await store.write(lambda connection, key=entry.key: repository.outbox.set_aside(connection, key, "no"))  # type: ignore[misc]
    letters = repository.outbox.dead_letters
    old = update(letters).where(letters.c.number < 3).values(set_aside_at=OLD)
    await store.write(lambda connection: connection.execute(old))
    step = await store.write(lambda connection: delete_dead_letters(connection, repository.outbox, NOW, None))
    assert (step.deleted, step.place) == (2, None)
    assert await store.write(repository.outbox.count_dead_letters) == 1


async def test_a_relay_notes_when_a_handoff_ends_and_deletes_it_after_its_time(database_url: str) -> None:
    settings = read_settings({**BASE, "store": database_url, "retention": {"ended_days": 1}})
    relay = Relay(relay_store(database_url), settings)
    here: dict[str, Any] = {"conversation_id": "thabo", "handoff_id": "h"}
    offer = Offer(handoff_id="h", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
    await relay.open({DESK: RecordingTarget(), CUSTOMER: RecordingTarget(), "tracker": RecordingTarget()})
    try:
        await relay.apply(events.HandoffRequested(**here, offer=offer, leaving_word="bye"))
        await relay.apply(events.HandoffAccepted(**here))
        await relay.apply(events.AgentJoined(**here, agent=Agent(id="a", name="Thandi")))
        ended_at = repository.handoffs.c.ended_at
        assert await relay.store.write(lambda connection: connection.execute(select(ended_at)).scalar_one()) is None
        await relay.apply(events.HandoffCompleted(**here))
        await eventually(lambda: not relay.under_way)
        at = await relay.store.write(lambda connection: connection.execute(select(ended_at)).scalar_one())
        clock = [at + 86_399.0]
        retention = retention_of(relay, settings.retention, lambda: clock[0])

        async def count() -> int:
            await retention.check()
            query = select(func.count()).select_from(repository.handoffs)
            return await relay.store.write(lambda connection: int(connection.execute(query).scalar_one()))

        async def is_settled() -> bool:
            return not await relay.store.write(repository.outbox.lane_keys)

        await eventually(is_settled)
        assert await count() == 1
        clock[0] += 3_601
        assert await count() == 0
        assert await relay.conversation_of("h") is None
    finally:
        await relay.close()


def test_nothing_is_deleted_unless_somebody_chooses() -> None:
    settings = read_settings(BASE)
    assert settings.retention == RetentionSettings()
    relay = Relay(relay_store("sqlite://"), settings)
    assert retention_of(relay, settings.retention)._expiries == []


@pytest.mark.parametrize(
    ("given", "named"),
    [({"ended": 3}, "did you mean 'retention.ended_days'"), ({"ended_days": 0}, "retention.ended_days is 0")],
)
def test_a_wrong_retention_setting_is_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError) as problem:
        read_settings({**BASE, "retention": given})
    assert named in str(problem.value)


def test_the_server_reads_days_from_its_command_line() -> None:
    assert read_retention(["ended_days=365", "dead_letter_days=off"]) == RetentionSettings(ended_days=365.0)
    for wrong in ("ended=3", "ended_days=0", "ended_days=soon"):
        with pytest.raises(SettingsError, match=r"did you mean|needs days"):
            read_retention([wrong])


async def test_a_rating_of_a_handoff_that_was_deleted_does_nothing(store: RelayStore) -> None:
    """The conversation is kept for an older handoff, a message that was left."""
    await add(store, "gone")
    writer = ConversationWriter(read_settings(BASE))
    body = '{"conversation_id": "c-gone", "handoff_id": "gone"}'
    rated = events.CustomerRated(conversation_id="c-gone", rating=Rating(score=2), at=1.0)

    def work(connection: Any) -> list[str]:
        connection.execute(update(repository.conversations).values(body=body))
        writer.apply(connection, rated)
        names = [entry.name for entry in repository.outbox.head(connection, DESK, "c-gone")]
        connection.execute(delete(repository.handoffs))
        writer.apply(connection, rated)
        return names + [entry.name for entry in repository.outbox.head(connection, DESK, "c-gone")]

    assert await store.write(work) == ["rating", "rating"], "the one of before"
