"""Customers on each of Rasa's built-in channels: they write as the vendor's servers do, and hear what the vendor was told."""

import hashlib
import hmac
import itertools
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import jwt

from rasa_handoff.protocol.text import valid_text
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.vendors import RASA_KEY, TEAMS_KEY, Call, Vendors

NUMBERS = itertools.count(1000)


def _form(**fields: str) -> tuple[bytes, dict[str, str]]:
    """Return a form and its header. Half a character is encoded as other languages do it: into bytes that aren't UTF-8."""
    body = urlencode(fields, encoding="utf-8", errors="surrogatepass").encode()
    return body, {"Content-Type": "application/x-www-form-urlencoded"}


def _out_of_a_form(text: str) -> str:
    return valid_text(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))


class Customer:
    """A customer ``id`` at a ``place`` (chat, room, thread ...) of a channel that can push.

    What they say has a ``number``, of which the vendor's id of the message is made; :meth:`again` sends the last one once more.
    """

    channel = ""
    number = 0

    def __init__(self, rasa: RasaServer, vendors: Vendors, id: str = "sipho", place: str = "room") -> None:
        self.rasa, self.vendors, self.id, self.place = rasa, vendors, id, place

    @property
    def conversation_id(self) -> str:
        return self.id

    async def say(self, text: str) -> None:
        self.number, self.last = next(NUMBERS), text
        await self.send(text)

    async def again(self) -> None:
        """Send the last message once more, as a vendor does that got no answer in time."""
        await self.send(self.last)

    async def send(self, text: str) -> None:
        await self._post(json.dumps(self.request(text)), {"Content-Type": "application/json"})

    def request(self, text: str) -> dict[str, Any]:
        raise NotImplementedError

    def as_read(self, text: str) -> str:
        """Return the text as whoever reads it gets it from the customer."""
        return valid_text(text)

    def as_heard(self, text: str) -> str:
        """Return an agent's text as the customer gets it."""
        return valid_text(text)

    async def call(self, body: Any) -> None:
        """Send what the vendor sends for something else than words, signed as it does."""
        await self._post(json.dumps(body), {"Content-Type": "application/json"})

    async def _post(self, body: Any, headers: dict[str, str] | None = None, query: str = "") -> str:
        address = f"{self.rasa.url}/webhooks/{self.channel}/webhook{query}"
        async with self.rasa.http.post(address, data=body, headers=headers) as answer:
            assert answer.status in (200, 204), await answer.text()
            return await answer.text()

    def calls(self) -> list[Call]:
        """Return the messages that the vendor was asked to pass to this customer."""
        return [call for call in self.vendors.to(self.channel) if self.at(call) in (self.id, self.place)]

    def at(self, call: Call) -> str:
        """Return the id or the ``place`` that the message is for."""
        raise NotImplementedError

    def text(self, call: Call) -> str | None:
        return call.body.get("text")

    def received_texts(self) -> list[str]:
        return [self.text(call) or "" for call in self.calls()]

    def raw(self) -> str:
        """Return all that came to the front end."""
        return json.dumps([call.body for call in self.calls()])

    async def hears(self, words: str) -> str:
        return await eventually(
            lambda: next((text for text in self.received_texts() if words in text), None), what=f"{words!r}"
        )


