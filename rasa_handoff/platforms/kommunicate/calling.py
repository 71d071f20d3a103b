"""One call of Kommunicate's REST API, tried a few times (https://docs.kommunicate.io/docs/api-authentication).

What may be done twice without harm is tried again whatever went wrong. What may not, a message, only when it surely wasn't
taken: nobody listened, or the answer says "not now". A refusal isn't tried again. 200 may be a refusal too: the body says so.
"""

import asyncio
import json
from typing import Any, Final

import aiohttp

from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.log_values import escaped
from rasa_handoff.vocabulary.text import valid

PATIENCE: Final = aiohttp.ClientTimeout(total=10)
PAUSES: Final = (0.3, 1.0)
"""Seconds before the second and the third try."""
NOT_NOW: Final = (429, 503)
ENGAGED: Final = "AGENT_IS_ALREADY_ENGAGED"
"""In an answer with 200: the agent has as many conversations as they may, and doesn't get this one."""
LONGEST_CODE: Final = 40


class _Again(Exception):
    """It may work a moment later."""


class Caller:
    """``key`` is the API key of the dashboard. ``user``: in whose name the calls are made."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url.rstrip("/"), key

    async def call(self, user: str, method: str, path: str, *, once: bool = False, **more: Any) -> None:
        """``once``: it must not be done twice. ``more``: ``json`` or ``params``.

        Raises:
            Unreachable: refused, or all tries failed; the sentence has status or error, and nothing of what was sent.
        """
        headers = {"Api-Key": self._key, "Of-User-Id": user}
        async with aiohttp.ClientSession(headers=headers, timeout=PATIENCE) as session:
            for pause in (*PAUSES, None):
                try:
                    return await self._try(session, method, path, once, more)
                except _Again as problem:
                    if pause is None:
                        raise Unreachable(f"{problem} It was tried {len(PAUSES) + 1} times.") from problem
                    await asyncio.sleep(pause)

    async def _try(
        self, session: aiohttp.ClientSession, method: str, path: str, once: bool, more: dict[str, Any]
    ) -> None:
        try:
            async with session.request(method, self._url + path, allow_redirects=False, **more) as answer:
                status, body = answer.status, await answer.read()
        except (aiohttp.ClientError, asyncio.TimeoutError) as problem:
            sentence = f"Kommunicate can't be reached ({method} {path}: {type(problem).__name__})."
            if once and not isinstance(problem, aiohttp.ClientConnectorError):
                raise Unreachable(sentence) from problem
            raise _Again(sentence) from problem
        except ValueError as problem:  # a user's id with a line feed, for example, which no header can carry
            raise Unreachable(f"{method} {path} of this user can't be sent to Kommunicate: {problem}") from problem
        if status in NOT_NOW or (status >= 500 and not once):
            raise _Again(f"Kommunicate answered {method} {path} with {status}.")
        if status // 100 != 2 or (why := _refusal(body)):
            detail = "" if status // 100 != 2 else f": {why}"
            raise Unreachable(f"Kommunicate answered {method} {path} with {status}{detail}.")


def _refusal(body: bytes) -> str | None:
    """Why an answer with 200 is a refusal, in its own codes; None if it isn't one."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    if said.get("status") == "error":
        errors = said.get("errorResponse")
        listed = errors if isinstance(errors, list) else []
        codes = [escaped(valid(one.get("errorCode")), LONGEST_CODE) for one in listed if isinstance(one, dict)]
        return ", ".join(codes) or "status error"
    return ENGAGED if said.get("response") == ENGAGED else None
