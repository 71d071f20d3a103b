"""What the relay refuses each time, sent again by the command while the server runs."""

import asyncio
from typing import Any

import pytest

from rasa_handoff.cli import main
from rasa_handoff.testing.waiting import eventually
from tests.server.peers import Relay

NO = {"ok": False, "code": "invalid", "error": "No such words here."}


class Picky(Relay):
    """A relay that refuses the texts in ``refused``."""

    refused: tuple[str, ...] = ()

    def on_event(self, event: str, body: Any) -> Any:
        if isinstance(body, dict) and body.get("text") in self.refused:
            return NO
        return super().on_event(event, body)


@pytest.mark.sqlite  # on a shared database the command asks the server: tests/rasa/handoff/test_admin_http.py
async def test_a_dead_letter_is_sent_again_late_and_refused_after_the_end(
    server, desk, opened, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(*arguments: str) -> int:
        return await asyncio.to_thread(main, ["dead-letters", *arguments, "--database", server.database])

    thandi, karoo = await desk(), Picky("karoo")
    opened.append(karoo)
    await karoo.connect(server.address)
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    karoo.refused = ("one", "two")
    await thandi.say(handoff, "one")
    await thandi.say(handoff, "newer")
    await eventually(lambda: [one.get("text") for one in karoo.deliveries(handoff)][-1:] == ["newer"])
    await eventually(lambda: [one for one in thandi.all("message.status") if one["status"] == "failed"])
    assert await run("list") == 0
    assert "No such words here." in capsys.readouterr().out
    assert await run("send", "1") == 0
    await eventually(lambda: karoo.deliveries(handoff)[-1].get("text") == "[sent late] one")
    numbers = [one["number"] for one in karoo.deliveries(handoff)]
    assert numbers == sorted(set(numbers)), "under a number of its own, after the newer words"
    await thandi.say(handoff, "two")
    await eventually(lambda: len([one for one in thandi.all("message.status") if one["status"] == "failed"]) == 2)
    await thandi.call("resolve", {"handoff_id": handoff, "outcome": "resolved", "note": None, "slots": {}})
    assert await run("send", "2") == 1
    assert "is over" in capsys.readouterr().err
    assert await run("drop", "2") == 0
    assert await run("list") == 0
    assert "There are no dead letters." in capsys.readouterr().out
