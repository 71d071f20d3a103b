"""What the bot says when nobody has called: a reminder, a triggered intent, an action run from outside.

With the REST API it is said at once; without it, with the next answer. While people have the conversation the bot stays silent,
but may still close it or give it back (``deeds.py``).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from rasa.core.channels.channel import OutputChannel
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.platforms.answering import Answering
from rasa_handoff.platforms.conversations import Conversations
from rasa_handoff.platforms.kommunicate.api import Api
from rasa_handoff.platforms.kommunicate.assigning import assignment, hands_over
from rasa_handoff.platforms.kommunicate.deeds import Deed, apart, do
from rasa_handoff.platforms.kommunicate.writing import Message, rendered
from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.turns import Turns
from rasa_handoff.vocabulary.kommunicate import KommunicateSettings
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.marker import HandoffRequest, read_marker

log = get_log(__name__)


class Outside:
    """Says it in order, beside the turn that says it: that one holds Rasa's lock."""

    def __init__(
        self,
        bot: Bot,
        conversations: Conversations,
        settings: KommunicateSettings,
        api: Api | None,
        answering: Answering,
    ) -> None:
        self._bot, self._conversations, self._settings = bot, conversations, settings
        self._api, self._answers, self._work = api, answering.answers, answering.work
        self._turns = Turns()

    async def say(self, conversation_id: str, message: Mapping[str, Any]) -> None:
        """Say one of Rasa's messages, and do what it wants done, soon."""
        self._work.begin(self._say(conversation_id, dict(message)))

    async def tell(self, conversation_id: str, bot_id: str, words: list[Message], deeds: Iterable[Deed] = ()) -> None:
        """Say these and do these now, in this bot's name; what can't be said waits for the next answer."""
        left = await do(list(deeds), self._api, bot_id, conversation_id, words)
        self._answers.leave(conversation_id, left)

    async def _say(self, conversation_id: str, message: dict[str, Any]) -> None:
        async with self._turns.turn(conversation_id):
            tracker = await self._bot.tracker_when_back(conversation_id)
            shown, deeds = apart(await self._conversations.shown(conversation_id, message), self._settings)
            if tracker.is_paused():
                log.warning("The bot stays silent for %s: people have the conversation.", short_id(conversation_id))
                words = []
            else:
                words = self._words(shown)
                if any(hands_over(word, self._settings.bots) for word in words) or any(
                    self._is_peoples(deed) for deed in deeds
                ):
                    await self._conversations.leave_to_people(conversation_id)
            await self.tell(conversation_id, self._bot_of(tracker), words, deeds)

    def _words(self, message: Mapping[str, Any]) -> list[Message]:
        """The message as Kommunicate's, with the handoff its marker asks for."""
        marker = read_marker(message.get("custom"))
        if not isinstance(marker, HandoffRequest):
            return rendered(message)
        handing_over = {"message": "", "metadata": assignment(marker, self._settings)}
        return [*rendered({**message, "custom": None}), handing_over]

    def _is_peoples(self, deed: Deed) -> bool:
        return deed.assign is not None and deed.assign not in self._settings.bots

    def _bot_of(self, tracker: DialogueStateTracker) -> str:
        """In whose name it is said: the bot the customer wrote to last."""
        for event in reversed(tracker.events):
            known = (event.metadata or {}).get("kommunicate")
            if isinstance(known, Mapping) and known.get("bot_id") in self._settings.bots:
                return str(known["bot_id"])
        return next(iter(self._settings.bots))


class OutsideOutput(OutputChannel):
    """Rasa's output channel for it."""

    has_own_desk = True

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    @classmethod
    def name(cls) -> str:
        """By this name Rasa chooses channel-specific responses."""
        return "kommunicate"

    async def send_response(self, recipient_id: str, message: dict[str, Any]) -> None:
        """All of one of Rasa's messages at once."""
        await self._outside.say(recipient_id, message)

    async def send_text_message(self, recipient_id: str, text: str, **kwargs: Any) -> None:
        """For code that doesn't go by ``send_response``."""
        await self._outside.say(recipient_id, {"text": text})
