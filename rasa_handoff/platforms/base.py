"""The base of channels for platforms that have a desk of their own, with the request checks they share.

Such a platform calls the bot's webhook with each message and waits for the answer. Once an answer hands the conversation over,
the platform passes messages between customer and agent itself.
"""

import hmac
import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from rasa.core.channels.channel import InputChannel
from rasa.core.lock_store import InMemoryLockStore
from sanic import Blueprint, Sanic, response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.channel.compat import http_connections
from rasa_handoff.channel.compat.blueprints import ChannelBlueprint, HandoffSettingsError, OnMessage
from rasa_handoff.channel.compat.fail_safe_store import Keeper
from rasa_handoff.channel.compat.server_patches import ServerPatches
from rasa_handoff.channel.several_processes import check_before_workers, check_shared_stores
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.channel.turn.bot_turn import BotTurn
from rasa_handoff.channel.turn.handoff_request import Happened
from rasa_handoff.channel.turn.options import Options
from rasa_handoff.core.transcript import button_payloads, current_session
from rasa_handoff.platforms.conversations import Conversations
from rasa_handoff.platforms.memory import Memory
from rasa_handoff.platforms.platform_database import check_database
from rasa_handoff.platforms.platform_settings import (
    DEFAULT_DATABASE,
    SecretHeader,
    check_database_url,
    serves_one_process,
)
from rasa_handoff.protocol.channel_settings import IntentSettings
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.features import Features
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.settings_errors import expanded
from rasa_handoff.protocol.text import valid
from rasa_handoff.protocol.values import Availability, Department

log = get_log(__name__)

NOT_TRUSTED: Final = "This request was refused: it carries no valid proof of its sender. Rasa's log says more."


class PlatformChannel(InputChannel):
    """One entry in ``credentials.yml``. A subclass reads its settings, adds its routes and names its departments."""

    has_own_desk = True
    """HandoffChannel warns of channels configured beside it, but not of these."""
    features: ClassVar[Features] = {}
    """The channel's capabilities, for the capability matrix."""
    database: str = DEFAULT_DATABASE
    """The URL of the database that has what the channel remembers of conversations. All processes with one share it."""
    intents: IntentSettings
    departments: tuple[Department, ...]
    crossing_seconds: float
    """Seconds after a handoff in which a message counts as written before it. A subclass sets this, ``intents`` and
    ``departments``."""

    @classmethod
    def from_credentials(cls, credentials: dict[str, Any] | None) -> "PlatformChannel":
        """Read the settings, and open the database once to check that this works.

        Raises:
            HandoffSettingsError: they can't be used; one sentence. No other error leaves this method.
        """
        entry = f"rasa_handoff.{cls.__name__}"
        try:
            channel = cls.from_settings(expanded(credentials))
            check_database_url(entry, channel.database)
            check_database(entry, channel.database)
            return channel
        except HandoffError as problem:
            raise HandoffSettingsError(str(problem)) from problem
        except (ImportError, AttributeError) as problem:
            raise HandoffSettingsError(f"{entry} can't be set up: {problem!r}") from problem

    @classmethod
    @abstractmethod
    def from_settings(cls, data: Any) -> "PlatformChannel":
        """Create the channel from the settings under its name.

        Raises:
            SettingsError: one sentence.
        """

    @abstractmethod
    def add_routes(self, blueprint: Blueprint) -> None:
        """Add the platform's routes, below ``/webhooks/<name>``."""

    @abstractmethod
    def open(self, bot: Bot, conversations: Conversations) -> None:
        """Set up what needs the bot, once Rasa's application exists."""

    async def close(self) -> None:
        """Finish what is under way, before the server stops."""

    def blueprint(self, on_new_message: OnMessage) -> Blueprint:
        """Return the channel's routes, and one that reports that the channel runs."""
        blueprint = ChannelBlueprint(f"{self.name()}_webhook", self.assemble, on_new_message)

        @blueprint.route("/", methods=["GET"])
        async def health(_: Request) -> HTTPResponse:
            return response.json({"status": "ok"})

        self.add_routes(blueprint)
        return blueprint

    def assemble(self, app: Sanic, on_new_message: OnMessage) -> None:
        """Create the channel's parts for this application and start and stop them with it."""
        bot = Bot(app)
        availability = Availability(departments=self.departments, staffed=True)  # platforms don't tell who is online
        options = Options(bot, self.intents.execute, (), lambda: availability)
        turn = BotTurn(bot, self.intents, options, show_marker=False, on_new_message=on_new_message, follows=False)
        memory = Memory(self.name(), self.database)
        conversations = Conversations(bot, turn, self.name(), self.intents, self.crossing_seconds, memory)
        self.open(bot, conversations)
        http_connections.bound_bodies(app)
        check_before_workers(app)
        later = conversations.later

        async def prepare() -> None:
            await memory.open()
            await later.open()

        async def start() -> None:
            warn_of_replicas(bot, self)
            try:
                await check_shared_stores(bot, memory.others_are_at_work)
            except HandoffError as problem:
                await stop()
                await memory.close()
                raise HandoffSettingsError(str(problem)) from problem

        async def stop() -> None:
            await self.close()
            await later.close()

        keeper = Keeper(conversations.keep_turn, later.has_kept, conversations.has_turn)
        ServerPatches(self.desk_active, keeper).follow(app, stop, prepare=prepare, start=start, finish=memory.close)

    def desk_active(self, conversation_id: str) -> bool:
        """Return False: the only sign of a handoff is the tracker's pause, which the processor's patches read themselves."""
        return False


