"""Sanic's blueprints, as Rasa registers those of its channels.

Rasa registers a channel's blueprint below ``/webhooks/<name>``, and only then is the application known. A blueprint can't be
registered with others inside: a ``BlueprintGroup`` would answer 404, since Rasa's channels pass their module's name as a prefix.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urljoin

from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.shared.exceptions import RasaException
from sanic import Blueprint, Sanic
from sanic_routing.exceptions import RouteExists  # type: ignore[import-untyped]

from rasa_handoff.protocol.channel_settings import CHANNEL_NAME

OnMessage = Callable[[UserMessage], Awaitable[Any]]
"""Rasa's handler of a channel's messages."""
Assemble = Callable[[Sanic, OnMessage], None]
"""Assembles a channel's parts for an application."""


class HandoffSettingsError(RasaException):
    """The settings are wrong; the message says how, in one sentence.

    Rasa prints a RasaException as one line. Other errors it prints as tracebacks, and it hides ``ImportError`` and
    ``AttributeError`` behind "Unknown input channel".
    """


def leave_settings_errors_to_rasa() -> None:
    """Have Sanic log no traceback of a :class:`HandoffSettingsError` that ends the server's start: Rasa prints its line."""
    logger = logging.getLogger("sanic.error")
    if _is_traceback_wanted not in logger.filters:
        logger.addFilter(_is_traceback_wanted)


def _is_traceback_wanted(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HandoffSettingsError))


class ChannelBlueprint(Blueprint):
    """A channel's blueprint. Its registration assembles the channel's parts and registers the blueprints mounted on it."""

    def __init__(self, name: str, assemble: Assemble, on_new_message: OnMessage) -> None:
        super().__init__(name)
        self.ctx.assemble, self.ctx.on_new_message = assemble, on_new_message  # Sanic allows attributes only here
        self.ctx.mounted = {}

    def mount(self, channel: InputChannel, blueprint: Blueprint) -> None:
        """Register another channel's blueprint, under its ordinary address, together with this one.

        Raises:
            HandoffSettingsError: another channel's blueprint has the same name.
        """
        if (other := self.ctx.mounted.get(blueprint.name)) is not None:
            raise HandoffSettingsError(
                f"{CHANNEL_NAME}: the channels '{other[0].name()}' and '{channel.name()}' both call their blueprint "
                f"'{blueprint.name}': keep one, or name one's blueprint otherwise."
            )
        self.ctx.mounted[blueprint.name] = channel, blueprint

    def register(self, app: Sanic, options: dict[str, Any]) -> None:
        """Assemble the channel's parts; register its blueprint and those mounted on it.

        ``options['url_prefix']`` is this channel's own address below Rasa's ``/webhooks/``.
        """
        self.ctx.assemble(app, self.ctx.on_new_message)
        super().register(app, options)
        if not self.ctx.mounted:
            return
        own = options.get("url_prefix") or self.url_prefix or "/webhooks/handoff"
        app.blueprints = _Registered(
            app.blueprints, {name: channel.name() for name, (channel, _) in self.ctx.mounted.items()}
        )
        for channel, blueprint in self.ctx.mounted.values():
            try:
                app.blueprint(blueprint, url_prefix=urljoin(own, channel.url_prefix()))
            except RouteExists as problem:
                raise HandoffSettingsError(
                    f"{CHANNEL_NAME}: an address of channels.{channel.name()} is taken ({problem}): give it another "
                    f"one; a second socketio, for example, needs a 'socketio_path' of its own."
                ) from problem


class _Registered(dict[str, Blueprint]):
    """An application's blueprints, some of them of hosted channels; looking up one of those raises.

    Sanic looks up a blueprint by name only while registering another one with that name, to assert that they are the same. For
    a hosted channel this means that it also stands in credentials.yml by itself, before or after HandoffChannel.
    """

    def __init__(self, blueprints: Mapping[str, Blueprint], hosted: Mapping[str, str]) -> None:
        super().__init__(blueprints)
        self._hosted = hosted

    def __getitem__(self, name: str) -> Blueprint:
        if name in self._hosted:
            raise HandoffSettingsError(
                f"The channel '{self._hosted[name]}' stands twice in credentials.yml, by itself and under {CHANNEL_NAME}: "
                f"keep the one under {CHANNEL_NAME}."
            )
        return super().__getitem__(name)
