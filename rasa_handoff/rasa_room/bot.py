"""The running bot, reached through the Sanic application: its agent may be replaced at any time (``PUT /model``)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rasa.core.agent import Agent
from rasa.core.channels.channel import UserMessage
from rasa.core.processor import MessageProcessor
from rasa.shared.core.domain import Domain
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.rasa_room.texts import preset_text
from rasa_handoff.vocabulary.errors import Unreachable


class Bot:
    """What we ask of Rasa. ``app`` is the Sanic application whose ``ctx.agent`` is the loaded model."""

    def __init__(self, app: Any) -> None:
        self._app = app

    @property
    def agent(self) -> Agent:
        """The agent with a loaded model.

        Raises:
            Unreachable: while no model is loaded.
        """
        agent: Agent | None = getattr(self._app.ctx, "agent", None)
        if agent is None or agent.processor is None:
            raise Unreachable("No model is loaded yet.")
        return agent

    @property
    def ready(self) -> bool:
        """Whether a model is loaded."""
        agent = getattr(self._app.ctx, "agent", None)
        return agent is not None and agent.processor is not None

    @property
    def processor(self) -> MessageProcessor:
        """The processor of the loaded model."""
        processor = self.agent.processor
        assert processor is not None
        return processor

    @property
    def domain(self) -> Domain:
        """The domain of the loaded model."""
        return self.processor.domain

    async def parse(self, message: UserMessage) -> dict[str, Any]:
        """Run the NLU and leave its result on the message, so that the turn doesn't run it again."""
        if not message.parse_data:
            message.parse_data = await self.processor.parse_message(message)
        return dict(message.parse_data)

    async def tracker(self, conversation_id: str) -> DialogueStateTracker:
        """The conversation's tracker, with the events of its current session. To read; writing needs :meth:`locked`."""
        return await self.processor.get_tracker(conversation_id)

    async def knows(self, conversation_id: str) -> bool:
        """Whether the conversation has a tracker. Asking makes none."""
        return await self.agent.tracker_store.retrieve(conversation_id) is not None

    @asynccontextmanager
    async def locked(self, conversation_id: str) -> AsyncIterator[DialogueStateTracker]:
        """The tracker under Rasa's lock, saved on the way out. Never on the live path: a waiter looks once a second."""
        agent = self.agent
        async with agent.lock_store.lock(conversation_id):
            tracker = await self.tracker(conversation_id)
            yield tracker
            await self.processor.save_tracker(tracker)

    async def render(self, response: str, conversation_id: str, channel: str, values: dict[str, Any]) -> dict[str, Any]:
        """A response of the domain as Rasa's message dict; the preset's own words where the domain has none."""
        tracker = await self.tracker(conversation_id)
        message = await self.processor.nlg.generate(response, tracker, channel, **values)
        if not message:
            message = {"text": preset_text(response, values)}
        message.pop("utter_action", None)
        return dict(message)
