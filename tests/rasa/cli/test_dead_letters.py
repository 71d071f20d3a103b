"""``rasa-handoff dead-letters``: through the process that has the database, or by itself where none has."""

import asyncio
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.admin.socket import socket_of
from rasa_handoff.cli import main
from rasa_handoff.cli.check_surroundings import check_dead_letters
from rasa_handoff.cli.project import Project
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import read_settings
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.values import Agent, Channel, Offer
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.relay.repository import RelayStore
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.relay_side import RecordingTarget
from rasa_handoff.testing.waiting import eventually

HERE: dict[str, Any] = {"conversation_id": "thabo", "handoff_id": "h1"}


class Picky(RecordingTarget):
    """Refuses what is in ``refused``."""

    refused: tuple[str, ...] = ()

    async def deliver(self, lane: str, entries: Any) -> list[events.Event]:
        if entries[0].body.get("text") in self.refused:
            raise Refused("refused", "No such words here.")
        return await super().deliver(lane, entries)


class Side:
    """A relay with a live chat, and a customer who refuses some words."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'relay.db'}"
        settings = read_settings({"bot_id": "b", "desk": {"url": "http://127.0.0.1:1"}, "channels": {"rest": None}})
        self.relay = Relay(RelayStore(self.url, repository.metadata, repository.SIDE, repository.SCHEMA), settings)
        self.customer = Picky()

    async def __aenter__(self) -> "Side":
        await self.relay.open({DESK: RecordingTarget(), CUSTOMER: self.customer, TRACKER: RecordingTarget()})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.relay.close()

    async def chat(self) -> None:
        offer = Offer(handoff_id="h1", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
        await self.relay.apply(events.HandoffRequested(**HERE, offer=offer, leaving_word="bye"))
        await self.relay.apply(events.HandoffAccepted(**HERE))
        await self.relay.apply(events.AgentJoined(**HERE, agent=Agent(id="a", name="Thandi")))

    async def says(self, text: str) -> None:
        await self.relay.apply(events.AgentSaid(**HERE, id=text, text=text, at=1.0))

    def received_texts(self) -> list[str]:
        return [entry.body["text"] for entry in self.customer.entries if entry.name == "agent"]


async def run(*arguments: str) -> int:
    """Run the command in a thread, beside this loop."""
    return await asyncio.to_thread(main, ["dead-letters", *arguments])


async def test_while_the_process_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Side(tmp_path) as side:
        await side.chat()
        side.customer.refused = ("one", "two")
        await side.says("one")
        await side.says("newer")
        await eventually(lambda: side.received_texts() == ["newer"])
        assert stat.S_IMODE(socket_of(side.url).stat().st_mode) == 0o600  # type: ignore[union-attr]
        assert await run("list", "--database", side.url) == 0
        assert "No such words here." in capsys.readouterr().out
        side.customer.refused = ()
        assert await run("send", "1", "--database", side.url) == 0
        await eventually(lambda: side.received_texts() == ["newer", "[sent late] one"])
        assert await run("send", "1", "--database", side.url) == 1
        assert "There is no dead letter 1" in capsys.readouterr().err

        side.customer.refused = ("two",)
        await side.says("two")
        await eventually(lambda: side.relay.count_dead_letters())
        await side.relay.apply(events.HandoffCompleted(**HERE))
        await eventually(lambda: not side.relay.silences_bot("thabo"))
        assert await run("send", "2", "--database", side.url) == 1
        assert "is over" in capsys.readouterr().err
        assert await run("drop", "2", "--database", side.url) == 0
        assert await side.relay.count_dead_letters() == 0


async def test_while_none_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    side = Side(tmp_path)
    async with side:
        await side.chat()
        side.customer.refused = ("one",)
        await side.says("one")
        await eventually(lambda: side.relay.count_dead_letters())
    assert not socket_of(side.url).exists()  # type: ignore[union-attr]
    assert await run("list", "--json", "--database", side.url) == 0
    assert '"reason": "No such words here."' in capsys.readouterr().out
    assert await run("send", "1", "--database", side.url) == 0
    async with Side(tmp_path) as again:
        await eventually(lambda: again.received_texts() == ["one"])


async def test_a_socket_that_a_killed_process_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Side(tmp_path) as side:
        path = socket_of(side.url)
        assert path is not None

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert await run("list", "--database", side.url) == 0
    assert "There are no dead letters." in capsys.readouterr().out
    async with Side(tmp_path):
        assert await run("list", "--database", side.url) == 0


async def test_what_isnt_a_request_is_answered(tmp_path: Path) -> None:
    async with Side(tmp_path) as side:
        for line in (b"nonsense\n", b"{}\n", b"[]\n", b'{"command": "dead-letters.send"}\n', b"\xff\n"):
            reader, writer = await asyncio.open_unix_connection(socket_of(side.url))
            writer.write(line)
            assert b'"ok":false' in await reader.readline()
            writer.close()
        await side.relay.store.write(
            lambda connection: repository.outbox.put(
                connection, [Entry(target=CUSTOMER, lane="x", name="agent", body={"id": "1", "text": "t"})]
            )
        )


async def test_the_relays_database_is_found_by_its_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one that credentials.yml names; doctor counts the dead letters in it, whether the relay runs or not."""
    (tmp_path / "config.yml").write_text("language: en\n")
    (tmp_path / "credentials.yml").write_text(
        "rasa_handoff.HandoffChannel:\n  bot_id: b\n  store: sqlite:///relay.db\n"
        "  desk: {url: 'http://127.0.0.1:1'}\n  channels: {rest: }\n"
    )
    project = Project(tmp_path)
    assert list(check_dead_letters(project)) == []
    assert not (tmp_path / "relay.db").exists()
    async with Side(tmp_path) as side:
        await side.chat()
        side.customer.refused = ("one",)
        await side.says("one")
        await eventually(lambda: side.relay.count_dead_letters())
        (running,) = await asyncio.to_thread(lambda: list(check_dead_letters(project)))
        assert await run("list", "--side", "relay", "--project", str(tmp_path)) == 0
    (stopped,) = check_dead_letters(project)
    assert running == stopped
    assert "1 entry of the relay couldn't be delivered" in stopped.sentence
    monkeypatch.chdir(tmp_path)
    assert await run("drop", "1", "--side", "relay") == 0
    assert "Dead letter 1 was dropped." in capsys.readouterr().out
    (tmp_path / "credentials.yml").write_text(
        "rasa_handoff.HandoffChannel:\n  store: sqlite:///relay.db\n  desk: {token: '${NO_SUCH_TOKEN}'}\n"
    )
    assert await run("list", "--side", "relay") == 0  # it needs the database alone
    (tmp_path / "credentials.yml").write_text("rasa_handoff.HandoffChannel:\n  store: '${NO_SUCH_STORE}'\n")
    assert await run("list", "--side", "relay") == 1
    assert "store is empty, for ${NO_SUCH_STORE} isn't set" in capsys.readouterr().err
    (tmp_path / "credentials.yml").write_text("rest:\n")
    assert await run("list", "--side", "relay") == 1
    assert "credentials.yml has no rasa_handoff.HandoffChannel" in capsys.readouterr().err
