"""What vendors answer. Several of Rasa's clients pass over a vendor's no in silence; here it is heard, and told apart.

A message counts as delivered when the vendor said so (2xx). :func:`attentive` makes an output raise on anything else, and
:func:`meaning` says what the exception means: :class:`Unreachable` (try again) or :class:`Refused` (no use in trying again).
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

from rasa_handoff.vocabulary.errors import HandoffError, Refused, Unreachable

PASSING: Final = (408, 425, 429)
"""4xx that say "not now" rather than "no"."""

SLACK_PASSING: Final = ("ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout")
"""Slack says these with status 200 too."""

TELEGRAM_NO: Final = (telegram.BadRequest, telegram.NotFound, telegram.Unauthorized, telegram.MigrateToChat)


class VendorAnswered(Exception):
    """Not 2xx. Without the address, which may carry a token."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text[:200]}")
        self.status = status


class HeardCallback(CallbackOutput):
    """Rasa's, which logs a refusal and goes on."""

    async def _persist_message(self, message: dict[str, Any]) -> None:
        await self.callback_endpoint.request("post", content_type="application/json", json=message)


class HeardMattermost(MattermostBot):
    """Rasa's, which logs a refusal and goes on. With an id (:meth:`named`) a post carries Mattermost's own duplicates key."""

    _id: str | None = None
    _parts = 0

    def named(self, id: str) -> None:
        """What is posted from now on belongs to the message of this id."""
        self._id, self._parts = id, 0

    def _post_data_to_channel(self, data: dict[str, Any]) -> requests.Response:
        if self._id is not None:
            self._parts += 1
            data = {**data, "pending_post_id": f"{self._id}:{self._parts}"}
        answer: requests.Response = super()._post_data_to_channel(data)
        _check(answer)
        return answer


class HeardTeams(BotFramework):
    """Rasa's, which logs a refusal, its token's included, and goes on."""

    async def send(self, message_data: dict[str, Any]) -> None:
        """Post an activity to the conversation."""
        headers = await self._get_headers()
        if headers is None:
            raise VendorAnswered(401, "no token was given for app_id and app_password")
        address = f"{self.global_uri}conversations/{self.conversation['id']}/activities"
        answer = requests.post(address, headers=headers, data=json.dumps(message_data), timeout=30)  # noqa: ASYNC210 - in a thread
        _check(answer)


def attentive(output: OutputChannel) -> OutputChannel:
    """The same output, made for one push, that raises when its vendor doesn't answer with 2xx."""
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


def meaning(problem: Exception, channel: str) -> HandoffError | None:
    """What an exception of a push means; None where nobody can tell."""
    if isinstance(problem, SlackApiError) and problem.response.get("error") not in SLACK_PASSING:
        return Refused("refused", f"{channel} refused it: {problem.response.get('error')}.")
    if isinstance(problem, TELEGRAM_NO):
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
