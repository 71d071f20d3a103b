"""Channels of a project's own, for the tests: named by dotted path."""

from collections.abc import Awaitable, Callable
from typing import Any

from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.core.channels.rest import RestInput
from rasa.core.channels.socketio import SocketIOInput
from sanic import Blueprint


class KioskInput(SocketIOInput):
    """Rasa's socketio under another name and path."""

    @classmethod
    def name(cls) -> str:
        return "kiosk"

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        blueprint = super().blueprint(on_new_message)
        blueprint.name = "kiosk_webhook"
        return blueprint


class PavementInput(KioskInput):
    """Rasa's socketio under a third name; its blueprint is called as :class:`KioskInput`'s is."""

    @classmethod
    def name(cls) -> str:
        return "pavement"


class CounterInput(RestInput):
    """Rasa's rest under another name."""

    @classmethod
    def name(cls) -> str:
        return "counter"


class BrokenInput(InputChannel):
    """A channel that can't be made."""

    @classmethod
    def from_credentials(cls, credentials: dict[str, Any] | None) -> InputChannel:
        raise AttributeError("'NoneType' object has no attribute 'get'")
