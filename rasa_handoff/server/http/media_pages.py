"""Pictures and files over HTTP: agents' browsers add and fetch them, and relays bring the customers' and take the agents'.

A browser needs its session, to add a file also the token of the desk's own page, and to fetch one its signed address and an
account that may see the conversation. A relay needs its bot's token, and reaches its own bot's files alone.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from rasa_handoff.guard.compat.http_requests import AsgiRequest
from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.refusals import shown_address
from rasa_handoff.guard.socketio_requests import is_local
from rasa_handoff.media.byte_ranges import ByteRange, read_range
from rasa_handoff.media.content_types import download_headers
from rasa_handoff.media.media_errors import REFUSED_AS, MediaMissing
from rasa_handoff.media.media_library import MediaLibrary
from rasa_handoff.media.media_table import KeptMedia, MediaOwner, id_by_key
from rasa_handoff.media.refusal_page import HEADERS, page_of, wants_page
from rasa_handoff.protocol.errors import Refused, Unreachable
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.names import MEDIA_BOT, MEDIA_CONVERSATION, MEDIA_NAME, RELAY_MEDIA_PATH
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.protocol.values import plain
from rasa_handoff.server import accounts, rights
from rasa_handoff.server.http import sign_in
from rasa_handoff.server.http.pages import STRANGE_ORIGIN
from rasa_handoff.server.http.relay_token import BEARER
from rasa_handoff.server.http.sign_in import SESSION_COOKIE, Browsers
from rasa_handoff.server.rights import Asker
from rasa_handoff.server.service.media_operations import MediaService
from rasa_handoff.server.storage.tables import Database

DESK_MEDIA_PATH: Final = "/desk/media"
CSRF_HEADER: Final = "x-csrf-token"
NO_MEDIA: Final = "This server keeps no pictures and files: whoever runs it can say where, with --media."
OLD_PAGE: Final = "This page was open too long. Please load it again."
NO_ADDRESS: Final = "This address isn't valid any more."
OPEN_AGAIN: Final = "Open the file again in its conversation at the desk."
CACHED_SECONDS: Final = 300
"""How long a browser may keep a file: not much longer than its agent is signed in, or the customer is known."""
STRANGERS: Final = ("refused", "signed_out")
"""Codes of who isn't listened to."""
MOST_READ_IN_VAIN: Final = 100_000_000
"""Bytes of a refused file that are read and thrown away: a browser that is still sending wouldn't see the answer."""