def warn_of_replicas(bot: Bot, channel: PlatformChannel) -> None:
    """Log a warning if Rasa's lock store is shared, a sign of several Rasa servers, and the channel's database can't be."""
    is_alone = not bot.ready or isinstance(bot.agent.lock_store, InMemoryLockStore)
    if not is_alone and serves_one_process(channel.database):
        log.warning(
            "endpoints.yml has a lock store for several Rasa servers (%s), but the database of %s serves one: set 'database' "
            "to a Postgres that all of them use, or run one server and take lock_store out.",
            type(bot.agent.lock_store).__name__,
            channel.name(),
        )


class Rejected(Exception):
    """A request is refused with this status. The sentence goes to the log: it has the evidence, and nothing secret."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status

    @property
    def shown(self) -> str:
        """The sentence for the caller. One that isn't authenticated doesn't even learn which header is expected."""
        return NOT_TRUSTED if self.status == 401 else str(self)


def refuse(request: Request, rejection: Rejected) -> HTTPResponse:
    """Return the answer to a request that is refused, with a line in the log."""
    log.warning("A request of %s to %s was refused with %s: %s", request.ip, request.path, rejection.status, rejection)
    return response.json({"error": rejection.shown}, rejection.status)


def trusted_callers(request: Request, callers: Mapping[str, SecretHeader]) -> list[str]:
    """Return the names of the callers whose header the request has, in the order of the settings.

    Raises:
        Rejected: 401 if it has none of them.
    """
    trusted = [name for name, caller in callers.items() if carries(request, caller.header, caller.secret)]
    if not trusted:
        expected = sorted({caller.header for caller in callers.values()})
        found = [name for name in expected if name in request.headers]
        said = f"a wrong value in {', '.join(found)}" if found else f"none of the headers {', '.join(expected)}"
        raise Rejected(401, f"The request has {said}.")
    return trusted


def carries(request: Request, header: str, secret: str) -> bool:
    """Return whether this header has this value, compared in constant time. Blanks around it don't count, as in HTTP."""
    given = (request.headers.get(header) or "").strip()
    return hmac.compare_digest(given.encode(errors="surrogateescape"), secret.strip().encode())


def json_object(body: bytes, limit: int) -> dict[str, Any]:
    """Parse a body of at most ``limit`` bytes as a JSON object.

    Raises:
        Rejected: 413 too large; 400 not a JSON object.
    """
    if len(body) > limit:
        raise Rejected(413, f"The body has {len(body)} bytes, body_limit is {limit}.")
    try:
        data = valid(json.loads(body))
    except (ValueError, RecursionError) as problem:
        raise Rejected(
            400, f"The body of {len(body)} bytes is not JSON: {_reason(problem)}."
        ) from None  # the cause may quote the body
    if not isinstance(data, dict):
        raise Rejected(400, f"The body is a JSON {type(data).__name__}, not an object.")
    return data


def _reason(problem: Exception) -> str:
    """Describe a parsing error without the customer's message: some errors quote the body."""
    if isinstance(problem, json.JSONDecodeError):
        return f"{problem.msg} at {problem.pos}"
    if isinstance(problem, UnicodeDecodeError):
        return "it isn't UTF-8"
    return "it is nested too deeply" if isinstance(problem, RecursionError) else "it has a number with too many digits"


def as_payload(intent: str) -> str:
    """Return an intent from the settings in Rasa's short form, ``/intent``. A payload stays as it is."""
    return intent if intent.startswith("/") else f"/{intent}"


def payload_behind(text: str, happened: Happened, pressed: bool) -> str:
    """Return the payload of the button with this title, else the text.

    Only the buttons shown last count, since the same text may mean something else by now. If the customer is known to have
    ``pressed`` a button, all buttons of the session count.
    """
    session = current_session(happened)
    last = max((index for index, event in enumerate(session) if event.get("event") == "user"), default=0)
    return button_payloads(session if pressed else session[last:]).get(text, text)
