"""Facts about the message that is being handled: its sender's id, the idempotency key, and what its sender may use.

Vendors call again if they weren't answered in time, and pages send again what wasn't acknowledged; Rasa's channels don't pass
the ids on. So they are read before the channel reads the request, and travel in the context of the task that handles it. What a
page gets as the acknowledgement of its message is made here too.
"""

import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final

import msgspec
from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.core.channels.rest import RestInput
from sanic import Blueprint
from sanic.exceptions import SanicException
from sanic.request import Request

from rasa_handoff.channel.slack_markup import message_of_change
from rasa_handoff.protocol.errors import Refused, StoreError
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.payloads import ForeignId
from rasa_handoff.protocol.text import in_text, valid

log = get_log(__name__)

AFTER_KEY: Final = "handoff_after"
"""In a request's metadata: the id of the last message that the client has seen, or null. A client that sends this acknowledges:
all messages to it, the bot's too, are kept until it has named them or a later one."""
ID_KEY: Final = "handoff_message_id"
"""In a request's metadata: the client's own id of this message, the same one if it is sent again."""


NAMELESS: Final = (
    "A request to the channel %s names no `sender`. Rasa puts all customers without one into one conversation, where they read "
    "each other's words, and an agent's: have each front end send an id of its own. This is said once."
)


DIGEST_DIGITS: Final = 40
"""Hexadecimal digits of the digest that stands for an id that the desk wouldn't take."""


class MessageFacts:
    """Facts about the message that is being handled, and about its sender.

    ``id``: the sender's own id of it. ``acknowledges``: the sender acknowledges the messages that it gets, by id. ``after``: the
    id of the last message that the sender has seen. ``within``: seconds in which a second message with this id is a copy; None:
    for as long as ids are remembered. ``refused``: why the message was not accepted, as code and sentence, once that is known.
    ``admitted``: the conversation that the sender may use. ``issued``: the customer token that its front end gets.
    ``for_person``: it tells of a change to an earlier message, which a person reads and the bot doesn't answer.
    """

    def __init__(
        self, id: Any = None, acknowledges: bool = False, after: str | None = None, within: float | None = None
    ) -> None:
        self.id = _usable(valid(id))
        self.acknowledges, self.after, self.within = acknowledges, valid(after), within
        self.refused: tuple[str, str] | None = None
        self.admitted: str | None = None
        self.issued: str | None = None
        self.for_person = False
        self._named = 0

    def give_id(self, message: UserMessage) -> None:
        """Give the message its sender's id; further messages from the same request get that id with a number."""
        self._named += 1
        if self.id is not None:
            message.message_id = self.id if self._named == 1 else f"{self.id}.{self._named}"


def _usable(id: Any) -> str | None:
    """Return a sender's id as the desk takes it; None if it is none.

    One with blanks, or a very long one, is replaced by its digest: the desk would refuse the message, and a copy of it must still
    be known.
    """
    if isinstance(id, bool) or not isinstance(id, str | int) or not str(id):
        return None
    try:
        return msgspec.convert(str(id), ForeignId)
    except msgspec.ValidationError:
        return hashlib.sha256(str(id).encode()).hexdigest()[:DIGEST_DIGITS]


_message_facts: ContextVar[MessageFacts | None] = ContextVar("handoff_message_facts", default=None)


def message_facts() -> MessageFacts:
    """Return the facts about the message that this task handles."""
    return _message_facts.get() or MessageFacts()


@contextlib.contextmanager
def handling(facts: MessageFacts) -> Iterator[None]:
    """Let :func:`message_facts` return these facts while the message is handled."""
    token = _message_facts.set(facts)
    try:
        yield
    finally:
        _message_facts.reset(token)


def watch(blueprint: Blueprint, channel: InputChannel) -> None:
    """Read the ids in the requests of this channel's blueprint.

    On ``rest`` and its subclasses the message is made a text too, since Rasa silently drops a number or an object. On ``slack``
    a deleted or edited message is made one that says so, since Rasa drops these, too.
    """

    nameless = False

    async def read(request: Request) -> None:
        nonlocal nameless
        _message_facts.set(facts := _facts_in(request, READERS.get(channel.name())))
        if channel.name() == "slack":
            facts.for_person = _replace_change(_body(request))
        if isinstance(channel, RestInput) and (body := _body(request)).get("message") is not None:
            body["message"] = in_text(body["message"])
            if body.get("sender") is None and not nameless:
                nameless = True
                log.warning(NAMELESS, channel.name())

    blueprint.middleware("request")(read)


def _replace_change(body: dict[str, Any]) -> bool:
    """Replace Slack's event of a deleted or edited message by a message that says so; return whether it was one."""
    event = body.get("event")
    message = message_of_change(event) if isinstance(event, dict) else None
    if message is not None:
        body["event"] = message
    return message is not None


def _facts_in(request: Request, reader: "IdReader | None") -> MessageFacts:
    """Return the facts in a request, without an id if it has none that can be read; never raise, whatever it contains."""
    if request.method != "POST":
        return MessageFacts()
    body = _body(request)
    metadata = body.get("metadata")
    if isinstance(metadata, dict) and (AFTER_KEY in metadata or ID_KEY in metadata):
        return MessageFacts(metadata.get(ID_KEY), acknowledges=AFTER_KEY in metadata, after=metadata.get(AFTER_KEY))
    with contextlib.suppress(AttributeError, IndexError, KeyError, TypeError, ValueError):
        return MessageFacts(reader(body) if reader is not None else None)
    return MessageFacts()


def _body(request: Request) -> dict[str, Any]:
    if "json" in (request.content_type or ""):
        with contextlib.suppress(SanicException):
            return request.json if isinstance(request.json, dict) else {}
        return {}
    return {name: values[0] for name, values in (request.form or {}).items()}


IdReader = Callable[[Mapping[str, Any]], Any]
"""Reads a message's id from a vendor's request."""


def _facebook(body: Mapping[str, Any]) -> Any:
    """Return the id of a request's first message, the one that Rasa handles."""
    for entry in body["entry"]:
        for message in entry["messaging"]:
            if content := message.get("message") or message.get("postback"):
                return content.get("mid")
    return None


READERS: Final[Mapping[str, IdReader]] = {
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
"""Where each vendor puts the id of a message, the same one if it calls again."""


async def outcome(handled: Awaitable[Any], facts: MessageFacts) -> dict[str, Any]:
    """Wait until a customer's message is handled; return its acknowledgement: accepted, or why not."""
    try:
        await handled
    except StoreError as problem:
        log.error("A customer's message was not accepted, and their page keeps it: %s", problem)
        return refusal("unavailable", "Your message can't be taken just now; it will be sent again.")
    except Refused as problem:
        return refusal(problem.code, str(problem))
    except Exception:
        log.exception("A customer's message (%s) could not be handled.", facts.id)
        return refusal("failed", "Your message could not be handled.")
    return refusal(*facts.refused) if facts.refused is not None else {"ok": True}


def refusal(code: str, sentence: str) -> dict[str, Any]:
    """Return the acknowledgement of a message that was not accepted. Only the code ``unavailable`` is worth another try."""
    return {"ok": False, "code": code, "error": sentence}
