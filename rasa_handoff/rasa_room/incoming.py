"""What a sender says about a message beside its words: the id they gave it, by which a second copy is known.

Vendors call again when they weren't answered in time, and pages send again what wasn't acknowledged; Rasa's channels pass no
ids on. They are read before the channel reads the request, and travel with the task that handles it.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final

from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.core.channels.rest import RestInput
from sanic import Blueprint
from sanic.exceptions import SanicException
from sanic.request import Request

from rasa_handoff.vocabulary.shapes import in_text
from rasa_handoff.vocabulary.text import valid

AFTER_KEY: Final = "handoff_after"
"""In a request's metadata: the id of the last words the client has seen, or null. The client is then a mailbox's owner: words
stay until it has named them, the bot's own too."""
ID_KEY: Final = "handoff_message_id"
"""In a request's metadata: the client's own id of this message; the same one when it is sent again."""
LONGEST_ID: Final = 120


class Sent:
    """About the message in hand. ``id``: the sender's own. ``keeps``: the sender acknowledges what it is told, by id.
    ``after``: the id of the last words it has seen. ``within``: seconds in which a second message with this id is a copy;
    None: for as long as ids are known. ``refused``: why it wasn't taken, as code and sentence, once that is known.
    ``admitted``: the conversation that the sender may use; ``issued``: the customer token that its front end is given."""

    def __init__(
        self, id: Any = None, keeps: bool = False, after: str | None = None, within: float | None = None
    ) -> None:
        id = valid(id)
        usable = isinstance(id, str | int) and not isinstance(id, bool) and 0 < len(str(id)) <= LONGEST_ID
        self.id = str(id) if usable else None
        self.keeps, self.after, self.within = keeps, valid(after), within
        self.refused: tuple[str, str] | None = None
        self.admitted: str | None = None
        self.issued: str | None = None
        self._named = 0

    def name(self, message: UserMessage) -> None:
        """Give the message its sender's id; the second one that is made of the same request has one of its own."""
        self._named += 1
        if self.id is not None:
            message.message_id = self.id if self._named == 1 else f"{self.id}.{self._named}"


_sent: ContextVar[Sent | None] = ContextVar("handoff_sent", default=None)


def sent() -> Sent:
    """What is known about the message this task handles."""
    return _sent.get() or Sent()


@contextlib.contextmanager
def sending(about: Sent) -> Iterator[None]:
    """Inside, this is known about the message."""
    token = _sent.set(about)
    try:
        yield
    finally:
        _sent.reset(token)


def watch(blueprint: Blueprint, channel: InputChannel) -> None:
    """Read the ids in the requests of this channel's blueprint. On ``rest`` and its like the message is a text afterwards,
    whatever it was: Rasa would drop a number or an object in silence."""

    async def read(request: Request) -> None:
        _sent.set(_about(request, READERS.get(channel.name())))
        if isinstance(channel, RestInput) and (body := _body(request)).get("message") is not None:
            body["message"] = in_text(body["message"])

    blueprint.middleware("request")(read)


def _about(request: Request, reader: "Reader | None") -> Sent:
    """Whatever a stranger sends: what can't be read has no id."""
    if request.method != "POST":
        return Sent()
    body = _body(request)
    metadata = body.get("metadata")
    if isinstance(metadata, dict) and (AFTER_KEY in metadata or ID_KEY in metadata):
        return Sent(metadata.get(ID_KEY), keeps=AFTER_KEY in metadata, after=metadata.get(AFTER_KEY))
    with contextlib.suppress(AttributeError, IndexError, KeyError, TypeError, ValueError):
        return Sent(reader(body) if reader is not None else None)
    return Sent()


def _body(request: Request) -> dict[str, Any]:
    if "json" in (request.content_type or ""):
        with contextlib.suppress(SanicException):
            return request.json if isinstance(request.json, dict) else {}
        return {}
    return {name: values[0] for name, values in (request.form or {}).items()}


def _facebook(body: Mapping[str, Any]) -> Any:
    """Rasa handles the first message of a request."""
    for entry in body["entry"]:
        for message in entry["messaging"]:
            if told := message.get("message") or message.get("postback"):
                return told.get("mid")
    return None


Reader = Callable[[Mapping[str, Any]], Any]

READERS: Final[Mapping[str, Reader]] = {
    "botframework": lambda body: body.get("id"),
    "facebook": _facebook,
    "hangouts": lambda body: body["message"].get("name"),
    "mattermost": lambda body: body.get("post_id") if "trigger_word" in body else None,
    "rocketchat": lambda body: body.get("message_id"),
    "slack": lambda body: body.get("event_id"),
    "telegram": lambda body: body.get("update_id"),
    "twilio": lambda body: body.get("MessageSid"),
    "webexteams": lambda body: body["data"].get("id"),
}
"""Where each vendor writes the id of a message, the same one when it calls again."""
