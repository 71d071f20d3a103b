"""Acknowledgements between a page and its channel."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from rasa_handoff.rasa_room.incoming import Sent
from rasa_handoff.vocabulary.errors import Refused, StoreError
from rasa_handoff.vocabulary.log_values import get_log

log = get_log(__name__)


async def any_of(asked: list[Any]) -> bool:
    """Whether one of them says yes; the others are not waited for."""
    tasks = [asyncio.ensure_future(one) for one in asked]
    try:
        for next_one in asyncio.as_completed(tasks):
            if await next_one:
                return True
        return False
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def outcome(handled: Awaitable[Any], about: Sent) -> dict[str, Any]:
    """What became of a customer's message, as its acknowledgement."""
    try:
        await handled
    except StoreError as problem:
        log.error("A customer's message was not taken in, and their page keeps it: %s", problem)
        return refusal("unavailable", "Your message can't be taken just now; it will be sent again.")
    except Refused as problem:
        return refusal(problem.code, str(problem))
    except Exception:
        log.exception("A customer's message (%s) could not be handled.", about.id)
        return refusal("failed", "Your message could not be handled.")
    return refusal(*about.refused) if about.refused is not None else {"ok": True}


def refusal(code: str, sentence: str) -> dict[str, Any]:
    """It wasn't taken: ``unavailable`` is worth another try, the other codes aren't."""
    return {"ok": False, "code": code, "error": sentence}
