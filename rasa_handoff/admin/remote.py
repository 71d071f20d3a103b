"""Commands for a side on another machine, or on Postgres: sent to its HTTP address, with the admin token."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import urlsplit

from rasa_handoff.admin.commands import ANSWER_SECONDS, request_for, result_of
from rasa_handoff.guard.socketio_requests import is_loopback
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.text import valid
from rasa_handoff.protocol.tokens import ADMIN_TOKEN_VARIABLE

LONGEST_ANSWER: Final = 200_000_000
"""Bytes: a thousand dead letters of any length."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would send the token to another address."""

    def redirect_request(self, *_: Any) -> None:
        return None


def ask_at(url: str, token: str, command: str, **arguments: Any) -> Any:
    """Send a command to the side at this address, and return its answer.

    Raises:
        HandoffError: the command was refused, or the side can't be reached; one sentence, without the token.
    """
    proxies = urllib.request.ProxyHandler({} if is_loopback(urlsplit(url).netloc) else None)
    request = urllib.request.Request(
        checked(url),
        data=request_for(command, arguments),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.build_opener(_NoRedirects, proxies).open(request, timeout=ANSWER_SECONDS) as answer:
            return result_of(_read(answer))
    except urllib.error.HTTPError as problem:
        with problem:
            raise HandoffError(_said(url, problem)) from problem
    except (OSError, http.client.HTTPException) as problem:
        reason = getattr(problem, "reason", problem)
        said = getattr(reason, "strerror", None) or str(reason) or type(problem).__name__
        raise HandoffError(f"{url} can't be reached ({said}): does it run, and is the address right?") from problem


def checked(url: str) -> str:
    """Return the address, once it is checked, with its blanks encoded.

    Raises:
        HandoffError: it can't be the address of a side.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc or not url.isascii() or not url.isprintable():
        raise HandoffError(f"--url {url!r} isn't an address such as https://desk.example.org.")
    return url.replace(" ", "%20")


def _read(answer: Any) -> Any:
    try:
        return valid(json.loads(answer.read(LONGEST_ANSWER)))
    except (ValueError, RecursionError):
        return None


def _said(url: str, problem: urllib.error.HTTPError) -> str:
    if problem.code == 401:
        return (
            f"{url} doesn't take this token: give the one it was started with ({ADMIN_TOKEN_VARIABLE}, or admin_token)."
        )
    if problem.code == 404:
        return (
            f"{url} takes no commands: start that side with an admin token ({ADMIN_TOKEN_VARIABLE} for rasa-handoff serve, "
            f"admin_token in credentials.yml for the relay), and check the address and --side."
        )
    if problem.code in (301, 302, 303, 307, 308):
        return f"{url} sends the command elsewhere ({problem.headers.get('Location')!r}): give that address, if it is yours."
    answer = _read(problem)
    sentence = answer.get("error") if isinstance(answer, dict) else None
    return f"{url} refused it ({problem.code}): {sentence or problem.reason}"
