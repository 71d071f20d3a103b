"""HandoffChannel: one entry in ``credentials.yml``, and the composition root of the Rasa side.

rasa_handoff.HandoffChannel:
  bot_id: my-bot
  desk: {url: "http://localhost:5065"}
  channels:
    socketio: {session_persistence: true}
    rest:
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.shared.core.events import Event
from sanic import Blueprint, Sanic, response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.admin.commands import ADMIN
from rasa_handoff.admin.http import AdminHttp
from rasa_handoff.desks.known import desk_class
from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.http import SanicRequest
from rasa_handoff.rasa_room import guards, listening, tracker_store
from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.closing import CLOSED
from rasa_handoff.rasa_room.comeback import BotComesBack
from rasa_handoff.rasa_room.customer_authentication import CustomerAuthentication
from rasa_handoff.rasa_room.customers import Customers
from rasa_handoff.rasa_room.hosting import HandoffSettingsError, HostBlueprint, make_channels
from rasa_handoff.rasa_room.interceptor import Interceptor
from rasa_handoff.rasa_room.leaving import Connections
from rasa_handoff.rasa_room.offering import warn_of_unknown_slots
from rasa_handoff.rasa_room.options import Options
from rasa_handoff.rasa_room.reach import reach_of
from rasa_handoff.rasa_room.socketio import HandoffSocketIO
from rasa_handoff.rasa_room.strays import Strays
from rasa_handoff.rasa_room.telegram import HandoffTelegram
from rasa_handoff.rasa_room.tracker import TrackerTarget
from rasa_handoff.rasa_room.twilio_voice import HandoffTwilioVoice
from rasa_handoff.rasa_room.workers import check_workers, warn_of_replicas
from rasa_handoff.relay import memory
from rasa_handoff.relay.database import RelayStore
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.thinking.control import Conversation
from rasa_handoff.vocabulary.errors import HandoffError
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.settings import Settings, read_settings
from rasa_handoff.vocabulary.variables import expanded

log = get_log(__name__)


HTTP_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via", "origin")
"""What a proxy or a web page adds: such a request isn't of somebody at this machine, though it comes from here."""


