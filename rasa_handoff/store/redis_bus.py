"""Redis carries the bus: a connection that has subscribed, and one that publishes.

A library's connection that has failed once isn't used again. Its reconnecting and its health checks are off: they hide that
messages were lost meanwhile, and have hung (redis-py 1217, 2417, 2717, 3941). The bus notices by its own heartbeat.

A replica takes subscribers and what they publish, and passes nothing on to its master: who publishes there is heard by some of
the others at most. After a failover a connection may be left on the former master, so the role is looked at now and then.

Redis ends a subscriber for whom too much waits (``client-output-buffer-limit pubsub``); that is a lost connection like another.
"""

import asyncio
import contextlib
from typing import Any, Final

import redis
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.store.bus import CHANNEL, OPEN_SECONDS, RING_SECONDS, BusLine, Carrier, Take
from rasa_handoff.store.database_url import without_password

SCHEMES: Final = ("redis", "rediss", "unix")
ADVICE: Final = f"Check that Redis runs, and that the URL's user may subscribe and publish to {CHANNEL}*."
READ_SECONDS: Final = 1.0
"""Seconds of one wait for a message."""
MOST_AT_ONCE: Final = 20
"""Messages that are read in ``RING_SECONDS``: whoever floods the channel gets no more of the event loop. Redis keeps the others,
up to its limit."""
ROLE_SECONDS: Final = 1.0
"""Seconds between two looks whether the server is a replica."""
CLOSE_SECONDS: Final = 0.3
"""Seconds until a connection that doesn't close is left to the operating system."""


def redis_carrier(url: str, channel: str) -> Carrier:
    """Return Redis as what carries the bus.

    Raises:
        StoreError: the URL can't be used.
    """
    shown = without_password(url)
    try:
        if url.partition("://")[0] not in SCHEMES:
            raise StoreError(_unusable(shown, "the bus is a Redis"))
        _pool(url).make_connection()  # which checks the URL's options, and doesn't connect
    except TypeError as problem:  # names the option
        raise StoreError(_unusable(shown, str(problem))) from problem
    except (ValueError, OSError, redis.RedisError):  # quotes what was taken for a port: maybe a piece of the password
        raise StoreError(
            _unusable(shown, "a port or an option isn't valid; in a name or password @ is written as %40, and / as %2F")
        ) from None
    return Carrier(shown, ADVICE, lambda take: RedisLine(_pool(url), channel, take))


class RedisLine(BusLine):
    """Two connections to Redis: one has subscribed, the other publishes."""

    def __init__(self, pool: ConnectionPool, channel: str, take: Take) -> None:
        self._pool, self._channel, self._take = pool, channel, take
        self._client = Redis(connection_pool=pool)
        self._subscription = self._client.pubsub(ignore_subscribe_messages=True)
        self._role_is_due = 0.0

    async def open(self) -> None:
        await self._subscription.subscribe(self._channel)

    async def read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            for _ in range(MOST_AT_ONCE):
                message = await self._subscription.get_message(timeout=READ_SECONDS)
                if message is not None and message["type"] == "message":
                    self._take([message["data"]])
            await asyncio.sleep(max(0.0, begun + RING_SECONDS - loop.time()))

    async def send(self, message: bytes) -> None:
        if (now := asyncio.get_running_loop().time()) >= self._role_is_due:
            self._role_is_due = now + ROLE_SECONDS
            await self._check_role()
        await self._client.publish(self._channel, message)

    async def _check_role(self) -> None:
        """Check that what is published here reaches everybody.

        Raises:
            StoreError: the server is a replica.
        """
        try:
            answer: Any = await self._client.execute_command("HELLO", 2)  # which every user may send
        except redis.ResponseError:  # older than version 6, or another kind of server
            self._role_is_due = float("inf")
            return
        pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=False)
        if (b"role", b"replica") in pairs:
            raise StoreError(
                "it is a replica, and what is published there doesn't reach those who listen to its master"
            )

    async def close(self) -> None:
        # Closes all sockets at once, and then waits for the transports, some of which wait for a server that doesn't answer.
        with contextlib.suppress(redis.RedisError, OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._pool.disconnect(), CLOSE_SECONDS)


def _pool(url: str) -> ConnectionPool:
    # The protocol that version 4 of the library speaks too. With the newer one it may change to another server by itself.
    protocol = {"protocol": 2} if int(redis.__version__.partition(".")[0]) >= 5 else {}
    pool = ConnectionPool.from_url(url, socket_timeout=OPEN_SECONDS, socket_connect_timeout=OPEN_SECONDS, **protocol)
    # Not as arguments, which the URL's options would override.
    pool.connection_kwargs.update(
        decode_responses=False, retry=Retry(NoBackoff(), 0), retry_on_timeout=False, health_check_interval=0
    )
    return pool


def _unusable(shown: str, why: str) -> str:
    return f"The bus URL {shown!r} can't be used: {why.rstrip('.')}. Try redis://localhost:6379, rediss:// or unix://."
