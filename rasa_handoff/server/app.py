"""The composition root: one ASGI application of python-socketio and Starlette, over one database, behind its guard.

A request under a foreign host name reaches neither pages nor sockets, and an address that asks for too many pages and files is
asked to wait. Requests to ``/socket.io/`` are counted by the guard of Socket.IO instead, which knows relays: they may poll
often.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from socketio import ASGIApp as SocketIOApp
from socketio import AsyncServer
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rasa_handoff.admin import forget_command
from rasa_handoff.admin.commands import ADMIN, Handler
from rasa_handoff.admin.http_endpoint import AdminHttp
from rasa_handoff.admin.socket import AdminSocket
from rasa_handoff.core.assignment_timers import DeskTimers
from rasa_handoff.guard.compat.http_requests import AsgiRequest
from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.hosts import Hosts
from rasa_handoff.guard.refusals import escaped, shown_address
from rasa_handoff.guard.socketio_requests import HEADERS
from rasa_handoff.guard.text_packets import TextPacket
from rasa_handoff.media.media_library import MediaLibrary
from rasa_handoff.media.media_store import NOWHERE, folder_beside, open_media_store
from rasa_handoff.media.media_sweeper import MediaSweeper
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.limits import Limits
from rasa_handoff.protocol.media_limits import MediaLimits
from rasa_handoff.protocol.names import RELAY_TOKEN_PATH
from rasa_handoff.protocol.retention_settings import RetentionSettings
from rasa_handoff.protocol.values import Value
from rasa_handoff.server import accounts
from rasa_handoff.server.brake import Brake
from rasa_handoff.server.gateways.botlhale_clients import BOTLHALE
from rasa_handoff.server.gateways.botlhale_gateway import CLIENT_LEFT, BotlhaleGateway
from rasa_handoff.server.gateways.desk_gateway import DeskGateway, DeskService
from rasa_handoff.server.gateways.relay_gateway import RelayGateway
from rasa_handoff.server.gateways.tkinter_gateway import TKINTER, Ports, TkinterGateway
from rasa_handoff.server.http.media_pages import MediaPages
from rasa_handoff.server.http.pages import Pages, SecurityHeaders, unavailable
from rasa_handoff.server.http.relay_token import RelayTokenPage
from rasa_handoff.server.http.sign_in import Browsers
from rasa_handoff.server.public_url import BelowPath, PublicUrl
from rasa_handoff.server.sending_again import DEAD_LETTERS
from rasa_handoff.server.service.bot_operations import BotService
from rasa_handoff.server.service.deletions import DeletionService
from rasa_handoff.server.service.media_operations import MEDIA_IN_USE, UNUSED_MEDIA_SECONDS
from rasa_handoff.server.service.presence import GRACE, Presence
from rasa_handoff.server.service.publications import PUBLICATION
from rasa_handoff.server.service.queue_notices import PLACE_NOTICE_SECONDS, QueueNotices
from rasa_handoff.server.service.relay_owner import RELAY_READY
from rasa_handoff.server.service.scheduler import AUDIT_DAYS, HISTORY_DAYS, Sweeper, Timekeeper
from rasa_handoff.server.service.unit_of_work import AVAILABILITY, Publisher
from rasa_handoff.server.storage import whereabouts
from rasa_handoff.server.storage.handoffs import RELAY
from rasa_handoff.server.storage.tables import MEDIA, OUTBOX, PROCESSES, TIMERS, Unavailable, open_store
from rasa_handoff.store.change_log import ChangeHandler, LoggedChange
from rasa_handoff.store.dispatcher import Dispatcher
from rasa_handoff.store.lane_leases import LANE_TOPICS
from rasa_handoff.store.retention import Retention
from rasa_handoff.store.sharing import Sharing
from rasa_handoff.store.targets import Target
from rasa_handoff.store.tasks import begin, close_in_time, closing_in_time
from rasa_handoff.store.timers import Clock

NOTED_AGAIN: Final = 0.5
"""Seconds until another attempt to note who is connected here."""
EVENTS_AT_ONCE: Final = 1
"""Handlers that run at the same time for one socket. With one, a socket that sends many events delays only its own."""
TOO_MANY: Final = "Too many requests came from your network. Please try again in a moment."
SOCKETS: Final = "/socket.io/"
FOREIGN_HOST: Final = "This server isn't to be found under this name. Whoever runs it finds in its log what to do."


class ConversationService(BotService, DeskService, DeletionService):
    """The operations of both sides, over one database."""


class ServerSettings(Value, frozen=True, kw_only=True):
    """The choices of whoever runs the server (``rasa-handoff serve``).

    ``open_live_agent`` lets clients of Botlhale's protocol in from other machines without a token. ``timers``: how long each
    state may last. ``tkinter_demo``: the ports of the Tkinter demo's user window. ``public``: where browsers find the desk
    when a proxy stands before it. ``hsts``: seconds for which browsers that came by TLS may use nothing else. ``limits``: how
    much the guard lets one sender, one address and all together use. ``hosts``: the only host names that are accepted, beside
    the public one. ``admin_token``: lets commands in over HTTP; None: there are none over HTTP. ``history_days``: how long
    rows of ``handoff_event`` are kept. ``audit_days``: how long those of the audit log. ``retention``: how long everything else
    is kept. ``place_notices``: seconds between two notices of a place in the queue to one customer; None: a customer hears of it
    only when they are next. ``bus``: the address of a Redis by which servers that share a Postgres database tell each other to
    look; None: the database does it. ``media``: where pictures and files are kept; None: beside a SQLite database, else nowhere.
    ``media_limits``: how many.
    """

    open_live_agent: bool = False
    timers: DeskTimers = DeskTimers()
    tkinter_demo: Ports | None = None
    public: PublicUrl | None = None
    hsts: int = 0
    limits: Limits = Limits()
    hosts: tuple[str, ...] = ()
    admin_token: str | None = None
    history_days: int = HISTORY_DAYS
    audit_days: int = AUDIT_DAYS
    retention: RetentionSettings = RetentionSettings()
    place_notices: float | None = PLACE_NOTICE_SECONDS
    bus: str | None = None
    media: str | None = None
    media_limits: MediaLimits = MediaLimits()


def create_app(
    database: str,
    settings: ServerSettings = ServerSettings(),  # noqa: B008 - immutable
    grace: float = GRACE,
    now: Callable[[], float] = time.time,
) -> ASGIApp:
    """Return the live-agent server as an ASGI application; its lifespan opens and closes the database.

    ``grace``: seconds a desk may be closed before its agent counts as away. ``now`` returns the wall-clock time in seconds since
    1970.
    """
    return _LiveAgentServer(database, settings, grace, now).application()


class _LiveAgentServer:
    """The parts of the server, over one database, and how they start and stop together."""

    def __init__(self, database: str, settings: ServerSettings, grace: float, now: Callable[[], float]) -> None:
        self._database, self._settings, self._now = database, settings, now
        # Any origin, for front ends that speak Botlhale's protocol, but without cookies; /desk checks the origin itself.
        self._sio = AsyncServer(
            async_mode="asgi", serializer=TextPacket, cors_allowed_origins="*", cors_credentials=False
        )
        self._guard = self._make_guard()
        self._store, self._publisher = open_store(database), Publisher()
        self._timekeeper = Timekeeper(settings.timers, now)
        service = self._service = ConversationService(self._store, self._publisher, self._timekeeper)
        self._presence = Presence(service, grace)
        self._browsers = Browsers(self._store, settings.public, self._guard.refusals)
        self._brake = Brake(self._store, now)
        self._media = self._library()
        self._media_pages = MediaPages(self._media, service, self._store, self._browsers, self._guard)
        largest = None if self._media is None else settings.media_limits.file_bytes
        self._relay = RelayGateway(self._sio, service, self._store, now, self._guard, largest)
        self._desk = DeskGateway(
            self._sio, service, self._presence, self._browsers, self._guard, self._media_pages.address, largest
        )
        self._botlhale = BotlhaleGateway(self._sio, service, settings.open_live_agent, self._guard)
        self._tkinter = TkinterGateway(service, settings.tkinter_demo)
        targets: dict[str, Target] = {RELAY: self._relay, BOTLHALE: self._botlhale, TKINTER: self._tkinter}
        self._sharing = self._share()
        membership = self._sharing.membership
        service.dispatcher = Dispatcher(
            self._store, OUTBOX, targets, service.finish, service.set_aside, lambda: membership.is_valid
        )
        self._queue_notices = QueueNotices(
            self._store, service, settings.place_notices, now, self._sharing.membership.is_first
        )
        self._commands: dict[str, Handler] = {}

    def _library(self) -> MediaLibrary | None:
        """Return what keeps pictures and files; None if nothing does."""
        settings = self._settings
        where = settings.media or folder_beside(self._database)
        if where is None or where == NOWHERE:
            return None
        media_store, is_named = open_media_store(where), settings.media is not None
        return MediaLibrary(self._store, MEDIA, media_store, settings.media_limits, self._now, tried_at_start=is_named)

    def _share(self) -> Sharing:
        """Return the part of this server in what several do that share the database."""
        service = self._service

        async def follow_lanes(changes: Sequence[LoggedChange]) -> None:
            await service.dispatcher.follow(changes)

        handlers: dict[str, ChangeHandler] = {
            **dict.fromkeys(LANE_TOPICS, follow_lanes),
            AVAILABILITY: service.follow_availability,
            RELAY_READY: self._relay.follow,
            CLIENT_LEFT: self._botlhale.follow,
            PUBLICATION: service.follow,  # last: it isn't read again when the database can't be used for the others
        }
        return Sharing(
            self._store,
            OUTBOX,
            PROCESSES,
            handlers,
            on_released=lambda: service.dispatcher.look_for_resting(),
            on_lost=self._start_anew,
            remove_of_ended=whereabouts.remove_of_ended,
            bus_url=self._settings.bus,
            own_topic=PUBLICATION,
        )

    def _start_anew(self) -> None:
        """Note anew who is connected: this process stood still, so others have taken over what it had."""
        self._service.dispatcher.doubt()
        begin(self._note_again())

    async def _note_again(self) -> None:
        while not self._service.closing:
            with contextlib.suppress(Unreachable):
                await self._presence.note_again()
                return await self._botlhale.note_again()
            await asyncio.sleep(NOTED_AGAIN)

    def _make_guard(self) -> Guard:
        settings = self._settings
        guard = Guard(settings.limits)
        guard.protect(self._sio, EVENTS_AT_ONCE, relays=True)
        guard.hosts = Hosts([settings.public.host] if settings.public else [])
        guard.hosts.allow(settings.hosts)
        return guard

    def application(self) -> "GuardedApp":
        """Return the ASGI application, whose lifespan starts and stops the parts."""
        settings, guard = self._settings, self._guard
        pages = Pages(
            self._store,
            self._browsers,
            self._brake,
            guard.refusals,
            self._desk.close_ended,
            lambda: self._sharing.shown,
        )
        routes = [*pages.routes(), *self._media_pages.routes()]
        routes.append(Route(ADMIN, _Commands(AdminHttp(settings.admin_token, self._commands, guard))))
        routes.append(Route(RELAY_TOKEN_PATH, RelayTokenPage(self._store, guard, self._relay.owner, self._now)))
        web = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers={Unavailable: unavailable})
        web.router.redirect_slashes = False  # it would send browsers to whatever Host says
        both = SocketIOApp(self._sio, SecurityHeaders(web, self._browsers, settings.hsts))
        return GuardedApp(BelowPath(both, settings.public.path if settings.public else ""), guard)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        service, settings = self._service, self._settings
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(closing_in_time(self._store))
            sharing = await stack.enter_async_context(closing_in_time(self._sharing))
            if await sharing.membership.is_alone():
                await self._store.write(self._timekeeper.recover)
            clock = Clock(self._store, TIMERS, service.fire, self._now)
            stack.callback(self._commands.clear)
            self._commands.update(
                DEAD_LETTERS.handlers(self._store.write, lambda lane_key: service.dispatcher.notify([lane_key]))
            )
            self._commands.update(forget_command.handlers(service.forget))
            await stack.enter_async_context(closing_in_time(AdminSocket(self._database, self._commands)))
            speakers = self._relay.owner  # before what lets relays in
            parts = (speakers, self._guard, service.dispatcher, self._publisher, self._presence, clock, self._sweeper())
            expiries = service.expiries(settings.retention, settings.history_days, settings.audit_days)
            for part in (*parts, self._tkinter, Retention(expiries, self._now)):
                await stack.enter_async_context(closing_in_time(part))
            if self._media is not None:
                await stack.enter_async_context(self._media)
                sweeper = MediaSweeper(self._media, self._store, MEDIA_IN_USE, UNUSED_MEDIA_SECONDS, self._now)
                await stack.enter_async_context(sweeper)
            sharing.begin()
            yield
            service.closing = True
            await close_in_time("Socket.IO", self._sio.shutdown())

    def _sweeper(self) -> Sweeper:
        checks: list[Callable[[], Awaitable[object]]] = [
            self._store.look,  # whether the database can be used
            self._service.refresh_availability,
            self._presence.look_for_left,
            self._desk.close_ended,
            self._desk.follow_roles,
            self._desk.close_forbidden,
            self._desk.show_outdated,
            self._relay.close_revoked,
            self._botlhale.close_revoked,
            self._queue_notices.check,
            self._brake.forget_old,
        ]
        return Sweeper(checks, lambda: self._store.write(accounts.last_change))


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
        if scope["type"] == "http" and SOCKETS not in scope["path"] and not self.guard.admit_page(_address(scope)):
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
