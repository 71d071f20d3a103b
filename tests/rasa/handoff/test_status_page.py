"""What a stranger reads of the Rasa server's own small page."""

import aiohttp
import pytest

from rasa_handoff.testing.rasa_server import RasaServer


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "Origin"])
async def test_only_who_is_at_this_machine_reads_how_many_chats_are_under_way(rasa: RasaServer, header: str) -> None:
    address = f"{rasa.url}/webhooks/handoff/"
    async with aiohttp.ClientSession() as http:
        async with http.get(address) as answer:
            assert await answer.json() == {"status": "ok", "desk": "connected", "under_way": 0, "dead_letters": 0}
        async with http.get(address, headers={header: "203.0.113.9"}) as answer:
            assert await answer.json() == {"status": "ok"}
