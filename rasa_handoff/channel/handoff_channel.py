"""HandoffChannel: one entry in ``credentials.yml``, and the composition root of the Rasa side.

For example::

    rasa_handoff.HandoffChannel:
      bot_id: my-bot
      desk: {url: "http://localhost:5065"}
      channels:
        socketio: {session_persistence: true}
        rest:
"""

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.shared.core.events import Event
from sanic import Blueprint, Sanic, response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.admin.commands import ADMIN
from rasa_handoff.admin.http_endpoint import AdminHttp
from rasa_handoff.channel.compat import http_connections
from rasa_handoff.channel.compat.blueprints import HandoffSettingsError, OnMessage
from rasa_handoff.channel.compat.fail_safe_store import Keeper
from rasa_handoff.channel.compat.rasa_channels import AsksWhileSilent, WithLifetime, WithShortPayloads
from rasa_handoff.channel.compat.server_patches import ServerPatches
from rasa_handoff.channel.hosted.customer_authentication import CustomerAuthentication, authenticates
from rasa_handoff.channel.hosted.customer_media import CustomerMedia
from rasa_handoff.channel.hosted.customer_pages import CustomerPages
from rasa_handoff.channel.hosted.socketio import HandoffSocketIO
from rasa_handoff.channel.inbound.hosting import HostBlueprint, make_channels
from rasa_handoff.channel.inbound.interceptor import Interceptor
from rasa_handoff.channel.inbound.mailbox_requests import MailboxRequests
from rasa_handoff.channel.message_ids import message_facts
from rasa_handoff.channel.outbound.customers import Customers
from rasa_handoff.channel.outbound.delivery_methods import delivery_methods_of
from rasa_handoff.channel.several_processes import (
    check_before_workers,
    check_shared_stores,
    check_workers,
    warn_of_replicas,
)
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.tracker.bot_return import BotReturn
from rasa_handoff.channel.tracker.tracker_writer import TrackerTarget
from rasa_handoff.channel.turn.handoff_offer import warn_of_unknown_slots
from rasa_handoff.channel.turn.options import Options
from rasa_handoff.channel.turn.orphaned_pauses import OrphanedPauses
from rasa_handoff.channel.vendors.vendor_files import VendorFiles
from rasa_handoff.desks.desk_of_one_process import for_one_process
from rasa_handoff.desks.registry import desk_class
from rasa_handoff.guard.compat.http_requests import SanicRequest
from rasa_handoff.guard.guard import Guard
from rasa_handoff.protocol.channel_settings import Settings, read_settings
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.settings_errors import expanded
from rasa_handoff.relay import repository
from rasa_handoff.relay.kept_turns import has_kept_turn, keep_turn
from rasa_handoff.relay.long_payloads import PREFIX, LongPayloads
from rasa_handoff.relay.old_handoffs import retention_of
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.relay.repository import RelayStore
from rasa_handoff.relay.taken_pieces import TakenPieces
from rasa_handoff.store.bus import check_bus
from rasa_handoff.store.tasks import close_in_time

log = get_log(__name__)

HTTP_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")
READY_WITHIN = 3.0
"""Seconds for which the answer to ``/ready`` waits for the database."""
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via", "origin")
"""Headers that a proxy or a web page adds: such a request doesn't count as local, though it comes from this machine."""


