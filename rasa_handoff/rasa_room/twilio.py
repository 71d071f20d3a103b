"""Rasa's twilio channel, mended for a message without words.

A picture by MMS or WhatsApp comes without ``Body``, and Rasa fails on what isn't there, with a 500 that nobody reads.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from rasa.core.channels.channel import UserMessage
from rasa.core.channels.twilio import TwilioInput
from sanic import Blueprint
from sanic.request import Request


class HandoffTwilio(TwilioInput):
    """The twilio channel as HandoffChannel hosts it."""

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Rasa's blueprint; a message without ``Body`` is one with an empty text."""
        blueprint = super().blueprint(on_new_message)
        blueprint.middleware("request")(_with_body)
        return blueprint


async def _with_body(request: Request) -> None:
    form = request.form
    if request.method == "POST" and form is not None and form.get("From") and form.get("Body") is None:
        form["Body"] = [""]
