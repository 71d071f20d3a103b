"""The HTTP pages: sign-in, the desk's page and its files, health; and their security headers."""

import asyncio
import base64
import hashlib
import html
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs

from sqlalchemy.engine import Connection
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rasa_handoff import __version__
from rasa_handoff.guard.refusals import Refusals, shown_address
from rasa_handoff.protocol.handshake import FORMAT, PROTOCOL
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.server import accounts, brake
from rasa_handoff.server.accounts import Account
from rasa_handoff.server.brake import Brake, KnownBrowser
from rasa_handoff.server.http import sign_in
from rasa_handoff.server.http.sign_in import FORM_COOKIE, KNOWN_COOKIE, SESSION_COOKIE, Browsers
from rasa_handoff.server.storage.tables import OUTBOX, Database
from rasa_handoff.store.named_locks import StillHeld

WEB: Final = Path(__file__).parents[1] / "web"
HOME: Final = "./"
"""Relative, since the desk may live below a path that only the proxy knows."""


def _inline_scripts(page: str) -> str:
    """Return the hashes with which a policy allows the page's own inline scripts, and no others."""
    scripts = re.findall(r"<script>(.*?)</script>", (WEB / page).read_text("utf-8"), re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


# 'self' is the desk's own web socket too. Safari before 15.4 doesn't know that, and falls back to polling.
POLICY: Final = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; media-src 'self'; style-src 'self'; "
    f"script-src 'self' {_inline_scripts('desk.html')}; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
FILES: Final = "/static/"
# Browsers ask for a file each time, and are mostly told that it hasn't changed: so an upgrade is seen at once.
FILES_HEADERS: Final = {"Cache-Control": "no-cache"}
MOST_FORM_BYTES: Final = 10_000
MOST_HASHING: Final = 2
"""Passwords that are hashed at the same time: each takes 64 MB and a core for a moment."""
MOST_WAITING: Final = 20
"""Sign-ins that may wait for that, and for the database; others are asked to try again."""
HEALTH_WITHIN: Final = 3.0
"""Seconds in which the database must answer a request for ``/health``."""

BUSY: Final = "Too many people are signing in just now. Please try again in a moment."
WRONG: Final = "The e-mail or the password isn't right. Please try again."
OLD_FORM: Final = "This page was open too long. Please try again."
STRANGE_ORIGIN: Final = "Sign in on the desk's own page."


class SecurityHeaders:
    """Adds the security headers to every HTTP answer. ``hsts``: seconds for which browsers may come by TLS only."""

    def __init__(self, app: ASGIApp, browsers: Browsers, hsts: int = 0) -> None:
        self._app, self._browsers, self._hsts = app, browsers, hsts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, and add the headers to its answer (ASGI)."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers(scope).items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_guarded if scope["type"] == "http" else send)

    def _headers(self, scope: Scope) -> dict[str, str]:
        headers = {**HEADERS, **FILES_HEADERS} if scope["path"].startswith(FILES) else dict(HEADERS)
        if self._hsts and self._browsers.secure(scope["scheme"]):
            headers["Strict-Transport-Security"] = f"max-age={self._hsts}"
        return headers


class Pages:
    """The pages, and their routes.

    ``signed_out`` is awaited when a session has been ended, to close its desks. ``sharing`` returns what ``/health`` says of the
    database and the bus.
    """

    def __init__(
        self,
        store: Database,
        browsers: Browsers,
        sign_in_brake: Brake,
        refusals: Refusals,
        signed_out: Callable[[], Awaitable[None]],
        sharing: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._store, self._browsers, self._brake = store, browsers, sign_in_brake
        self._refusals, self._signed_out, self._sharing = refusals, signed_out, sharing
        self._hashing, self._waiting = asyncio.Semaphore(MOST_HASHING), 0

    def routes(self) -> list[BaseRoute]:
        """Return the routes for Starlette."""
        return [
            Route("/", self._home),
            Route("/login", self._back_home, methods=["GET"]),
            Route("/login", self._login, methods=["POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/health", self._health),
            Mount("/static", StaticFiles(directory=WEB / "static", check_dir=False)),
        ]

    async def _home(self, request: Request) -> Response:
        token = self._cookie(request, SESSION_COOKIE)
        account = await self._store.write(lambda connection: sign_in.account_of(connection, token))
        if account is None or token is None:
            return await self._login_page(request)
        return await self._page("desk.html", accounts.hashed(token))

    async def _back_home(self, _: Request) -> Response:
        return RedirectResponse(HOME, status_code=303)

    async def _login(self, request: Request) -> Response:
        fields, problem = await self._form(request, self._cookie(request, FORM_COOKIE))
        if problem is not None:
            return problem
        email = fields.get("email", "").strip().lower()
        if self._waiting < MOST_WAITING:  # before the database is asked, which a crowd would hold up
            self._waiting += 1
            try:
                return await self._sign_in(request, email, fields.get("password", ""))
            except StillHeld:
                pass
            finally:
                self._waiting -= 1
        return await self._login_page(request, BUSY, 503, {"Retry-After": "5"}, email)

    async def _sign_in(self, request: Request, email: str, password: str) -> Response:
        account = await self._store.write(lambda connection: accounts.by_email(connection, email))
        known = await self._known(request)
        browser_of_agent = known if known is not None and account is not None and account.id in known.agents else None
        keys = brake.keys_of(hashlib.sha256(email.encode()).hexdigest(), _address(request), browser_of_agent)
        wait = await self._brake.tried(keys)
        if wait > 0:
            self._note(request, account, "too many tries")
            sentence = f"Too many tries. Please wait {wait} {'second' if wait == 1 else 'seconds'} and try again."
            return await self._login_page(request, sentence, 429, {"Retry-After": str(wait)}, email)
        if not await self._is_right(account, password) or account is None:
            self._note(request, account, "the e-mail or the password isn't right")
            return await self._login_page(request, WRONG, 401, email=email)
        await self._brake.succeeded(keys)
        return await self._begin_session(request, account, known)

    async def _is_right(self, account: Account | None, password: str) -> bool:
        async with self._hashing:
            return await asyncio.to_thread(accounts.is_right_password, account, password)

    def _note(self, request: Request, account: Account | None, why: str) -> None:
        # An e-mail of no agent isn't logged: it may be a password in the wrong field.
        who = f" as {account.email}" if account is not None else ""
        self._refusals.note(shown_address(_address(request)), "sign-in", f"a sign-in{who}: {why}.")

    async def _known(self, request: Request) -> KnownBrowser | None:
        return (await self._browsers.known()).read(self._cookie(request, KNOWN_COOKIE))

    async def _begin_session(self, request: Request, account: Account, known: KnownBrowser | None) -> Response:
        before, id = self._cookie(request, SESSION_COOKIE), account.id

        def begin(connection: Connection) -> str:
            if before is not None:
                sign_in.end(connection, before)
            return sign_in.begin(connection, id)

        token = await self._store.write(begin)
        response = RedirectResponse(HOME, status_code=303)
        self._set_cookie(request, response, SESSION_COOKIE, token, sign_in.SESSION_LASTS)
        known_cookie = (await self._browsers.known()).sign(known, id)
        self._set_cookie(request, response, KNOWN_COOKIE, known_cookie, brake.KNOWN_LASTS)
        if before is not None:
            await self._signed_out()
        return response

    async def _logout(self, request: Request) -> Response:
        token = self._cookie(request, SESSION_COOKIE)
        if token is None:
            return RedirectResponse(HOME, status_code=303)
        _, problem = await self._form(request, accounts.hashed(token))
        if problem is not None:
            return problem
        await self._store.write(lambda connection: sign_in.end(connection, token))
        await self._signed_out()
        response = RedirectResponse(HOME, status_code=303)
        self._set_cookie(request, response, SESSION_COOKIE, "", 0)
        return response

    async def _health(self, _: Request) -> Response:
        versions: dict[str, Any] = {"format": FORMAT, "protocol": PROTOCOL, "version": __version__}
        try:
            trouble = await asyncio.wait_for(self._store.look(), HEALTH_WITHIN)
        except Exception as problem:
            trouble = self._store.trouble or str(problem) or "it doesn't answer"
        if trouble is not None:
            reason = f"The database can't be used: {trouble}.".splitlines()[0]
            return JSONResponse({"status": "unavailable", "reason": reason, **versions}, status_code=503)
        letters = await self._store.write(OUTBOX.count_dead_letters)
        return JSONResponse({"status": "ok", "dead_letters": letters, **self._sharing(), **versions})

    async def _form(self, request: Request, owner: str | None) -> tuple[dict[str, str], Response | None]:
        """Return the fields of a form that we gave to its owner; for any other form, the response that refuses it.

        ``owner``: what the form's token is bound to, the browser's cookie or the hash of its session.
        """
        if not self._browsers.has_own_origin(
            request.headers.get("origin"), request.headers.get("host"), shown_address(_address(request))
        ):
            return {}, PlainTextResponse(STRANGE_ORIGIN, status_code=403)
        fields = await _fields(request)
        if not (await self._browsers.forms()).fits(fields.get("csrf", ""), owner):
            return {}, await self._login_page(request, OLD_FORM, 403)
        return fields, None

    async def _login_page(
        self,
        request: Request,
        message: str = "",
        status: int = 200,
        headers: dict[str, str] | None = None,
        email: str = "",
    ) -> Response:
        kept = self._cookie(request, FORM_COOKIE)
        browser = kept or secrets.token_urlsafe(16)
        focus = {"{{new}}": "" if email else "autofocus", "{{again}}": "autofocus" if email else ""}
        # The e-mail comes last: what somebody typed there is no placeholder.
        values = {"{{message}}": message, **focus, "{{email}}": email}
        response = await self._page("login.html", browser, values, status, headers)
        if kept is None:
            self._set_cookie(request, response, FORM_COOKIE, browser, None)
        return response

    async def _page(
        self,
        name: str,
        owner: str,
        values: Mapping[str, str] = MappingProxyType({}),
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        page = (WEB / name).read_text(encoding="utf-8")
        filled = {"{{csrf}}": (await self._browsers.forms()).sign(owner), **values}
        for placeholder, value in filled.items():
            page = page.replace(placeholder, html.escape(value))
        return HTMLResponse(page, status, headers)

    def _cookie(self, request: Request, name: str) -> str | None:
        return self._browsers.cookie(request.cookies, name, request.url.scheme)

    def _set_cookie(self, request: Request, response: Response, name: str, value: str, age: int | None) -> None:
        secure = self._browsers.secure(request.url.scheme)
        name = sign_in.cookie_name(name, secure)
        response.set_cookie(name, value, max_age=age, path="/", httponly=True, samesite="lax", secure=secure)


def _address(request: Request) -> str | None:
    return request.client.host if request.client else None


async def unavailable(_: Request, problem: Exception) -> Response:
    """Answer a request for a page that needs the database while it can't be used."""
    return PlainTextResponse(str(problem), 503, {"Retry-After": "5"})


async def _fields(request: Request) -> dict[str, str]:
    """Return the fields of a form; none if it is too long."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_FORM_BYTES:
            return {}
    found = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: valid_text(values[0]) for name, values in found.items()}
