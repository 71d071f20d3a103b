"""What a customer may choose while nobody comes: go on waiting, leave a message, back to the bot."""

from typing import Any, Final

from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.thinking.control import Control, Conversation
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary import names

CHOICES: Final = (
    (names.UTTER_GO_ON_WAITING, names.WAIT_PAYLOAD),
    (names.UTTER_LEAVE_MESSAGE, names.MESSAGE_PAYLOAD),
    (names.UTTER_BACK_TO_BOT, names.BACK_PAYLOAD),
)
PAYLOADS: Final = tuple(payload for _, payload in CHOICES)


async def with_choices(message: dict[str, Any], bot: Bot, conversation_id: str, channel: str) -> dict[str, Any]:
    """The question with its buttons; a project's own buttons stay."""
    if message.get("buttons"):
        return message
    buttons = []
    for response, payload in CHOICES:
        title = await bot.render(response, conversation_id, channel, {})
        buttons.append({"title": str(title.get("text") or payload), "payload": payload})
    return {**message, "buttons": buttons}


def chosen(payload: str, conversation: Conversation, here: dict[str, Any], said: dict[str, Any]) -> e.Event:
    """What pressing such a button means now; an agent may have come meanwhile. ``here``: the event's, ``said``: the words'."""
    if conversation.state not in (Control.WAITING, Control.MESSAGE):
        return e.CustomerAskedAgain(**here)
    if payload == names.BACK_PAYLOAD:
        return e.CustomerLeaving(**here, **said)
    return e.CustomerWantsToWrite(**here) if payload == names.MESSAGE_PAYLOAD else e.CustomerChose(**here)
