"""Stand-ins for where vendors keep files: they give one out only to who shows the token, and note what they were shown."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from aiohttp import web

from tests.rasa.channels.redirect import redirect

CONTENT: Final = b"%PDF-1.4 the invoice"
BASIC: Final = "Basic QUMxOnRva2Vu"
"""Of the account ``AC1`` with the token ``token``."""
SHOWN: Final = {
    "slackfiles": ("Authorization", "Bearer token"),
    "twilio": ("Authorization", BASIC),
    "webex": ("Authorization", "Bearer token"),
    "mattermost": ("Authorization", "Bearer token"),
    "rocketchat": ("X-Auth-Token", "token"),
    "teams": ("Authorization", "Bearer token"),
}
"""The header that each vendor wants to see before it gives a file out."""


class FileStandIns:
    """One server for all vendors: ``async with FileStandIns() as files``, then ``files.redirect(monkeypatch)``.

    ``answer``: what is answered in place of the file, if anything. ``requests``: path and headers of each request for a file.
    """

    def __init__(self) -> None:
        self.answer: Callable[[web.Request], Any] | None = None
        self.requests: list[tuple[str, dict[str, str]]] = []

    async def __aenter__(self) -> "FileStandIns":
        app = web.Application()
        app.router.add_route("*", "/{vendor}/{path:.*}", self._respond)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def redirect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Send Rasa's channels and the sources of files here."""
        redirect(monkeypatch, self.url)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        vendor, path = request.match_info["vendor"], request.match_info["path"]
        asked = self._asked(vendor, path)
        if asked is not None:
            return web.json_response(asked)
        self.requests.append((f"{vendor}/{path}", dict(request.headers)))
        header, shown = SHOWN.get(vendor, ("", ""))
        if header and request.headers.get(header) != shown:
            return web.Response(status=401)
        if self.answer is not None:
            answer: web.StreamResponse = await self.answer(request)
            return answer
        return web.Response(body=CONTENT)

    def _asked(self, vendor: str, path: str) -> Any:
        """Return the answer to a question about a file, or to a request for a token."""
        if vendor == "telegram" and path.lower() == "bot1:token/getfile":
            return {"ok": True, "result": {"file_id": "f", "file_unique_id": "u", "file_path": "documents/file_1.pdf"}}
        known = {
            "slack/api/files.info": {"ok": True, "file": {"url_private_download": f"{self.url}/slackfiles/F1/a.pdf"}},
            "rocketchat/api/v1/login": {"status": "success", "data": {"authToken": "token", "userId": "bot"}},
            "botframework/oauth/botframework.com/oauth2/v2.0/token": {"access_token": "token", "expires_in": 3600},
            "botframework/openid": {"jwks_uri": f"{self.url}/botframework/keys"},
            "botframework/keys": {"keys": []},
        }
        return known.get(f"{vendor}/{path}")
