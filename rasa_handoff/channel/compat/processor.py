"""Rasa's ``MessageProcessor``, wrapped so that the bot never speaks while the desk is active.

The interceptor keeps the messages of hosted channels from the bot. These wrappers cover the rest: session expiry, reminders,
external intents, ``execute`` and appended events by HTTP, and messages of channels that aren't hosted. One wrapper also reports
failed actions, which Rasa only logs. They are set on the class, so that they outlive a model reload.

``lock_store.py`` and ``forms.py`` are patched together with it. ``tests/rasa/handoff/test_pause.py`` fails when Rasa has changed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final

from rasa.core.actions.action import Action, ActionExecutionRejection
from rasa.core.channels.channel import OutputChannel
from rasa.core.processor import MessageProcessor
from rasa.shared.core.constants import ACTION_LISTEN_NAME
from rasa.shared.core.events import ActionExecuted, BotUttered, ConversationPaused, Event
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.closing import closed
from rasa_handoff.channel.compat import forms, lock_store
from rasa_handoff.channel.compat.output_observer import action_failed, running_action, turn_cut_off
from rasa_handoff.channel.compat.patches import Patches
from rasa_handoff.protocol.logs import get_log, short_id

log = get_log(__name__)

DeskActive = Callable[[str], bool]
"""Whether the desk is active in the conversation with this id."""
AroundTurn = Callable[[str, OutputChannel], AbstractAsyncContextManager[None]]
"""Entered around a proactive turn, with the conversation's id and the output."""

Look = Callable[[str], Awaitable[object]]
"""Brings what is known of the conversation with this id up to date: another process may have changed it."""

_around_turns: list[AroundTurn] = []
_looks: list[Look] = []
_active_checks: list[DeskActive] = []
_coming_back: ContextVar[bool] = ContextVar("handoff_coming_back", default=False)


@contextmanager
def coming_back() -> Iterator[None]:
    """Let the bot speak although the desk is still active, for the return of the conversation to the bot."""
    token = _coming_back.set(True)
    try:
        yield
    finally:
        _coming_back.reset(token)


def install(desk_active: DeskActive, around_turn: AroundTurn | None = None, look: Look | None = None) -> None:
    """Keep the bot silent in conversations for which ``desk_active`` is true. Undone by :func:`remove`.

    ``around_turn`` is entered around proactive turns. ``look`` is awaited before ``desk_active`` is asked.
    """
    if not _active_checks:
        lock_store.patch()
        forms.PATCHES.apply()
        PATCHES.apply()
    _active_checks.append(desk_active)
    if around_turn is not None:
        _around_turns.append(around_turn)
    if look is not None:
        _looks.append(look)


def remove(desk_active: DeskActive, around_turn: AroundTurn | None = None, look: Look | None = None) -> None:
    """Undo one :func:`install`; after the last one, Rasa is as before."""
    if desk_active in _active_checks:
        _active_checks.remove(desk_active)
    if around_turn in _around_turns:
        _around_turns.remove(around_turn)
    if look in _looks:
        _looks.remove(look)
    if not _active_checks:
        lock_store.restore()
        forms.PATCHES.restore()
        PATCHES.restore()


async def _must_be_silent(conversation_id: str) -> bool:
    """Return whether the bot must be silent in this conversation."""
    for look in _looks:
        await look(conversation_id)
    return not _coming_back.get() and any(is_active(conversation_id) for is_active in _active_checks)


@asynccontextmanager
async def _around(conversation_id: str, output: OutputChannel) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for around_turn in _around_turns:
            await stack.enter_async_context(around_turn(conversation_id, output))
        yield


def _expiry(original: Any) -> Any:
    @wraps(original)
    def has_session_expired(self: MessageProcessor, tracker: DialogueStateTracker) -> bool:
        if tracker.is_paused() or any(is_active(tracker.sender_id) for is_active in _active_checks):
            return False  # a new session would clear the pause and the form
        ended = closed(tracker) and self.domain.session_config.are_sessions_enabled()
        return ended or bool(original(self, tracker))

    return has_session_expired


def _external(original: Any) -> Any:
    @wraps(original)
    async def trigger(
        self: MessageProcessor, intent_name: str, entities: Any, tracker: DialogueStateTracker, output_channel: Any
    ) -> None:
        if await _must_be_silent(tracker.sender_id):
            log.info(
                "'%s' for %s was not triggered: an agent has the conversation.",
                intent_name,
                short_id(tracker.sender_id),
            )
            return
        async with _around(tracker.sender_id, output_channel):
            await original(self, intent_name, entities, tracker, output_channel)

    return trigger


