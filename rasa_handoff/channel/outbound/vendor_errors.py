"""Vendors' errors, which several of Rasa's clients ignore silently, raised and translated.

A message is delivered once the vendor has answered with 2xx. :func:`raise_on_errors` makes an output raise on anything else, and
:func:`translate_error` turns the exception into :class:`Unreachable` (retry later) or :class:`Refused` (never retry).
"""

import asyncio
import json
from typing import Any, Final

import aiohttp
import requests
from aiogram.utils import exceptions as telegram  # type: ignore[import-untyped]
from rasa.core.channels.botframework import BotFramework
from rasa.core.channels.callback import CallbackOutput
from rasa.core.channels.channel import OutputChannel
from rasa.core.channels.facebook import MessengerBot
from rasa.core.channels.mattermost import MattermostBot
from rasa.core.channels.rocketchat import RocketChatBot
from rasa.core.channels.twilio import TwilioOutput
from rasa.utils.endpoints import ClientResponseError
from slack_sdk.errors import SlackApiError
from webexteamssdk.exceptions import ApiError  # type: ignore[import-untyped]

from rasa_handoff.protocol.errors import HandoffError, Refused, Unreachable

PASSING: Final = (408, 425, 429)
"""4xx statuses that allow a retry."""

SLACK_PASSING: Final = ("ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout")
"""Slack's errors that allow a retry; it sends them with status 200 too."""

TELEGRAM_REFUSALS: Final = (telegram.BadRequest, telegram.NotFound, telegram.Unauthorized, telegram.MigrateToChat)


class VendorAnswered(Exception):
    """A vendor's answer that isn't 2xx. The message leaves out the address, which may contain a token."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text[:200]}")
        self.status = status


class CallbackWithErrors(CallbackOutput):
    """Rasa's output, which only logs a refusal; this one raises."""

    async def _persist_message(self, message: dict[str, Any]) -> None:
        await self.callback_endpoint.request("post", content_type="application/json", json=message)


class MattermostWithErrors(MattermostBot):
    """Rasa's output, which only logs a refusal; this one raises.

    With an id (:meth:`named`) a post carries ``pending_post_id``, by which Mattermost recognises copies.
    """

    _id: str | None = None
    _parts = 0

    def named(self, id: str) -> None:
        """Set the id of the message that the next posts belong to."""
        self._id, self._parts = id, 0

    def _post_data_to_channel(self, data: dict[str, Any]) -> requests.Response:
        if self._id is not None:
            self._parts += 1
            data = {**data, "pending_post_id": f"{self._id}:{self._parts}"}
        answer: requests.Response = super()._post_data_to_channel(data)
        _check(answer)
        return answer


class WebexTeamsWithErrors(BotFramework):
    """Rasa's output, which only logs a refusal, of its token too; this one raises."""

    async def send(self, message_data: dict[str, Any]) -> None:
        """Post an activity to the conversation."""
        headers = await self._get_headers()
        if headers is None:
            raise VendorAnswered(401, "no token was given for app_id and app_password")
        address = f"{self.global_uri}conversations/{self.conversation['id']}/activities"
        answer = requests.post(address, headers=headers, data=json.dumps(message_data), timeout=30)  # noqa: ASYNC210 - in a thread
        _check(answer)


def raise_on_errors(output: OutputChannel) -> OutputChannel:
    """Make an output, which serves one push, raise when its vendor doesn't answer with 2xx; return it."""
    if isinstance(output, MessengerBot):
        output.messenger_client.session.hooks["response"].append(_check)
    elif isinstance(output, TwilioOutput):
        output.http_client.request_hooks = {"response": [_check]}
    elif isinstance(output, RocketChatBot):
        output.rocket.req = requests.Session()
        output.rocket.req.hooks["response"].append(_check)
    return output


def _check(answer: requests.Response, *_: Any, **__: Any) -> None:
    if answer.status_code >= 400:
        raise VendorAnswered(answer.status_code, answer.text)


def translate_error(problem: Exception, channel: str) -> HandoffError | None:
    """Translate an exception of a push into one of this package's; None if its meaning is unknown."""
    if isinstance(problem, SlackApiError) and problem.response.get("error") not in SLACK_PASSING:
        return Refused("refused", f"{channel} refused it: {problem.response.get('error')}.")
    if isinstance(problem, TELEGRAM_REFUSALS):
        return Refused("refused", f"{channel} refused it: {problem}.")
    status = _status(problem)
    if status is not None and 400 <= status < 500 and status not in PASSING:
        return Refused("refused", f"{channel} refused it: {problem}.")
    passing = (OSError, asyncio.TimeoutError, aiohttp.ClientError, telegram.TelegramAPIError, SlackApiError)
    if status is not None or isinstance(problem, passing):
        return Unreachable(f"{channel} doesn't take it now: {type(problem).__name__} {status or ''}".rstrip() + ".")
    return None


def _status(problem: Exception) -> int | None:
    if isinstance(problem, VendorAnswered | ClientResponseError):
        return int(problem.status)
    return int(problem.status_code) if isinstance(problem, ApiError) else None
