"""The running bot, reached through the Sanic application: ``PUT /model`` may replace its agent at any time."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from rasa.core.agent import Agent
from rasa.core.channels.channel import UserMessage
from rasa.core.processor import MessageProcessor
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import Event
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.compat.garbage_collection import FrozenModel
from rasa_handoff.channel.compat.response_slots import shows_slots
from rasa_handoff.channel.compat.tracker_questions import is_known, may_be_paused
from rasa_handoff.channel.compat.tracker_store import StoreAccess, access
from rasa_handoff.presets.responses import preset_text
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.logs import get_log

log = get_log(__name__)

AGAIN_SECONDS: Final = 1.0
"""Seconds between two attempts to read a tracker."""
RENDER_SECONDS: Final = 0.5
"""How long a notice waits for the slots that its response may show; it is sent without them after that."""


class Bot:
    """The parts of Rasa that this package uses. ``app``: the Sanic application whose ``ctx.agent`` has the loaded model."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._frozen_model = FrozenModel()

    @property
    def agent(self) -> Agent:
        """The agent with a loaded model.

        Raises:
            Unreachable: no model is loaded.
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

    def freeze_model(self) -> None:
        """Exempt the loaded model from garbage collections. Cheap unless it has just been loaded."""
        if self.ready:
            self._frozen_model.freeze(self.processor)

    @property
    def domain(self) -> Domain:
        """The domain of the loaded model."""
        return self.processor.domain

    async def parse(self, message: UserMessage) -> dict[str, Any]:
        """Run the NLU and leave its result on the message, so that the turn doesn't run it again."""
        if not message.parse_data:
            message.parse_data = await self.processor.parse_message(message)
        return dict(message.parse_data)

    @property
    def store(self) -> StoreAccess:
        """The tracker store without Rasa's wrapper, which hides its errors."""
        return access(self.agent.tracker_store)

    async def tracker(self, conversation_id: str, seconds: float | None = None) -> DialogueStateTracker:
        """Return the conversation's tracker, with the events of its current session. Only to read: writing needs :meth:`locked`.

        Raises:
            Unreachable: the tracker store can't be read now.
        """
        return self._named(conversation_id, await self.store.retrieve_in_time(conversation_id, seconds))

    async def tracker_after_turn(self, conversation_id: str) -> DialogueStateTracker:
        """Return the tracker that this process has just saved, without reading it again; else as :meth:`tracker` does.

        Raises:
            Unreachable: the tracker store can't be read now.
        """
        saved = self.store.in_memory.saved_just_now(conversation_id)
        return await self.tracker(conversation_id) if saved is None else saved

    async def tracker_when_back(self, conversation_id: str) -> DialogueStateTracker:
        """Return the conversation's tracker as soon as the store can be read, for callers that nobody waits for."""
        while True:
            try:
                return await self.tracker(conversation_id)
            except Unreachable:
                await asyncio.sleep(AGAIN_SECONDS)

    async def full_tracker(self, conversation_id: str) -> DialogueStateTracker:
        """Return the tracker with the events of all sessions. Only to read: saving it would store its events once more.

        Raises:
            Unreachable: the tracker store can't be read now.
        """
        return self._named(conversation_id, await self.store.retrieve(conversation_id, full=True))

    async def knows(self, conversation_id: str) -> bool:
        """Return whether the conversation has a tracker, without making one.

        Raises:
            Unreachable: the tracker store can't be read now.
        """
        known = await self.store.ask_in_time(is_known, conversation_id)
        return await self.store.retrieve_in_time(conversation_id) is not None if known is None else known

    async def may_be_paused(self, conversation_id: str) -> bool:
        """Return False if the conversation's tracker isn't paused; True means that it must be read to know.

        Raises:
            Unreachable: the tracker store can't be read now.
        """
        return await self.store.ask_in_time(may_be_paused, conversation_id) is not False

    @asynccontextmanager
    async def locked(self, conversation_id: str) -> AsyncIterator[DialogueStateTracker]:
        """Hold Rasa's lock, give the tracker, and save it at the end. Not for a customer's turn: Rasa's lock polls once a second.

        Raises:
            Unreachable: the lock store or the tracker store can't be used now. Either nothing was written, or all of it.
        """
        async with self._lock(conversation_id) as store:
            tracker = self._named(conversation_id, await store.retrieve(conversation_id))
            yield tracker
            await store.save(tracker)

    async def append(self, conversation_id: str, events: Sequence[Event], mark: str, first: str) -> bool:
        """Hold Rasa's lock, and add events, as of now, to the tracker without reading it; return False if it must be read.

        ``mark`` and ``first``: see :meth:`StoreAccess.append`.

        Raises:
            Unreachable: the lock store or the tracker store can't be used now. Either nothing was written, or all of it.
        """
        async with self._lock(conversation_id) as store:
            new = self._named(conversation_id, DialogueStateTracker(conversation_id, []))
            for event in events:
                # Stores hide what is older than the session, which may have begun while the lock was waited for.
                event.timestamp = time.time()
                new.update(event)
            return await store.append(new, mark, first)

    @asynccontextmanager
    async def _lock(self, conversation_id: str) -> AsyncIterator[StoreAccess]:
        store, lock_store = self.store, self.agent.lock_store
        if store.failing:
            # Before taking the lock, so that nobody waits for it while the store fails.
            await store.retrieve(conversation_id)
        async with AsyncExitStack() as held:
            try:
                await held.enter_async_context(lock_store.lock(conversation_id))
            except Unreachable:
                raise
            except Exception as problem:
                raise Unreachable(f"The lock store can't be reached: {problem}") from problem
            yield store

    def _named(self, conversation_id: str, found: DialogueStateTracker | None) -> DialogueStateTracker:
        """Return the tracker, a new one if there was none, with the ids of model and assistant that Rasa sets on each."""
        tracker = found or self._blank(conversation_id)
        model = self.processor.model_metadata
        tracker.model_id = model.model_id
        if tracker.assistant_id is None:
            tracker.assistant_id = model.assistant_id
        return tracker

    def _blank(self, conversation_id: str) -> DialogueStateTracker:
        return DialogueStateTracker(conversation_id, self.domain.slots)

    async def render(self, response: str, conversation_id: str, channel: str, values: dict[str, Any]) -> dict[str, Any]:
        """Return a response of the domain as Rasa's message dict, or the preset's text if the domain has none."""
        nlg = self.processor.nlg
        if shows_slots(nlg, response, values):
            tracker = await self._to_render(conversation_id)
        else:
            tracker = self._blank(conversation_id)
        message = await nlg.generate(response, tracker, channel, **values)
        if not message:
            message = {"text": preset_text(response, values)}
        message.pop("utter_action", None)
        return dict(message)

    async def _to_render(self, conversation_id: str) -> DialogueStateTracker:
        """Return the tracker with the slots that a response shows, blank if they can't be read soon."""
        known = self.store.in_memory.to_render(conversation_id)
        if known is not None:
            return known
        try:
            return await self.tracker(conversation_id, RENDER_SECONDS)
        except Unreachable:
            return self._blank(conversation_id)

    async def render_safely(self, response: str, conversation_id: str, channel: str) -> dict[str, Any]:
        """Return a response without values as Rasa's message dict, or the preset's text if the bot or its tracker store fails."""
        try:
            return await self.render(response, conversation_id, channel, {})
        except Exception as problem:
            log.warning("%s is sent with the preset's text, since the bot can't render it: %r", response, problem)
            return {"text": preset_text(response, {})}
