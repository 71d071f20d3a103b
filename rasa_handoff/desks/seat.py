"""A conversation at the Tkinter demo's admin window: what the window is told, and what it says, as events for the relay."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from rasa_handoff.desks.base import apply
from rasa_handoff.desks.window import Window
from rasa_handoff.relay.relay import Relay
from rasa_handoff.thinking.control import Control
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.settings import DeskSettings
from rasa_handoff.vocabulary.values import Agent, Line, Offer, Speaker

log = get_log(__name__)

ADMIN: Final = Agent(id="admin", name="Admin")
"""The window has nobody's name."""
MOST_TOLD: Final = 30_000
"""Characters of the transcript, from its end: what a window can hold unread in one piece."""
MOST_BEFORE: Final = 6
"""Messages of before the handoff: the window shows its first twenty lines and doesn't scroll, and what is said now needs room."""

BEFORE: Final = "[What was said before]"
MORE: Final = "[...]"
SINCE: Final = "[What follows is said now]"
LEFT: Final = "[The customer has left. End this program,\nand start it again for the next one]"
"""The window cuts lines off at about forty characters."""
NAMES: Final = {Speaker.CUSTOMER: "User", Speaker.BOT: "Bot", Speaker.AGENT: "Admin"}


class Seat:
    """The conversation that has the window. ``over``: it was ended on our side."""

    def __init__(self, offer: Offer, settings: DeskSettings, relay: Relay) -> None:
        self.offer, self.over = offer, False
        self.task: asyncio.Task[None] | None = None
        self.window = Window(settings.admin_port, settings.listen_port, self._joined, self._said)
        self._relay = relay
        self._here: dict[str, Any] = {"conversation_id": offer.conversation_id, "handoff_id": offer.handoff_id}

    async def take(self) -> None:
        """Connect to the window and tell it the story so far.

        Raises:
            Unreachable: it isn't there; nothing is left open.
        """
        try:
            await self.window.open()
            # An offer that is made again also has what was said since, which nobody may miss.
            before = len((await self._relay.offer_of(self.offer.handoff_id)).transcript)
            await self.window.show(story(self.offer.transcript, before))
        except BaseException:
            await self.window.close()
            raise

    async def leave(self) -> None:
        """Our side has ended it."""
        self.over = True
        await self.window.let_go(LEFT)

    async def end(self) -> None:
        """The person has closed the window: having spoken, they have done what they could."""
        if self.window.spoke:
            await apply(self._relay, e.HandoffCompleted(**self._here))
        else:
            await apply(self._relay, e.HandoffFailed(**self._here, reason="desk_closed"))

    async def _joined(self) -> None:
        # The window may speak before our own acceptance is written down.
        await self._relay.wait_while(self.offer.conversation_id, {Control.REQUESTED})
        await apply(self._relay, e.AgentJoined(**self._here, agent=ADMIN))

    async def _said(self, text: str) -> None:
        said: dict[str, Any] = {"id": uuid.uuid4().hex, "text": text, "at": time.time()}
        refused = await apply(self._relay, e.AgentSaid(**self._here, **said, agent=ADMIN.name))
        if refused is not None:
            await self.window.show(f"[{refused}]")


def story(transcript: Sequence[Line], before: int) -> str:
    """The transcript packet, as the window is to show it: its end, of the ``before`` lines from before the handoff."""
    kept = transcript[max(0, before - MOST_BEFORE) :]
    lines = [MORE] if len(kept) < len(transcript) else []
    lines += [f"{NAMES.get(line.speaker, 'Bot')}: {line.text}" for line in kept]
    return "\n".join([BEFORE, "\n".join(lines)[-MOST_TOLD:], SINCE])
