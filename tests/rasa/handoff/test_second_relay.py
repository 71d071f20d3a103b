"""A second relay with the same bot_id and another database, as from a copied project: refused, and the first one goes on."""

from pathlib import Path

import pytest

from rasa_handoff.desks.ours import OurDesk
from rasa_handoff.testing.desks import settings_for
from rasa_handoff.testing.relay_side import RelaySide
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually


async def test_the_second_is_refused_and_nobodys_chat_ends(
    desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first, second = (_relay(desk, tmp_path / name) for name in ("first", "second"))
    async with first:
        await first.start()
        handoff_id = (await thandi.take_next())["handoff_id"]
        await second.relay.open({"desk": second.desk, "customer": second.customer, "tracker": second.tracker})
        await second.desk.open()
        await eventually(lambda: "Another Rasa server with another database speaks for the bot 'b' here" in caplog.text)
        assert not second.desk.connected
        assert (await thandi.say(handoff_id, "are you there?"))["ok"]
        await eventually(lambda: first.agent_messages() == ["are you there?"])
        await first.says("yes")
        await thandi.hears("message", text="yes")
        assert first.relay.silences_bot("thabo")
    await eventually(lambda: second.desk.connected or "takes its place" in caplog.text)
    await second.desk.close()
    await second.relay.close()
    async with _relay(desk, tmp_path / "first") as again:
        assert (await thandi.say(handoff_id, "welcome back"))["ok"]
        await eventually(lambda: again.agent_messages() == ["welcome back"])


def _relay(desk: DeskServer, folder: Path) -> RelaySide:
    return RelaySide(OurDesk, settings_for({"type": "rasa-handoff", "url": desk.url}, folder))
