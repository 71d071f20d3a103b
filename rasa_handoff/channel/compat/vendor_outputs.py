"""Rasa's outputs for Mattermost and the Bot Framework, which raise where Rasa's only log; imported only when one is hosted."""

import json
from typing import Any

import requests
from rasa.core.channels.botframework import BotFramework
from rasa.core.channels.mattermost import MattermostBot

from rasa_handoff.channel.compat.vendor_errors import VendorAnswered, check


class MattermostWithErrors(MattermostBot):
    """Rasa's output, which only logs a refusal; this one raises.

    With an id (:meth:`set_id`) a post carries ``pending_post_id``, by which Mattermost recognises copies.
    """

    _id: str | None = None
    _parts = 0

    def set_id(self, id: str) -> None:
        """Set the id of the message that the next posts belong to."""
        self._id, self._parts = id, 0

    def _post_data_to_channel(self, data: dict[str, Any]) -> requests.Response:
        if self._id is not None:
            self._parts += 1
            data = {**data, "pending_post_id": f"{self._id}:{self._parts}"}
        answer: requests.Response = super()._post_data_to_channel(data)
        check(answer)
        return answer


class BotFrameworkWithErrors(BotFramework):
    """Rasa's output, which only logs that a message or its request for a token was refused; this one raises."""

    async def send(self, message_data: dict[str, Any]) -> None:
        """Post an activity to the conversation."""
        headers = await self._get_headers()
        if headers is None:
            raise VendorAnswered(401, "no token was given for app_id and app_password")
        address = f"{self.global_uri}conversations/{self.conversation['id']}/activities"
        answer = requests.post(address, headers=headers, data=json.dumps(message_data), timeout=30)  # noqa: ASYNC210 - in a thread
        check(answer)
