"""The address at which a customer's client fetches its mailbox at once: ``GET /webhooks/<name>/handoff/messages``.

As a long poll the request is answered with what waits, or with what comes next; with nothing after :data:`LONGEST_WAIT`. With
``Accept: text/event-stream`` the answer goes on, with an event for each message. Only the conversation's customer token lets a
request in, in a header; none is given out here. With ``customer_tokens: off`` there is no such address.
"""

import asyncio
import contextlib
import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from rasa.core.channels.channel import InputChannel, UserMessage
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.channel.hosted.customer_authentication import CustomerAuthentication, Proof
from rasa_handoff.channel.outbound.delivery_methods import DeliveryMethod, delivery_method_of, may_have_mailbox
from rasa_handoff.channel.outbound.mailboxes import TOO_MANY, Mailboxes, Reader
from rasa_handoff.core.native_messages import ChannelMessage
from rasa_handoff.guard.compat.http_requests import SanicRequest
from rasa_handoff.guard.guard import Guard
from rasa_handoff.protocol.errors import Refused, StoreError
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.text import shown, valid
from rasa_handoff.protocol.tokens import HEADER

log = get_log(__name__)

ADDRESS: Final = "/handoff/messages"
LONGEST_WAIT: Final = 25.0
"""Seconds after which a long poll is answered with nothing: less than the 30 s after which some proxies give up."""
COMMENT_SECONDS: Final = 15.0
"""Seconds between two comments in a stream of events, so that no proxy takes it for dead."""
WRITE_SECONDS: Final = 30.0
"""How long a client may take to read what was written, before its stream ends."""
RETRY_MILLISECONDS: Final = 2_000
"""After how long a client of a stream connects again, unless it is told otherwise."""
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Of every answer: nobody keeps it, and nginx passes each event on at once."""
AGAIN: Final = {**HEADERS, "Retry-After": "2"}
NO_SENDER: Final = "The address needs the conversation's id: ?sender=ID&after=ID."


class MailboxRequests:
    """The requests of all channels that have a mailbox. ``mailboxes`` is set before the first one."""

    mailboxes: Mailboxes

    def __init__(self, authentication: CustomerAuthentication, guard: Guard) -> None:
        self._authentication, self._guard = authentication, guard

    def has_mailbox(self, channel: InputChannel) -> bool:
        """Return whether this channel has the address."""
        return not self._authentication.off and may_have_mailbox(channel)

    def mount(self, blueprint: Blueprint, channel: InputChannel) -> None:
        """Add the address to the blueprint of a channel that has it."""
        if not self.has_mailbox(channel):
            return
        method = delivery_method_of(channel)

        async def handoff_messages(request: Request) -> HTTPResponse | None:
            return await self._answer(request, method)

        blueprint.add_route(handoff_messages, ADDRESS, methods=["GET"])

    async def _answer(self, request: Request, method: DeliveryMethod) -> HTTPResponse | None:
        conversation_id = _conversation_of(request)
        if conversation_id is None:
            return response.json({"code": "invalid", "error": NO_SENDER}, status=400)
        if not self.mailboxes.is_open() or self.mailboxes.closed:
            return _unavailable()
        try:
            proof = await self._authentication.admit_reader(conversation_id, request.headers.get(HEADER))
        except (Refused, StoreError) as no:
            return self._authentication.refusal(request, no)
        if not self._guard.conversations.of(conversation_id).take():
            return self._too_many(request, "Too many requests for this conversation's messages.")
        try:
            with self.mailboxes.reading(conversation_id, method) as reader:
                return await self._give(request, reader, proof)
        except Refused as no:
            if no.code == TOO_MANY:
                return self._too_many(request, str(no))
            return self._authentication.refusal(request, no)
        except StoreError as problem:
            log.error("A mailbox can't be fetched now: %s", problem)
            return _unavailable()

    async def _give(self, request: Request, reader: Reader, proof: Proof) -> HTTPResponse | None:
        if "text/event-stream" in request.headers.get("accept", ""):
            await self._stream(request, reader, proof)
            return None
        messages = await self.mailboxes.first(reader, request.args.get("after"))
        wait = _seconds(request.args.get("wait"))
        if not messages and wait > 0:
            messages = await self.mailboxes.next(reader, wait)
            await self._authentication.admit_again(reader.conversation_id, proof)
        return response.raw(_json(messages), headers=HEADERS, content_type="application/json")

    async def _stream(self, request: Request, reader: Reader, proof: Proof) -> None:
        """Answer with events until the client hangs up, the process ends, or the proof isn't enough any more.

        The answer has begun then, so it ends without a reason, and the client learns that when it connects again.
        """
        messages = await self.mailboxes.first(reader, request.headers.get("last-event-id") or request.args.get("after"))
        stream = await request.respond(content_type="text/event-stream", headers=HEADERS)
        written = f"retry: {RETRY_MILLISECONDS}\n\n{_events(messages)}"
        try:
            with contextlib.suppress(Refused, StoreError):
                while not self.mailboxes.closed:
                    await asyncio.wait_for(stream.send(written), WRITE_SECONDS)
                    messages = await self.mailboxes.next(reader, COMMENT_SECONDS)
                    await self._authentication.admit_again(reader.conversation_id, proof)
                    written = _events(messages) or ":\n\n"
            await asyncio.wait_for(stream.eof(), WRITE_SECONDS)
        except asyncio.TimeoutError:  # the client reads nothing any more
            request.transport.abort()

    def _too_many(self, request: Request, sentence: str) -> HTTPResponse:
        address = self._guard.address_of(SanicRequest(request).head)
        self._guard.refusals.note(address, "http 429", f"a request that waits for messages: {sentence}")
        return response.json({"code": TOO_MANY, "error": sentence}, status=429, headers=AGAIN)


def _conversation_of(request: Request) -> str | None:
    sender = request.args.get("sender")
    if not sender or len(sender) > LONGEST_ID:
        return None
    return str(valid(UserMessage("", sender_id=sender).sender_id))


def _seconds(given: str | None) -> float:
    """Return how long a long poll may wait: ``LONGEST_WAIT``, or less if the client says so."""
    with contextlib.suppress(TypeError, ValueError):
        seconds = float(given or "")
        if math.isfinite(seconds):
            return max(0.0, min(seconds, LONGEST_WAIT))
    return LONGEST_WAIT


def _unavailable() -> HTTPResponse:
    return response.json({"code": "unavailable", "error": "Try again in a moment."}, status=503, headers=AGAIN)


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=shown).decode()


def _events(messages: Sequence[ChannelMessage]) -> str:
    """Return messages as server-sent events. An id is one line without NUL, as those of this package are."""
    return "".join(f"id: {message['id']}\ndata: {_json(message)}\n\n" for message in messages)
