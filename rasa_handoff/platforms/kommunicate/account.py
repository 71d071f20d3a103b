"""Reading a call of the account webhook, which is told of every message in the account, whoever said it.

Documented are ``key``, ``from``, ``groupId``, ``message``, ``timeStamp``, ``file`` and ``metadata``
(https://docs.kommunicate.io/docs/webhooks-configuration). That a conversation was resolved or assigned isn't documented there;
Kommunicate's web widget reads it from a message's metadata, ``KM_STATUS`` and ``KM_ASSIGN``, and so it is read here.
"""

from collections.abc import Mapping
from typing import Any, Final

from rasa_handoff.platforms.door import Rejected
from rasa_handoff.platforms.kommunicate.fields import HIDDEN, NOTIFY, as_content_type, as_flag
from rasa_handoff.platforms.reading import as_id, as_mapping, as_text
from rasa_handoff.vocabulary.shapes import in_text
from rasa_handoff.vocabulary.values import Value

ENDED: Final = ("resolved", "closed")
"""What ``KM_STATUS`` says of a conversation that is over; else it is open or waiting."""


class Seen(Value, frozen=True):
    """One message. ``key``: unique; ``at``: seconds since 1970 by Kommunicate's clock, None if not told. ``over``: it says that
    the conversation is resolved; ``assignee``: or whose it is now. ``shown``: the customer sees it."""

    conversation_id: str
    key: str
    sender: str | None = None
    text: str = ""
    at: float | None = None
    file: Mapping[str, Any] | None = None
    over: bool = False
    assignee: str | None = None
    shown: bool = True

    @property
    def words(self) -> str:
        """Text and file in words."""
        file = self.file or {}
        name = file.get("name") or file.get("url") or file.get("type")
        return " ".join(part for part in (self.text, f"[Attachment: {name}]" if self.file else "") if part)


def read_account(body: Mapping[str, Any]) -> Seen:
    """The call as a value.

    Raises:
        Rejected: 400 if it names no conversation or no message.
    """
    group = as_id(body.get("groupId")) or as_id(body.get("clientGroupId"))
    key = as_id(body.get("key"))
    if group is None or key is None:
        missing = "groupId" if group is None else "key"
        raise Rejected(400, f"{missing} is missing, or no text or number.")
    metadata = as_mapping(body.get("metadata"))
    status, assignee = as_text(metadata.get("KM_STATUS")).casefold(), as_id(metadata.get("KM_ASSIGN"))
    kind = as_content_type(body.get("contentType"))
    hidden = metadata.get("category") == "HIDDEN" or as_flag(metadata.get("hide")) or kind in (NOTIFY, HIDDEN)
    return Seen(
        conversation_id=group,
        key=key,
        sender=as_id(body.get("from")),
        text=as_text(in_text(body.get("message"))),
        at=_seconds(body.get("timeStamp")),
        file=_file(as_mapping(body.get("file"))),
        over=status in ENDED,
        assignee=assignee,
        shown=not (hidden or status or assignee),
    )


def _seconds(value: Any) -> float | None:
    """Of milliseconds, a number or a text."""
    digits = as_text(value)
    return int(digits) / 1000 if digits.isascii() and digits.isdigit() and len(digits) < 16 else None


def _file(file: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """As attachments stand in a message's metadata."""
    if not file:
        return None
    known = {
        "type": file.get("contentType"),
        "name": file.get("name"),
        "url": file.get("url"),
        "size": file.get("size"),
    }
    return {name: value for name, value in known.items() if value is not None}
