"""Offers that were read stay in memory for the next message, until any handoff is deleted."""

from rasa_handoff.server.forget_handoffs import delete_handoffs
from rasa_handoff.server.storage import handoffs
from rasa_handoff.server.storage.tables import open_store


async def test_a_message_decodes_no_transcript_anew_and_a_deletion_forgets_all(database, relay, desk):
    handoffs.forget_offers()
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await karoo.say(handoff, "hello")
    before = handoffs._offer.cache_info()
    assert before.currsize == 1
    await karoo.say(handoff, "are you there?")
    await thandi.hears("message", text="are you there?")
    after = handoffs._offer.cache_info()
    assert after.misses == before.misses
    assert after.hits > before.hits
    store = open_store(database)
    store.run(lambda connection: delete_handoffs(connection, ["another"]))
    store.dispose()
    assert handoffs._offer.cache_info().currsize == 0
