"""Rasa's twilio and twilio_voice channels, corrected; imported only when one is hosted, since they load Twilio's SDK.

twilio: a picture by MMS or WhatsApp comes without ``Body``. Rasa fails on the missing field, with a 500 that nobody reads.

twilio_voice: Twilio ends a call when an answer asks for no further input, so Rasa's empty answer would hang up on a caller
whose message went to an agent. While the caller is silent Twilio asks again; Rasa then repeats the bot's last message, and here
the waiting messages are delivered instead. The answers are XML, which doesn't allow most control characters: Twilio would
refuse the whole answer.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from rasa.core.channels.channel import UserMessage
from rasa.core.channels.twilio import TwilioInput
from rasa.core.channels.twilio_voice import TwilioVoiceCollectingOutputChannel, TwilioVoiceInput
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse
from twilio.twiml.voice_response import Gather, VoiceResponse  # type: ignore[import-untyped]

from rasa_handoff.channel.compat import http_answers
from rasa_handoff.channel.compat.rasa_channels import AsksWhileSilent
from rasa_handoff.core.rasa_messages import message_in_words
from rasa_handoff.protocol.text import valid_text

NOT_IN_XML: Final = re.compile("[^\\t\\n\\r\\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 doesn't allow."""


class HandoffTwilio(TwilioInput):
    """The twilio channel as HandoffChannel hosts it."""

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Make Rasa's blueprint; a message without ``Body`` gets an empty text."""
        blueprint = super().blueprint(on_new_message)
        blueprint.middleware("request")(_with_body)
        return blueprint


async def _with_body(request: Request) -> None:
    form = request.form
    if request.method == "POST" and form is not None and form.get("From") and form.get("Body") is None:
        form["Body"] = [""]


class HandoffTwilioVoice(AsksWhileSilent, TwilioVoiceInput):
    """The twilio_voice channel as HandoffChannel hosts it."""

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Make Rasa's blueprint; requests of silent callers are handled before it."""
        blueprint = super().blueprint(on_new_message)
        http_answers.watch(blueprint)  # before the next middleware, which may answer
        blueprint.middleware("request")(self._silent)
        return blueprint

    async def _silent(self, request: Request) -> HTTPResponse | None:
        caller = request.form.get("From") if request.method == "POST" else None
        spoken = request.form.get("SpeechResult") or request.form.get("CallStatus") == "ringing"
        if caller is None or spoken or self.on_silence is None:
            return None
        output = TwilioVoiceCollectingOutputChannel()
        if not await self.on_silence(valid_text(str(caller)), self.name(), output):
            return None
        return response.text(str(self._build_twilio_voice_response(output.messages)), content_type="text/xml")

    def _build_twilio_voice_response(self, messages: list[dict[str, Any]]) -> VoiceResponse:
        """Make Rasa's response, or with no messages one that goes on listening."""
        if messages:
            return super()._build_twilio_voice_response([_speakable(message) for message in messages])
        listening = VoiceResponse()
        listening.append(
            Gather(
                input="speech",
                action=f"/webhooks/{self.name()}/webhook",
                actionOnEmptyResult=True,
                speechTimeout=self.speech_timeout,
                speechModel=self.speech_model,
                enhanced=self.enhanced,
            )
        )
        return listening


def _speakable(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "text": NOT_IN_XML.sub("", str(message.get("text") or message_in_words(None, message)))}
