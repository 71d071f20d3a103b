"""Rasa's webexteams channel, corrected; imported only when it is hosted, since it loads Webex's SDK.

Webex tells of a message by its id, and Rasa asks for the rest with ``api.messages.get``. Here the answer's files are noted there,
and a press on a card, which Webex has at another address, is answered like a message.
"""

from types import SimpleNamespace
from typing import Any

from rasa.core.channels.webexteams import WebexTeamsInput

from rasa_handoff.channel.message_ids import message_facts
from rasa_handoff.channel.vendors.vendor_message import fields
from rasa_handoff.channel.vendors.webex_webhooks import PRESS, with_message, with_press


class HandoffWebexTeams(WebexTeamsInput):
    """The webexteams channel as HandoffChannel hosts it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._get_message = self.api.messages.get
        self.api.messages.get = self._get

    def _get(self, id: str) -> Any:
        facts = message_facts()
        if fields(facts.body).get("resource") == PRESS:
            action = self.api.attachment_actions.get(id)
            facts.said, text = with_press(facts.said, action.inputs)
            return SimpleNamespace(text=text, roomId=action.roomId, personId=action.personId)
        message = self._get_message(id)
        facts.said = with_message(facts.said, message.text, message.files)
        return message
