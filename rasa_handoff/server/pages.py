"""The HTTP side: sign-in, the desk's page and files, health; and the headers that guard them."""

import asyncio
import base64
import hashlib
import html
import re
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rasa_handoff import __version__
from rasa_handoff.server import accounts, sessions
from rasa_handoff.server.database import Database
from rasa_handoff.server.sessions import FORM_COOKIE, SESSION_COOKIE, Brake, Forms
from rasa_handoff.vocabulary.names import PROTOCOL
from rasa_handoff.vocabulary.text import valid_text

WEB: Final = Path(__file__).parent / "web"


def _inline_scripts(page: str) -> str:
    """The hashes by which a policy allows the scripts that stand in the page itself, and no others."""
    scripts = re.findall(r"<script>(.*?)</script>", (WEB / page).read_text("utf-8"), re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


POLICY: Final = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self'; "
    f"script-src 'self' {_inline_scripts('desk.html')}; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Files are asked for again each time (and mostly unchanged), so that an upgrade is seen at once.
    "Cache-Control": "no-cache",
}
MOST_FORM_BYTES: Final = 10_000
HEALTH_WITHIN: Final = 3.0

WRONG: Final = "The e-mail or the password isn't right. Please try again."
OLD_FORM: Final = "This page was open too long. Please try again."
STRANGE_ORIGIN: Final = "Sign in on the desk's own page."


class Guarded:
    """Adds the security headers to every HTTP answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_guarded if scope["type"] == "http" else send)


class Pages:
    """The routes. ``signed_out`` is awaited after somebody signed out, to close their desks."""

    def __init__(self, store: Database, signed_out: Callable[[], Awaitable[None]]) -> None:
        self._store, self._signed_out = store, signed_out
        self._brake = Brake()
        self._forms: Forms | None = None

    def routes(self) -> list[BaseRoute]:
        """For Starlette."""
        return [
            Route("/", self._home),
            Route("/login", self._back_home, methods=["GET"]),
            Route("/login", self._login, methods=["POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/health", self._health),
            Mount("/static", StaticFiles(directory=WEB / "static", check_dir=False)),
        ]

    async def _home(self, request: Request) -> Response:
        token = request.cookies.get(SESSION_COOKIE)
        account = await self._store.write(lambda connection: sessions.account_of(connection, token))
        return await self._page(request, "desk.html" if account else "login.html")

    async def _back_home(self, _: Request) -> Response:
        return RedirectResponse("/", status_code=303)

    async def _login(self, request: Request) -> Response:
        fields, problem = await self._form(request)
        if problem is not None:
            return problem
        email = fields.get("email", "").strip().lower()
        keys = f"mail {email}", f"from {request.client.host if request.client else ''}"
        wait = self._brake.wait(*keys)
        if wait > 0:
            sentence = f"Too many tries. Please wait {wait} {'second' if wait == 1 else 'seconds'} and try again."
            return await self._page(request, "login.html", sentence, 429, {"Retry-After": str(wait)})
        self._brake.tried(*keys)
        account = await self._store.write(lambda connection: accounts.by_email(connection, email))
        if not await asyncio.to_thread(accounts.right_password, account, fields.get("password", "")) or account is None:
            return await self._page(request, "login.html", WRONG, 401)
        self._brake.succeeded(*keys)
        id = account.id
        return await self._signed_in(
            request, await self._store.write(lambda connection: sessions.begin(connection, id))
        )

    async def _signed_in(self, request: Request, token: str) -> Response:
        response = RedirectResponse("/", status_code=303)
        self._set_cookie(request, response, SESSION_COOKIE, token, sessions.LASTS)
        return response

    async def _logout(self, request: Request) -> Response:
        _, problem = await self._form(request)
        if problem is not None:
            return problem
        token = request.cookies.get(SESSION_COOKIE)
        if token:
            await self._store.write(lambda connection: sessions.end(connection, token))
            await self._signed_out()
        response = RedirectResponse("/", status_code=303)
        response.delete_cookie(SESSION_COOKIE)
        return response

    async def _health(self, _: Request) -> Response:
        said: dict[str, Any] = {"version": __version__, "protocol": PROTOCOL}
        try:
            trouble = await asyncio.wait_for(self._store.look(), HEALTH_WITHIN)
        except Exception as problem:
            trouble = self._store.trouble or str(problem) or "it doesn't answer"
        if trouble is not None:
            reason = f"The database can't be used: {trouble}.".splitlines()[0]
            return JSONResponse({"status": "unavailable", "reason": reason, **said}, status_code=503)
        return JSONResponse({"status": "ok", **said})

    async def _form(self, request: Request) -> tuple[dict[str, str], Response | None]:
        """The fields of a form of ours, or what to answer to one that isn't."""
        if not sessions.own_origin(request.headers.get("origin"), request.headers.get("host")):
            return {}, PlainTextResponse(STRANGE_ORIGIN, status_code=403)
        fields = await _fields(request)
        if not (await self._signer()).fits(fields.get("csrf", ""), request.cookies.get(FORM_COOKIE)):
            return {}, await self._page(request, "login.html", OLD_FORM, 403)
        return fields, None

    async def _page(
        self, request: Request, name: str, message: str = "", status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        known = request.cookies.get(FORM_COOKIE)
        browser = known or secrets.token_urlsafe(16)
        page = (WEB / name).read_text(encoding="utf-8")
        filled = {"{{csrf}}": (await self._signer()).sign(browser), "{{message}}": message}
        for placeholder, value in filled.items():
            page = page.replace(placeholder, html.escape(value))
        response = HTMLResponse(page, status, {"Cache-Control": "no-store", **(headers or {})})
        if known is None:
            self._set_cookie(request, response, FORM_COOKIE, browser, None)
        return response

    async def _signer(self) -> Forms:
        if self._forms is None:
            self._forms = Forms(await self._store.write(sessions.secret))
        return self._forms

    def _set_cookie(self, request: Request, response: Response, name: str, value: str, age: int | None) -> None:
        secure = request.url.scheme == "https"
        response.set_cookie(name, value, max_age=age, httponly=True, samesite="lax", secure=secure)


async def unavailable(_: Request, problem: Exception) -> Response:
    """A page that needs the database while it can't be used."""
    return PlainTextResponse(str(problem), 503, {"Retry-After": "5"})


async def _fields(request: Request) -> dict[str, str]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_FORM_BYTES:
            return {}
    found = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: valid_text(values[0]) for name, values in found.items()}
