"""Pictures and files between the Rasa side and our live-agent server: brought before the message that names them, and taken.

Over HTTP, with the relay's token. A file goes under its own id, so what the server has already isn't sent again.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from msgspec.structs import replace

from rasa_handoff.core.media_parts import with_each_media
from rasa_handoff.media.media_errors import REFUSED_AS, TOO_LARGE, MediaMissing, MediaRefused
from rasa_handoff.media.media_store import PIECE
from rasa_handoff.media.media_table import KeptMedia
from rasa_handoff.protocol.channel_settings import DeskSettings
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.message_parts import AnyPart, Media, in_words
from rasa_handoff.protocol.names import MEDIA_BOT, MEDIA_CONVERSATION, MEDIA_NAME, RELAY_MEDIA_PATH
from rasa_handoff.protocol.payloads import MessagePayload
from rasa_handoff.protocol.values import Line, Speaker, plain, read
from rasa_handoff.relay.relay import Relay
from rasa_handoff.relay.relay_media import NO_LIBRARY, REASONS, not_passed_on
from rasa_handoff.store.outbox import Entry

OFFER_SECONDS: Final = 2.0
"""How long an offer waits for the files of its transcript: its customer waits, too. The others follow it."""
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 5.0
TIMES: Final = aiohttp.ClientTimeout(total=None, connect=5, sock_read=20)
"""A large file takes as long as it takes, if it goes on."""
PERMANENT: Final = frozenset(REFUSED_AS) - {"away", "unavailable", "signed_out"}
"""Codes of the server's refusals that would be the same again."""

Brings = Callable[[KeptMedia], Awaitable[None]]


class ServerMedia:
    """The server's addresses for files. ``closed`` with the desk."""

    def __init__(self, settings: DeskSettings, bot_id: str) -> None:
        self._url = settings.url.rstrip("/") + RELAY_MEDIA_PATH
        self._headers = {MEDIA_BOT: quote(bot_id)}
        if settings.token:
            self._headers["Authorization"] = f"Bearer {settings.token}"
        self._http: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(headers=self._headers, timeout=TIMES, auto_decompress=False)
        return self._http

    async def bring(self, kept: KeptMedia, content: AsyncGenerator[bytes, None]) -> None:
        """Bring a file to the server, unless it has it.

        Raises:
            MediaRefused: the server never takes it.
            Unreachable: the server can't take it now.
        """
        address = f"{self._url}/{kept.id}"
        about = {
            MEDIA_CONVERSATION: quote(kept.owner.conversation_id),
            MEDIA_NAME: quote(kept.name or ""),
            "Content-Length": str(kept.size),
            "Content-Type": kept.type,
        }
        try:
            async with self._session().head(address, allow_redirects=False) as known:
                if known.status == 200:
                    return
            async with self._session().put(address, data=content, headers=about, allow_redirects=False) as answer:
                _check(answer.status, await answer.text())
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as problem:
            raise Unreachable(f"The live-agent server can't take a file now: {problem!r}") from problem
        finally:
            await content.aclose()

    async def take(self, id: str) -> AsyncGenerator[bytes, None]:
        """Yield a file that the server has.

        Raises:
            MediaRefused: the server doesn't have it.
            Unreachable: it can't be had now.
        """
        try:
            async with self._session().get(f"{self._url}/{quote(id)}", allow_redirects=False) as answer:
                if answer.status != 200:
                    _check(answer.status, await answer.text())
                    raise Unreachable(f"The live-agent server answered {answer.status} when it was asked for a file.")
                async for piece in answer.content.iter_chunked(PIECE):
                    yield piece
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as problem:
            raise Unreachable(f"The live-agent server can't give a file now: {problem!r}") from problem


def _check(status: int, body: str) -> None:
    """Raise what the server's answer means, unless it has accepted."""
    if 200 <= status < 300:
        return
    try:
        said = json.loads(body)
    except ValueError:  # a proxy's page
        said = {}
    code = said.get("code") if isinstance(said, Mapping) else None
    if code in PERMANENT:
        raise MediaRefused(str(code), str(said.get("error")))
    if status == 413:
        raise MediaRefused(TOO_LARGE, REASONS[TOO_LARGE])
    if status in (404, 405):
        raise MediaMissing
    raise Unreachable(f"The live-agent server answered {status} to a file: {body[:200]}")


