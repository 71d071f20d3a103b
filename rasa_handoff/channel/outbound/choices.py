"""The choices of the relay's questions, and of agents': the buttons of a question, and what a customer's answer means.

A question is open from the moment it is shown until it is answered, or no longer matters. While it is open, a choice is made by
its number, its title, the title's first words where they fit no other choice, or its payload, on every channel: on some, such as
``twilio``, customers have no buttons to press. Case, blanks and closing punctuation don't matter.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.core.control import Control, Conversation
from rasa_handoff.core.conversation import LEAVING_MESSAGE
from rasa_handoff.guard.recent import Recent
from rasa_handoff.protocol import events, names
from rasa_handoff.protocol.text import own_buttons, payload_of
from rasa_handoff.protocol.values import ShownChoice

QUESTIONS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    names.UTTER_NOBODY_YET: (
        (names.UTTER_GO_ON_WAITING, names.WAIT_PAYLOAD),
        (names.UTTER_LEAVE_MESSAGE, names.MESSAGE_PAYLOAD),
        (names.UTTER_BACK_TO_BOT, names.BACK_PAYLOAD),
    ),
    names.UTTER_NOBODY: (
        (names.UTTER_LEAVE_MESSAGE, names.MESSAGE_PAYLOAD),
        (names.UTTER_CARRY_ON, names.CARRY_ON_PAYLOAD),
    ),
    names.UTTER_ASK_CONTACT: ((names.UTTER_WITHOUT_CONTACT, names.WITHOUT_CONTACT_PAYLOAD),),
    names.UTTER_ASK_CONTACT_AGAIN: ((names.UTTER_WITHOUT_CONTACT, names.WITHOUT_CONTACT_PAYLOAD),),
}
"""The questions by their responses, each with the responses and payloads of its buttons."""
PAYLOADS: Final = (
    frozenset(payload for choices in QUESTIONS.values() for _, payload in choices) | {names.LEAVE_PAYLOAD}
) - {names.CARRY_ON_PAYLOAD}
"""Payloads that only the relay reads; the agent never sees them as words."""
WAYS_OUT: Final = frozenset({names.BACK_PAYLOAD, names.CARRY_ON_PAYLOAD, names.WITHOUT_CONTACT_PAYLOAD})
"""The choices by which a customer stops leaving a message."""
NO: Final = "no"
"""Typed for "without a contact", whatever title that button has."""
MOST_OPEN: Final = 100_000
"""The most conversations whose open question is remembered."""
NUMBER: Final = re.compile(r"\(?(\d{1,2})")
CLOSING: Final = " .,;:!?)\u2026\u3002\uff01\uff1f"
"""Closing punctuation, that of Chinese and Japanese too."""


async def with_choices(
    message: dict[str, Any], question: str, bot: Bot, conversation_id: str, channel: str
) -> dict[str, Any]:
    """Return the message with the buttons of the question, unless the project has given it buttons of its own."""
    if message.get("buttons"):
        return message
    buttons = []
    for response, payload in QUESTIONS[question]:
        title = await bot.render(response, conversation_id, channel, {})
        buttons.append({"title": str(title.get("text") or payload), "payload": payload})
    return {**message, "buttons": buttons}


def choices_of(message: Mapping[str, Any]) -> tuple[ShownChoice, ...]:
    """Return the choices that a message shows, in their order."""
    return tuple(ShownChoice(title=str(button["title"]), payload=payload_of(button)) for button in own_buttons(message))


def payload_meant(text: str, choices: Sequence[ShownChoice]) -> str | None:
    """Return the payload of the choice that a customer's answer names; None if it names none, or several."""
    choice = choice_meant(text, choices)
    return None if choice is None else choice.payload


def choice_meant(text: str, choices: Sequence[ShownChoice]) -> ShownChoice | None:
    """Return the choice that a customer's answer names; None if it names none, or several.

    >>> choices = (ShownChoice(title="Wait", payload="/wait"), ShownChoice(title="Leave a message", payload="/leave"))
    >>> [choice_meant(text, choices).payload for text in (" 2. ", "leave a message!", "Leave")]
    ['/leave', '/leave', '/leave']
    """
    said = plain_answer(text)
    for choice in choices:
        if said in (plain_answer(choice.title), plain_answer(choice.payload)):
            return choice
    number = NUMBER.fullmatch(said)
    if number is not None:
        chosen = int(number[1])
        return choices[chosen - 1] if 0 < chosen <= len(choices) else None
    begun = [choice for choice in choices if said and plain_answer(choice.title).startswith(f"{said} ")]
    return begun[0] if len(begun) == 1 else None


def plain_answer(text: str) -> str:
    """Return an answer without regard to case, blanks and closing punctuation."""
    plain = " ".join(text.split()).casefold()
    return plain.rstrip(CLOSING) or plain


def event_of(payload: str, conversation: Conversation, common: dict[str, Any], content: dict[str, Any]) -> events.Event:
    """Return the event that a choice means now: an agent may have come meanwhile.

    ``common``: the fields of every event; ``content``: those of the customer's message.
    """
    if payload == names.LEAVE_PAYLOAD:
        return events.CustomerLeaving(**common, **content, confirmed=True)
    if conversation.state in LEAVING_MESSAGE and payload in WAYS_OUT:
        return events.CustomerLeaving(**common, **content)
    if conversation.state not in (Control.WAITING, Control.MESSAGE):
        return events.CustomerAskedAgain(**common)
    if payload == names.BACK_PAYLOAD:
        return events.CustomerLeaving(**common, **content)
    if payload == names.MESSAGE_PAYLOAD:
        return events.CustomerWantsToWrite(**common)
    return events.CustomerChoseToWait(**common)


class BotsQuestions:
    """The questions with choices that customers were shown last while the bot is active, such as the options.

    The next message to the bot ends one, whether it answers it or not. They are in memory only: after a restart a button still
    works, and anything else is an ordinary message to the bot.
    """

    def __init__(self) -> None:
        self._open: dict[str, tuple[ShownChoice, ...]] = Recent(MOST_OPEN)

    def open(self, conversation_id: str, message: Mapping[str, Any]) -> None:
        """Note the question that the customer was shown."""
        self._open[conversation_id] = choices_of(message)

    def offers(self, conversation_id: str, prefix: str) -> bool:
        """Return whether the question has a choice whose payload begins like this."""
        return any(choice.payload.startswith(prefix) for choice in self._open.get(conversation_id, ()))

    def close(self, conversation_id: str) -> None:
        """Forget the question: something else was said after it."""
        self._open.pop(conversation_id, None)

    def answer(self, conversation_id: str, text: str | None) -> str | None:
        """Close the question, and return the payload of the choice that the text names, or else the text."""
        choices = self._open.pop(conversation_id, ())
        return text if text is None else payload_meant(text, choices) or text
