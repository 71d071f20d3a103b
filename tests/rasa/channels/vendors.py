"""Stand-in vendors: one real HTTP server in a thread of its own, since several of Rasa's vendor clients block their loop."""

import asyncio
import json
import re
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.rasa.channels.file_stand_ins import SHOWN
from tests.rasa.channels.vendor_limits import refusal, too_fast
from tests.support.photos import photo

TEAMS_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RASA_KEY = "a key of the Rasa channel's service, long enough for HS256"


@dataclass(frozen=True)
class Call:
    """A request a vendor got. ``body`` is what its JSON or form says."""

    vendor: str
    path: str
    body: dict[str, Any]


class Vendors:
    """The vendors: ``with Vendors() as vendors``. ``calls`` has what they were asked to do.

    ``delay``: seconds each answer takes. ``failing``: those that take no message and answer with ``status``; ``refused``: how
    many messages that were. ``silent``: those that take a message's connection and never answer. ``answers_lost``: messages are
    passed on, but the answer says that they weren't. ``hurried``: the seconds for which a vendor wants nothing else, said once.
    ``takes``: how many messages a vendor takes before it fails.
    What a vendor doesn't take it refuses (``vendor_limits.py``).
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.delay = 0.0
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self.status = 503
        self.answers_lost = False
        self.refused = 0
        self.hurried: dict[str, int] = {}
        self.takes: dict[str, int] = {}
        self.webex_messages: dict[str, tuple[str, str | None]] = {}
        self.webex_files: dict[str, list[str]] = {}
        self.webex_presses: dict[str, dict[str, Any]] = {}
        self._awaited: dict[str, Future[None]] = {}
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> "Vendors":
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{vendor}/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._started.set()
        await self._stopping.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        vendor, path = request.match_info["vendor"], request.match_info["path"]
        if FILE_PATHS.search(f"{vendor}/{path}"):
            header, shown = SHOWN.get(vendor, ("", ""))
            has_right = not header or request.headers.get(header) == shown
            return web.Response(body=content_at(path)) if has_right else web.Response(status=401)
        call = Call(vendor, path, _read(await request.text()))
        status, answer = self._respond(call)
        if vendor in self._awaited:
            self._awaited.pop(vendor).set_result(None)
        while is_message(call) and vendor in self.silent:
            await asyncio.sleep(0.02)  # the vendor saying nothing is what is tested
            if vendor not in self.silent:
                return web.json_response({}, status=503)
        await asyncio.sleep(self.delay)  # the vendor being slow is what is tested
        if is_message(call) and vendor in self.takes:
            self.takes[vendor] -= 1
            if self.takes[vendor] < 0:
                self.failing.add(vendor)
        if is_message(call) and vendor in self.failing:
            self.refused += 1
            problem = "fatal_error" if self.status == 503 else "channel_not_found"
            return web.json_response({"ok": False, "error": problem, "description": "no"}, status=self.status)
        if is_message(call) and vendor in self.hurried:
            self.refused += 1
            seconds = self.hurried.pop(vendor)
            status, answer = too_fast(vendor, seconds)
            return web.json_response(answer, status=status, headers={"Retry-After": str(seconds)})
        if is_message(call) and (no := refusal(vendor, call.body)) is not None:
            self.refused += 1
            return web.json_response(no[1], status=no[0])
        self.calls.append(call)
        if is_message(call) and self.answers_lost:
            return web.json_response({"ok": False}, status=503)
        return web.json_response(answer, status=status, headers={"Token": "token"})

    def _respond(self, call: Call) -> tuple[int, Any]:
        method = getattr(self, f"_{call.vendor}", None)
        return (200, {"ok": True}) if method is None else method(call)

    def _telegram(self, call: Call) -> tuple[int, Any]:
        method = call.path.rpartition("/")[2].lower()
        chat = {"id": int(call.body.get("chat_id", 0)), "type": "private"}
        file = {"file_id": "f", "file_unique_id": "u", "file_path": f"documents/{call.body.get('file_id')}"}
        results = {
            "getfile": file,
            "getme": {"id": 1, "is_bot": True, "first_name": "Bot", "username": "karoo_bot"},
            "setwebhook": True,
        }
        said = {"message_id": 1, "date": 0, "chat": chat, "text": call.body.get("text")}
        return 200, {"ok": True, "result": results.get(method, said)}

    def _slack(self, call: Call) -> tuple[int, Any]:
        address = f"{self.url}/slackfiles/{call.body.get('file')}/invoice"
        return 200, {"ok": True, "file": {"url_private_download": address}}

    def _twilio(self, call: Call) -> tuple[int, Any]:
        return 201, {"sid": "SM1", "body": call.body.get("Body"), "status": "queued"}

    def _rocketchat(self, call: Call) -> tuple[int, Any]:
        return 200, {"status": "success", "data": {"authToken": "token", "userId": "bot"}}

    def _webexteams(self, call: Call) -> tuple[int, Any]:
        if call.path.startswith("messages/"):
            id = call.path.partition("/")[2]
            room, text = self.webex_messages[id]
            known = {"text": text, "files": self.webex_files.get(id)}
            said = {name: value for name, value in known.items() if value is not None}
            return 200, {"id": "1", "roomId": room, "personId": "customer", **said}
        if call.path.startswith("attachment/actions/"):
            return 200, {"personId": "customer", **self.webex_presses[call.path.rpartition("/")[2]]}
        return 200, {"id": "bot"}

    def _rasa(self, call: Call) -> tuple[int, Any]:
        return 200, {"keys": [{"key": RASA_KEY, "alg": "HS256"}]}

    def _botframework(self, call: Call) -> tuple[int, Any]:
        if call.path == "openid":
            return 200, {"jwks_uri": f"{self.url}/botframework/keys"}
        if call.path == "keys":
            key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(TEAMS_KEY.public_key()))
            return 200, {"keys": [{**key, "kid": "teams"}]}
        return 200, {"access_token": "token", "expires_in": 3600}

    def mend(self) -> None:
        """Let every vendor take messages again."""
        self.failing.clear()
        self.silent.clear()
        self.hurried.clear()
        self.takes.clear()
        self.status, self.answers_lost = 503, False

    def next_arrival(self, vendor: str) -> "Future[None]":
        """Return what is done when the next request arrives at this vendor, before it is answered."""
        return self._awaited.setdefault(vendor, Future())

    def to(self, vendor: str) -> list[Call]:
        """Return the messages that this vendor was asked to pass to customers, in order."""
        return [call for call in list(self.calls) if call.vendor == vendor and is_message(call)]


FILE_PATHS = re.compile(
    r"^(slackfiles|cdn|sharepoint)/|^telegram/file/|/Media/ME|^webex/v1/contents/|/files/\w{26}$|/file-upload/|^teams/v3/attachments/"
)
"""The paths of customers' files."""
MARKS = {"invoice": b"%PDF-1.4", "BQAC": b"%PDF-1.4", "voice": b"OggS" + bytes(40), "AwAC": b"OggS" + bytes(40)}
FILMS = ("BAAC", "CgAC")


def content_at(path: str) -> bytes:
    """Return what a file has in it, by a mark in its path; a photo without one."""
    if any(film in path for film in FILMS):
        return b"\0\0\0\x18ftypmp42" + bytes(100)
    return next((content for mark, content in MARKS.items() if mark in path), photo((64, 48)))


MESSAGE_PATHS = (
    "sendPhoto", "sendDocument", "sendAudio", "sendVoice", "sendVideo",
    "chat.postMessage", "sendMessage", "me/messages", "Messages.json", "posts", "activities", "callback", "letters",
)  # fmt: skip
"""How the path of a request ends that is a message to a customer."""


def is_message(call: Call) -> bool:
    """Return whether this request is a message to a customer, and not a sign-in, a look-up or a sign of typing."""
    if "sender_action" in call.body or (call.vendor == "webexteams" and not call.body):
        return False
    return call.path.lower().endswith(tuple(end.lower() for end in MESSAGE_PATHS)) or call.path == "messages"


def _read(text: str) -> dict[str, Any]:
    return dict(json.loads(text)) if text.startswith("{") else dict(parse_qsl(text))
