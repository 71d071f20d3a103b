"""The options: who the customer can talk to now, as one message with a button for each."""

from collections.abc import Callable, Sequence
from typing import Any

from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.vocabulary import names
from rasa_handoff.vocabulary.options import option_buttons, somebody_there
from rasa_handoff.vocabulary.values import Availability, Department


class Options:
    """Makes the message. ``execute``: the intent behind the buttons; ``departments``: those of the settings;
    ``availability`` asks the desk, which may not know."""

    def __init__(
        self, bot: Bot, execute: str, departments: Sequence[str], availability: Callable[[], Availability | None]
    ) -> None:
        self._bot, self._execute, self._departments, self._ask = bot, execute, departments, availability

    def availability(self) -> Availability:
        """Who is there: as the desk says, else the list in the settings."""
        known = self._ask()
        if known is not None:
            return known
        listed = tuple(Department(name=name) for name in self._departments)
        return Availability(departments=listed, staffed=bool(listed))

    async def message(self, conversation_id: str, channel: str) -> dict[str, Any]:
        """Departments that are open and staffed and a way to carry on; or that nobody is there."""

        async def text(response: str) -> str:
            message = await self._bot.render(response, conversation_id, channel, {})
            return str(message.get("text") or "")

        there = self.availability()
        carry_on = await text(names.UTTER_CARRY_ON)
        if not somebody_there(there):
            button = {"title": carry_on, "payload": names.CARRY_ON_PAYLOAD}
            return {"text": await text(names.UTTER_NOBODY), "buttons": [button]}
        anybody = await text(names.UTTER_ANYBODY)
        buttons = option_buttons(there, anybody=anybody, carry_on=carry_on, execute_intent=self._execute)
        return {"text": await text(names.UTTER_OPTIONS), "buttons": buttons}
