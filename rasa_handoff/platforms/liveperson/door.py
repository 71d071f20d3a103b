"""Who may come in: a Function's header, or a token of Custom Endpoint; the size, the JSON.

What LivePerson makes of an answer: 2xx with the JSON of its document is said to the customer. To a Function anything else is an
error, which it passes on; a Custom Endpoint is tried again, three times. Then it is a bot that failed, and the conversation goes
to the bot's default skill. So a refusal loses nobody. Only 404 to an event means something: "create the conversation again".
"""

from collections.abc import Awaitable, Mapping
from typing import Any

from sanic import response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.platforms.door import Rejected, carries, json_object
from rasa_handoff.platforms.liveperson.tokens import Tokens
from rasa_handoff.vocabulary.liveperson import EndpointSettings, FunctionSettings
from rasa_handoff.vocabulary.log_values import get_log

log = get_log(__name__)


def open_to_function(
    request: Request, functions: Mapping[str, FunctionSettings], limit: int
) -> tuple[str, dict[str, Any]]:
    """Which Function calls, by its name in the settings, and the request's body.

    Raises:
        Rejected: 401 wrong or missing header; 413 too large; 400 not a JSON object.
    """
    name = next((name for name, one in functions.items() if carries(request, one.header, one.secret)), None)
    if name is None:
        expected = sorted({function.header for function in functions.values()})
        found = [header for header in expected if header in request.headers]
        said = f"a wrong value in {', '.join(found)}" if found else f"none of the headers {', '.join(expected)}"
        raise Rejected(401, f"The request has {said}.")
    return name, json_object(request.body, limit)


def open_to_endpoint(
    request: Request, settings: EndpointSettings, tokens: Tokens, bot_id: str, environment: str | None = None
) -> None:
    """Whether LivePerson may ask this of this bot.

    Raises:
        Rejected: 401 no token or a wrong one; 404 a bot or an environment that isn't in the settings.
    """
    bot = settings.bots.get(bot_id)
    tokens.check(request.headers.get("Authorization"), bot.checked_audience if bot is not None else None)
    if bot is None:
        raise Rejected(404, f"The bot is {bot_id[:100]!r}, which doesn't stand under 'endpoint.bots'.")
    if environment is not None and environment not in bot.environments:
        raise Rejected(404, f"The environment is {environment[:100]!r}; {bot_id} has {', '.join(bot.environments)}.")


async def answered(request: Request, work: Awaitable[HTTPResponse]) -> HTTPResponse:
    """The answer, or the status of what is wrong, with a line in the log."""
    try:
        return await work
    except Rejected as no:
        log.warning("A request of %s to %s was refused with %s: %s", request.ip, request.path, no.status, no)
        return response.json({"error": no.shown}, no.status)
    except Exception:
        log.exception("A request to %s failed; LivePerson passes the conversation to people.", request.path)
        return response.json({"error": "The bot failed."}, 500)