class MediaForServer:
    """Makes the files of an entry ready, and returns the entry's body with what the server is to know of them."""

    def __init__(self, settings: DeskSettings, bot_id: str, relay: Relay) -> None:
        self.server, self._relay = ServerMedia(settings, bot_id), relay
        self._following: set[asyncio.Task[Media | str]] = set()

    async def close(self) -> None:
        """Give up what follows an offer."""
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        await self.server.close()

    async def body_of(self, lane: str, entry: Entry, largest: int | None) -> dict[str, Any]:
        """Return the body for the server. ``largest``: bytes of the largest file that it keeps; None if it keeps none.

        Raises:
            Unreachable: a file can't be had or brought now.
        """
        if entry.body.get("parts"):
            return await self._message(lane, entry, largest)
        if any(line.get("parts") for line in entry.body.get("transcript") or ()):
            return await self._offer(lane, entry, largest)
        return entry.body

    async def _message(self, lane: str, entry: Entry, largest: int | None) -> dict[str, Any]:
        message = read(MessagePayload, entry.body)

        async def each(media: Media, words: str) -> Media | str:
            return await self._ready(lane, media, words, largest)

        parts = await with_each_media(message.parts, each)
        return entry.body if parts == message.parts else _as_body(entry.body, parts)

    async def _offer(self, lane: str, entry: Entry, largest: int | None) -> dict[str, Any]:
        """Return an offer whose files are on their way: each is named by the id that it has, or will have.

        An agent's are brought too, for a server that has lost its database; those that aren't here it may have.
        """
        lines = [read(Line, line) for line in entry.body["transcript"]]
        found: dict[Media, asyncio.Task[Media | str]] = {}

        async def begin(media: Media, words: str) -> Media | str:
            if media not in found:
                found[media] = asyncio.ensure_future(self._ready_later(lane, media, words, largest))
            return media

        async def put(media: Media, words: str) -> Media | str:
            return found[media].result() if found[media].done() else await self._named(lane, media)

        async def put_if_there(media: Media, words: str) -> Media | str:
            got = media if media.id is None else await put(media, words)
            return media if isinstance(got, str) else got

        puts = {Speaker.CUSTOMER: put, Speaker.AGENT: put_if_there}
        spoken = [line for line in lines if line.speaker in puts and line.parts]
        for line in spoken:
            await with_each_media(line.parts, begin)
        if found:
            self._following |= set(found.values())
            await asyncio.wait(found.values(), timeout=OFFER_SECONDS)
            for task in found.values():
                task.add_done_callback(self._following.discard)
        changed = {id(line): await with_each_media(line.parts, puts[line.speaker]) for line in spoken}
        transcript = [
            plain(
                replace(line, parts=changed[id(line)], text=in_words(changed[id(line)]))
                if id(line) in changed
                else line
            )
            for line in lines
        ]
        return {**entry.body, "transcript": transcript}

    async def _named(self, lane: str, media: Media) -> Media:
        """Return a file that isn't ready by the id that it will have."""
        if media.id is not None or media.url is None:
            return media
        return replace(media, id=await self._relay.media.id_of(lane, media.url), url=None)

    async def _ready_later(self, lane: str, media: Media, words: str, largest: int | None) -> Media | str:
        """Make a file ready, again and again while that isn't possible now."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._ready(lane, media, words, largest)
            except Unreachable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _ready(self, lane: str, media: Media, words: str, largest: int | None) -> Media | str:
        """Return a file that the server has; one that stays elsewhere as it is; words for one that can't be had."""
        relays = self._relay.media
        try:
            # A file may be had only after the handoff, when memory has nothing of the conversation any more.
            channel = (await self._relay.recall(lane)).channel
            kept = await relays.of_customer(lane, channel, media)
            if kept is None:
                return media
            if largest is None:
                raise MediaRefused(NO_LIBRARY, REASONS[NO_LIBRARY])
            if kept.size > largest:
                raise MediaRefused(TOO_LARGE, REASONS[TOO_LARGE])
            assert relays.library is not None
            brought = self.server.bring(kept, relays.library.read(kept))
            await relays.within_patience(f"{kept.id} to the server", brought)
            return kept.media
        except MediaRefused as problem:
            if isinstance(problem, Unreachable):
                raise
            return not_passed_on(words, problem)


def _as_body(body: dict[str, Any], parts: tuple[AnyPart, ...]) -> dict[str, Any]:
    return {**body, "parts": plain(parts), "text": in_words(parts)}
