"""What the channels of platforms with a desk of their own share: set-up, the parts behind them, and the pause that holds.

A platform calls the bot's webhook with each message, waits for the answer, and relays by itself once the answer hands over.
"""

from abc import abstractmethod
from typing import Any, ClassVar

from rasa.core.channels.channel import InputChannel
from sanic import Blueprint, Sanic, response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.platforms.conversations import Conversations
from rasa_handoff.rasa_room import guards, listening, tracker_store
from rasa_handoff.rasa_room.bot import Bot
from rasa_handoff.rasa_room.bot_turn import BotTurn, OnMessage
from rasa_handoff.rasa_room.hosting import HandoffSettingsError
from rasa_handoff.rasa_room.leaving import Connections
from rasa_handoff.rasa_room.options import Options
from rasa_handoff.vocabulary.errors import HandoffError
from rasa_handoff.vocabulary.features import Features
from rasa_handoff.vocabulary.settings import IntentSettings
from rasa_handoff.vocabulary.values import Availability, Department
from rasa_handoff.vocabulary.variables import expanded


class PlatformChannel(InputChannel):
    """One entry in ``credentials.yml``. A channel reads its settings, adds its routes and says which departments there are."""

    has_own_desk = True
    """HandoffChannel warns of channels beside it; not of these."""
    features: ClassVar[Features] = {}
    """What it does, for the capability matrix."""
    intents: IntentSettings
    departments: tuple[Department, ...]
    crossing_seconds: float

    @classmethod
    def from_credentials(cls, credentials: dict[str, Any] | None) -> "PlatformChannel":
        """Read the settings.

        Raises:
            HandoffSettingsError: the only way out but success; one sentence.
        """
        try:
            return cls.from_settings(expanded(credentials))
        except HandoffError as problem:
            raise HandoffSettingsError(str(problem)) from problem
        except (ImportError, AttributeError) as problem:
            raise HandoffSettingsError(f"rasa_handoff.{cls.__name__} can't be set up: {problem!r}") from problem

    @classmethod
    @abstractmethod
    def from_settings(cls, data: Any) -> "PlatformChannel":
        """The channel, of what stands under its name.

        Raises:
            SettingsError: one sentence.
        """

    @abstractmethod
    def add_routes(self, blueprint: Blueprint) -> None:
        """The platform's doors, below ``/webhooks/<name>``."""

    @abstractmethod
    def open(self, bot: Bot, conversations: Conversations) -> None:
        """The application is there: what answers may be set up."""

    async def close(self) -> None:
        """The server stops."""

    def blueprint(self, on_new_message: OnMessage) -> Blueprint:
        """The doors, and a small page that says the channel is there."""
        blueprint = _Mount(f"{self.name()}_webhook", self, on_new_message)

        @blueprint.route("/", methods=["GET"])
        async def health(_: Request) -> HTTPResponse:
            return response.json({"status": "ok"})

        self.add_routes(blueprint)
        return blueprint

    def furnish(self, app: Sanic, on_new_message: OnMessage) -> None:
        """Put the parts together for this application and hook them to its life."""
        bot = Bot(app)
        there = Availability(departments=self.departments, staffed=True)  # the platform doesn't tell who is there
        options = Options(bot, self.intents.execute, (), lambda: there)
        turn = BotTurn(bot, self.intents, options, show_marker=False, on_new_message=on_new_message, follows=False)
        conversations = Conversations(bot, turn, self.name(), self.intents, self.crossing_seconds)
        self.open(bot, conversations)
        later = conversations.later
        keeper = tracker_store.Keeper(later.keep_turn, later.keeps, conversations.has_turn)

        connections = Connections(app)
        listening.bound_bodies(app)

        async def before_start(app: Sanic, _: Any) -> None:
            guards.install(self.desk_active)
            tracker_store.mend(keeper)

        async def before_stop(app: Sanic, _: Any) -> None:
            connections.leave()
            await self.close()
            await conversations.later.close()

        async def after_stop(app: Sanic, _: Any) -> None:
            tracker_store.restore(keeper)
            guards.remove(self.desk_active)

        app.register_listener(before_start, "before_server_start")
        app.register_listener(before_stop, "before_server_stop")
        app.register_listener(after_stop, "after_server_stop")

    def desk_active(self, conversation_id: str) -> bool:
        """For the guards: nothing is known here that the tracker doesn't know, and they read its pause themselves."""
        return False


class _Mount(Blueprint):
    """The blueprint Rasa registers; at that moment there is an application to put the parts together for."""

    def __init__(self, name: str, channel: PlatformChannel, on_new_message: OnMessage) -> None:
        super().__init__(name)
        self.ctx.channel, self.ctx.on_new_message = channel, on_new_message

    def register(self, app: Sanic, options: dict[str, Any]) -> None:
        self.ctx.channel.furnish(app, self.ctx.on_new_message)
        super().register(app, options)
