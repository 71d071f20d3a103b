"""Rasa's twilio_voice channel, mended for a call in which a person may take their time.

Twilio ends a call whose answer asks for nothing more, so Rasa's empty answer to words that went to an agent would hang up. And
Twilio asks again while the caller is silent; Rasa answers with the bot's last words, we with what waits for the caller. And its
answers are XML, which has no place for most control characters: Twilio would refuse the whole answer, and nobody can hear them.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from rasa.core.channels.channel import OutputChannel, UserMessage
from rasa.core.channels.twilio_voice import TwilioVoiceCollectingOutputChannel, TwilioVoiceInput
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse
from twilio.twiml.voice_response import Gather, VoiceResponse  # type: ignore[import-untyped]

from rasa_handoff.rasa_room import answers
from rasa_handoff.thinking.transcript import in_words
from rasa_handoff.vocabulary.text import valid_text

NOT_IN_XML: Final = re.compile("[^\\t\\n\\r\\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Fetch = Callable[[str, str, OutputChannel], Awaitable[bool]]


class HandoffTwilioVoice(TwilioVoiceInput):
    """The twilio_voice channel as HandoffChannel hosts it."""

    on_silence: Fetch | None = None
    """Called with the caller, the channel's name and an output that takes what waits; False leaves the answer to Rasa."""

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Rasa's blueprint; a silent caller's request is looked at first."""
        blueprint = super().blueprint(on_new_message)
        answers.watch(blueprint)  # before ours, which may answer
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
        """As Rasa does; with nothing to say, listen on."""
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
    return {**message, "text": NOT_IN_XML.sub("", str(message.get("text") or in_words(None, message)))}
