"""Files of customers and agents: small ones of random content, how they are added and fetched, and what is said of them in words.

A picture is a PNG of few colours, which the product writes anew without a loss: its pixels are compared, of others the bytes.
"""

import asyncio
import hashlib
import io
import json
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

import aiohttp
from PIL import Image

from rasa_handoff.store.tasks import cancel_all
from tests.chaos.book import Book

EVERY: Final = 0.12
"""The share of messages that have a file."""
PICTURES: Final = 0.3
"""The share of files that are pictures."""
COLOURS: Final = 16
MOST_BYTES: Final = 40_000
ADDED_WITHIN: Final = 12.0
"""Seconds in which a sender tries to add a file; then the message goes without it."""
ANSWER_WITHIN: Final = 10.0
AGAIN_AFTER: Final = 0.7
REFUSALS: Final = ("full", "too_many", "away", "unavailable", "too_many_requests", "cut_off", "ended", "no answer")
"""Codes that a sender may be told; any other is found."""
NOW: Final = ("away", "unavailable", "too_many_requests", "cut_off", "no answer")
"""Those of them after which a sender tries again."""
GONE: Final = (403, 404, 410)
"""What an address answers whose file can't be had any more."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_ADDRESS: Final = re.compile(r"(?:https?://[^/\s\"]+)?/webhooks/\w+/handoff/media/([A-Za-z0-9_-]+)\?[^\s\"'<>]+")
_WORDS: Final = re.compile(
    r"[ \n](?:\[(?:Image|Attachment): [^\]]*?(?P<why>, which couldn't be passed on: [^\]]*)?\]"
    r"|(?P<gone>\[a file that isn't there any more\])"
    r"|(?P<sorry>I'm sorry, a file couldn't be passed on to you \(.*?\)\. Please ask for it in another way\.))\Z",
    re.DOTALL,
)


def new_file(word: str, rng: random.Random) -> tuple[str, bytes]:
    """Return the name and the content of a file that goes with a message."""
    name = word.partition(" ")[0]
    if rng.random() < PICTURES:
        side, colours, picture = rng.randint(1, 48), [rng.randbytes(3) for _ in range(COLOURS)], io.BytesIO()
        pixels = b"".join(rng.choices(colours, k=side * side))
        Image.frombytes("RGB", (side, side), pixels).save(picture, "PNG")
        return f"{name}.png", picture.getvalue()
    # It begins as no known type does.
    return f"{name}.bin", b"\x00chaos" + rng.randbytes(rng.randint(1, MOST_BYTES))


def digest(content: bytes) -> str:
    """Return what a file is known by: of a picture its pixels."""
    if content.startswith(_PNG):
        try:
            picture = Image.open(io.BytesIO(content)).convert("RGB")
        except (OSError, ValueError, SyntaxError):
            return "a broken picture"
        content = repr(picture.size).encode() + picture.tobytes()
    return hashlib.sha256(content).hexdigest()


def apart(text: str) -> tuple[str, str | None]:
    """Return a message without the words for its file, and why the reader gets no file: None if the words don't say so.

    >>> apart("c1-h1-1 [Attachment: c1-h1-1.bin, which couldn't be passed on: there is no room for it]")
    ('c1-h1-1', "which couldn't be passed on: there is no room for it")
    >>> apart("c1-h1-1 [Attachment: c1-h1-1.bin]")
    ('c1-h1-1', None)
    """
    found = _WORDS.search(text)
    if found is None:
        return text, None
    why = (found["why"] or "").removeprefix(", ") or (found["gone"] and "isn't there any more") or None
    return text[: found.start()], why or (found["sorry"] and "the customer was told")


def addresses_in(message: Any) -> Iterator[tuple[str, str]]:
    """Yield the ids and the addresses of the files that a customer is given."""
    for found in _ADDRESS.finditer(json.dumps(message)):
        yield found[1], found[0]


def media_in(message: Mapping[str, Any]) -> list[str]:
    """Return the ids of the files in a message's parts."""
    return [part["media"]["id"] for part in message.get("parts") or () if (part.get("media") or {}).get("id")]


async def add(post: Callable[[], Awaitable[Any]]) -> tuple[dict[str, Any] | None, str]:
    """Add a file, again and again while that isn't possible now; return what is known of it, or None and why.

    ``post``: makes one attempt, and returns the answer's JSON.
    """
    until, code = time.monotonic() + ADDED_WITHIN, "no answer"
    while True:
        try:
            answer = await post()
            if isinstance(answer, dict) and answer.get("ok"):
                return answer["media"], ""
            code = str(answer.get("code")) if isinstance(answer, dict) else "no answer"
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError):
            code = "no answer"
        if code not in NOW or time.monotonic() > until:
            return None, code
        await asyncio.sleep(AGAIN_AFTER)


async def post(address: str, query: Mapping[str, str], content: bytes, headers: Mapping[str, str]) -> Any:
    """Post a file and return the answer's JSON, whatever its status."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as http,
        http.post(address, params=query, data=content) as answer,
    ):
        return await answer.json(content_type=None)


class Fetches:
    """The files that a person fetches in the background, each until it is there or gone."""

    def __init__(self, book: Book, who: str) -> None:
        self._book, self._who = book, who
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Give up what is being fetched."""
        for task in self._tasks.values():
            await cancel_all(task)

    def begin(self, id: str, where: Callable[[], Awaitable[tuple[str, dict[str, str]] | None]]) -> None:
        """Fetch a file, once. ``where``: returns its address and the headers to send; None if there is none."""
        if id not in self._tasks:
            self._tasks[id] = asyncio.create_task(self._fetch(id, where))

    async def settled(self, seconds: float) -> list[str]:
        """Wait until all is fetched, and return what isn't."""
        waiting = {task for task in self._tasks.values() if not task.done()}
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        return [id for id, task in self._tasks.items() if not task.done()]

    async def _fetch(self, id: str, where: Callable[[], Awaitable[tuple[str, dict[str, str]] | None]]) -> None:
        while True:
            found = await where()
            if found is None:
                self._book.file_gone(id, self._who, "it has no address")
                return
            address, headers = found
            timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
            try:
                async with (
                    aiohttp.ClientSession(timeout=timeout, headers=headers) as http,
                    http.get(address) as answer,
                ):
                    content = await answer.read()
                    if answer.status == 200:
                        self._book.got_file(id, self._who, digest(content))
                        return
                    if answer.status in GONE:
                        self._book.file_gone(id, self._who, f"{answer.status} {content[:200]!r}")
                        return
                    self._book.note("file not yet", self._who, id=id, status=answer.status)
            except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as problem:
                self._book.note("file not yet", self._who, id=id, why=repr(problem)[:200])
            await asyncio.sleep(AGAIN_AFTER)
