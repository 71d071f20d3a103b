"""A mailbox's owner is told when their words can't be written down, rather than answered with nothing."""

from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.test_database import NOT_TAKEN, live, locked

pytestmark = [pytest.mark.usefixtures("locked_databases_fail_soon"), pytest.mark.sqlite]


@pytest.mark.parametrize("with_desk", [True, False])
async def test_a_mailbox_is_refused_and_heard_once_when_it_comes_again(
    with_desk: bool, small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as rasa:
        if with_desk:
            await live(rasa, thandi)

        async def ask() -> list[dict[str, Any]]:
            return await rasa.say("hello", metadata={"handoff_after": None, "handoff_message_id": "m1"})

        with locked(tmp_path / "relay.db"):
            assert [answer["text"] for answer in await ask()] == [NOT_TAKEN]
        for _ in range(2):
            await ask()
        if with_desk:
            await thandi.hears("message", text="hello")
            said = [data["text"] for name, data in thandi.received if name == "message"]
            assert said == ["before", "hello"]
        else:
            events = await rasa.events()
            assert [event["text"] for event in events if event["event"] == "user"] == ["hello"]