class MediaPages:
    """The addresses. ``library``: None if the server keeps no files."""

    def __init__(
        self, library: MediaLibrary | None, service: MediaService, store: Database, browsers: Browsers, guard: Guard
    ) -> None:
        self._library, self._service, self._store = library, service, store
        self._browsers, self._guard = browsers, guard

    def routes(self) -> list[BaseRoute]:
        """Return the routes for Starlette."""
        return [
            Route(DESK_MEDIA_PATH, self._answering(self._add), methods=["POST"]),
            Route(DESK_MEDIA_PATH + "/{id}", self._answering(self._fetch), methods=["GET"]),
            Route(RELAY_MEDIA_PATH + "/{id}", self._answering(self._bring), methods=["PUT"]),
            Route(RELAY_MEDIA_PATH + "/{id}", self._answering(self._take), methods=["GET"]),  # Starlette adds HEAD
        ]

    async def address(self, id: str) -> str:
        """Return the signed address of a file, relative to the desk's own."""
        query = (await self._must_have().addresses()).query(id)
        return f"{DESK_MEDIA_PATH.lstrip('/')}/{quote(id)}?{query}"

    def _must_have(self) -> MediaLibrary:
        if self._library is None:
            raise Refused("no_media", NO_MEDIA)
        return self._library

    def _answering(self, handler: Any) -> Any:
        """Return the handler with its refusals as answers."""

        async def answer(request: Request) -> Response:
            try:
                response: Response = await handler(request)
                return response
            except Refused as no:  # before `Unreachable`: some are both
                if no.code not in STRANGERS:
                    await _read_in_vain(request)
                headers = {"Retry-After": "5"} if isinstance(no, Unreachable) else {}
                return _refusal(request, REFUSED_AS.get(no.code, 403), no.code, str(no), headers)
            except Unreachable as problem:
                return _refusal(request, 503, "unavailable", str(problem), {"Retry-After": "5"})
            except ClientDisconnect:
                return Response(status_code=400)

        return answer

    async def _account(self, request: Request, operation: str) -> tuple[str, str]:
        """Return the id of the agent whose session this is, and the session.

        Raises:
            Refused: nobody is signed in, or they may not do this.
        """
        token = self._browsers.cookie(request.cookies, SESSION_COOKIE, request.url.scheme)
        account = await self._store.write(lambda connection: sign_in.account_of(connection, token))
        rights.check(operation, Asker.NOBODY if account is None else Asker(account.role.value))
        assert account is not None
        assert token is not None
        return account.id, token

    async def _add(self, request: Request) -> Response:
        headers = request.headers
        if not self._browsers.has_own_origin(headers.get("origin"), headers.get("host"), _address(request)):
            raise Refused("refused", STRANGE_ORIGIN)
        agent, session = await self._account(request, rights.DESK_ADD_FILE)
        if not await self._browsers.from_own_page(headers.get(CSRF_HEADER), session):
            raise Refused("refused", OLD_PAGE)
        library = self._must_have()
        owner = await self._service.may_add_media(
            agent, valid_text(request.query_params.get("handoff", ""))[:LONGEST_ID]
        )
        name, id = request.query_params.get("name"), id_by_key(owner, request.query_params.get("key"))
        kept = await library.add(request.stream(), owner, name, id, announced=_announced(request))
        await _read_in_vain(request)  # of a file that was there already
        return JSONResponse({"ok": True, "media": plain(kept.media)})

    async def _fetch(self, request: Request) -> Response:
        agent, _ = await self._account(request, rights.DESK_FETCH_FILE)
        library, query, id = self._must_have(), request.query_params, request.path_params["id"]
        if not (await library.addresses()).fits(id, query.get("expires"), query.get("signature")):
            raise Refused("not_signed", NO_ADDRESS)
        await self._service.fetch(agent, id)
        return await _given_out(library, await library.find(id), request)

    async def _bot(self, request: Request, operation: str) -> str:
        """Return the bot whose relay this is.

        Raises:
            Refused: it has no token of the bot, or comes from a web page.
        """
        head = AsgiRequest(request.scope, request.receive, None).head
        given = head.headers.get("authorization", "")
        token = given[len(BEARER) :].strip() if given.lower().startswith(BEARER) else None
        bot_id = valid_text(unquote(head.headers.get(MEDIA_BOT, "")))[:LONGEST_ID]
        local = is_local({"handoff.head": head})
        may = "origin" not in head.headers and await self._store.write(
            lambda connection: accounts.may_relay(connection, token, bot_id, local=local)
        )
        if not may:
            self._guard.refusals.note(_address(request), "relay", "a relay's file: its token isn't one of the bot's.")
        rights.check(operation, Asker.BOT if may else Asker.NOBODY)
        return bot_id

    async def _bring(self, request: Request) -> Response:
        bot_id, library = await self._bot(request, rights.BRING_FILE), self._must_have()
        conversation_id = valid_text(unquote(request.headers.get(MEDIA_CONVERSATION, "")))
        if not 0 < len(conversation_id) <= LONGEST_ID:
            raise Refused("invalid", "A file belongs to a conversation: its id is missing.")
        owner, id = MediaOwner(conversation_id=conversation_id, bot_id=bot_id), request.path_params["id"]
        name = unquote(request.headers.get(MEDIA_NAME, "")) or None
        kept = await library.add(request.stream(), owner, name, id, is_clean=True, announced=_announced(request))
        await _read_in_vain(request)  # of a file that was there already
        return JSONResponse({"ok": True, "media": plain(kept.media)})

    async def _take(self, request: Request) -> Response:
        bot_id, library = await self._bot(request, rights.TAKE_FILE), self._must_have()
        kept = await library.find(request.path_params["id"])
        if kept.owner.bot_id != bot_id:
            raise MediaMissing
        return await _given_out(library, kept, request)


async def _given_out(library: MediaLibrary, kept: KeptMedia, request: Request) -> Response:
    """Return the answer with a file, or the part of it that is asked for: players ask for parts."""
    headers = {
        **download_headers(kept.type, kept.name),
        "Accept-Ranges": "bytes",
        "Cache-Control": f"private, max-age={CACHED_SECONDS}, immutable",
    }
    wanted = read_range(request.headers.get("range"), kept.size)
    if wanted is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{kept.size}"})
    headers |= wanted.headers(kept.size)
    if request.method == "HEAD":
        return Response(status_code=wanted.status, headers=headers)
    pieces = await _begun(library, kept, wanted)
    return StreamingResponse(pieces, status_code=wanted.status, headers=headers)


async def _begun(library: MediaLibrary, kept: KeptMedia, wanted: ByteRange) -> AsyncIterator[bytes]:
    """Read the first piece, so that a file that can't be had is refused before the answer begins."""
    pieces = library.read(kept, wanted.first, wanted.length)
    first = await anext(pieces, b"")
    return _with_first(first, pieces)


async def _with_first(first: bytes, pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 1


async def _read_in_vain(request: Request) -> None:
    """Read what is left of a body, within bounds, and throw it away."""
    left = MOST_READ_IN_VAIN
    with contextlib.suppress(ClientDisconnect, RuntimeError):  # RuntimeError: it was read to its end
        async for piece in request.stream():
            left -= len(piece)
            if left < 0:
                return


def _refusal(request: Request, status: int, code: str, sentence: str, headers: Mapping[str, str]) -> Response:
    """Return a refusal: a page for a browser that has opened a file's address, else JSON."""
    if request.method == "GET" and wants_page(request.headers.get("accept")):
        page = page_of(sentence, OPEN_AGAIN if sentence == NO_ADDRESS else "")
        return HTMLResponse(page, status, {**HEADERS, **headers})
    return JSONResponse({"ok": False, "code": code, "error": sentence}, status, dict(headers))


def _address(request: Request) -> str:
    return shown_address(request.client.host if request.client else None)
