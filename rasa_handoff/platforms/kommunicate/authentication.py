"""Authentication of Kommunicate's calls: a bot's header, or the account webhook's token.

Kommunicate shows the customer a 2xx answer with a JSON array. To any other answer it reacts as to a bot that has failed:
it gives the conversation to people by the rules of the dashboard. So a request that is refused loses no customer.
"""

import base64
import hmac
from collections.abc import Mapping
from typing import Any, Final

from sanic.request import Request

from rasa_handoff.platforms.base import Rejected, json_object, trusted_callers
from rasa_handoff.platforms.platform_settings import SecretHeader

ACCOUNT_HEADERS: Final = ("Authentication", "Authorization")
"""The account webhook's header. The first is the documented one; the other is read in case the documents are wrong."""


def authenticate_bot(request: Request, bots: Mapping[str, SecretHeader], limit: int) -> dict[str, Any]:
    """Check who calls a bot's webhook, and return the request's body.

    Raises:
        Rejected: 401 wrong or missing header; 413 too large; 400 not a JSON object; 404 a bot that isn't in the settings.
    """
    trusted = trusted_callers(request, bots)
    body = json_object(request.body, limit)
    bot_id = body.get("botId")
    if not isinstance(bot_id, str) or bot_id not in bots:
        raise Rejected(404, f"botId is {str(bot_id)[:100]!r}, which doesn't stand under 'bots'.")
    if bot_id not in trusted:
        raise Rejected(401, f"The request for the bot {bot_id!r} has another bot's header.")
    return body


def authenticate_account(request: Request, token: str, limit: int) -> dict[str, Any]:
    """Check who calls the account webhook, and return the request's body.

    Raises:
        Rejected: 401 wrong or missing header; 413 too large; 400 not a JSON object.
    """
    expected = base64.b64encode(token.strip().encode())
    found = [request.headers[name] for name in ACCOUNT_HEADERS if name in request.headers]
    kinds = [value.strip().partition(" ") for value in found]
    given = [(kind.casefold(), rest.strip().encode(errors="surrogateescape")) for kind, _, rest in kinds]
    if not any(kind == "basic" and hmac.compare_digest(value, expected) for kind, value in given):
        wrong = "a wrong value in the header" if found else "neither of the headers"
        raise Rejected(401, f"The request has {wrong} {' or '.join(ACCOUNT_HEADERS)}.")
    return json_object(request.body, limit)
