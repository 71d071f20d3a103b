"""The addresses at which customers' pages add files to their conversation, and customers and vendors fetch files.

``POST /webhooks/<name>/handoff/media?sender=ID&name=NAME&key=KEY``, with the file as the body and the customer token
in its header, where the channel's customers are authenticated here. ``key``: the page's own name of the file, if it may be sent
again. The conversation is used as by any other request: with ``customer_tokens: off`` its id is enough.
``GET /webhooks/<name>/handoff/media/<id>?expires=…&signature=…`` is for whoever was given the address.
"""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from rasa.core.channels.channel import InputChannel, UserMessage
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.channel.hosted.customer_authentication import NEEDED, CustomerAuthentication, Proof, authenticates
from rasa_handoff.channel.hosted.socket_sessions import web_token
from rasa_handoff.channel.hosted.socketio import HandoffSocketIO
from rasa_handoff.channel.message_ids import MEDIA_KEY, message_facts
from rasa_handoff.channel.vendors.vendor_message import VendorMessage
from rasa_handoff.guard.compat.http_requests import SanicRequest, UnreadableBody
from rasa_handoff.guard.guard import Guard
from rasa_handoff.media.byte_ranges import read_range
from rasa_handoff.media.content_types import download_headers, part_of
from rasa_handoff.media.media_errors import REFUSED_AS, UNKNOWN, MediaMissing, MediaRefused
from rasa_handoff.media.media_library import MediaLibrary
from rasa_handoff.media.media_table import KeptMedia, MediaOwner, id_by_key
from rasa_handoff.media.refusal_page import HEADERS, page_of, wants_page
from rasa_handoff.protocol.errors import Refused, StoreError
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.message_parts import MOST_PARTS, TextPart, in_words
from rasa_handoff.protocol.text import valid, valid_text
from rasa_handoff.protocol.tokens import HEADER, REFUSED
from rasa_handoff.protocol.values import plain

log = get_log(__name__)

ADDRESS: Final = "/handoff/media"
NO_SENDER: Final = "The address needs the conversation's id: ?sender=ID&name=NAME."
NO_MEDIA: Final = "Pictures and files aren't taken here. Please describe it in words."
NOT_SIGNED: Final = "not_signed"
NOT_VALID: Final = "This address isn't valid any more."
ASK_AGAIN: Final = "Ask for the file again in the chat."
TOO_FAST: Final = "Too many files are sent at once. Please try again in a moment."
CUT_OFF: Final = "The file didn't come whole. Please send it again."
AGAIN: Final = {"Cache-Control": "no-store", "Retry-After": "2"}
COST: Final = 20
"""How many events a file counts for: files are rarer than words."""
ROOM: Final = 1_000_000
"""Bytes beyond the largest file that are read: what is a little too large is refused with a sentence."""
NOT_THERE: Final = "[a file that isn't there any more]"
READ_IN_VAIN: Final = 100_000_000
"""Bytes of a refused file that are read and thrown away: a browser that is still sending wouldn't see the answer."""


