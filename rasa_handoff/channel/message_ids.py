"""Facts about the message that is being handled: its sender's id, the idempotency key, and what its sender may use.

Vendors call again if they weren't answered in time, and pages send again what wasn't acknowledged; Rasa's channels don't pass
the ids on. So they are read before the channel reads the request, and travel in the context of the task that handles it. What a
page gets as the acknowledgement of its message is made here too.
"""

import contextlib
import hashlib
from collections.abc import Awaitable, Iterator
from contextvars import ContextVar
from typing import Any, Final

import msgspec
from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.core.channels.rest import RestInput
from sanic import Blueprint, response
from sanic.exceptions import SanicException
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.channel.vendors.page_messages import read_page_message
from rasa_handoff.channel.vendors.vendor_message import VendorFields, VendorMessage
from rasa_handoff.core.rating import is_rating, read_rating
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
MEDIA_KEY: Final = "handoff_media"
"""In a message's metadata: the ids of files that its page has added to the conversation, and sends with it."""

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
    ``said``: the message as its vendor's call has it, in ``body``. ``media``: the files that a request names, which Rasa's
    ``callback`` doesn't pass on.
    """

    def __init__(
        self,
        id: Any = None,
        acknowledges: bool = False,
        after: str | None = None,
        within: float | None = None,
        said: VendorMessage | None = None,
        body: VendorFields | None = None,
        media: Any = None,
    ) -> None:
        self.id = _usable(valid(id))
        self.acknowledges, self.after, self.within = acknowledges, valid(after), within
        self.refused: tuple[str, str] | None = None
        self.admitted: str | None = None
        self.issued: str | None = None
        self.said, self.body, self.media = said or VendorMessage(), body, media
        self._named = 0

    def add_parts(self, sent: VendorFields) -> None:
        """Add what a front end of the project's own has sent beside the message's words.

        Raises:
            Refused: it can't be read; or the words are a rating that can't be.
        """
        self.said = read_page_message(sent)
        words = in_text(sent.get("message"))
        if is_rating(words):
            read_rating(words)

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

    Those of vendors' calls are read with the messages (``channel/vendors``). On ``rest`` and its subclasses the message is made a
    text too, since Rasa silently drops a number or an object.
    """

    nameless = False

    async def read(request: Request) -> HTTPResponse | None:
        nonlocal nameless
        _message_facts.set(facts := _facts_in(request))
        if not isinstance(channel, RestInput) or request.method != "POST":
            return None
        body = body_of(request)
        try:
            facts.add_parts(body)
        except Refused as no:
            return response.json({"code": no.code, "error": str(no)}, status=400)
        if facts.said.parts:
            body.setdefault("message", "")
        if body.get("message") is not None:
            body["message"] = in_text(body["message"])
            if body.get("sender") is None and not nameless:
                nameless = True
                log.warning(NAMELESS, channel.name())
        return None

    blueprint.middleware("request")(read)


def _facts_in(request: Request) -> MessageFacts:
    """Return the facts in a request, without an id if it has none that can be read; never raise, whatever it contains."""
    metadata = body_of(request).get("metadata") if request.method == "POST" else None
    if not isinstance(metadata, dict):
        return MessageFacts()
    acknowledges, after = AFTER_KEY in metadata, metadata.get(AFTER_KEY)
    return MessageFacts(metadata.get(ID_KEY), acknowledges, after, media=metadata.get(MEDIA_KEY))


def body_of(request: Request) -> dict[str, Any]:
    """Return a request's JSON object, or its form; an empty one for anything else."""
    if "json" in (request.content_type or ""):
        with contextlib.suppress(SanicException):
            return request.json if isinstance(request.json, dict) else {}
        return {}
    return {name: values[0] for name, values in (request.form or {}).items()}


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
