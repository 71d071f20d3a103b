"""Commands for a running side (relay or server), by the admin socket or over HTTP. One JSON object each way::

{"command": "dead-letters.list", "arguments": {"most": 100}}
{"ok": true, "answer": [...]}    or    {"ok": false, "error": "<one sentence>"}
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.text import valid

log = get_log(__name__)

ADMIN: Final = "/admin"
"""Where commands are taken over HTTP, below the side's own address."""
LONGEST_REQUEST: Final = 65_536
"""Bytes of a request."""
ANSWER_SECONDS: Final = 30.0

Handler = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Takes the arguments and returns the answer; a :class:`HandoffError` becomes the error's sentence."""


async def answer_to(handlers: Mapping[str, Handler], request: bytes) -> dict[str, Any]:
    """Run the command of a request, and return the answer. ``handlers``: by the command's name."""
    try:
        asked = valid(json.loads(request))
        handler, arguments = handlers[asked["command"]], dict(asked.get("arguments") or {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return refusal("The running process doesn't know this command: is it of another version?")
    try:
        return {"ok": True, "answer": await handler(arguments)}
    except HandoffError as problem:
        return refusal(str(problem))
    except Exception as problem:
        log.exception("A command failed.")
        return refusal(f"The running process failed on it ({type(problem).__name__}); see its log.")


def refusal(sentence: str) -> dict[str, Any]:
    """Return the answer that refuses a command."""
    return {"ok": False, "error": sentence}


def request_for(command: str, arguments: Mapping[str, Any]) -> bytes:
    """Encode a command for sending."""
    return json.dumps({"command": command, "arguments": arguments}).encode()


def result_of(answer: Any) -> Any:
    """Return the result in an answer.

    Raises:
        HandoffError: the command was refused; with its sentence.
    """
    if not isinstance(answer, dict) or "ok" not in answer:
        raise HandoffError("What answers there isn't a side of rasa-handoff: check the address.")
    if not answer["ok"]:
        raise HandoffError(str(answer.get("error")))
    return answer.get("answer")
