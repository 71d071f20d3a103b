"""The options and the trigger.

The options say who the customer can talk to now, as one message with a button for each.

The trigger is a text by which a front end recognises that the bot would start a handoff, and goes to a person by itself. Such a
front end (the user window of the Tkinter demo) reads only the first entry of an answer on ``rest``, with a reader that knows no
``true``, ``false`` or ``null``. So the trigger is the whole answer. No handoff starts and the bot stays active, since the
front end sends nothing to this conversation until the customer is back. The front end has no buttons either, so a request for the
options is answered with the trigger too.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace
from rasa.core.channels.channel import CollectingOutputChannel, UserMessage

from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.protocol import names
from rasa_handoff.protocol.markers import option_buttons, shows_options, somebody_there
from rasa_handoff.protocol.reopening import closed_department, opening_words, takes_messages
from rasa_handoff.protocol.values import Availability, Department, find_department


class Options:
    """Makes the options.

    ``execute``: the intent in the buttons' payloads; ``departments``: those of the settings; ``availability``: asks the desk, and
    returns None if the desk doesn't know. ``takes_messages``: whether a message can be left while nobody is there.
    """

    def __init__(
        self,
        bot: Bot,
        execute: str,
        departments: Sequence[str],
        availability: Callable[[], Availability | None],
        takes_messages: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.takes_messages, self._now = takes_messages, now
        self._bot, self._execute, self._departments, self._ask = bot, execute, departments, availability

    def availability(self) -> Availability:
        """Return the availability that the desk reports, or else the departments in the settings."""
        known = self._ask()
        if known is not None:
            return known
        listed = tuple(Department(name=name) for name in self._departments)
        return Availability(departments=listed, staffed=bool(listed))

    async def message(
        self,
        conversation_id: str,
        channel: str,
        ends_fallback: bool = False,
        there: Availability | None = None,
        instead_of: str | None = None,
    ) -> dict[str, Any]:
        """Return the message with the options: the departments that are open and staffed, and carrying on with the bot.

        If nobody is available, it says so, and the buttons are those for leaving a message and for carrying on.

        ``ends_fallback``: the bot's fallback ends in the options; if nobody is there, the message then says that the bot didn't
        understand, too. ``there``: who was available when the options were shown; by default, who is now. ``instead_of``: the
        department that was asked for and can't be had.
        """

        async def text(response: str) -> str:
            message = await self._bot.render(response, conversation_id, channel, {})
            return str(message.get("text") or "")

        known = there or self.availability()
        there = _without(instead_of, known)
        closed = await self._closed_text(conversation_id, channel, known, instead_of, somebody_there(there))
        carry_on = await text(names.UTTER_CARRY_ON)
        is_somebody_there = somebody_there(there)
        leave = []
        may_leave = self.takes_messages and takes_messages(known, instead_of)
        if may_leave and (instead_of is not None or not is_somebody_there):
            leave = [{"title": await text(names.UTTER_LEAVE_MESSAGE), "payload": names.MESSAGE_PAYLOAD}]
        if not is_somebody_there:
            nobody = names.UTTER_NOBODY_TO_ASK if ends_fallback else names.UTTER_NOBODY
            buttons = [*leave, {"title": carry_on, "payload": names.CARRY_ON_PAYLOAD}]
            return {"text": (None if ends_fallback else closed) or await text(nobody), "buttons": buttons}
        anybody = await text(names.UTTER_ANYBODY)
        *departments, last = option_buttons(there, anybody=anybody, carry_on=carry_on, execute_intent=self._execute)
        question = names.UTTER_OPTIONS if instead_of is None else names.UTTER_INSTEAD
        return {"text": closed or await text(question), "buttons": [*departments, *leave, last]}

    def may_leave_message(self) -> bool:
        """Return whether a message can be left now, while nobody is there."""
        return self.takes_messages and takes_messages(self.availability())

    async def closed_text(self, conversation_id: str, channel: str) -> str | None:
        """Return what customers are told while it is closed; None if opening hours aren't why nobody is there."""
        return await self._closed_text(conversation_id, channel, self.availability(), None, False)

    async def _closed_text(
        self, conversation_id: str, channel: str, there: Availability, asked: str | None, others: bool
    ) -> str | None:
        """``others``: whether somebody else is there, who is offered."""
        department = closed_department(there, asked)
        if department is None or (others and asked is None):
            return None

        async def text(response: str, **values: str) -> str:
            message = await self._bot.render(response, conversation_id, channel, values)
            return str(message.get("text") or "")

        if department.closed_text is not None:
            return f"{department.closed_text} {await text(names.UTTER_OPTIONS)}" if others else department.closed_text
        words = opening_words(department, self._now())
        if words is None:
            return None
        weekday = await text(words.weekday)
        opens = await text(words.response, weekday=weekday, **words.values)
        if others:
            return await text(names.UTTER_CLOSED_INSTEAD, opens=opens, department=department.label)
        return await text(names.UTTER_CLOSED, opens=opens)

    async def offer_others(self, conversation_id: str, channel: str, instead_of: str) -> dict[str, Any]:
        """Return the message that offers other departments than one that can't be had."""
        return await self.message(conversation_id, channel, instead_of=instead_of)


def _without(department: str | None, availability: Availability) -> Availability:
    """Return the availability without a department that has refused: what is known here may be some moments old."""
    refused = None if department is None else find_department(availability.departments, department)
    if refused is None:
        return availability
    return replace(availability, departments=tuple(one for one in availability.departments if one is not refused))


def answers_with_options(message: UserMessage, execute: str) -> bool:
    """Return whether the answer so far has a button of the options, with ``execute`` in its payload.

    It has none if nobody is available.
    """
    said = getattr(message.output_channel, "messages", None)
    return isinstance(said, list) and any(shows_options(one, execute) for one in said)


def replace_by_trigger(message: UserMessage, text: str | None) -> bool:
    """Replace the turn's answer by the trigger; return False if there is no trigger, or the answer isn't collected."""
    output = message.output_channel
    if text is None or not isinstance(output, CollectingOutputChannel) or not isinstance(output.messages, list):
        return False
    output.messages[:] = [{"recipient_id": message.sender_id, "text": text}]
    return True
