"""The memory of a platform channel: its conversations' calls and answers, shared by all processes and kept for the next start.

1. A conversation's calls have their turns one after the other, in the order in which they came, whichever processes they reach.
2. A call that is repeated gets the answer it had. If its first copy is still being answered, by whichever process, it waits; if
   that process has ended, this one answers it.
3. A late message is kept until it was given in an answer, or sent in another way.
4. What was given in an answer is stored before the answer goes out.

A call needs two short transactions, before and after its turn. While the database can't be used the turn goes on without them
(``platform_database.py``): a repeated call is then known by the tracker alone, and late messages wait for the database.
"""

import asyncio
import contextlib
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy.engine import Connection

from rasa_handoff.channel.inbound.turn_lock import TurnLock
from rasa_handoff.platforms import memory_tables, platform_calls
from rasa_handoff.platforms.memory_tables import CHANGE, LATE, WaitingRow
from rasa_handoff.platforms.platform_calls import Begun, CallId
from rasa_handoff.platforms.platform_database import PlatformDatabase, open_database
from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.text import as_json, valid_text
from rasa_handoff.store.tasks import finish_despite_cancellation
from rasa_handoff.store.troubles import TROUBLES

log = get_log(__name__)

FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.25
"""Seconds between two looks at whether another process has ended its turn: at first, and at most."""
MOST_CONTEXTS: Final = 2_000
"""Contexts of conversations that are kept in memory while the database can't be used."""

Context = Mapping[str, Any]
"""With what a platform created a conversation."""
PushMessages = Callable[[list[Any]], Awaitable[list[Any]]]
"""Sends late messages outside a call, and returns those it couldn't send."""


class Memory:
    """The memory of one channel. ``channel``: its name; ``url``: of its database."""

    def __init__(self, channel: str, url: str) -> None:
        self._channel, self._url = channel, url
        self._turns = TurnLock()
        self._database: PlatformDatabase | None = None
        self._is_open = False
        self._contexts: dict[str, Context] = {}

    async def open(self) -> None:
        """Open the database.

        Raises:
            StoreError: it can't be opened.
        """
        self._database = await open_database(self._url)
        self._is_open = True

    async def close(self) -> None:
        """Leave the database; a second time this does nothing."""
        if self._is_open:
            self._is_open = False
            await self.database.leave()

    async def others_are_at_work(self) -> bool:
        """Return whether another process works with the database; none counts as such while it can't be used."""
        try:
            return await self.database.others_are_at_work()
        except (StoreError, *TROUBLES):
            return False

    @property
    def database(self) -> PlatformDatabase:
        """The open database."""
        assert self._database is not None, "it is opened before the server listens"
        return self._database

    # Turns

    def has_turn(self, conversation_id: str) -> bool:
        """Return whether a call of this conversation has its turn in this process, or waits for it."""
        return self._turns.under_way(conversation_id)

    @asynccontextmanager
    async def turn(self, conversation_id: str, key: str | None = None) -> "AsyncIterator[OpenTurn]":
        """Wait for the turn of a call; its block runs while no other call of this conversation has a turn, in any process.

        ``key``: the platform's id of the message, the same if the call is repeated; None: nothing identifies it. A turn that
        isn't finished in the block has no answer, so a repeated call has another turn.
        """
        call = CallId(self._channel, conversation_id, _stored_key(key), self.database.process)
        async with AsyncExitStack() as held:
            open_turn = OpenTurn(self.database, call, await self._wait(call, held))
            try:
                yield open_turn
            finally:
                await open_turn.end()

    async def _wait(self, call: CallId, held: AsyncExitStack) -> Begun | None:
        """Wait for the turn of a call, and begin it. None: the database can't be used.

        While other processes have turns before it, it doesn't hold the turn lock: of the calls that wait in this process, the
        database says which one is first.
        """
        is_held = has_lock = False
        pause = FIRST_PAUSE
        try:
            if self._turns.under_way(call.conversation_id):
                # From now on it has its place among the calls of all processes.
                is_held = bool(await self._ask(partial(platform_calls.draw, call=call)))
            while True:
                await held.enter_async_context(self._turns.turn(call.conversation_id))
                has_lock = True
                begun: Begun | None = await self._ask(partial(platform_calls.begin, call=call))
                if begun is None or not begun.waits:
                    return begun
                is_held = is_held or begun.is_held
                await held.aclose()
                has_lock = False
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        except BaseException:
            if is_held or has_lock:
                give_up = partial(platform_calls.give_up, call=call, has_lock=has_lock)
                await finish_despite_cancellation(self.database.write_later(give_up))
            raise

    async def _ask(self, work: Callable[..., Any]) -> Any:
        """Return the result of ``work``; None if the database can't be used now."""
        try:
            return await self.database.write(work)
        except StoreError:
            return None

    # Late messages

    async def keep_late(self, conversation_id: str, messages: Sequence[Any]) -> None:
        """Keep messages for the next answer, behind those that wait already."""
        if messages:
            bodies = [as_json(message) for message in messages]
            await self.database.write_later(
                lambda connection: memory_tables.add_late(connection, self._channel, conversation_id, bodies)
            )

    async def push_late(self, conversation_id: str, messages: Sequence[Any], push: PushMessages) -> None:
        """Send messages outside a call; what can't be sent waits for the next answer.

        Meanwhile they are stored: if this process ends before they are sent, they go out with the next answer.
        """
        process = self.database.process
        stored: Sequence[int] | None = await self._ask(
            partial(
                _add_pushed, channel=self._channel, conversation_id=conversation_id, messages=messages, process=process
            )
        )
        left = [as_json(message) for message in await _pushed(messages, push)]

        def work(connection: Connection) -> None:
            memory_tables.remove(connection, stored or ())
            if left:
                memory_tables.add_late(connection, self._channel, conversation_id, left)

        await self.database.write_later(work)

    # Changes to trackers

    async def keep_change(self, conversation_id: str, change: str) -> int | None:
        """Store a change to a tracker, as JSON, and return its number; None if the database can't be used."""
        process = self.database.process
        numbers: list[int] | None = await self._ask(
            lambda connection: memory_tables.add(connection, self._channel, conversation_id, CHANGE, [change], process)
        )
        return numbers[0] if numbers else None

    async def drop_change(self, number: int) -> None:
        """Delete a change that was made."""
        await self.database.write_later(lambda connection: memory_tables.remove(connection, [number]))

    async def adopt_changes(self) -> list[WaitingRow]:
        """Take the changes of processes that have ended, and return them, oldest first."""
        process = self.database.process
        found: list[WaitingRow] | None = await self._ask(
            lambda connection: memory_tables.adopt_changes(connection, self._channel, process)
        )
        return found or []

    # Contexts

    async def create_context(self, conversation_id: str, context: Context) -> bool:
        """Store with what a conversation was created; return False if it was created before."""
        body = as_json(context)

        def work(connection: Connection) -> bool:
            return memory_tables.create_context(connection, self._channel, conversation_id, body)

        try:
            return await self.database.write(work)
        except StoreError:
            self.database.keep(work)
            self._contexts.pop(conversation_id, None)
            self._contexts[conversation_id] = context
            if len(self._contexts) > MOST_CONTEXTS:
                del self._contexts[next(iter(self._contexts))]
            return True

    async def context(self, conversation_id: str) -> Context | None:
        """Return with what a conversation was created, and remember that it was asked for.

        Of an unknown conversation it is None the first time, and empty from then on, and while the database can't be used.
        """
        try:
            known, body = await self.database.write(
                lambda connection: memory_tables.find_context(connection, self._channel, conversation_id)
            )
        except StoreError:
            return self._contexts.get(conversation_id, {})
        self._contexts.pop(conversation_id, None)
        if not known:
            return None
        found: Context = {} if body is None else msgspec.json.decode(body)
        return found


