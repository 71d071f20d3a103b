"""The patches that a channel needs while its Rasa server runs: installed when the server starts, removed when it has stopped."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

from rasa.core.run import load_agent_on_start
from rasa.core.utils import AvailableEndpoints
from sanic import Sanic

from rasa_handoff.channel.compat import fail_safe_store, http_connections, processor
from rasa_handoff.channel.compat.blueprints import leave_settings_errors_to_rasa
from rasa_handoff.channel.compat.fail_safe_store import Keeper
from rasa_handoff.channel.compat.http_connections import ClosingConnections
from rasa_handoff.channel.compat.processor import AroundTurn, DeskActive, Look
from rasa_handoff.channel.compat.rasa_line import warn_of_untested_rasa
from rasa_handoff.guard.connections import Connections

Hook = Callable[[], Awaitable[None]]


def endpoints_of(app: Sanic) -> AvailableEndpoints | None:
    """Return what ``endpoints.yml`` says, before an agent is loaded: Rasa has given it to the listener that will load one."""
    handlers = (signal.handler for signal in app._future_signals)
    listeners = (one.keywords.get("listener") for one in handlers if isinstance(one, partial))
    given = (one.args for one in listeners if isinstance(one, partial) and one.func is load_agent_on_start)
    return next((one for arguments in given for one in arguments if isinstance(one, AvailableEndpoints)), None)


async def _nothing() -> None:
    """Do nothing: the default of a step."""


class ServerPatches(NamedTuple):
    """The patches of one channel.

    ``desk_active``: in which conversations the bot is silent. ``keeper``: keeps the turns that can't be saved. ``around_turn``:
    is entered around proactive turns. ``connections``: counts and limits the server's connections. ``look``: brings what is known
    of a conversation up to date, where other processes may have changed it.
    """

    desk_active: DeskActive
    keeper: Keeper
    around_turn: AroundTurn | None = None
    connections: Connections | None = None
    look: Look | None = None

    def install(self, app: Sanic) -> None:
        """Install the patches, and log a warning if they weren't tested with the installed Rasa."""
        warn_of_untested_rasa()
        processor.install(self.desk_active, self.around_turn, self.look)
        fail_safe_store.patch(self.keeper)
        if self.connections is not None:
            http_connections.watch(app, self.connections)

    def remove(self, app: Sanic) -> None:
        """Remove them; those that another channel needs stay."""
        fail_safe_store.restore(self.keeper)
        processor.remove(self.desk_active, self.around_turn, self.look)
        if self.connections is not None:
            http_connections.unwatch(app)

    def follow(
        self, app: Sanic, stop: Hook, *, prepare: Hook = _nothing, start: Hook = _nothing, finish: Hook = _nothing
    ) -> None:
        """Install the patches when the server starts, and remove them when it has stopped.

        ``prepare`` is called before the server starts, ``start`` once it listens, ``stop`` while requests still arrive, and
        ``finish`` after the last one.
        """
        closing = ClosingConnections(app)
        leave_settings_errors_to_rasa()

        async def before_start(app: Sanic, _: Any) -> None:
            await prepare()
            self.install(app)

        async def after_start(app: Sanic, _: Any) -> None:
            await start()

        async def before_stop(app: Sanic, _: Any) -> None:
            closing.close_from_now_on()
            await stop()

        async def after_stop(app: Sanic, _: Any) -> None:
            self.remove(app)
            await finish()

        app.register_listener(before_start, "before_server_start")
        app.register_listener(after_start, "after_server_start")
        app.register_listener(before_stop, "before_server_stop")
        app.register_listener(after_stop, "after_server_stop")
