"""Writes the tables of ``docs/protocol.md``, from the structs that both sides read and write."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rasa_handoff.protocol import desk_payloads as desk  # noqa: E402
from rasa_handoff.protocol import message_parts as parts  # noqa: E402
from rasa_handoff.protocol import payloads as relay  # noqa: E402
from rasa_handoff.protocol import values  # noqa: E402

PAGE = ROOT / "docs" / "protocol.md"
COMMAND = ".venv/bin/python tools/protocol_tables.py"

Kind = type[msgspec.Struct]


class Exchange(NamedTuple):
    """One event: who sends it, the structs that it may carry, and what is answered beside ``{"ok": true}``."""

    direction: str
    event: str
    payloads: Sequence[Kind]
    answer: str


TO_RELAY, TO_SERVER, BOTH, TO_DESK, FROM_DESK = (
    "server -> relay",
    "relay -> server",
    "both",
    "server -> desk",
    "desk -> server",
)
UNKNOWN = "or code `unknown_handoff`"

RELAY = (
    Exchange(TO_SERVER, "connect", [relay.RelayAuthPayload], "refused with one sentence"),
    Exchange(
        TO_RELAY,
        "present",
        [],
        "anything: is the relay there? Asked when one with another database connects for the same bot",
    ),
    Exchange(TO_SERVER, "hello", [relay.HelloPayload], ""),
    Exchange(TO_RELAY, "welcome", [relay.WelcomePayload], ""),
    Exchange(TO_RELAY, relay.AVAILABILITY, [values.Availability], ""),
    Exchange(TO_SERVER, "handoff.find", [relay.FindPayload], "FoundAnswer"),
    Exchange(
        TO_SERVER,
        "handoff.initiate",
        [relay.OfferPayload],
        "QueuedAnswer, or code `nobody_available`, `unknown_department`, `unknown_agent`, `refused`, `invalid`",
    ),
    Exchange(TO_SERVER, "handoff.transcript", [relay.TranscriptPayload], UNKNOWN),
    Exchange(
        TO_RELAY,
        "handoff.status",
        [
            relay.QueuedPayload,
            relay.AcceptedPayload,
            relay.TransferredPayload,
            relay.CompletedPayload,
            relay.FailedPayload,
            relay.UnansweredPayload,
            relay.CustomerSilentPayload,
        ],
        f"{UNKNOWN}, if the relay doesn't know the handoff; then the server ends it",
    ),
    Exchange(
        TO_SERVER,
        "handoff.status",
        [relay.EndedPayload, relay.MessageLeftPayload],
        "accepted for an unknown handoff, too",
    ),
    Exchange(
        BOTH,
        "message",
        [relay.MessagePayload],
        f"{UNKNOWN}; from the relay `ended` too, and `too_many` when 1,000 wait already for the customer",
    ),
    Exchange(TO_SERVER, "message.status", [relay.MessageStatusPayload], ""),
    Exchange(TO_SERVER, relay.RatingPayload.event, [relay.RatingPayload], "accepted for an unknown handoff, too"),
    Exchange(BOTH, "typing", [relay.TypingPayload], ""),
    Exchange(TO_RELAY, relay.ReadPayload.event, [relay.ReadPayload], ""),
    Exchange(TO_SERVER, relay.CustomerPresencePayload.event, [relay.CustomerPresencePayload], ""),
)
DESK = (
    Exchange(TO_DESK, "ready", [desk.ReadyPayload], ""),
    Exchange(TO_DESK, desk.ARRIVAL, [desk.Summary], ""),
    Exchange(TO_DESK, "conversation", [desk.Summary, desk.WholeConversation], ""),
    Exchange(TO_DESK, "message", [desk.ShownMessagePayload], ""),
    Exchange(TO_DESK, "message.status", [relay.MessageStatusPayload], ""),
    Exchange(TO_DESK, "typing", [relay.TypingPayload], ""),
    Exchange(TO_DESK, "presence", [desk.PresencePayload], ""),
    Exchange(TO_DESK, relay.AVAILABILITY, [values.Availability], ""),
    Exchange(TO_DESK, "reminder", [desk.ReminderPayload], ""),
    Exchange(TO_DESK, "deleted", [desk.DeletedPayload], ""),
    Exchange(TO_DESK, "signed_out", [], "the session ended"),
    Exchange(FROM_DESK, "presence", [desk.PresencePayload], ""),
    Exchange(
        FROM_DESK,
        "take",
        [desk.TakePayload],
        'ConversationAnswer, or code `taken` ("Thandi took this conversation a moment ago."), `ended`, `unknown_handoff`',
    ),
    Exchange(FROM_DESK, "open", [desk.OpenPayload], "ConversationAnswer"),
    Exchange(
        FROM_DESK,
        "message",
        [desk.AgentMessagePayload],
        "MessageAnswer, or code `not_yours` (a conversation in state `message` is everybody's), `ended`, "
        "`too_many` (1,000 wait already for the customer)",
    ),
    Exchange(FROM_DESK, "media", [desk.MediaPayload], "MediaAnswer"),
    Exchange(FROM_DESK, "typing", [relay.TypingPayload], ""),
    Exchange(FROM_DESK, relay.ReadPayload.event, [relay.ReadPayload], "dropped unless the agent has the conversation"),
    Exchange(FROM_DESK, "transfer", [desk.TransferPayload], ""),
    Exchange(FROM_DESK, "resolve", [desk.ResolvePayload], "or code `invalid` with the slot that is wrong"),
    Exchange(
        FROM_DESK,
        "followed_up",
        [desk.FollowedUpPayload],
        "or code `invalid`: it didn't end with the outcome `follow_up`",
    ),
)
VALUES: Sequence[Kind] = (
    relay.Acknowledgement,
    values.Agent,
    values.Availability,
    values.BotState,
    values.Channel,
    values.Presentation,
    values.Contact,
    values.Department,
    values.Guess,
    values.Line,
    values.Offer,
    values.Slot,
)
PARTS: Sequence[Kind] = (
    parts.TextPart,
    parts.ImagePart,
    parts.FilePart,
    parts.AudioPart,
    parts.VideoPart,
    parts.LocationPart,
    parts.ContactPart,
    parts.ButtonsPart,
    parts.CardPart,
    parts.CustomPart,
    parts.Media,
    parts.MessageButton,
)
"""The parts of a message, and what they are made of."""
RELAY_MORE: Sequence[Kind] = (
    relay.DurablePayload,
    relay.OpenHandoffPayload,
    relay.KnownHandoffPayload,
    relay.QueuedAnswer,
    relay.FoundAnswer,
)
DESK_MORE: Sequence[Kind] = (
    desk.Message,
    desk.EndSummary,
    desk.Me,
    desk.ConversationAnswer,
    desk.MessageAnswer,
    desk.MediaAnswer,
)
SHARED: Sequence[Kind] = (
    relay.Acknowledgement,
    relay.DurablePayload,
    values.Availability,
    values.Offer,
    desk.Summary,
    desk.Message,
)
"""Structs whose fields have a table of their own; what inherits them refers to it."""

_FIELD = re.compile(r"(?:^|(?<=[.;:] )|(?<=\n))((?:``\w+``, )*``\w+``): ")


def inherits_from_table(kind: Kind, other: Kind) -> bool:
    """Return whether ``kind`` inherits fields of ``other`` that have a table of their own."""
    return kind is not other and issubclass(kind, other) and bool(other.__struct_fields__)


def described(kind: Kind) -> tuple[str, Mapping[str, str]]:
    """Return what a struct's docstring says of the struct, and of each field: the text after the field's name and a colon."""
    text = " ".join((kind.__doc__ or "").split())
    parts = _FIELD.split(text)
    meanings = {
        name: meaning.strip().removesuffix(".")
        for names, meaning in zip(parts[1::2], parts[2::2], strict=True)
        for name in re.findall(r"``(\w+)``", names)
    }
    return _markdown(parts[0].strip()), {name: _markdown(meaning) for name, meaning in meanings.items()}


def meaning_of(kind: Kind, field: str) -> str | None:
    """Return the meaning of a field from the docstring of the struct or of a base; None if none says it."""
    for each in kind.__mro__:
        if issubclass(each, msgspec.Struct) and (meaning := described(each)[1].get(field)):
            return meaning
    return None


def table(kind: Kind) -> str:
    """Return the table of a struct: its fields, without those that another table has."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    elsewhere = [other for other in SHARED if inherits_from_table(kind, other)]
    known = {name for other in elsewhere for name in other.__struct_fields__ if name not in described(kind)[1]}
    rows = [
        f"| `{field.encode_name}` | {_type(field.type)} | {_default(field)} | {meaning_of(kind, field.name) or ''} |"
        for field in info.fields
        if field.name not in known
    ]
    if info.tag_field and kind is not relay.StatusPayload:
        rows.insert(0, f'| `{info.tag_field}` | `"{info.tag}"` | required | |')
    lines = [f"#### {kind.__name__}", "", *_sentences(described(kind)[0])]
    if elsewhere:
        lines += ["With the fields of " + " and ".join(_link(other) for other in elsewhere) + "."]
    if rows:
        lines += ["", "| field | type | default | meaning |", "| --- | --- | --- | --- |", *rows]
    return "\n".join(lines)


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.?!]) (?=[A-Z`])", text)


def overview(exchanges: Sequence[Exchange]) -> str:
    """Return the table of a namespace's events."""
    rows = [
        f"| {one.direction} | `{one.event}` | {' or '.join(map(_link, one.payloads)) or 'nothing'} | {_linked(one.answer)} |"
        for one in exchanges
    ]
    return "\n".join(["| direction | event | payload | answer |", "| --- | --- | --- | --- |", *rows])


def payloads_of(exchanges: Sequence[Exchange], more: Sequence[Kind]) -> list[Kind]:
    """Return the structs that need a table in this section, each once."""
    found = dict.fromkeys(kind for one in exchanges for kind in one.payloads)
    return [kind for kind in (*found, *more) if kind not in (*VALUES, *PARTS)]


def sections() -> Iterator[tuple[str, str]]:
    """Yield each marked section of the page, with what belongs into it."""
    relays = payloads_of(RELAY, RELAY_MORE)
    yield "values", "\n\n".join(map(table, VALUES))
    yield "message parts", "\n\n".join(map(table, PARTS))
    yield "events of /relay", overview(RELAY)
    yield "payloads of /relay", "\n\n".join(map(table, relays))
    yield "events of /desk", overview(DESK)
    yield "payloads of /desk", "\n\n".join(table(kind) for kind in payloads_of(DESK, DESK_MORE) if kind not in relays)


def undescribed() -> list[str]:
    """Return the fields in the tables that no docstring says the meaning of."""
    kinds = dict.fromkeys((*VALUES, *PARTS, *payloads_of(RELAY, RELAY_MORE), *payloads_of(DESK, DESK_MORE)))
    return [
        f"{kind.__name__}.{name}" for kind in kinds for name in kind.__struct_fields__ if not meaning_of(kind, name)
    ]


def page(text: str) -> str:
    """Return the page with the tables as they are now."""
    for name, content in sections():
        begin, end = f"<!-- {name}: made by tools/protocol_tables.py -->", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        assert found, f"docs/protocol.md has no {begin}"
        text = f"{before}{begin}\n\n{content}\n\n{end}{rest.partition(end)[2]}"
    return text


def _markdown(text: str) -> str:
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", text)
    return text.replace("``", "`").replace("|", "\\|")


def _link(kind: Kind) -> str:
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _linked(text: str) -> str:
    return re.sub(r"\b(\w+Answer)\b", lambda found: f"[{found[1]}](#{found[1].lower()})", text)


def _type(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            return _type(kind.type)
        case inspect.UnionType():
            return " or ".join(_type(each) for each in kind.types)
        case inspect.StructType():
            return _link(kind.cls)
        case inspect.EnumType():
            return ", ".join(f'`"{each.value}"`' for each in kind.cls)
        case inspect.VarTupleType() | inspect.ListType():
            item = kind.item_type
            if isinstance(item, inspect.UnionType) and any(_is_text_part(one) for one in item.types):
                return "[parts](#message-parts)"
            return "list" if isinstance(kind.item_type, inspect.AnyType) else f"list of {_type(kind.item_type)}"
        case inspect.StrType():
            return _text(kind)
        case inspect.NoneType():
            return "null"
    return {
        inspect.IntType: "whole number",
        inspect.FloatType: "number",
        inspect.BoolType: "true or false",
        inspect.DictType: "object",
        inspect.AnyType: "anything",
    }[type(kind)]


def _is_text_part(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.StructType) and kind.cls is parts.TextPart


def _text(kind: inspect.StrType) -> str:
    if kind.pattern is not None:
        return f"id, 1 to {kind.max_length:,} characters"
    if kind.max_length is not None:
        least = f"{kind.min_length} to " if kind.min_length else "at most "
        return f"text, {least}{kind.max_length:,} characters"
    return "text"


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    value: Any = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return f"`{msgspec.json.encode(value).decode()}`" if not isinstance(value, msgspec.Struct) else "empty"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    print(f"Written: {PAGE.relative_to(ROOT)}")
