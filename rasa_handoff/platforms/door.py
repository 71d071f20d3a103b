"""What any platform's door checks of a request: the header, the size, the JSON."""

import hmac
import json
from typing import Any, Final

from sanic.request import Request

from rasa_handoff.vocabulary.text import valid

NOT_TRUSTED: Final = (
    "This request isn't taken: it doesn't show that it comes from who may send it. Rasa's log says more."
)


class Rejected(Exception):
    """A request that isn't taken. The sentence is for the log: evidence, and nothing secret."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status

    @property
    def shown(self) -> str:
        """What the caller reads: the sentence, but to a stranger not even which header is expected."""
        return NOT_TRUSTED if self.status == 401 else str(self)


def carries(request: Request, header: str, secret: str) -> bool:
    """Whether the request has this header with this value, compared in constant time; HTTP trims, so this does too."""
    given = (request.headers.get(header) or "").strip()
    return hmac.compare_digest(given.encode(errors="surrogateescape"), secret.strip().encode())


def json_object(body: bytes, limit: int) -> dict[str, Any]:
    """The body, which may have so many bytes.

    Raises:
        Rejected: 413 too large; 400 not a JSON object.
    """
    if len(body) > limit:
        raise Rejected(413, f"The body has {len(body)} bytes, body_limit is {limit}.")
    try:
        data = valid(json.loads(body))
    except (ValueError, RecursionError) as problem:
        raise Rejected(400, f"The body of {len(body)} bytes is not JSON: {_where(problem)}.") from None  # it may quote
    if not isinstance(data, dict):
        raise Rejected(400, f"The body is a JSON {type(data).__name__}, not an object.")
    return data


def _where(problem: Exception) -> str:
    """What is wrong, without the customer's words: some errors quote the body."""
    if isinstance(problem, json.JSONDecodeError):
        return f"{problem.msg} at {problem.pos}"
    return "it isn't UTF-8" if isinstance(problem, UnicodeDecodeError) else "it is nested too deeply"
