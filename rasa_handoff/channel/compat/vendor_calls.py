"""Vendors' calls: one may bring several messages, of which Rasa's channels read the first, and more than they read of each.

The handler of a hosted channel's webhook is called once for each message, with a body that Rasa's channel takes, while the facts
tell what the vendor has sent. So Rasa's own code checks each call's signature, over the bytes as they came.
"""

from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import Any

from rasa.core.channels.channel import InputChannel
from sanic import Blueprint
from sanic.request import Request, RequestParameters

from rasa_handoff.channel.message_ids import MessageFacts, body_of, handling
from rasa_handoff.channel.vendors.readers import read, reader_of
from rasa_handoff.channel.vendors.vendor_message import ReadVendorMessages


def tell_apart(blueprint: Blueprint, channel: InputChannel) -> None:
    """Have the messages of each call to this channel's webhook handled one after the other, each with all that it has."""
    reader = reader_of(channel)
    if reader is None:
        return
    routes = list(blueprint._future_routes)
    blueprint._future_routes.clear()
    for route in routes:
        takes_calls = "POST" in (route.methods or ()) and route.uri.endswith("/webhook")
        handler = _each(route.handler, reader, channel) if takes_calls else route.handler
        blueprint._future_routes.add(route._replace(handler=handler))


def _each(handler: Callable[..., Any], reader: ReadVendorMessages, channel: InputChannel) -> Callable[..., Any]:
    async def handle(request: Request, *arguments: Any, **more: Any) -> Any:
        answer = None
        body = body_of(request) if request.method == "POST" else {}
        for said in read(reader, body, channel):
            if said.body is not None:
                _put(request, said.body)
            with handling(MessageFacts(said.id, said=said, body=body)):
                answer = handler(request, *arguments, **more)
                answer = await answer if isawaitable(answer) else answer
            if getattr(answer, "status", 200) >= 400:
                break  # the vendor calls again, and those before it are known as copies
        return answer

    return handle


def _put(request: Request, body: Mapping[str, Any]) -> None:
    """Let Rasa's channel read this body."""
    if "json" in (request.content_type or ""):
        request.parsed_json = dict(body)
    else:
        request.parsed_form = RequestParameters({name: [value] for name, value in body.items()})