class HandoffChannel(InputChannel):
    """Hosts the project's channels and stands between them and the bot."""

    @classmethod
    def name(cls) -> str:
        """Our own address is ``/webhooks/handoff``."""
        return "handoff"

    @classmethod
    def from_credentials(cls, credentials: dict[str, Any] | None) -> "HandoffChannel":
        """Read the settings, make the hosted channels, open the store once to see that it can be.

        Raises:
            HandoffSettingsError: the only way out but success; one sentence.
        """
        try:
            settings = read_settings(expanded(credentials))
            check_workers()
            channel = cls(settings, make_channels(settings.channels))
            channel.store.prepare()
            channel.store.check_free()
            channel.store.dispose()  # Sanic may fork; a connection must not be shared
            return channel
        except HandoffError as problem:
            raise HandoffSettingsError(str(problem)) from problem
        except (ImportError, AttributeError) as problem:
            raise HandoffSettingsError(f"rasa_handoff.HandoffChannel can't be set up: {problem!r}") from problem

    def __init__(self, settings: Settings, channels: dict[str, InputChannel]) -> None:
        self.settings = settings
        self.channels = channels
        self.store = RelayStore(settings.store, memory.metadata, memory.SIDE, memory.SCHEMA)
        self.relay = Relay(self.store, settings)
        self.desk = desk_class(settings.desk.type)(settings, self.relay)
        self.guard = Guard(settings.limits)
        self.authentication = CustomerAuthentication(settings, self.store, self.guard)
        for hosted in channels.values():
            if isinstance(hosted, HandoffSocketIO):
                hosted.authentication = self.authentication
        self.interceptor: Interceptor | None = None
        for channel in channels.values():
            if isinstance(channel, HandoffSocketIO):
                channel.guard = self.guard

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Our own small page and, beside it, the hosted channels under their ordinary addresses."""
        blueprint = _Mount("handoff_webhook", self)

        @blueprint.route("/", methods=["GET"])
        async def health(request: Request) -> HTTPResponse:
            if not _is_from_here(request):
                return response.json({"status": "ok"})
            desk = "connected" if self.desk.connected else "not connected"
            letters = await self.relay.count_dead_letters()
            said = {"desk": desk, "under_way": len(self.relay.under_way), "dead_letters": letters}
            return response.json({"status": "ok", **said})

        admin = AdminHttp(self.settings.admin_token, self.relay.commands, self.guard)

        @blueprint.route(ADMIN, methods=HTTP_METHODS, stream=True)
        async def commands(request: Request) -> HTTPResponse:
            answer = await admin.answer(SanicRequest(request))
            return HTTPResponse(answer.body, answer.status, dict(answer.headers), answer.headers["Content-Type"])

        blueprint.ctx.on_new_message = on_new_message
        blueprint.take_in(self.channels, self._receive, self.authentication)
        return blueprint

    async def _receive(self, channel: str, message: UserMessage) -> None:
        assert self.interceptor is not None, "messages come only after the blueprint was registered"
        await self.authentication.receive(self.channels[channel], message)
        await self.interceptor.receive(channel, message)

    def furnish(self, app: Sanic, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> None:
        """Put the parts together for this application and hook them to its life."""
        bot = Bot(app)
        self.authentication.knows = bot.knows
        reaches = {name: reach_of(channel) for name, channel in self.channels.items()}
        customers = Customers(bot, self.relay, reaches, self.settings.delivery_timeout)
        execute, departments = self.settings.intents.execute, self.settings.departments
        options = Options(bot, execute, departments, lambda: self.desk.availability)
        come_back = BotComesBack(bot, self.settings.intents.ended)
        strays = Strays(bot, self.relay, self.desk, self.settings)
        self.interceptor = Interceptor(
            self.settings, self.relay, bot, customers, reaches, options, strays, on_new_message
        )

        tracker = TrackerTarget(bot, self.relay, come_back, self.interceptor.read_transcript)
        targets = {DESK: self.desk, CUSTOMER: customers, TRACKER: tracker}

        async def keep(conversation_id: str, events: Sequence[Event]) -> None:
            # As Rasa's stores write them: an intent's name may be numpy's.
            plain = [json.loads(json.dumps(event.as_dict())) for event in events]
            await self.relay.keep_unsaved(conversation_id, plain)

        async def write() -> None:
            await self.relay.ring(TRACKER)

        keeper = tracker_store.Keeper(keep, self.relay.unsaved, write=write)
        outside, connections = self.interceptor.unasked.around, Connections(app)
        listening.bound_bodies(app, self.settings.limits.webhook_bytes, self.guard.refusals)

        async def before_start(app: Sanic, _: Any) -> None:
            _warn_of_open_doors(self, app.ctx.input_channels)
            app.ctx.input_channels = [*app.ctx.input_channels, *self.channels.values()]
            guards.install(self.relay.desk_active, outside)
            tracker_store.mend(keeper)
            listening.watch(app, self.guard.connections)

        async def after_start(app: Sanic, _: Any) -> None:
            warn_of_replicas(bot)
            warn_of_unknown_slots(bot, self.settings)
            await self.guard.__aenter__()
            await self._open(targets)

        async def before_stop(app: Sanic, _: Any) -> None:
            connections.leave()
            await self._close()

        async def after_stop(app: Sanic, _: Any) -> None:
            tracker_store.restore(keeper)
            guards.remove(self.relay.desk_active, outside)
            await self.guard.__aexit__()
            listening.leave(app)

        app.register_listener(before_start, "before_server_start")
        app.register_listener(after_start, "after_server_start")
        app.register_listener(before_stop, "before_server_stop")
        app.register_listener(after_stop, "after_server_stop")

    async def _open(self, targets: Any) -> None:
        self._listen()
        await self.relay.open(targets)
        await self.desk.open()
        assert self.interceptor is not None
        self.interceptor.open()
        for channel in self.channels.values():
            if isinstance(channel, HandoffTelegram):
                await channel.announce()

    async def _close(self) -> None:
        """Sanic still listens: it calls this before it closes its socket."""
        if self.interceptor is not None:
            await self.interceptor.close()
        await self.desk.close()
        await self.relay.close()
        for channel in self.channels.values():
            if isinstance(channel, HandoffTelegram):
                await channel.retire()

    def _listen(self) -> None:
        """Presence and typing of hosted socketio channels, both ways; silence of callers."""
        pages = [channel for channel in self.channels.values() if isinstance(channel, HandoffSocketIO)]

        async def customer_types(conversation_id: str, on: bool) -> None:
            conversation = self.relay.conversation(conversation_id)
            if conversation.desk_active and conversation.handoff_id is not None:
                await self.desk.typing(conversation.handoff_id, on)

        async def agent_types(conversation_id: str, on: bool) -> None:
            for page in pages:
                await page.emit_typing(conversation_id, on)

        async def show(conversation: Conversation) -> None:
            for page in pages:
                await page.emit_state(conversation.conversation_id, conversation.shown)

        async def customer_is_there(conversation_id: str) -> None:
            if (conversation := self.relay.conversation(conversation_id)).shown["active"] != "bot":
                await show(conversation)
            await self.relay.ring(CUSTOMER, conversation_id)

        async def closed(conversation_id: str) -> None:
            for page in pages:
                await page.emit_state(conversation_id, CLOSED)

        self.desk.on_typing, self.relay.on_shown = agent_types, show
        for page in pages:
            page.on_present, page.on_typing, page.on_read = customer_is_there, customer_types, self.relay.has_read
        assert self.interceptor is not None
        self.interceptor.closing.on_closed = closed
        for channel in self.channels.values():
            if isinstance(channel, HandoffTwilioVoice):
                channel.on_silence = self.interceptor.silence


def _warn_of_open_doors(own: HandoffChannel, channels: list[InputChannel]) -> None:
    """What customers write on a channel beside ours isn't watched: the bot stays silent there during a chat, and no more."""
    outside = [
        channel.name() for channel in channels if channel is not own and not getattr(channel, "has_own_desk", False)
    ]
    if outside:
        names = ", ".join(outside)
        log.warning(
            "Not hosted by rasa_handoff.HandoffChannel: %s. A customer there can't be handed over; move it under 'channels'.",
            names,
        )


class _Mount(HostBlueprint):
    """The blueprint Rasa registers; at that moment there is an application to put the parts together for."""

    def __init__(self, name: str, channel: HandoffChannel) -> None:
        super().__init__(name)
        self.ctx.channel = channel

    def register(self, app: Sanic, options: dict[str, Any]) -> None:
        self.ctx.channel.furnish(app, self.ctx.on_new_message)
        super().register(app, options)


def _is_from_here(request: Request) -> bool:
    try:
        local = ipaddress.ip_address(request.ip).is_loopback
    except ValueError:
        return False
    return local and not any(name in request.headers for name in FORWARDED)
