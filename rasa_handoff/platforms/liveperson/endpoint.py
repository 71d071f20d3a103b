"""The routes of Custom Endpoint v1, which LivePerson calls directly, with a token.

https://developers.liveperson.com/third-party-bots-custom-endpoint-service-implementation.html
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff import __version__
from rasa_handoff.platforms.base import Rejected, json_object
from rasa_handoff.platforms.liveperson.answer_parts import Saying, endpoint_answer
from rasa_handoff.platforms.liveperson.authentication import TokenCheck, answer_or_refuse, authenticate_endpoint
from rasa_handoff.platforms.liveperson.requests import CLOSED, LivePersonCall, from_endpoint
from rasa_handoff.platforms.liveperson.settings import EndpointSettings
from rasa_handoff.platforms.memory import Context, Memory
from rasa_handoff.platforms.reading import as_id, as_mapping
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.logs import get_log, short_id

log = get_log(__name__)

BOT: Final = "/v1/bots/<bot_id>/environments"
CONVERSATION: Final = f"{BOT}/<environment>/conversations/<conversation_id>"
NOTHING: Final = (b"", b"null")
"""Bodies without a context; the conversation is created all the same."""

Ask = Callable[[LivePersonCall, float], Awaitable[list[Saying]]]
"""Returns what the bot says to a call that arrived at this time."""

EndpointHandler = Callable[..., Awaitable[HTTPResponse]]


class Endpoint:
    """The routes' handlers.

    ``limit``: the largest body, in bytes; ``ready``: whether a model is loaded; ``memory``: what the channel remembers.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        limit: int,
        ask: Ask,
        ready: Callable[[], bool],
        memory: Callable[[], Memory],
    ) -> None:
        self._settings, self._limit, self._ask, self._ready = settings, limit, ask, ready
        self._tokens, self._memory = TokenCheck(settings), memory

    def add_routes(self, blueprint: Blueprint) -> None:
        """Add the routes below ``/webhooks/liveperson``, which LivePerson's vendor configuration has as base address."""
        routes: dict[tuple[str, str], EndpointHandler] = {
            ("GET", BOT): self._environments,
            ("GET", f"{BOT}/<environment>/state"): self._state,
            ("PUT", CONVERSATION): self._create,
            ("POST", f"{CONVERSATION}/events"): self._event,
        }
        for (method, uri), handler in routes.items():
            blueprint.add_route(_answered(handler), uri, methods=[method], name=f"{method} {uri}", unquote=True)

    async def _environments(self, request: Request, bot_id: str) -> HTTPResponse:
        authenticate_endpoint(request, self._settings, self._tokens, bot_id)
        return response.json(list(self._settings.bots[bot_id].environments))

    async def _state(self, request: Request, bot_id: str, environment: str) -> HTTPResponse:
        """Return the bot's state. LivePerson asks for it at Test Connection and when the bot is started; both need ``online``."""
        authenticate_endpoint(request, self._settings, self._tokens, bot_id, environment)
        return response.json({"state": "online" if self._ready() else "offline", "version": __version__})

    async def _create(self, request: Request, bot_id: str, environment: str, conversation_id: str) -> HTTPResponse:
        authenticate_endpoint(request, self._settings, self._tokens, bot_id, environment)
        if (id := as_id(conversation_id)) is None:
            raise Rejected(400, f"The conversation's id is empty, or has more than {LONGEST_ID} characters.")
        body = b"{}" if request.body.strip() in NOTHING else request.body
        new = await self._memory().create_context(id, json_object(body, self._limit))
        return response.json({}, 201 if new else 409)

    async def _event(self, request: Request, bot_id: str, environment: str, conversation_id: str) -> HTTPResponse:
        arrived = time.time()
        authenticate_endpoint(request, self._settings, self._tokens, bot_id, environment)
        incoming = from_endpoint(json_object(request.body, self._limit), bot_id, environment, conversation_id)
        context = await self._memory().context(incoming.conversation_id)
        if context is None:
            log.info(
                "The conversation %s isn't known yet: LivePerson creates it and asks again.", short_id(conversation_id)
            )
            return response.json({"error": "The conversation isn't known."}, 404)
        incoming = _with_context(incoming, context)
        said = [] if incoming.kind == CLOSED else await self._ask(incoming, arrived)
        return response.json(endpoint_answer(said))


def _with_context(incoming: LivePersonCall, created: Context) -> LivePersonCall:
    rest = {**incoming.rest, **{name: value for name, value in created.items() if name != "sdes"}}
    return msgspec.structs.replace(incoming, attributes=dict(as_mapping(created.get("sdes"))), rest=rest)


def _answered(handler: EndpointHandler) -> EndpointHandler:
    async def route(request: Request, **parts: str) -> HTTPResponse:
        return await answer_or_refuse(request, handler(request, **parts))

    return route
