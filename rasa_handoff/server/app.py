"""The composition root: one ASGI application of python-socketio and Starlette, over one database, behind its guard.

A request under a foreign host name reaches neither pages nor sockets, and an address that asks for too many pages and files is
asked to wait. Requests to ``/socket.io/`` are counted by the guard of Socket.IO instead, which knows relays: they may poll
often.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from socketio import ASGIApp as SocketIOApp
from socketio import AsyncServer
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rasa_handoff.admin.commands import ADMIN, Handler
from rasa_handoff.admin.http_endpoint import AdminHttp
from rasa_handoff.admin.socket import AdminSocket
from rasa_handoff.core.assignment_timers import DeskTimers
from rasa_handoff.guard.compat.http_requests import AsgiRequest
from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.hosts import Hosts
from rasa_handoff.guard.refusals import escaped, shown_address
from rasa_handoff.guard.socketio_requests import HEADERS
from rasa_handoff.protocol.limits import Limits
from rasa_handoff.server import accounts
from rasa_handoff.server.gateways.botlhale_clients import BOTLHALE
from rasa_handoff.server.gateways.botlhale_gateway import BotlhaleGateway
from rasa_handoff.server.gateways.desk_gateway import DeskGateway
from rasa_handoff.server.gateways.relay_gateway import RelayGateway
from rasa_handoff.server.gateways.tkinter_gateway import TKINTER, Ports, TkinterGateway
from rasa_handoff.server.http.pages import Guarded, Pages, unavailable
from rasa_handoff.server.http.sign_in import Browsers
from rasa_handoff.server.public_url import BelowPath, PublicUrl
from rasa_handoff.server.sending_again import DEAD_LETTERS
from rasa_handoff.server.service.agent_operations import AgentService
from rasa_handoff.server.service.bot_operations import BotService
from rasa_handoff.server.service.presence import GRACE, Presence
from rasa_handoff.server.service.scheduler import HISTORY_DAYS, HistoryRetention, Sweeper, Timekeeper
from rasa_handoff.server.service.unit_of_work import Publisher
from rasa_handoff.server.storage.handoffs import RELAY
from rasa_handoff.server.storage.tables import OUTBOX, TIMERS, Unavailable, open_store
from rasa_handoff.store.dispatcher import Dispatcher, Target
from rasa_handoff.store.timers import Clock

EVENTS_AT_ONCE: Final = 1
"""Handlers of one socket that run at the same time: who sends many events delays only their own."""
TOO_MANY: Final = "Too many requests came from your network. Please try again in a moment."
SOCKETS: Final = "/socket.io/"
FOREIGN_HOST: Final = "This server isn't to be found under this name. Its log says what whoever runs it can do."


class ConversationService(BotService, AgentService):
    """The operations of both sides, over one database."""


def create_app(
    database: str,
    open_live_agent: bool = False,
    grace: float = GRACE,
    timers: DeskTimers = DeskTimers(),  # noqa: B008 - immutable
    now: Callable[[], float] = time.time,
    tkinter_demo: Ports | None = None,
    public: PublicUrl | None = None,
    hsts: int = 0,
    limits: Limits = Limits(),  # noqa: B008 - immutable
    hosts: Sequence[str] = (),
    admin_token: str | None = None,
    history_days: int = HISTORY_DAYS,
) -> ASGIApp:
    """Return the live-agent server as an ASGI application; its lifespan opens and closes the database.

    ``open_live_agent`` lets clients of Botlhale's protocol in from other machines without a token.
    ``grace``: seconds a desk may be closed before its agent counts as away. ``timers``: how long each state may last.
    ``now`` returns the wall-clock time in seconds since 1970. ``tkinter_demo``: the ports of the Tkinter demo's user window.
    ``public``: where browsers find the desk when a proxy stands before it. ``hsts``: seconds for which browsers that came by
    TLS may use nothing else.
    ``limits``: of the application's ``guard``. ``hosts``: the only host names that are accepted, beside the public one.
    ``admin_token``: lets commands in over HTTP; None: there are none over HTTP.
    ``history_days``: how long rows of ``handoff_event`` are kept.
    """
    # Any origin, for front ends that speak Botlhale's protocol; without credentials, and /desk checks for itself.
    sio = AsyncServer(async_mode="asgi", cors_allowed_origins="*", cors_credentials=False)
    guard = Guard(limits)
    guard.protect(sio, EVENTS_AT_ONCE, relays=True)
    store, publisher = open_store(database), Publisher()
    timekeeper = Timekeeper(timers, now)
    conversations = ConversationService(store, publisher, timekeeper)
    presence = Presence(conversations, grace)
    relay = RelayGateway(sio, conversations, store, now, guard)
    botlhale = BotlhaleGateway(sio, conversations, open_live_agent, guard)
    browsers = Browsers(store, public, guard.refusals)
    desk = DeskGateway(sio, conversations, presence, browsers, guard)
    tkinter = TkinterGateway(conversations, tkinter_demo)
    targets: dict[str, Target] = {RELAY: relay, BOTLHALE: botlhale, TKINTER: tkinter}
    conversations.dispatcher = Dispatcher(store, OUTBOX, targets, conversations.finish, conversations.set_aside)

    commands: dict[str, Handler] = {}

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(store)
            await store.write(timekeeper.recover)
            clock = Clock(store, TIMERS, conversations.fire, now)
            checks = [
                store.look,
                conversations.refresh_availability,
                desk.close_ended,
                relay.close_revoked,
                botlhale.close_revoked,
                HistoryRetention(store, history_days, now).check,
            ]
            sweeper = Sweeper(checks, lambda: store.write(accounts.changes))
            stack.callback(commands.clear)
            commands.update(
                DEAD_LETTERS.handlers(store.write, lambda lane_key: conversations.dispatcher.notify([lane_key]))
            )
            await stack.enter_async_context(AdminSocket(database, commands))
            for part in (guard, conversations.dispatcher, publisher, presence, clock, sweeper, tkinter):
                await stack.enter_async_context(part)
            yield
            conversations.closing = True
            await sio.shutdown()

    routes = Pages(store, browsers, guard.refusals, desk.close_ended).routes()
    routes.append(Route(ADMIN, _Commands(AdminHttp(admin_token, commands, guard))))
    web = Starlette(routes=routes, lifespan=lifespan, exception_handlers={Unavailable: unavailable})
    web.router.redirect_slashes = False  # it would send browsers to whatever Host says
    guard.hosts = Hosts([public.host] if public else [])
    guard.hosts.allow(hosts)
    return GuardedApp(BelowPath(SocketIOApp(sio, Guarded(web, browsers, hsts)), public.path if public else ""), guard)


class _Commands:
    """The address for commands, as an ASGI application: a request's head is checked before its body is read."""

    def __init__(self, admin: AdminHttp) -> None:
        self._admin = admin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._admin.answer(AsgiRequest(scope, receive, send))
        await Response(answer.body, answer.status, dict(answer.headers))(scope, receive, send)


