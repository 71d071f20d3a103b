"""The composition root: one ASGI application of python-socketio beside Starlette, over one database."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from socketio import ASGIApp, AsyncServer
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp as Application
from starlette.types import Receive, Scope, Send

from rasa_handoff.admin.commands import ADMIN, Handler
from rasa_handoff.admin.http import AdminHttp
from rasa_handoff.admin.socket import AdminSocket
from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.hosts import Hosts
from rasa_handoff.guard.http import AsgiRequest
from rasa_handoff.server import accounts
from rasa_handoff.server.botlhale_edge import BotlhaleEdge
from rasa_handoff.server.browsers import Browsers
from rasa_handoff.server.clients import BOTLHALE
from rasa_handoff.server.conversations import Conversations
from rasa_handoff.server.database import Unavailable
from rasa_handoff.server.dead_letters import DEAD_LETTERS
from rasa_handoff.server.desk_edge import DeskEdge
from rasa_handoff.server.door import RELAY
from rasa_handoff.server.guarded_app import GuardedApp
from rasa_handoff.server.news import Board
from rasa_handoff.server.pages import Guarded, Pages, unavailable
from rasa_handoff.server.presence import GRACE, Presence
from rasa_handoff.server.public_url import BelowPath, PublicUrl
from rasa_handoff.server.relay_edge import RelayEdge
from rasa_handoff.server.rounds import Rounds
from rasa_handoff.server.tables import OUTBOX, TIMERS, open_store
from rasa_handoff.server.timekeeper import Timekeeper
from rasa_handoff.server.tkinter_edge import TKINTER, TkinterEdge
from rasa_handoff.server.tkinter_window import Ports
from rasa_handoff.store.pump import Pump, Target
from rasa_handoff.store.timers import Clock
from rasa_handoff.thinking.desk_timing import DeskTimers
from rasa_handoff.vocabulary.limits import Limits

EVENTS_AT_ONCE: Final = 1
"""Of one socket: who sends many waits for itself, and nobody else does."""


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
) -> Application:
    """The live-agent server as an ASGI application; its lifespan opens and closes the database.

    ``open_live_agent`` lets clients of Botlhale's protocol in from other machines without a token.
    ``grace``: seconds a desk may be closed before its agent counts as away. ``timers``: how long each state may last.
    ``now`` tells the wall-clock time in seconds since 1970. ``tkinter_demo``: the Tkinter demo's user window is heard there.
    ``public``: where browsers find the desk when a proxy stands before it. ``hsts``: seconds for which browsers that came by
    TLS are told to come by nothing else.
    ``limits``: of the guard before it, the application's ``guard``. ``hosts``: names under which it may be asked, and no
    others, beside the public one. ``admin_token``: who shows it may give commands over HTTP; None: nobody may.
    """
    # Any origin, for front ends that speak Botlhale's protocol; without credentials, and /desk checks for itself.
    sio = AsyncServer(async_mode="asgi", cors_allowed_origins="*", cors_credentials=False)
    guard = Guard(limits)
    guard.protect(sio, EVENTS_AT_ONCE, relays=True)
    store, board = open_store(database), Board()
    timekeeper = Timekeeper(timers, now)
    conversations = Conversations(store, board, timekeeper)
    presence = Presence(conversations, grace)
    relay = RelayEdge(sio, conversations, store, now, guard)
    botlhale = BotlhaleEdge(sio, conversations, open_live_agent, guard)
    browsers = Browsers(store, public, guard.refusals)
    desk = DeskEdge(sio, conversations, presence, browsers, guard)
    tkinter = TkinterEdge(conversations, tkinter_demo)
    targets: dict[str, Target] = {RELAY: relay, BOTLHALE: botlhale, TKINTER: tkinter}
    conversations.pump = Pump(store, OUTBOX, targets, conversations.finish, conversations.set_aside)

    commands: dict[str, Handler] = {}

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(store)
            await store.write(timekeeper.recover)
            clock = Clock(store, TIMERS, conversations.ring, now)
            looks = [store.look, conversations.staffing, desk.close_ended, relay.close_revoked, botlhale.close_revoked]
            rounds = Rounds(looks, lambda: store.write(accounts.changes))
            stack.callback(commands.clear)
            commands.update(DEAD_LETTERS.handlers(store.write, lambda road: conversations.pump.ring([road])))
            await stack.enter_async_context(AdminSocket(database, commands))
            for part in (guard, conversations.pump, board, presence, clock, rounds, tkinter):
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
    return GuardedApp(BelowPath(ASGIApp(sio, Guarded(web, browsers, hsts)), public.path if public else ""), guard)


class _Commands:
    """The address for commands, as an ASGI application: its body is read after its head was looked at."""

    def __init__(self, admin: AdminHttp) -> None:
        self._admin = admin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._admin.answer(AsgiRequest(scope, receive, send))
        await Response(answer.body, answer.status, dict(answer.headers))(scope, receive, send)