class OpenTurn:
    """The turn of a call.

    ``known``: the answer that the call had before, as JSON; None if it had none. ``late``: the late messages that wait, each as
    JSON, oldest first; who finishes the turn has taken them. ``changes``: the changes that wait for the tracker store.
    """

    def __init__(self, database: PlatformDatabase, call: CallId, begun: Begun | None) -> None:
        self._database, self._call = database, call
        self._number = begun.number if begun is not None else None
        self.known = begun.answer if begun is not None else None
        found = begun.waiting if begun is not None else ()
        late = [one for one in found if one.kind == LATE]
        self._used = [one.number for one in late]
        self.late = [one.body for one in late]
        self.changes = [one for one in found if one.kind == CHANGE]
        self._over = self.known is not None

    async def give(self, answer: Sequence[Any]) -> None:
        """Store an answer that goes out before the turn has ended."""
        if self._number is not None:
            call, number, body, used = self._call, self._number, as_json(answer), self._used
            await self._database.write_later(
                lambda connection: platform_calls.give(connection, call, number, body, used)
            )

    async def push(self, messages: Sequence[Any], push: PushMessages) -> list[Any]:
        """Send messages that came too late for the answer, and return those that couldn't be sent.

        Meanwhile they are stored, as :meth:`Memory.push_late` does.
        """
        channel, conversation_id, _, process = self._call
        add = partial(_add_pushed, channel=channel, conversation_id=conversation_id, messages=messages, process=process)
        with contextlib.suppress(StoreError):  # they are sent all the same
            self._used = [*self._used, *await self._database.write(add)]
        return await _pushed(messages, push)

    async def finish(self, answer: Sequence[Any], late: Sequence[Any] = (), while_last: bool = False) -> None:
        """End the turn and store its answer.

        ``late``: the messages that came too late for it. ``while_last``: once a later call has an answer, a copy of this one
        doesn't get the same answer: what it does must not be done again then.
        """
        await self._end(as_json(answer), while_last, self._used, [as_json(message) for message in late])

    async def end(self) -> None:
        """End the turn, unless it has ended: without an answer, and without taking late messages."""
        if not self._over:
            await self._end(None, False, (), ())

    async def _end(self, answer: str | None, while_last: bool, used: Sequence[int], late: Sequence[str]) -> None:
        self._over = True
        call, number = self._call, self._number
        await finish_despite_cancellation(
            self._database.write_later(
                lambda connection: platform_calls.finish(connection, call, number, answer, while_last, used, late)
            )
        )


def _stored_key(key: str | None) -> str:
    """Return a call's key as it is stored: a random one if there is none, a digest of one that is too long."""
    if key is None:
        return uuid.uuid4().hex
    key = valid_text(key)
    return key if len(key) <= LONGEST_ID else hashlib.sha256(key.encode()).hexdigest()


def _add_pushed(
    connection: Connection, channel: str, conversation_id: str, messages: Sequence[Any], process: str
) -> list[int]:
    """Store messages that this process is sending; they wait for the next answer if it ends."""
    bodies = [as_json(message) for message in messages]
    return memory_tables.add(connection, channel, conversation_id, LATE, bodies, process)


async def _pushed(messages: Sequence[Any], push: PushMessages) -> list[Any]:
    """Send messages, and return those that couldn't be sent."""
    try:
        return await push(list(messages))
    except Exception:
        log.exception("Late messages can't be sent: they wait for the next answer.")
        return list(messages)
