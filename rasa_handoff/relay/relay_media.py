"""The pictures and files of the Rasa side, made ready before the message that names them is delivered.

A customer's file is fetched from where its channel keeps it, and stored here; the desk's adapter then brings it to the server. An
agent's file is taken from the desk and stored here; the customer is given a signed address. Both are done in the lane of the
outbox that has the message, so the order is kept and a restart begins anew; what is stored already isn't fetched again.

While a store or a vendor is away the lane waits, :data:`PATIENCE` seconds at most, or :data:`PATIENCE_WITH_DESK` for an
agent's file. What can't be had is told in words then.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final, Protocol, TypeVar

from sqlalchemy import exists

from rasa_handoff.media.media_errors import (
    AWAY,
    DAMAGED,
    FULL,
    TOO_LARGE,
    TOO_MANY,
    UNKNOWN,
    MediaMissing,
    MediaRefused,
)
from rasa_handoff.media.media_library import MediaLibrary
from rasa_handoff.media.media_store import NOWHERE, folder_beside, open_media_store
from rasa_handoff.media.media_sweeper import MediaSweeper
from rasa_handoff.media.media_table import KeptMedia, MediaOwner
from rasa_handoff.media.signed_addresses import signing_key_of
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.message_parts import AT_VENDOR, Media
from rasa_handoff.relay import repository
from rasa_handoff.store.engine import Store

T = TypeVar("T")

log = get_log(__name__)

PATIENCE: Final = 60.0
"""Seconds for which a customer's file is tried that can't be had now; the messages behind it wait so long."""
PATIENCE_WITH_DESK: Final = 300.0
"""The same of an agent's file: the live-agent server may restart."""
GIVEN_UP: Final = 30.0
"""Seconds without an attempt after which the time counts anew: nobody was there for whom to try."""
MOST_REMEMBERED: Final = 10_000
"""Files that are being tried, of which it is remembered since when."""
UNUSED_SECONDS: Final = 30 * 86_400.0
"""Seconds for which a file of a conversation without a handoff is kept: it may yet be handed over."""
IN_USE: Final = exists().where(repository.handoffs.c.conversation_id == repository.media.table.c.conversation_id)
NO_LIBRARY: Final = "no_media"
REASONS: Final = {
    TOO_LARGE: "it is too large",
    TOO_MANY: "too many files have come",
    FULL: "there is no room for it",
    DAMAGED: "it can't be read",
    AWAY: "it couldn't be had in time",
    UNKNOWN: "it isn't there any more",
    NO_LIBRARY: "no pictures and files are kept here",
}
"""Why a file isn't passed on, for an agent, by the code of the refusal."""


class MediaFetcher(Protocol):
    """Fetches customers' files from where a channel keeps them."""

    def fetches(self, channel: str | None, address: str) -> bool:
        """Return whether this is the address of a file that it can fetch, for a customer on this hosted channel."""
        ...

    def fetch(self, channel: str | None, address: str) -> AsyncGenerator[bytes, None]:
        """Yield the file in pieces.

        Raises:
            MediaRefused: it can't be had.
            Unreachable: it can't be had now.
        """
        ...