def in_slacks_markup(text: str) -> str:
    """Return what Slack sends for a text: its control characters escaped, and what looks like an address marked."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    addresses = re.sub(r"(?<!\S)([\w.]+@[\w.]+\.\w+)", r"<mailto:\1|\1>", escaped)
    return re.sub(r"(?<!\S)(https?://\S+)", r"<\1>", addresses)


class OnSlack(Customer):
    channel = "slack"
    thread = "17.1"

    async def send(self, text: str) -> None:
        await self._send_as_it_is(in_slacks_markup(text))

    async def say_in_markup(self, markup: str) -> None:
        """Say something of which Slack has made this."""
        self.number = next(NUMBERS)
        await self._send_as_it_is(markup)

    async def deletes(self, text: str, **own: Any) -> None:
        """Delete an earlier message of this text."""
        await self._change({"subtype": "message_deleted", "previous_message": self._message(text) | own})

    async def edits(self, text: str, now: str, **own: Any) -> None:
        """Edit an earlier message of this text; its preview, too, is such a change."""
        new = self._message(now) | {"edited": {"user": self.id, "ts": "18.0"}} | own
        await self._change(
            {"subtype": "message_changed", "message": new, "previous_message": self._message(text) | own}
        )

    async def _change(self, what: dict[str, Any]) -> None:
        self.number = next(NUMBERS)
        await self._post_event({"type": "message", "hidden": True, "ts": "18.1", **what})

    def _message(self, text: str) -> dict[str, Any]:
        return {
            "type": "message",
            "text": in_slacks_markup(text),
            "user": self.id,
            "ts": "17.9",
            "thread_ts": self.thread,
        }

    async def _send_as_it_is(self, text: str) -> None:
        await self._post_event(self._message(text) | {"text": text})

    async def _post_event(self, event: dict[str, Any]) -> None:
        event = {**event, "channel": self.place, "channel_type": "im"}
        await self.call({"event_id": f"Ev{self.number}", "event": event})

    async def call(self, body: Any) -> None:
        await self._signed(json.dumps(body), "application/json")

    async def press(self, payload: dict[str, Any]) -> None:
        """Press something, of which Slack tells by a form."""
        where = {"user": {"id": self.id}, "channel": {"id": self.place}, "message": {"thread_ts": self.thread}}
        form = urlencode({"payload": json.dumps({"type": "block_actions", **where, **payload})})
        await self._signed(form, "application/x-www-form-urlencoded")

    async def _signed(self, body: str, kind: str) -> None:
        now = str(int(time.time()))
        signature = hmac.new(b"secret", f"v0:{now}:{body}".encode(), hashlib.sha256).hexdigest()
        headers = {"X-Slack-Signature": f"v0={signature}", "X-Slack-Request-Timestamp": now}
        await self._post(body, {**headers, "Content-Type": kind})

    def at(self, call: Call) -> str:
        return str(call.body["channel"])

    def as_heard(self, text: str) -> str:
        return valid_text(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class OnCallback(Customer):
    channel = "callback"

    def request(self, text: str) -> dict[str, Any]:
        return {"sender": self.id, "message": text}

    def at(self, call: Call) -> str:
        return str(call.body["recipient_id"])


class OnTelegram(Customer):
    channel = "telegram"

    def request(self, text: str) -> dict[str, Any]:
        chat = {"id": int(self.id), "type": "private"}
        return {"update_id": self.number, "message": {"message_id": 1, "date": 0, "chat": chat, "text": text}}

    def at(self, call: Call) -> str:
        return str(call.body["chat_id"])


class OnFacebook(Customer):
    channel = "facebook"

    async def send(self, text: str) -> None:
        message = {"mid": f"m_{self.number}", "text": text}
        await self.call({"entry": [{"messaging": [{"sender": {"id": self.id}, "message": message}]}]})

    async def call(self, body: Any) -> None:
        body = json.dumps(body)
        signature = hmac.new(b"secret", body.encode(), hashlib.sha1).hexdigest()
        await self._post(body, {"X-Hub-Signature": f"sha1={signature}", "Content-Type": "application/json"})

    def at(self, call: Call) -> str:
        return str(call.body["recipient"]["id"])

    def text(self, call: Call) -> str | None:
        return call.body["message"].get("text")


class OnTwilio(Customer):
    channel = "twilio"

    async def send(self, text: str) -> None:
        await self.call({"Body": text, "MessageSid": f"SM{self.number}"})

    async def call(self, body: Any) -> None:
        await self._post(*_form(From=self.id, **body))

    def as_read(self, text: str) -> str:
        return _out_of_a_form(text)

    def at(self, call: Call) -> str:
        return str(call.body["To"])

    def text(self, call: Call) -> str | None:
        return call.body.get("Body")


class OnWebexTeams(Customer):
    channel = "webexteams"

    @property
    def conversation_id(self) -> str:
        return self.place

    def request(self, text: str) -> dict[str, Any]:
        id = f"m{self.number}"
        self.vendors.webex_messages[id] = (self.place, text)
        return {"id": "hook", "resource": "messages", "event": "created", "data": {"id": id}}

    def at(self, call: Call) -> str:
        return str(call.body["roomId"])


class OnRocketChat(Customer):
    channel = "rocketchat"

    @property
    def conversation_id(self) -> str:
        return self.place

    def request(self, text: str) -> dict[str, Any]:
        return {"user_name": self.id, "text": text, "channel_id": self.place, "message_id": f"rc{self.number}"}

    def at(self, call: Call) -> str:
        return str(call.body["roomId"])


class OnMattermost(Customer):
    channel = "mattermost"

    def request(self, text: str) -> dict[str, Any]:
        post = {"text": f"@bot {text}", "user_id": self.id, "channel_id": self.place, "post_id": f"mm{self.number}"}
        return {"trigger_word": "@bot", **post}

    def at(self, call: Call) -> str:
        return str(call.body["channel_id"])

    def text(self, call: Call) -> str | None:
        return call.body.get("message")


class OnBotFramework(Customer):
    channel = "botframework"
    attachments: Sequence[Mapping[str, Any]] = ()

    async def send(self, text: str) -> None:
        await self.call({"id": f"act{self.number}", "text": text, "attachments": [*self.attachments]})

    async def call(self, body: Any) -> None:
        token = jwt.encode({"aud": "app"}, TEAMS_KEY, algorithm="RS256", headers={"kid": "teams"})
        where = {"conversation": {"id": self.place}, "recipient": {"id": "bot"}, "from": {"id": self.id}}
        body = {"type": "message", "serviceUrl": f"{self.vendors.url}/botframework", **where, **body}
        await self._post(json.dumps(body), {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})

    def at(self, call: Call) -> str:
        return call.path.split("/")[-2]


class Fetching(Customer):
    """A customer of a channel that can't push: they hear what their own requests are answered with."""

    def __init__(self, rasa: RasaServer, vendors: Vendors, id: str = "sipho", place: str = "room") -> None:
        super().__init__(rasa, vendors, id, place)
        self.answers: list[str] = []
        self.texts: list[str] = []

    async def ask(self, text: str) -> list[str]:
        """Say something, and return what the answer says."""
        self.number, self.last = next(NUMBERS), text
        return await self._ask(text)

    async def _ask(self, text: str) -> list[str]:
        self.answers.append(await self.post(text))
        said = self.read(self.answers[-1])
        self.texts.extend(said)
        return said

    async def send(self, text: str) -> None:
        await self._ask(text)

    async def post(self, text: str) -> str:
        body = json.dumps(self.request(text))
        return await self._post(body, {"Content-Type": "application/json"})

    def request(self, text: str) -> dict[str, Any]:
        return {"sender": self.id, "message": text}

    def read(self, answer: str) -> list[str]:
        return [message.get("text", "") for message in json.loads(answer)]

    def received_texts(self) -> list[str]:
        return self.texts

    def raw(self) -> str:
        return "\n".join(self.answers)