def _prediction(original: Any) -> Any:
    @wraps(original)
    async def run(self: MessageProcessor, output_channel: Any, tracker: DialogueStateTracker) -> None:
        if await _must_be_silent(tracker.sender_id):
            log.warning("The bot stays silent for %s: an agent has the conversation.", short_id(tracker.sender_id))
            return
        if self.on_circuit_break is None:
            self.on_circuit_break = _cut_off
        await original(self, output_channel, tracker)

    return run


def _cut_off(tracker: DialogueStateTracker, *_: Any) -> None:
    """Let the bot listen after a turn with too many actions.

    Rasa counts the actions since the bot listened last: otherwise every later message would be cut off as well.
    """
    turn_cut_off()
    tracker.update(ActionExecuted(ACTION_LISTEN_NAME))


def _execution(original: Any) -> Any:
    @wraps(original)
    async def execute(
        self: MessageProcessor, sender_id: str, action_name: str, output_channel: Any, *rest: Any, **more: Any
    ) -> Any:
        if await _must_be_silent(sender_id):
            log.warning("'%s' was not run for %s: an agent has the conversation.", action_name, short_id(sender_id))
            return await self.get_tracker(sender_id)
        async with _around(sender_id, output_channel):
            return await original(self, sender_id, action_name, output_channel, *rest, **more)

    return execute


def _action(original: Any) -> Any:
    """Wrap ``_run_action`` to report a failed action, which Rasa only logs, and whether it is the open form that runs.

    With a failed action the turn may end without a message.
    """

    @wraps(original)
    async def run_action(
        self: MessageProcessor, action: Action, tracker: DialogueStateTracker, *rest: Any, **more: Any
    ) -> bool:
        run = action.run

        async def observed(*given: Any, **named: Any) -> Any:
            try:
                return await run(*given, **named)
            except ActionExecutionRejection:
                raise
            except Exception:
                action_failed()
                raise

        action.run = observed
        with running_action(is_form=action.name() == tracker.active_loop_name):
            return bool(await original(self, action, tracker, *rest, **more))

    return run_action


def _sending(original: Any) -> Any:
    """Wrap ``_send_bot_messages``, which sends the messages of all events, also of those appended by HTTP with side effects."""

    @wraps(original.__func__)
    async def send(events: list[Event], tracker: DialogueStateTracker, output_channel: OutputChannel) -> None:
        # Not for a platform's output: it keeps silent by itself, and must get directives, which may end the pause.
        speaks = not getattr(output_channel, "has_own_desk", False) and any(
            isinstance(event, BotUttered) for event in events
        )
        if speaks and (await _must_be_silent(tracker.sender_id) or _paused_by_us(tracker)):
            log.warning(
                "Messages of the bot for %s were not sent: an agent has the conversation.", short_id(tracker.sender_id)
            )
            return
        await original.__func__(events, tracker, output_channel)

    return staticmethod(send)


def _paused_by_us(tracker: DialogueStateTracker) -> bool:
    """Return whether this package paused the tracker, in case the relay has lost its own record."""
    last = next((event for event in reversed(tracker.events) if isinstance(event, ConversationPaused)), None)
    return tracker.is_paused() and last is not None and (last.metadata or {}).get("handoff_entry") == "pause"


PATCHES: Final = Patches(
    MessageProcessor,
    {
        "_has_session_expired": _expiry,
        "trigger_external_user_uttered": _external,
        "_run_prediction_loop": _prediction,
        "execute_action": _execution,
        "_run_action": _action,
        "_send_bot_messages": _sending,
    },
)


async def let_bot_speak(processor: MessageProcessor, tracker: DialogueStateTracker, output: OutputChannel) -> None:
    """Predict and run actions until the bot listens, although the desk is still active: for the return to the bot."""
    with coming_back():
        await processor._run_prediction_loop(output, tracker)


def predict_next(processor: MessageProcessor, tracker: DialogueStateTracker) -> tuple[str, str]:
    """Return the action that comes next, and the policy that says so.

    The tracker stays as it was: Rasa's prediction changes nothing but the follow-up action, which it takes. A copy of the tracker
    would cost more than the prediction.
    """
    followup_action = tracker.followup_action
    try:
        prediction = processor._predict_next_with_tracker(tracker)
    finally:
        if followup_action is not None:
            tracker.trigger_followup_action(followup_action)
    action = processor.domain.action_names_or_texts[prediction.max_confidence_index]
    return str(action), str(prediction.policy_name or "")