class RelayMedia:
    """The library of the Rasa side, and what fills it. Entered after the database: ``async with relay.media``.

    ``library``: None if no files are kept. ``fetchers``: asked in order. ``take``: takes an agent's file, by its id, from the
    desk; it raises as :meth:`MediaFetcher.fetch` does.
    """

    def __init__(self, store: Store, settings: Settings, now: Callable[[], float] = time.time) -> None:
        where = settings.media or folder_beside(store.url)
        self.library: MediaLibrary | None = None
        if where is not None and where != NOWHERE:
            media_store = open_media_store(where)
            is_named, limits = settings.media is not None, settings.media_limits
            self.library = MediaLibrary(store, repository.media, media_store, limits, now, tried_at_start=is_named)
        self.fetchers: list[MediaFetcher] = []
        self.take: Callable[[str], AsyncGenerator[bytes, None]] | None = None
        self._store, self._now, self._key = store, now, b""
        self._failing: dict[str, tuple[float, float]] = {}
        """Since when a file can't be had, and when the last attempt ended."""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "RelayMedia":
        if self.library is not None:
            await self._stack.enter_async_context(self.library)
            sweeper = MediaSweeper(self.library, self._store, IN_USE, UNUSED_SECONDS, self._now)
            await self._stack.enter_async_context(sweeper)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def of_customer(self, conversation_id: str, channel: str | None, media: Media) -> KeptMedia | None:
        """Return a customer's file, stored here; None if it stays where it is, which a person can open.

        Raises:
            MediaRefused: it can't be had.
            Unreachable: it can't be had now.
        """
        if media.id is not None:
            return await self.within_patience(media.id, self._kept(media.id))
        address = media.url or ""
        fetcher = next((one for one in self.fetchers if one.fetches(channel, address)), None)
        if self.library is None or fetcher is None:
            if self.library is None and (fetcher is not None or address.startswith(AT_VENDOR)):
                raise MediaRefused(NO_LIBRARY, REASONS[NO_LIBRARY])
            if not address or address.startswith(AT_VENDOR):
                raise MediaMissing
            return None
        id = await self.id_of(conversation_id, address)
        content = fetcher.fetch(channel, address)
        return await self.within_patience(id, self._stored(conversation_id, media, id, content))

    async def of_agent(self, conversation_id: str, media: Media) -> KeptMedia:
        """Return an agent's file, stored here.

        Raises:
            MediaRefused: it can't be had.
            Unreachable: it can't be had now.
        """
        if self.library is None:
            raise MediaRefused(NO_LIBRARY, REASONS[NO_LIBRARY])
        if self.take is None or media.id is None:
            raise MediaMissing
        stored = self._stored(conversation_id, media, media.id, self.take(media.id), True)
        return await self.within_patience(media.id, stored, PATIENCE_WITH_DESK)

    async def id_of(self, conversation_id: str, address: str) -> str:
        """Return the id under which a file of this address is stored; the same one for each message that names it."""
        if not self._key:
            self._key = await self._store.write(signing_key_of(self._store))
        digest = hmac.new(self._key, f"fetched\n{conversation_id}\n{address}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:24]).decode()

    async def _kept(self, id: str) -> KeptMedia:
        if self.library is None:
            raise MediaMissing
        return await self.library.find(id)

    async def _stored(
        self, conversation_id: str, media: Media, id: str, content: AsyncGenerator[bytes, None], is_clean: bool = False
    ) -> KeptMedia:
        assert self.library is not None
        owner = MediaOwner(conversation_id=conversation_id)
        try:
            return await self.library.add(content, owner, media.name, id, is_clean)
        finally:
            await content.aclose()

    async def within_patience(self, id: str, work: Awaitable[T], patience: float | None = None) -> T:
        """Await work for a file; one for which it couldn't be done for too long is refused.

        Raises:
            MediaRefused: it can't be done.
            Unreachable: it can't be done now.
        """
        begun = time.monotonic()
        try:
            done = await work
        except Unreachable as problem:  # `MediaAway` among them
            since, patience = self._note_failure(id, begun), PATIENCE if patience is None else patience
            if time.monotonic() - since < patience:
                raise Unreachable(str(problem)) from problem
            log.warning("A picture or file couldn't be had for %g s, and is told in words: %s", patience, problem)
            raise MediaRefused(AWAY, REASONS[AWAY]) from problem
        except MediaRefused as problem:
            log.warning("A picture or file is told in words: %s (%s)", problem, problem.code)
            raise
        self._failing.pop(id, None)
        return done

    def _note_failure(self, id: str, begun: float) -> float:
        """Note that a file couldn't be had in an attempt that was begun then, and return since when it can't."""
        since, last = self._failing.pop(id, (begun, begun))
        self._failing[id] = (begun if begun - last > GIVEN_UP else since), time.monotonic()
        while len(self._failing) > MOST_REMEMBERED:
            del self._failing[next(iter(self._failing))]
        return self._failing[id][0]


def not_passed_on(words: str, problem: MediaRefused) -> str:
    """Return the words for a file that an agent doesn't get, and why.

    >>> not_passed_on("[Image: dent.jpg]", MediaRefused(TOO_LARGE, ""))
    "[Image: dent.jpg, which couldn't be passed on: it is too large]"
    """
    reason = REASONS.get(problem.code, str(problem))
    return f"{words.removesuffix(']')}, which couldn't be passed on: {reason}]"
