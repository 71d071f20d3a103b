"""Fetches customers' files from vendors: by the vendor's token, from its own hosts, within a time, and never further than that.

A redirect is followed by hand: to the hosts that the vendor is known to keep files at, without the token on another host than the
first. Whoever stores a file stops reading when it is too large.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.vendors.file_sources import FilePlace, FileSource, is_at, source_of
from rasa_handoff.media.media_errors import MediaMissing, MediaRefused
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.logs import get_log

log = get_log(__name__)

FILE_SECONDS: Final = 50.0
"""For one file, from the first question to its last byte."""
ANSWER_SECONDS: Final = 15.0
"""Until a connection is made, and between two pieces of a file."""
MOST_REDIRECTS: Final = 4
PIECE: Final = 65_536
DENIED: Final = "denied"
LATER: Final = frozenset({408, 423, 425, 429})
"""Statuses below 500 with which a vendor says that it may work later; Webex's 423: it is looked through for viruses."""
NOT_GIVEN: Final = frozenset({401, 403, 407})


class VendorFiles:
    """The files of the hosted channels' vendors; a ``MediaFetcher`` (``relay/relay_media.py``)."""

    def __init__(self, channels: Mapping[str, InputChannel]) -> None:
        self._sources: dict[str, FileSource] = {}
        for name, channel in channels.items():
            if (source := source_of(channel)) is not None:
                self._sources[name] = source
        self._session: aiohttp.ClientSession | None = None

    def fetches(self, channel: str | None, address: str) -> bool:
        """Return whether this is the address of a file at the vendor of this hosted channel."""
        source = self._sources.get(channel or "")
        return source is not None and source.has(address)

    async def fetch(self, channel: str | None, address: str) -> AsyncGenerator[bytes, None]:
        """Yield the file in pieces.

        Raises:
            MediaRefused: the vendor doesn't give it out, or not any more.
            Unreachable: it can't be had now.
        """
        source = self._sources.get(channel or "")
        if source is None or not source.has(address):
            raise MediaMissing
        deadline = asyncio.get_running_loop().time() + FILE_SECONDS
        async with _explained(str(channel)):
            place = await _before(deadline, source.place(address, self._post))
            answer = await _before(deadline, self._open(place, str(channel)))
            try:
                while piece := await _before(deadline, answer.content.read(PIECE)):
                    yield piece
            finally:
                answer.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _open(self, place: FilePlace, channel: str) -> aiohttp.ClientResponse:
        """Request the file, and follow where the vendor leads; return the answer that has it."""
        address, first = place.address, _host(place.address)
        for _ in range(MOST_REDIRECTS + 1):
            headers = place.headers if _host(address) == first else {}
            answer = await self._client().get(address, headers=headers, allow_redirects=False, proxy=place.proxy)
            if answer.status == 200:
                return answer
            answer.close()
            if answer.status not in (301, 302, 303, 307, 308):
                raise _refused(answer.status, channel)
            address = urljoin(address, answer.headers.get("Location", ""))
            if not _may_lead_to(address, first, place):
                log.warning("A file of %s is at a host where its vendor is not known to keep files.", channel)
                raise MediaRefused(DENIED, f"{channel} leads elsewhere for it.")
        raise MediaMissing

    async def _post(self, address: str, **sent: Any) -> Any:
        async with self._client().post(address, allow_redirects=False, **sent) as answer:
            if answer.status != 200:
                raise _refused(answer.status, urlsplit(address).hostname or "")
            return await answer.json(content_type=None)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_SECONDS, sock_read=ANSWER_SECONDS)
            # Without cookies, and as the file is: one that says it is packed isn't unpacked to a thousand times its size.
            jar = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(
                timeout=timeout, cookie_jar=jar, auto_decompress=False, headers={"Accept-Encoding": "identity"}
            )
        return self._session


def _host(address: str) -> tuple[str, str | None, int | None]:
    found = urlsplit(address)
    return found.scheme, found.hostname, found.port


def _may_lead_to(address: str, first: tuple[str, str | None, int | None], place: FilePlace) -> bool:
    with contextlib.suppress(ValueError):
        if _host(address) == first:
            return place.leads_to != ()
        return urlsplit(address).scheme == "https" if place.leads_to is None else is_at(address, place.leads_to)
    return False


def _refused(status: int, channel: str) -> Exception:
    if status in NOT_GIVEN:
        log.warning(
            "%s refuses to give a customer's file out (%s): look at the rights of the bot's token.", channel, status
        )
        return MediaRefused(DENIED, f"{channel} doesn't give it out, with status {status}.")
    if status >= 500 or status in LATER:
        return Unreachable(f"{channel} can't give a file out now: status {status}.")
    return MediaMissing()


async def _before(deadline: float, work: Any) -> Any:
    left = deadline - asyncio.get_running_loop().time()
    return await asyncio.wait_for(work, max(left, 0.001))


@contextlib.asynccontextmanager
async def _explained(channel: str) -> AsyncIterator[None]:
    """Raise what goes wrong with a connection as :class:`Unreachable`, without an address, which may have a token in it."""
    try:
        yield
    except asyncio.TimeoutError as problem:
        raise Unreachable(f"{channel} hasn't given a file out in time.") from problem
    except (aiohttp.ClientError, OSError, ValueError) as problem:
        raise Unreachable(f"{channel} can't give a file out now: {type(problem).__name__}.") from None
