"""Channels of a project's own, for the tests: named by dotted path."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from rasa.core.channels.channel import InputChannel, OutputChannel, UserMessage
from rasa.core.channels.rest import RestInput
from rasa.core.channels.socketio import SocketIOInput
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse


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


class PostInput(InputChannel):
    """A channel of a project's own: letters to an address, and requests from it."""

    @classmethod
    def name(cls) -> str:
        return "post"

    @classmethod
    def from_credentials(cls, credentials: dict[str, Any] | None) -> InputChannel:
        return cls(str((credentials or {})["url"]))

    def __init__(self, url: str) -> None:
        self.url = url

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        blueprint = Blueprint("post_webhook", __name__)

        @blueprint.route("/webhook", methods=["POST"])
        async def receive(request: Request) -> HTTPResponse:
            sender, text = request.json["sender"], request.json["message"]
            await on_new_message(UserMessage(text, self.get_output_channel(), sender, input_channel=self.name()))
            return response.text("")

        return blueprint

    def get_output_channel(self) -> OutputChannel:
        return PostOutput(self.url)


class PostOutput(OutputChannel):
    """Sends each message as one letter."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def name(cls) -> str:
        return "post"

    async def _post(self, recipient_id: str, **letter: Any) -> None:
        async with aiohttp.ClientSession() as http, http.post(self.url, json={"to": recipient_id, **letter}) as answer:
            answer.raise_for_status()

    async def send_text_message(self, recipient_id: str, text: str, **_: Any) -> None:
        await self._post(recipient_id, text=text)

    async def send_image_url(self, recipient_id: str, image: str, **_: Any) -> None:
        await self._post(recipient_id, image=image)

    async def send_attachment(self, recipient_id: str, attachment: str, **_: Any) -> None:
        await self._post(recipient_id, attachment=attachment)

    async def send_text_with_buttons(
        self, recipient_id: str, text: str, buttons: list[dict[str, Any]], **_: Any
    ) -> None:
        await self._post(recipient_id, text=text, buttons=buttons)


class BarePostInput(PostInput):
    """A channel whose output sends texts only."""

    def get_output_channel(self) -> OutputChannel:
        return BarePostOutput(self.url)


class BarePostOutput(OutputChannel):
    """Sends texts only."""

    def __init__(self, url: str) -> None:
        self.post = PostOutput(url)

    @classmethod
    def name(cls) -> str:
        return "post"

    async def send_text_message(self, recipient_id: str, text: str, **_: Any) -> None:
        await self.post.send_text_message(recipient_id, text)