class GuardedApp:
    """The application with its ``guard``. Whoever runs it informs the guard of connections and of the address it listens on."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app, self.guard = app, guard
        self._explained = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check host and rate, then call the application (ASGI)."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            if not self.guard.hosts.fits(headers.get("host")):
                return await self._refuse(scope, headers, receive, send)
        if scope["type"] == "http" and SOCKETS not in scope["path"] and not self.guard.may_ask(_address(scope)):
            refusal_headers = {**dict(HEADERS), "Retry-After": "1"}
            return await PlainTextResponse(TOO_MANY, 429, refusal_headers)(scope, receive, send)
        await self._app(scope, receive, send)

    async def _refuse(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        host, origin = escaped(headers["host"], 100), headers.get("origin")
        sentence = f"a request for the host {host}: this server is {self.guard.hosts}."
        if origin is not None:
            sentence += f" Its page is of {escaped(origin, 100)}."
        if not self._explained:
            self._explained = True
            sentence += (
                f" If {host} leads here by right, start the server with --allowed-host {host}, or with --public-url if it is "
                "the address of a proxy (docs/behind-a-proxy.md)."
            )
        self.guard.refusals.note(_address(scope), "host", sentence)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # not accepted yet: answered with 403
        else:
            await PlainTextResponse(FOREIGN_HOST, 403, dict(HEADERS))(scope, receive, send)


def _address(scope: Scope) -> str:
    """Return the address a request counts for: the real peer, or the one that a trusted proxy names."""
    client = scope.get("client")
    return shown_address(client[0] if client else None)
