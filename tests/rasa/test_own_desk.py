"""A desk of somebody's own keeps the contract, and HandoffChannel takes it by its path."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.channel.handoff_channel import HandoffChannel
from rasa_handoff.desks.registry import desk_class
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.testing.desks import DeskContract, FarSide
from rasa_handoff.testing.ports import free_port
from tests.desks.lines_desk import LinesDesk


class LinesFarSide(FarSide):
    """The server and its one agent: keeps what it heard by id, says again what wasn't acknowledged."""

    kind = LinesDesk

    async def start(self, folder: Path) -> dict[str, Any]:
        self.lines: dict[str, dict[str, Any]] = {}
        self.saying: dict[str, dict[str, Any]] = {}
        self.writer: asyncio.StreamWriter | None = None
        self.port = free_port()
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        path = f"{LinesDesk.__module__}.{LinesDesk.__name__}"
        return {"type": path, "settings": {"host": "127.0.0.1", "port": self.port}}

    async def stop(self) -> None:
        await self.cut()
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        for line in self.saying.values():
            self._write(line)
        while line := await reader.readline():
            reported = json.loads(line)
            if "ack" in reported:
                self.saying.pop(reported["ack"], None)
            else:
                self.lines.setdefault(reported["id"], reported)
                self._write({"ack": reported["id"]})
        writer.close()

    def _write(self, line: dict[str, Any]) -> None:
        assert self.writer is not None
        self.writer.write(json.dumps(line).encode() + b"\n")

    def _tell(self, kind: str, **more: Any) -> None:
        handoff = next(line["handoff"] for line in self.lines.values() if line["kind"] == "start")
        line = {"id": f"{kind}-{len(self.saying)}-{more}", "handoff": handoff, "kind": kind, **more}
        self.saying[line["id"]] = line
        self._write(line)

    async def say(self, text: str) -> None:
        self._tell("said", text=text)

    async def end(self) -> None:
        self._tell("over")

    async def customer_messages(self) -> list[str]:
        return [line["text"] for line in self.lines.values() if line["kind"] == "said"]

    async def transcript(self) -> list[str]:
        return next((line["transcript"] for line in self.lines.values() if line["kind"] == "start"), [])

    async def cut(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()


class TestLines(DeskContract):
    far_side = LinesFarSide


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("no_such_package.Desk", "desk.type 'no_such_package.Desk' can't be imported"),
        ("tests.desks.lines_desk.LineDesk", "Did you mean 'tests.desks.lines_desk.LinesDesk'?"),
        ("tests.desks.lines_desk.PAUSE", "is no desk: write the path of a subclass of rasa_handoff.Desk"),
    ],
)
def test_a_path_that_leads_to_no_desk_is_named(path: str, says: str) -> None:
    with pytest.raises(SettingsError) as problem:
        desk_class(path)
    assert says in str(problem.value)


def test_handoff_channel_takes_it_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_HOST", "127.0.0.1")
    settings = {"host": "${DESK_HOST}", "port": 1}  # quoted in the YAML, so that Rasa leaves it
    desk = {"type": "tests.desks.lines_desk.LinesDesk", "settings": settings}
    store = f"sqlite:///{tmp_path / 'relay.db'}"
    channel = HandoffChannel.from_credentials({"bot_id": "b", "desk": desk, "store": store, "channels": {"rest": None}})
    assert isinstance(channel.desk, LinesDesk)
    assert channel.desk.settings.settings["host"] == "127.0.0.1"
