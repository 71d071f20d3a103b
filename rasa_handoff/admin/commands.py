"""A command for a running side, however it comes: by the admin socket or over HTTP. One JSON object each way::

{"command": "dead-letters.list", "arguments": {"most": 100}}
{"ok": true, "answer": [...]}    or    {"ok": false, "error": "<one sentence>"}
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from rasa_handoff.vocabulary.errors import HandoffError
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.text import valid

log = get_log(__name__)

ADMIN: Final = "/admin"
"""Where commands are taken over HTTP, below the side's own address."""
LONGEST_REQUEST: Final = 65_536
"""Bytes."""
ANSWER_SECONDS: Final = 30.0

Handler = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Takes the arguments; what it returns is the answer, and a :class:`HandoffError` is the sentence."""


async def answer_to(handlers: Mapping[str, Handler], request: bytes) -> dict[str, Any]:
    """Do what is asked, and say how it went. ``handlers``: by the command's name."""
    try:
        asked = valid(json.loads(request))
        handler = handlers[asked["command"]]
        return {"ok": True, "answer": await handler(dict(asked.get("arguments") or {}))}
    except HandoffError as problem:
        return refusal(str(problem))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return refusal("The running process doesn't know this command: is it of another version?")
    except Exception as problem:
        log.exception("A command failed.")
        return refusal(f"The running process failed on it ({type(problem).__name__}); see its log.")


def refusal(sentence: str) -> dict[str, Any]:
    """An answer that says no."""
    return {"ok": False, "error": sentence}


def request_for(command: str, arguments: Mapping[str, Any]) -> bytes:
    """Encode a command as it is sent."""
    return json.dumps({"command": command, "arguments": arguments}).encode()


def result_of(answer: Any) -> Any:
    """Take the result out of an answer.

    Raises:
        HandoffError: it said no; its sentence.
    """
    if not isinstance(answer, dict) or "ok" not in answer:
        raise HandoffError("What answers there isn't a side of rasa-handoff: check the address.")
    if not answer["ok"]:
        raise HandoffError(str(answer.get("error")))
    return answer.get("answer")
