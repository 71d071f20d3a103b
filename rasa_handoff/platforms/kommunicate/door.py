"""Who may come in: the operator's header, the size, the JSON, the bot it is for.

What Kommunicate makes of an answer: 2xx with a JSON array is said to the customer; anything else is a bot that failed, and the
conversation goes to people by the rules of the dashboard. So a refusal loses nobody.
"""

import base64
import hmac
from collections.abc import Mapping
from typing import Any, Final

from sanic.request import Request

from rasa_handoff.platforms.door import Rejected, carries, json_object
from rasa_handoff.vocabulary.kommunicate import BotSettings

ACCOUNT_HEADERS: Final = ("Authentication", "Authorization")
"""The first is the documented one; the other is read in case it was a slip."""


def open_to(request: Request, bots: Mapping[str, BotSettings], limit: int) -> dict[str, Any]:
    """The request's body, if whoever sends it may.

    Raises:
        Rejected: 401 wrong or missing header; 413 too large; 400 not a JSON object; 404 a bot that isn't in the settings.
    """
    trusted = {id for id, bot in bots.items() if carries(request, bot.header, bot.secret)}
    if not trusted:
        expected = sorted({bot.header for bot in bots.values()})
        found = [name for name in expected if name in request.headers]
        said = f"a wrong value in {', '.join(found)}" if found else f"none of the headers {', '.join(expected)}"
        raise Rejected(401, f"The request has {said}.")
    body = json_object(request.body, limit)
    bot_id = body.get("botId")
    if not isinstance(bot_id, str) or bot_id not in bots:
        raise Rejected(404, f"botId is {str(bot_id)[:100]!r}, which doesn't stand under 'bots'.")
    if bot_id not in trusted:
        raise Rejected(401, f"The request for the bot {bot_id!r} has another bot's header.")
    return body


def open_to_account(request: Request, token: str, limit: int) -> dict[str, Any]:
    """The body of a call of the account webhook, whose header the documents call ``Authentication``, if whoever calls may.

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
