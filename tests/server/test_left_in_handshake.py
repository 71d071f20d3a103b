"""Who closes the connection while the server looks up whether to let them in: nothing of them stays.

That needs polling, where the end comes by a request of its own. On a websocket it is read after the handshake.
"""

import asyncio
import json
import threading

import aiohttp
import pytest
from sqlalchemy import create_engine, select

from rasa_handoff.server import accounts
from rasa_handoff.server.gateways.desk_gateway import DeskGateway
from rasa_handoff.server.http import sign_in
from rasa_handoff.server.service.relay_owner import RelayOwner
from rasa_handoff.server.storage.tables import RELAY_CONNECTIONS
from rasa_handoff.testing.waiting import eventually
from tests.server.peers import Relay, agent_at


@pytest.fixture
def leave_in(monkeypatch, server):
    """``await leave_in(module, name, namespace, auth, noticed)`` begins a handshake, and leaves while ``name`` is looked up.

    The look-up goes on when the server has ``noticed`` it.
    """
    begun, may_end = threading.Event(), threading.Event()

    async def leave(module, name, namespace, auth, noticed, **headers):
        real = getattr(module, name)

        def look_up(*arguments, **more):
            begun.set()
            assert may_end.wait(30)
            return real(*arguments, **more)

        monkeypatch.setattr(module, name, look_up)
        url = f"{server.address}/socket.io/?EIO=4&transport=polling"
        async with aiohttp.ClientSession(headers=headers) as http:
            async with http.get(url) as opening:
                url += "&sid=" + json.loads((await opening.text())[1:])["sid"]
            joining = asyncio.ensure_future(http.post(url, data=f"40{namespace},{json.dumps(auth)}"))
            await eventually(begun.is_set)
            async with http.post(url, data="1"):
                await eventually(noticed)
            may_end.set()
            (await joining).release()

    yield leave
    may_end.set()


async def test_a_relay_speaks_for_no_bot(server, leave_in, monkeypatch, opened):
    left, note_left = [], RelayOwner.note_left
    monkeypatch.setattr(RelayOwner, "note_left", lambda self, sid: (left.append(sid), note_left(self, sid))[1])
    auth = {"format": "rasa-handoff", "protocol": 1, "token": None, "bot_id": "karoo", "epoch": "one"}
    await leave_in(accounts, "may_relay", "/relay", auth, lambda: left)
    two = Relay("karoo")
    opened.append(two)
    await two.connect(server.address, epoch="two")
    engine = create_engine(server.database)
    with engine.connect() as connection:
        query = select(RELAY_CONNECTIONS.c.epoch).where(RELAY_CONNECTIONS.c.gone.is_(False))
        assert connection.execute(query).scalars().all() == ["two"]
    engine.dispose()


async def test_a_desk_makes_nobody_present(server, leave_in, monkeypatch, relay):
    left, forget = [], DeskGateway._forget
    monkeypatch.setattr(DeskGateway, "_forget", lambda self, sid: (left.append(sid), forget(self, sid))[1])
    thandi = agent_at(server.address)
    await thandi.sign_in()
    auth = {"csrf": await thandi.token()}
    await leave_in(sign_in, "account_of", "/desk", auth, lambda: left, Cookie=thandi.cookie)
    karoo = await relay()
    assert karoo.all("welcome")[0]["staffed"] is False
