"""Vendors' errors, which several of Rasa's clients ignore silently, raised and translated.

A message is delivered once the vendor has answered without an error. :func:`raise_on_errors` makes an output raise on an error
status (400 or above), and :func:`translate_error` turns the exception into :class:`Unreachable` (retry later) or
:class:`Refused` (never retry).
Outputs and exceptions are known by their classes' names, so that no vendor's SDK is loaded here.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import requests
from rasa.core.channels.callback import CallbackOutput
from rasa.core.channels.channel import OutputChannel
from rasa.utils.endpoints import ClientResponseError

from rasa_handoff.channel.compat.rasa_channels import class_names
from rasa_handoff.protocol.errors import HandoffError, Refused, Unreachable

RETRYABLE: Final = (408, 425, 429)
"""4xx statuses that allow a retry."""

SLACK_RETRYABLE: Final = ("ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout")
"""Slack's errors that allow a retry; it sends them with status 200 too."""

SLACK_ERROR: Final = "slack_sdk.errors.SlackApiError"
TELEGRAM_ERROR: Final = "aiogram.utils.exceptions.TelegramAPIError"
TELEGRAM_REFUSALS: Final = tuple(
    f"aiogram.utils.exceptions.{name}" for name in ("BadRequest", "NotFound", "Unauthorized", "MigrateToChat")
)
TELEGRAM_RETRY: Final = "aiogram.utils.exceptions.RetryAfter"
LONGEST_PAUSE: Final = 3_600.0
"""The most seconds for which nothing is sent because a vendor says so."""
WEBEX_ERROR: Final = "webexteamssdk.exceptions.ApiError"


class VendorAnswered(Exception):
    """A vendor's answer with an error status. The message leaves out the address, which may contain a token.

    ``retry_after``: seconds for which the vendor wants no other request, as it says it.
    """

    def __init__(self, status: int, text: str, retry_after: Any = None) -> None:
        super().__init__(f"{status} {text[:200]}")
        self.status, self.retry_after = status, retry_after


class CallbackWithErrors(CallbackOutput):
    """Rasa's output, which only logs a refusal; this one raises."""

    async def _persist_message(self, message: dict[str, Any]) -> None:
        await self.callback_endpoint.request("post", content_type="application/json", json=message)


def raise_on_errors(output: OutputChannel) -> OutputChannel:
    """Make an output, which serves one push, raise when its vendor answers with an error status; return it."""
    for name in class_names(type(output)):
        if name in HOOKS:
            HOOKS[name](output)
    return output


def _hook_facebook(output: Any) -> None:
    output.messenger_client.session.hooks["response"].append(check)


def _hook_twilio(output: Any) -> None:
    output.http_client.request_hooks = {"response": [check]}


def _hook_rocketchat(output: Any) -> None:
    output.rocket.req = requests.Session()
    output.rocket.req.hooks["response"].append(check)


def _hook_webexteams(output: Any) -> None:
    """Have a refusal for a time raised: the client would sleep in its thread, and send when it was given up long ago."""
    output.api._session.wait_on_rate_limit = False


HOOKS: Final[Mapping[str, Callable[[Any], None]]] = {
    "rasa.core.channels.facebook.MessengerBot": _hook_facebook,
    "rasa.core.channels.rocketchat.RocketChatBot": _hook_rocketchat,
    "rasa.core.channels.twilio.TwilioOutput": _hook_twilio,
    "rasa.core.channels.webexteams.WebexTeamsBot": _hook_webexteams,
}
"""Where each output's client takes a function that sees every answer."""


def check(answer: requests.Response, *_: Any, **__: Any) -> None:
    """Check a vendor's answer.

    Raises:
        VendorAnswered: its status is 400 or above.
    """
    if answer.status_code >= 400:
        raise VendorAnswered(answer.status_code, answer.text, answer.headers.get("Retry-After"))


def translate_error(problem: Exception, channel: str) -> HandoffError | None:
    """Translate an exception of a push into one of this package's; None if its meaning is unknown."""
    kinds = class_names(type(problem))
    slack = str(getattr(problem, "response", {}).get("error")) if SLACK_ERROR in kinds else None
    if slack is not None and slack not in SLACK_RETRYABLE:
        return Refused("refused", f"{channel} refused it: {slack}.")
    status = _status(problem, kinds)
    refused = status is not None and 400 <= status < 500 and status not in RETRYABLE
    if refused or any(kind in TELEGRAM_REFUSALS for kind in kinds):
        return Refused("refused", f"{channel} refused it: {problem}.")
    may_be_retried = (
        isinstance(problem, OSError | asyncio.TimeoutError | aiohttp.ClientError) or TELEGRAM_ERROR in kinds
    )
    if may_be_retried or status is not None or slack is not None:
        return Unreachable(f"{channel} doesn't take it now: {type(problem).__name__} {status or ''}".rstrip() + ".")
    return None


def retry_after(problem: Any) -> float:
    """Return the seconds for which a vendor wants no other request, as far as it says so: 0 if it doesn't.

    Telegram's client has them as ``timeout``, Slack's in the answer's headers, the others as ``retry_after``.
    """
    headers = getattr(getattr(problem, "response", None), "headers", None)
    stated = headers.get("Retry-After") if isinstance(headers, Mapping) else None
    if TELEGRAM_RETRY in class_names(type(problem)):
        stated = problem.timeout
    stated = getattr(problem, "retry_after", None) if stated is None else stated
    try:
        return min(max(float(stated), 0.0), LONGEST_PAUSE) if stated is not None else 0.0
    except (TypeError, ValueError):
        return 0.0


def _status(problem: Any, kinds: Sequence[str]) -> int | None:
    if isinstance(problem, VendorAnswered | ClientResponseError):
        return int(problem.status)
    return int(problem.status_code) if WEBEX_ERROR in kinds else None
