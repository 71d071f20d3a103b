"""The files of an agent's message, made ready for the customer: stored here, with an address at which they can be fetched.

A page of the project's own gets an address without a host, since it knows where Rasa is. A vendor fetches the file itself, and
gets none unless the setting ``public_url`` says where Rasa is. A file that can't be had is told in words to the customer, and to
the agent. That is decided once and kept with the entry: what is sent again after a lost acknowledgement is the same message, also
if the file could be had by then, since a page knows what it has by the ids of a message's parts.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.outbound.delivery_methods import DeliveryMethod, capabilities_of_channel
from rasa_handoff.channel.tracker.bot import Bot
from rasa_handoff.core.media_parts import media_ids, with_each_media
from rasa_handoff.guard.recent import Recent
from rasa_handoff.media.media_errors import MediaRefused
from rasa_handoff.media.media_table import KeptMedia
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.message_parts import AnyPart, Media, in_words
from rasa_handoff.protocol.names import UTTER_NO_FILE
from rasa_handoff.protocol.outbox_bodies import CustomerBody
from rasa_handoff.protocol.values import plain
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import Relay
from rasa_handoff.relay.relay_media import REASONS
from rasa_handoff.store.outbox import Entry

FETCHED_AT: Final = "/handoff/media"
"""The address of files below a channel's own."""
NO_ADDRESS: Final = "the customer's channel can't fetch it, since public_url isn't set"


class AgentFiles:
    """Makes the files of entries for customers ready. ``public_url``: where vendors reach Rasa; None: nowhere."""

    def __init__(self, bot: Bot, relay: Relay, public_url: str | None) -> None:
        self._bot, self._relay, self._public_url = bot, relay, (public_url or "").rstrip("/")
        self._reasons: dict[int, str] = Recent()
        # The bodies with words in place of files, by the entries' keys: the dispatcher keeps entries as they were put.
        self._decided: dict[int, dict[str, Any]] = Recent()

    async def store(self, entry: Entry) -> None:
        """Store the files of an entry that waits for its customer, so that their request doesn't wait for them.

        Raises:
            Unreachable: one can't be had now.
        """
        if not entry.body.get("parts"):
            return

        async def each(media: Media, words: str) -> Media | str:
            try:
                return media if media.id is None else (await self._relay.media.of_agent(entry.lane, media)).media
            except MediaRefused as problem:
                if isinstance(problem, Unreachable):
                    raise
                return words

        await with_each_media(entry.read(CustomerBody).parts, each)

    async def ready(self, entry: Entry, method: DeliveryMethod | None) -> Entry:
        """Return the entry with its files as the customer on this channel gets them.

        Raises:
            Unreachable: one can't be had now.
            StoreError: that the customer gets words for one can't be stored now.
        """
        if not entry.body.get("parts") or method is None:
            return entry
        entry = msgspec.structs.replace(entry, body=self._decided.get(entry.key, entry.body))
        body = entry.read(CustomerBody)
        if not media_ids(body.parts):
            return entry
        reasons: list[str] = []
        words_for: dict[Media, str] = {}

        async def each(media: Media, words: str) -> Media | str:
            if media.id is None:
                return media
            try:
                kept = await self._relay.media.of_agent(entry.lane, media)
            except MediaRefused as problem:
                if isinstance(problem, Unreachable):
                    raise
                reasons.append(REASONS.get(problem.code, str(problem)))
                words_for[media] = await self._words(entry.lane, method, words)
                return words_for[media]
            address = await self.address(method.channel, kept)
            if address is None:
                reasons.append(NO_ADDRESS)
                return await self._words(entry.lane, method, words)
            return msgspec.structs.replace(kept.media, url=address)

        parts = await with_each_media(body.parts, each)
        if reasons:
            self._reasons[entry.key] = f"The customer was told in words of a file: {reasons[0]}."
        if words_for:
            await self._decide(entry, body, words_for)
        return _with_parts(entry, parts)

    async def _decide(self, entry: Entry, body: CustomerBody, words_for: Mapping[Media, str]) -> None:
        """Keep the words that the customer gets in place of these files."""

        async def each(media: Media, words: str) -> Media | str:
            return words_for.get(media, media)

        decided = _with_parts(entry, await with_each_media(body.parts, each))
        stored = {**decided.body, "file_problem": self._reasons[entry.key]}
        await self._relay.store.write(lambda connection: repository.outbox.rewrite(connection, entry.key, stored))
        self._decided[entry.key] = stored

    def reason(self, entry: Entry) -> str | None:
        """Return why the customer got words in place of a file of this entry; None if they got all."""
        self._decided.pop(entry.key, None)
        return self._reasons.pop(entry.key, None) or entry.body.get("file_problem")

    async def address(self, channel: InputChannel, kept: KeptMedia) -> str | None:
        """Return the signed address of a file for a customer on this channel; None if they can't reach one."""
        library = self._relay.media.library
        if library is None or not (self._public_url or capabilities_of_channel(channel).own_client):
            return None
        query = (await library.addresses()).query(kept.id)
        return f"{self._public_url}/webhooks/{channel.url_prefix()}{FETCHED_AT}/{kept.id}?{query}"

    async def _words(self, lane: str, method: DeliveryMethod, words: str) -> str:
        message = await self._bot.render(UTTER_NO_FILE, lane, method.channel.name(), {"file": words.strip("[]")})
        return str(message.get("text") or words)


def _with_parts(entry: Entry, parts: tuple[AnyPart, ...]) -> Entry:
    body = {**entry.body, "parts": plain(parts), "text": in_words(parts)}
    return msgspec.structs.replace(entry, body=body)
