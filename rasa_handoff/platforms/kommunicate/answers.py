"""Kommunicate's answers: its messages, and what is to be done beside them."""

from typing import Any

from rasa_handoff.platforms import answers
from rasa_handoff.platforms.answers import Say
from rasa_handoff.platforms.kommunicate.assigning import hands_over
from rasa_handoff.platforms.kommunicate.deeds import Deed, apart
from rasa_handoff.platforms.kommunicate.writing import Message, rendered
from rasa_handoff.vocabulary.kommunicate import KommunicateSettings
from rasa_handoff.vocabulary.log_values import get_log, short_id

log = get_log(__name__)


class Answer(answers.Answer):
    """An answer of Kommunicate's messages. ``deeds``: what is to be done beside."""

    def __init__(self, settings: KommunicateSettings, outside: Say) -> None:
        super().__init__(outside)
        self._settings = settings
        self.deeds: list[Deed] = []

    @classmethod
    def name(cls) -> str:
        """By this name Rasa chooses channel-specific responses."""
        return "kommunicate"

    def rendered(self, message: dict[str, Any]) -> list[Message]:
        """One of Rasa's messages as Kommunicate's; what it wants done is noted."""
        shown, deeds = apart(message, self._settings)
        self.deeds.extend(deeds)
        return rendered(shown)

    def hands_over(self, since: int) -> bool:
        """Whether what was said after so many messages, or is to be done, gives the conversation to people."""
        given = any(deed.assign is not None and deed.assign not in self._settings.bots for deed in self.deeds)
        return given or any(hands_over(message, self._settings.bots) for message in self.messages[since:])

    def stay_open(self, conversation_id: str) -> None:
        """A handoff goes before an end."""
        if any(deed.assign is None for deed in self.deeds):
            log.warning("The conversation %s is handed over, so it isn't resolved.", short_id(conversation_id))
        self.deeds[:] = [deed for deed in self.deeds if deed.assign is not None]

    def take_back(self) -> list[Message]:
        """What hasn't gone out; it is to be said in another way."""
        place = self.given or 0
        words = self.messages[place:]
        del self.messages[place:]
        return words