class OnRest(Fetching):
    channel = "rest"


class OnRestStream(Fetching):
    channel = "rest"

    async def post(self, text: str) -> str:
        body = json.dumps(self.request(text))
        return await self._post(body, {"Content-Type": "application/json"}, query="?stream=true")

    def read(self, answer: str) -> list[str]:
        return [json.loads(line).get("text", "") for line in answer.splitlines()]


class OnRasa(Fetching):
    channel = "rasa"

    async def post(self, text: str) -> str:
        token = jwt.encode({"username": self.id}, RASA_KEY, algorithm="HS256")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return await self._post(json.dumps({"message": text}), headers)


class OnHangouts(Fetching):
    channel = "hangouts"

    def request(self, text: str) -> dict[str, Any]:
        return {
            "type": "MESSAGE",
            "message": {"sender": {"displayName": self.id}, "text": text, "name": f"spaces/s/messages/{self.number}"},
            "space": {"type": "DM"},
        }

    def read(self, answer: str) -> list[str]:
        said = json.loads(answer)
        return [said["text"]] if "text" in said else [json.dumps(card) for card in said.get("cards", ())]


class OnTwilioVoice(Fetching):
    channel = "twilio_voice"

    async def post(self, text: str) -> str:
        return await self._post(*_form(From=self.id, SpeechResult=text, CallStatus="in-progress"))

    def as_read(self, text: str) -> str:
        return _out_of_a_form(text)

    def as_heard(self, text: str) -> str:
        return re.sub("[\x01-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", valid_text(text))  # what XML doesn't allow

    async def silent(self) -> list[str]:
        """Say nothing, so that Twilio asks what to say next, and return that."""
        self.answers.append(await self._post({"From": self.id, "CallStatus": "in-progress"}))
        return self.read(self.answers[-1])

    def read(self, answer: str) -> list[str]:
        return [say.text or "" for say in ElementTree.fromstring(answer).iter("Say")]


PUSHED = (
    OnSlack,
    OnCallback,
    OnTelegram,
    OnFacebook,
    OnTwilio,
    OnWebexTeams,
    OnRocketChat,
    OnMattermost,
    OnBotFramework,
)
FETCHED = (OnRest, OnRestStream, OnRasa, OnHangouts, OnTwilioVoice)
