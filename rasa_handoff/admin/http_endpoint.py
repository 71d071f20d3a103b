"""Commands over a running side's own HTTP server, with the admin token: the address ``/admin`` below the side's own.

``POST`` with ``Authorization: Bearer <token>`` and the JSON of ``admin/commands.py``. Programs on this machine need the token,
too, and web pages are refused. Without a token in the settings there is no such address.
"""

from collections.abc import Mapping
from typing import Any, Final

from rasa_handoff.admin.commands import LONGEST_REQUEST, Handler, answer_to, refusal
from rasa_handoff.guard.compat.http_requests import AsgiRequest, SanicRequest, UnreadableBody
from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.socketio_requests import HEADERS
from rasa_handoff.protocol.text import as_json
from rasa_handoff.protocol.tokens import ADMIN_TOKEN_VARIABLE, shows_token
from rasa_handoff.protocol.values import Value

RETRY_SECONDS: Final = "5"


class CommandAnswer(Value, frozen=True):
    """An answer over HTTP."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class AdminHttp:
    """The address for commands of one side. ``handlers``: by the command's name, empty while the side isn't open. ``guard``: logs
    refusals, and limits the rate."""

    def __init__(self, token: str | None, handlers: Mapping[str, Handler], guard: Guard) -> None:
        self._token, self._handlers, self._guard = token, handlers, guard

    async def answer(self, request: AsgiRequest | SanicRequest) -> CommandAnswer:
        """Answer one request. A refused one is answered before its body is read."""
        refused = self._refuse_by_head(request)
        if refused is not None:
            request.leave_unread()
            return refused
        try:
            body = await request.read(LONGEST_REQUEST, self._guard.limits.body_seconds)
        except UnreadableBody as problem:
            request.leave_unread()
            return self._refuse(request, 413, str(problem))
        if not self._handlers:
            return _make_answer(503, refusal("This process is starting or stopping. Try again."))
        return _make_answer(200, await answer_to(self._handlers, body))

    def _refuse_by_head(self, request: AsgiRequest | SanicRequest) -> CommandAnswer | None:
        """Refuse a request that may send no command, before its body is read; return None if it may."""
        head = request.head
        if self._token is None:
            logged = f"nothing is taken there without an admin token in the settings ({ADMIN_TOKEN_VARIABLE})"
            return self._refuse(request, 404, logged, answered="There is nothing here.")
        if "origin" in head.headers:
            return self._refuse(request, 403, "commands aren't taken from a web page")
        is_right = shows_token(self._token, head.headers.get("authorization"))
        # Counted apart, so that somebody who guesses behind the same proxy can't lock out the administrator.
        if not self._guard.admit_command(self._guard.address_of(head), is_right):
            return self._refuse(request, 429, "too many requests", **{"Retry-After": RETRY_SECONDS})
        if not is_right:
            return self._refuse(request, 401, "the admin token isn't right", **{"WWW-Authenticate": "Bearer"})
        if head.method != "POST":
            return self._refuse(request, 405, "commands come by POST", Allow="POST")
        return None

    def _refuse(
        self,
        request: AsgiRequest | SanicRequest,
        status: int,
        sentence: str,
        answered: str | None = None,
        **headers: str,
    ) -> CommandAnswer:
        """Log a refusal and return its answer: the same sentence, unless ``answered`` is given."""
        self._guard.refusals.note(self._guard.address_of(request.head), "admin", f"a command over HTTP: {sentence}.")
        return _make_answer(status, refusal(answered or f"{sentence[:1].upper()}{sentence[1:]}."), headers)


def _make_answer(status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> CommandAnswer:
    more = {"Content-Type": "application/json", **dict(HEADERS), **(headers or {})}
    return CommandAnswer(status=status, body=as_json(body).encode(), headers=more)