class HandoffChannel(InputChannel):
    """Hosts the project's channels and stands between them and the bot."""

    @classmethod
    def name(cls) -> str:
        """Return ``handoff``: the channel's own address is ``/webhooks/handoff``."""
        return "handoff"

    @classmethod
    def from_credentials(cls, credentials: dict[str, Any] | None) -> "HandoffChannel":
        """Read the settings, make the hosted channels, and open the store once to check that this works.

        Raises:
            HandoffSettingsError: something is wrong, in one sentence. Nothing else is raised for wrong settings.
        """
        try:
            settings = read_settings(expanded(credentials))
            channel = cls(settings, make_channels(settings.channels))
            check_workers(channel.store)
            check_bus(settings.bus, channel.store)
            channel.store.prepare()
            if not channel.store.shared:
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
        self.store = RelayStore(
            settings.store,
            repository.metadata,
            repository.SIDE,
            repository.SCHEMA,
            repository.STEPS,
            repository.OLDEST,
            shares=True,
        )
        self.relay = Relay(self.store, settings)
        self.desk = for_one_process(desk_class(settings.desk.type)(settings, self.relay), settings, self.relay)
        self.pages = CustomerPages(channels, self.relay, self.desk)
        self._long_payloads = LongPayloads(self.store)
        self._retention = retention_of(self.relay, settings.retention)
        self.guard = Guard(settings.limits)
        self.authentication = CustomerAuthentication(settings, self.store, self.guard)
        for channel in channels.values():
            if isinstance(channel, HandoffSocketIO):
                channel.authentication, channel.guard = self.authentication, self.guard
            if isinstance(channel, WithShortPayloads):
                channel.shorten_payloads(self._long_payloads.shortened)
        self.mailbox_requests = MailboxRequests(self.authentication, self.guard)
        self._media = CustomerMedia(self.relay.media.library, self.authentication, self.guard)
        self.relay.media.take = self.desk.take_media
        self._vendor_files = VendorFiles(channels)
        self.relay.media.fetchers.append(self._vendor_files)
        self.interceptor: Interceptor | None = None

    def blueprint(self, on_new_message: OnMessage) -> Blueprint:
        """Make a blueprint with health pages, the admin commands and the hosted channels under their ordinary addresses."""
        blueprint = HostBlueprint("handoff_webhook", self.assemble, on_new_message)

        @blueprint.route("/", methods=["GET"])
        async def health(request: Request) -> HTTPResponse:
            if not _is_local(request):
                return response.json({"status": "ok"})
            desk = "connected" if self.desk.connected else "not connected"
            letters = await self.relay.count_dead_letters()
            details = {"desk": desk, "under_way": len(self.relay.under_way), "dead_letters": letters}
            return response.json({"status": "ok", **details})

        @blueprint.route("/ready", methods=["GET"])
        async def ready(_: Request) -> HTTPResponse:
            reason = await self._why_not_ready()
            if reason is None:
                return response.json({"status": "ok"})
            return response.json({"status": "unavailable", "reason": reason}, status=503)

        admin = AdminHttp(self.settings.admin_token, self.relay.commands, self.guard)

        @blueprint.route(ADMIN, methods=HTTP_METHODS, stream=True)
        async def commands(request: Request) -> HTTPResponse:
            answer = await admin.answer(SanicRequest(request))
            return HTTPResponse(answer.body, answer.status, dict(answer.headers), answer.headers["Content-Type"])

        blueprint.host_channels(
            self.channels, self._receive, self.authentication, self.guard, self.mailbox_requests, self._media
        )
        return blueprint

    async def _why_not_ready(self) -> str | None:
        """Return why a load balancer should send customers to another process; None if it needn't."""
        if self.interceptor is None or not self.interceptor.is_open:
            return "This process is starting or ending."
        if self.desk.serves_another:
            return "Another Rasa server with another database speaks for this bot at the desk; the log says what to do."
        counted = None
        with contextlib.suppress(asyncio.TimeoutError):
            counted = await asyncio.wait_for(self.relay.count_dead_letters(), READY_WITHIN)
        return None if counted is not None else "The database can't be used now; the log says why."

    async def _receive(self, channel: str, message: UserMessage) -> None:
        assert self.interceptor is not None, "messages come only after the blueprint was registered"
        await self.authentication.receive(self.channels[channel], message)
        await self.interceptor.receive(channel, message)

    async def _complete(self, channel: str, message: UserMessage) -> None:
        """Give a message what it names and the database has: the files of its page, the long payload behind a button's key.

        Raises:
            StoreError: it can't be looked up now.
        """
        if authenticates(self.channels[channel]):
            await self._media.claim(message)
        if message.text and message.text.startswith(PREFIX):
            otherwise = f"/{self.settings.intents.options}"
            pressed = await self._long_payloads.restored(message.sender_id, message.text, otherwise)
            message.text, facts = pressed.payload, message_facts()
            if pressed.title is not None and facts.said.words is None:
                facts.said = replace(facts.said, words=pressed.title)

    def assemble(self, app: Sanic, on_new_message: OnMessage) -> None:
        """Assemble the parts for this application and connect them to its start and stop."""
        bot = Bot(app)
        self.authentication.knows = bot.knows
        delivery_methods = delivery_methods_of(
            self.channels, self.settings.delivery_timeout, self._long_payloads.shortened, TakenPieces(self.store)
        )
        execute, departments = self.settings.intents.execute, self.settings.departments
        options = Options(bot, execute, departments, lambda: self.desk.availability, self.desk.takes_messages)
        customers = Customers(
            bot,
            self.relay,
            delivery_methods,
            self.settings.delivery_timeout,
            self._title_of_department,
            options,
            [name for name, channel in self.channels.items() if self.mailbox_requests.has_mailbox(channel)],
            self.settings.limits,
            self.settings.public_url,
        )
        orphaned_pauses = OrphanedPauses(bot, self.relay, self.desk, self.settings)
        interceptor = self.interceptor = Interceptor(
            self.settings,
            self.relay,
            bot,
            customers,
            delivery_methods,
            options,
            orphaned_pauses,
            on_new_message,
            self._complete,
        )
        customers.mailboxes.is_open = lambda: interceptor.is_open
        self.mailbox_requests.mailboxes = customers.mailboxes
        return_to_bot = BotReturn(bot, self.settings.intents.ended)
        tracker = TrackerTarget(
            bot, self.relay, return_to_bot, interceptor.read_transcript, self.settings.tracker_delay
        )
        self._run_with(app, bot, interceptor, {DESK: self.desk, CUSTOMER: customers, TRACKER: tracker})

    def _title_of_department(self, name: str) -> str:
        known = self.desk.availability
        return next((one.label for one in known.departments if one.name == name), name) if known else name

    def _run_with(self, app: Sanic, bot: Bot, interceptor: Interceptor, targets: Any) -> None:
        """Start and stop the assembled parts together with the application."""
        http_connections.bound_bodies(app, self.settings.limits.webhook_bytes, self.guard.refusals)
        check_before_workers(app)

        async def prepare() -> None:
            _warn_of_unhosted_channels(self, app.ctx.input_channels)
            app.ctx.input_channels = [*app.ctx.input_channels, *self.channels.values()]

        async def start() -> None:
            warn_of_replicas(bot, self.store)
            warn_of_unknown_slots(bot, self.settings)
            bot.freeze_model()
            await self.guard.__aenter__()
            try:
                await self._open(bot, targets)
            except HandoffError as problem:
                raise HandoffSettingsError(str(problem)) from problem

        patches = ServerPatches(
            self.relay.silences_bot,
            self._keeper(),
            interceptor.proactive_turns.around,
            self.guard.connections,
            self.relay.current if self.store.shared else None,
        )

        async def finish() -> None:
            await self._close()
            await self.guard.__aexit__()

        patches.follow(app, self._leave, prepare=prepare, start=start, finish=finish)

    def _keeper(self) -> Keeper:
        """Return the keeper of turns that the tracker store can't save; it puts them into the relay's outbox."""

        async def keep(conversation_id: str, events: Sequence[Event]) -> None:
            # By way of JSON, as in Rasa's stores: an intent's name may be a numpy string.
            plain = [json.loads(json.dumps(event.as_dict())) for event in events]
            await keep_turn(self.relay, conversation_id, plain)

        async def has_kept(conversation_id: str) -> bool:
            return await has_kept_turn(self.relay, conversation_id)

        async def write() -> None:
            await self.relay.notify(TRACKER)

        return Keeper(keep, has_kept, write=write)

    async def _open(self, bot: Bot, targets: Any) -> None:
        self._connect_callbacks()
        await self.relay.open(targets)
        try:
            await check_shared_stores(bot, self.relay.others.are_at_work)
        except HandoffError:
            await self.relay.close()
            raise
        self.pages.open()
        await self._retention.__aenter__()
        await self.desk.open()
        assert self.interceptor is not None
        self.interceptor.open()
        for channel in self.channels.values():
            if isinstance(channel, WithLifetime):
                await channel.announce()

    async def _leave(self) -> None:
        """Finish what is under way, and have pages connect to another process. Sanic calls this before it closes its sockets, so
        requests still arrive, and are served: whoever reached this process before it left is answered."""
        if self.interceptor is not None:
            await self.interceptor.leave()
        self.mailbox_requests.mailboxes.close()
        await self.pages.close()

    async def _close(self) -> None:
        """Stop in the reverse order of the start, after the last request."""
        if self.interceptor is not None:
            await self.interceptor.close()
        await close_in_time("The connection to the desk", self.desk.close())
        await close_in_time("Retention", self._retention.__aexit__())
        await self.relay.close()
        await self._vendor_files.close()
        for channel in self.channels.values():
            if isinstance(channel, WithLifetime):
                await channel.retire()
        await self.pages.end()

    def _connect_callbacks(self) -> None:
        """Connect the callbacks of pages, of conversations that the bot ends, and of callers who are silent."""
        assert self.interceptor is not None
        self.pages.connect()
        self.interceptor.closing.on_closed = self.pages.show_closed
        for channel in self.channels.values():
            if isinstance(channel, AsksWhileSilent):
                channel.on_silence = self.interceptor.answer_silence


def _warn_of_unhosted_channels(own: HandoffChannel, channels: list[InputChannel]) -> None:
    """Log a warning for channels that aren't hosted: during a handoff the bot is silent there, and agents get no message."""
    outside = [
        channel.name() for channel in channels if channel is not own and not getattr(channel, "has_own_desk", False)
    ]
    if outside:
        names = ", ".join(outside)
        log.warning(
            "Not hosted by rasa_handoff.HandoffChannel: %s. A customer there can't be handed over; move it under 'channels'.",
            names,
        )


def _is_local(request: Request) -> bool:
    """Return whether the request is from somebody at this machine, who may see more of the channel's health."""
    try:
        local = ipaddress.ip_address(request.ip).is_loopback
    except ValueError:
        return False
    return local and not any(name in request.headers for name in FORWARDED)
