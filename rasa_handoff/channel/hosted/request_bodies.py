"""The bodies of requests to hosted channels: Rasa's channels answer one that isn't a JSON object with a traceback."""

from typing import Any, Final

from rasa.core.channels.channel import InputChannel
from sanic import Blueprint, response
from sanic.exceptions import SanicException
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.channel.compat.rasa_channels import class_names
from rasa_handoff.guard.compat.http_requests import SanicRequest
from rasa_handoff.guard.guard import Guard

FORMS: Final = frozenset({"rasa.core.channels.twilio.TwilioInput", "rasa.core.channels.twilio_voice.TwilioVoiceInput"})
"""Channels whose vendor sends forms only."""
FORMS_TOO: Final = "rasa.core.channels.slack.SlackInput"
"""Slack sends pressed buttons as forms, and everything else as JSON."""
OURS_AND_RASAS: Final = frozenset({"rasa", "rasa_handoff"})
NO_OBJECT: Final = "The request's body must be a JSON object."


def refuse_other_than_objects(blueprint: Blueprint, channel: InputChannel, guard: Guard) -> None:
    """Answer messages to this channel's blueprint with 400 if they aren't JSON objects, before anything else reads them.

    A project's own channel that reads its requests itself may read something else, and is left alone.
    """
    known = class_names(type(channel))
    if not _reads_as_rasa(channel) or not FORMS.isdisjoint(known):
        return

    async def check(request: Request) -> HTTPResponse | None:
        is_message = request.method == "POST" and request.path.endswith("/webhook")
        may_be_form = FORMS_TOO in known and "json" not in (request.content_type or "")
        if not is_message or may_be_form or isinstance(_json_of(request), dict):
            return None
        refused = f"a request to the channel {channel.name()} whose body isn't a JSON object."
        guard.refusals.note(guard.address_of(SanicRequest(request).head), "http 400", refused)
        return response.json({"code": "invalid", "error": NO_OBJECT}, status=400)

    blueprint.middleware("request")(check)


def _reads_as_rasa(channel: InputChannel) -> bool:
    """Return whether Rasa's code, or ours, reads this channel's requests, also if the class is a project's own."""
    reading = (getattr(type(channel), name, None) for name in ("blueprint", "_extract_sender", "_extract_message"))
    return all(method.__module__.split(".")[0] in OURS_AND_RASAS for method in reading if method is not None)


def _json_of(request: Request) -> Any:
    try:
        return request.json
    except SanicException:
        return None
