"""The far sides of every kind of desk."""

from pathlib import Path
from typing import Any

from rasa_handoff.desks.botlhale import BotlhaleDesk
from rasa_handoff.desks.ours import OurDesk
from rasa_handoff.desks.tkinter import TkinterDesk
from rasa_handoff.testing.desks import FarSide
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.support.admin_window import Admin
from tests.support.databases import current
from tests.support.foreign import ForeignServer


class OurFarSide(FarSide):
    kind = OurDesk

    async def start(self, folder: Path) -> dict[str, Any]:
        self.server = DeskServer(folder, **current().desk(folder))
        self.server.add_agent("Thandi")
        await self.server.__aenter__()
        self.agent = ScriptedAgent(self.server.url, "thandi@example.com")
        await self.agent.__aenter__()
        return {"url": self.server.url}

    async def stop(self) -> None:
        await self.agent.__aexit__()
        await self.server.__aexit__(None, None, None)

    async def take(self) -> None:
        self.handoff_id = (await self.agent.take_next())["handoff_id"]

    async def _conversation(self) -> dict[str, Any]:
        if not hasattr(self, "handoff_id"):
            await self.take()
        return dict((await self.agent.ask("open", handoff_id=self.handoff_id, after=0))["conversation"])

    async def say(self, text: str) -> None:
        await self._conversation()
        assert (await self.agent.say(self.handoff_id, text))["ok"]

    async def customer_messages(self) -> list[str]:
        messages = (await self._conversation())["messages"]
        return [message["text"] for message in messages if message["speaker"] == "customer"]

    async def transcript(self) -> list[str]:
        return [line["text"] for line in (await self._conversation())["transcript"]]

    async def end(self) -> None:
        await self._conversation()
        answer = await self.agent.ask("resolve", handoff_id=self.handoff_id, outcome="resolved", note=None, slots={})
        assert answer["ok"], answer

    async def cut(self) -> None:
        await self.server.__aexit__(None, None, None)
        await self.server.__aenter__()
        self.agent = ScriptedAgent(self.server.url, "thandi@example.com")
        await self.agent.__aenter__()


class OurBotlhaleFarSide(OurFarSide):
    """Our own server, met as a foreign one by its compatibility edge."""

    kind = BotlhaleDesk

    async def start(self, folder: Path) -> dict[str, Any]:
        return {**await super().start(folder), "type": "botlhale"}


class ForeignFarSide(FarSide):
    kind = BotlhaleDesk

    async def start(self, folder: Path) -> dict[str, Any]:
        self.server = ForeignServer("/live_server")
        await self.server.__aenter__()
        return {"url": self.server.url, "type": "botlhale", "namespace": "/live_server"}

    async def stop(self) -> None:
        await self.server.__aexit__(None, None, None)

    async def say(self, text: str) -> None:
        await self.server.say("to_user", {"message": text})

    async def customer_messages(self) -> list[str]:
        return [data["message"] for data in self.server.all("from_user")]

    async def transcript(self) -> list[str]:
        reported = await eventually(lambda: self.server.all("messages_to_client"))
        return [line["message"] for line in reported[-1]["messages"]]

    async def end(self) -> None:
        await self.server.say("disconnect_socket", {})

    async def cut(self) -> None:
        known = len(self.server.all("username"))
        await self.server.cut()
        await eventually(lambda: len(self.server.all("username")) > known)


class TkinterFarSide(FarSide):
    """A window that forgets: what it was told again after a cut or a restart it shows as said before."""

    kind = TkinterDesk
    offered = 2

    async def start(self, folder: Path) -> dict[str, Any]:
        self.admin = Admin()
        await self.admin.__aenter__()
        return {"type": "tkinter", "admin_port": self.admin.admin_port, "listen_port": self.admin.listen_port}

    async def stop(self) -> None:
        await self.admin.__aexit__(None, None, None)

    async def say(self, text: str) -> None:
        """A person types slower than the other side reads; nothing else keeps two messages apart."""
        known = len(self.near.agent_messages())
        await self.admin.say(text)
        await eventually(lambda: len(self.near.agent_messages()) > known)

    async def customer_messages(self) -> list[str]:
        before = [text for name, text in self.admin.before()[self.offered :] if name == "User"]
        return before + self.admin.since()

    async def transcript(self) -> list[str]:
        return [text for _, text in self.admin.before()]

    async def end(self) -> None:
        await eventually(self.admin.before)
        await self.admin.close()

    async def cut(self) -> None:
        await self.admin.cut()
