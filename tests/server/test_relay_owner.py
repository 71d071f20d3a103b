"""A second relay with the same bot_id and another database: refused, and nobody's chat ends. What may come again still may."""

import pytest
from socketio.exceptions import ConnectionError

from rasa_handoff.testing.waiting import eventually
from tests.server.peers import Relay, refusal_of


class Owner(Relay):
    """A relay that says which database it has (``epoch``; None for an older one, which doesn't). ``frozen``: it is silent."""

    def __init__(self, epoch, open=()):
        super().__init__("karoo", open)
        self.epoch, self.frozen = epoch, False
        self.sio.on("present", self._present, namespace="/relay")

    async def _present(self, *_):
        if self.frozen:
            await eventually(lambda: not self.frozen, seconds=60)
        return {"ok": True}


@pytest.fixture
def owner(server, opened):
    async def connect(epoch, **more):
        one = Owner(epoch, **more)
        opened.append(one)
        await one.connect(server.address, **_auth(epoch))
        return one

    return connect


@pytest.fixture
def refused_owner(server):
    async def connect(epoch):
        one = Owner(epoch)
        return await refusal_of(one.connect(server.address, **_auth(epoch)), one)

    return connect


def _auth(epoch):
    return {} if epoch is None else {"epoch": epoch}


async def test_a_second_database_is_refused_and_the_first_ones_chat_goes_on(owner, refused_owner, desk, caplog):
    thandi, first = await desk(), await owner("one")
    handoff = await first.initiate()
    await thandi.take(handoff)
    for _ in range(2):
        said = await refused_owner("two")
        assert said.startswith("Another Rasa server with another database speaks for the bot 'karoo' here.")
    logged = [record.getMessage() for record in caplog.records if "Another Rasa server" in record.getMessage()]
    assert len(logged) == 1, "it tries again every few seconds"
    await thandi.say(handoff, "good morning")
    await eventually(lambda: [one.get("text") for one in first.deliveries(handoff)] == [None, "good morning"])
    assert (await first.say(handoff, "hello"))["ok"]
    assert [one["state"] for one in thandi.shown(handoff)][-1] == "assigned"


async def test_the_same_database_may_come_again_beside_its_old_connection(owner, desk):
    """A restart or a failover, while the server still believes in the old connection."""
    thandi, old = await desk(), await owner("one")
    handoff = await old.initiate()
    await thandi.take(handoff)
    old.frozen = True
    new = await owner("one")
    await thandi.say(handoff, "to whoever is there")
    await eventually(lambda: [one["text"] for one in new.all("message")] == ["to whoever is there"])
    old.frozen = False


async def test_a_connection_that_says_nothing_is_closed_in_the_end(owner, refused_owner, monkeypatch):
    monkeypatch.setattr("rasa_handoff.server.gateways.relay_gateway.PRESENT_WITHIN", 0.1)
    monkeypatch.setattr("rasa_handoff.server.service.relay_owner.SILENT_SECONDS", 0.3)
    old = await owner("one")
    old.frozen = True
    assert "Another Rasa server" in await refused_owner("two")  # it may be stopped for a moment

    async def is_let_in():
        try:
            await owner("two")
        except ConnectionError:
            return False
        return True

    await eventually(is_let_in)
    old.frozen = False


async def test_a_lost_database_is_let_in_when_the_old_relay_is_gone(owner, refused_owner, desk, monkeypatch):
    thandi, old = await desk(), await owner("one")
    handoff = await old.initiate()
    await thandi.take(handoff)
    await old.close()
    assert "If it doesn't come back within 120 s, this one takes its place" in await refused_owner("two")
    monkeypatch.setattr("rasa_handoff.server.service.relay_owner.AWAY_SECONDS", 0.0)
    assert await owner("two")
    assert "Another Rasa server" in await refused_owner("one")


async def test_with_nothing_under_way_another_database_is_let_in_at_once(owner):
    old = await owner("one")
    await old.close()
    assert await owner("two")


async def test_a_relay_that_has_just_left_keeps_nobody_out_though_the_database_does_not_know_yet(owner, monkeypatch):
    async def note_later(_):
        pass

    monkeypatch.setattr("rasa_handoff.server.service.relay_owner.RelayOwner._note", note_later)
    old = await owner("one")
    await old.close()
    assert await owner("two")


async def test_after_a_restart_of_the_server_the_quicker_one_isnt_the_owner(server, owner, refused_owner, desk):
    thandi, first = await desk(), await owner("one")
    handoff = await first.initiate()
    await first.close()
    await server.stop()
    await server.start()
    assert "takes its place" in await refused_owner("two")
    again = await owner("one", open=[handoff])
    assert again.all("welcome")[0]["unknown"] == []
    await thandi.close()


async def test_an_older_relay_that_doesnt_say_its_database_takes_no_chat_from_one_that_does(owner, refused_owner, desk):
    """Neither beside it, nor while it is away for a moment; alone it is let in, and again beside itself."""
    thandi, first = await desk(), await owner("one")
    handoff = await first.initiate()
    await thandi.take(handoff)
    said = await refused_owner(None)
    assert said.startswith("Another Rasa server with another database speaks for the bot 'karoo' here.")
    assert said.endswith("This one doesn't say which database it has: update rasa-handoff there.")
    await thandi.say(handoff, "good morning")
    await eventually(lambda: [one.get("text") for one in first.deliveries(handoff)] == [None, "good morning"])
    assert [one["state"] for one in thandi.shown(handoff)][-1] == "assigned"
    await first.close()
    assert "takes its place. This one doesn't say" in await refused_owner(None)
    again = await owner("one", open=[handoff])
    assert again.all("welcome")[0]["unknown"] == []
    assert (await thandi.resolve(handoff))["ok"]
    await again.close()
    assert await owner(None)
    assert await owner(None), "which of them it is can't be told"
    said = await refused_owner("one")
    assert said.startswith("Another Rasa server")
    assert "This one doesn't" not in said


async def test_an_older_relay_is_followed_by_its_own_newer_version_at_once(owner, desk):
    """An upgrade while a chat is under way: what said no database before says one now."""
    thandi, old = await desk(), await owner(None)
    handoff = await old.initiate()
    await thandi.take(handoff)
    await old.close()
    new = await owner("one", open=[handoff])
    await thandi.say(handoff, "good morning")
    await eventually(lambda: [one["text"] for one in new.all("message")] == ["good morning"])