class CustomerMedia:
    """The addresses of all hosted channels. ``library``: None if no files are kept."""

    def __init__(self, library: MediaLibrary | None, authentication: CustomerAuthentication, guard: Guard) -> None:
        self._library, self._authentication, self._guard = library, authentication, guard

    def blueprint_of(self, channel: InputChannel) -> Blueprint:
        """Return a blueprint with the addresses, to be mounted beside the channel's own."""
        blueprint = Blueprint(f"handoff_media_of_{channel.name().replace('.', '_')}")

        async def fetch(request: Request, id: str) -> HTTPResponse | None:
            return await self._fetch(request, id)

        async def add(request: Request) -> HTTPResponse:
            return await self._add(request, channel)

        blueprint.add_route(fetch, f"{ADDRESS}/<id>", methods=["GET", "HEAD"])
        if authenticates(channel):
            blueprint.add_route(add, ADDRESS, methods=["POST"], stream=True)
        return blueprint

    async def _add(self, request: Request, channel: InputChannel) -> HTTPResponse:
        body = SanicRequest(request)
        try:
            owner = await self._admitted(request, channel)
            if self._library is None:
                raise MediaRefused("no_media", NO_MEDIA)
            if not self._guard.conversations.of(owner.conversation_id).take(COST):
                raise MediaRefused("too_many_requests", TOO_FAST)
            id = id_by_key(owner, request.args.get("key"))
            longest = self._library.limits.file_bytes + ROOM
            pieces = body.pieces(longest, self._guard.limits.body_seconds)
            async with contextlib.aclosing(pieces):
                kept = await self._library.add(
                    pieces, owner, request.args.get("name"), id, announced=_announced(request)
                )
            await self._read_in_vain(body)  # of a file that was there already
            query = (await self._library.addresses()).query(kept.id)
        except _NotAdmitted as no:
            body.leave_unread()
            return no.answer
        except UnreadableBody:
            body.leave_unread()
            return _refusal(400, "cut_off", CUT_OFF)
        except MediaRefused as no:
            await self._read_in_vain(body)
            return _refusal(REFUSED_AS.get(no.code, 429), no.code, str(no))
        except StoreError as problem:
            body.leave_unread()
            return self._authentication.refusal(request, problem)
        address = f"/webhooks/{channel.url_prefix()}{ADDRESS}/{kept.id}?{query}"
        return response.json({"ok": True, "media": {**plain(kept.media), "url": address}}, headers=AGAIN)

    async def _admitted(self, request: Request, channel: InputChannel) -> MediaOwner:
        """Return the conversation that the request may add to.

        On a socketio whose sockets need a JSON web token the request needs it too, in ``Authorization``, or a customer token.
        """
        sender = request.args.get("sender")
        if not sender or len(sender) > LONGEST_ID:
            raise _NotAdmitted(_refusal(400, "invalid", NO_SENDER))
        conversation_id = valid(UserMessage("", sender_id=sender).sender_id)
        token, subject = request.headers.get(HEADER), None
        try:
            if isinstance(channel, HandoffSocketIO) and channel.jwt_key:
                given = request.headers.get("authorization")
                payload = web_token(given, channel.jwt_key, channel.jwt_algorithm or "HS256")
                if payload is None and (token is None or self._authentication.off):
                    raise Refused(REFUSED, NEEDED)
                found = (payload or {}).get("sub")
                subject = valid_text(found) if isinstance(found, str) and found else None
            await self._authentication.admit(conversation_id, Proof(token=token, subject=subject))
        except (Refused, StoreError) as no:
            raise _NotAdmitted(self._authentication.refusal(request, no)) from no
        return MediaOwner(conversation_id=conversation_id)

    async def _read_in_vain(self, body: SanicRequest) -> None:
        with contextlib.suppress(UnreadableBody):
            async for _ in body.pieces(READ_IN_VAIN, self._guard.limits.body_seconds):
                pass
        body.leave_unread()

    async def claim(self, message: UserMessage) -> None:
        """Give the message the files that its page names as its own (``handoff_media`` in its metadata).

        The bot gets the words for them, if there are no others. A file of another conversation, or one that isn't there any more,
        is told so.

        Raises:
            StoreError: they can't be looked up now.
        """
        facts = message_facts()
        named, facts.media = facts.media, None
        if isinstance(message.metadata, Mapping) and MEDIA_KEY in message.metadata:
            named = message.metadata[MEDIA_KEY]
            message.metadata = {key: value for key, value in message.metadata.items() if key != MEDIA_KEY}
        if named is None:
            return
        ids = [id for id in named if isinstance(id, str)][:MOST_PARTS] if isinstance(named, list) else []
        owner, known = MediaOwner(conversation_id=message.sender_id), dict[str, KeptMedia]()
        if self._library is not None and ids:
            known = await self._library.find_all(owner, ids)
        files = tuple(part_of(known[id].media) if id in known else TextPart(text=NOT_THERE) for id in ids)
        if files:
            words = (message.text or "").strip()
            message.text = words or in_words(files)
            facts.said = VendorMessage(words=words, parts=(*facts.said.parts, *files))

    async def _fetch(self, request: Request, id: str) -> HTTPResponse | None:
        library = self._library
        try:
            if library is None:
                raise MediaMissing
            addresses = await library.addresses()
            if not addresses.fits(id, request.args.get("expires"), request.args.get("signature")):
                return _not_given(request, 403, NOT_SIGNED, NOT_VALID)
            return await _give(request, library, await library.find(id))
        except MediaRefused as no:
            return _not_given(request, REFUSED_AS.get(no.code, 403), no.code, str(no))
        except StoreError as problem:
            log.error("A file can't be given now: %s", problem)
            return _not_given(request, 503, "unavailable", "Try again in a moment.")


class _NotAdmitted(Exception):
    """The request may not add to the conversation. ``answer``: what it is answered."""

    def __init__(self, answer: HTTPResponse) -> None:
        super().__init__()
        self.answer = answer


async def _give(request: Request, library: MediaLibrary, kept: KeptMedia) -> HTTPResponse | None:
    """Answer with a file, or the part of it that is asked for."""
    wanted = read_range(request.headers.get("range"), kept.size)
    if wanted is None:
        return HTTPResponse(status=416, headers={"Content-Range": f"bytes */{kept.size}"})
    headers = {
        **download_headers(kept.type, valid_text(kept.name or "") or None),
        **wanted.headers(kept.size),
        "Accept-Ranges": "bytes",
        "Cache-Control": f"private, max-age={library.limits.address_seconds:.0f}, immutable",
        # Pages of the project's own may be of another origin.
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    content_type = headers.pop("Content-Type")
    if request.method == "HEAD":
        return HTTPResponse(status=wanted.status, headers=headers, content_type=content_type)
    pieces: AsyncGenerator[bytes, None] = library.read(kept, wanted.first, wanted.length)
    async with contextlib.aclosing(pieces):
        first = await anext(pieces, b"")  # what can't be had is refused before the answer begins
        answer = await request.respond(status=wanted.status, headers=headers, content_type=content_type)
        await answer.send(first)
        async for piece in pieces:
            await answer.send(piece)
        await answer.eof()
    return None


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 1


def _not_given(request: Request, status: int, code: str, sentence: str) -> HTTPResponse:
    """Return why a file isn't given out: a page for a browser that has opened its address, else JSON."""
    refusal = _refusal(status, code, sentence)
    if not wants_page(request.headers.get("accept")):
        return refusal
    page = page_of(sentence, ASK_AGAIN if code in (NOT_SIGNED, UNKNOWN) else "")
    return response.html(page, status=status, headers={**HEADERS, **refusal.headers})


def _refusal(status: int, code: str, sentence: str) -> HTTPResponse:
    said: Mapping[str, Any] = {"ok": False, "code": code, "error": sentence}
    return response.json(said, status=status, headers=AGAIN if status in (429, 503) else {"Cache-Control": "no-store"})
