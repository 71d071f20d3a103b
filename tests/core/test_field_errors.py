"""What is wrong with a payload is said in words of ours: the field, what it must be, what is allowed."""

from typing import Any

import pytest

from rasa_handoff.protocol.desk_payloads import ResolvePayload
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.payloads import DeskStatusPayload, MessagePayload, OfferPayload, TypingPayload
from rasa_handoff.protocol.values import plain, read

MESSAGE = {"handoff_id": "h", "id": "m", "text": "hi", "at": 1.0}
OFFER = {"handoff_id": "h", "conversation_id": "c", "bot_id": "b", "channel": {"name": "rest"}}


@pytest.mark.parametrize(
    ("kind", "data", "sentence"),
    [
        (MessagePayload, None, "It must be an object, not null."),
        (MessagePayload, {**MESSAGE, "text": 5}, "'text' must be a text, not a whole number."),
        (MessagePayload, {**MESSAGE, "at": "now"}, "'at' must be a number, not a text."),
        (MessagePayload, {**MESSAGE, "at": 1e40}, "'at' must be at most 32,503,680,000."),
        (MessagePayload, {**MESSAGE, "id": ""}, "'id' mustn't be empty."),
        (MessagePayload, {**MESSAGE, "id": "x" * 256}, "'id' may have 255 characters at most."),
        (MessagePayload, {**MESSAGE, "id": "a b"}, "'id' has a blank or another character that isn't allowed there."),
        (MessagePayload, {**MESSAGE, "id": "a\n"}, "'id' has a blank or another character that isn't allowed there."),
        (MessagePayload, {**MESSAGE, "number": -1}, "'number' must be at least 0."),
        (
            MessagePayload,
            {**MESSAGE, "speaker": "crowd"},
            "'speaker' can't be 'crowd': it may be 'customer', 'bot', 'agent' or 'system'.",
        ),
        (TypingPayload, {"handoff_id": "h"}, "'on' is missing."),
        (TypingPayload, {"handoff_id": "h", "on": 1}, "'on' must be true or false, not a whole number."),
        (
            OfferPayload,
            {**OFFER, "priority": "soon"},
            "'priority' can't be 'soon': it may be 'low', 'normal', 'high' or 'urgent'.",
        ),
        (OfferPayload, {**OFFER, "transcript": [{"text": "hi", "at": 1}]}, "'transcript[0].speaker' is missing."),
        (
            OfferPayload,
            {**OFFER, "transcript": [{"speaker": "crowd", "text": "hi", "at": 1}]},
            "'transcript[0].speaker' can't be 'crowd': it may be 'customer', 'bot', 'agent' or 'system'.",
        ),
        (DeskStatusPayload, {"handoff_id": "h"}, "'status' is missing."),
        (
            DeskStatusPayload,
            {"handoff_id": "h", "status": "lost"},
            "'status' can't be 'lost': it may be 'queued', 'accepted', 'transferred', 'completed', 'failed', 'unanswered' "
            "or 'customer_silent'.",
        ),
        (
            ResolvePayload,
            {"handoff_id": "h", "outcome": "done"},
            "'outcome' can't be 'done': it may be 'resolved', 'unresolved' or 'follow_up'.",
        ),
        (
            ResolvePayload,
            {"handoff_id": "h", "outcome": "resolved", "note": "x" * 20_001},
            "'note' may have 20,000 characters at most.",
        ),
    ],
)
def test_the_sentence_names_the_field_and_what_is_allowed(kind: Any, data: Any, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        read(kind, data)
    assert (refused.value.code, str(refused.value)) == ("invalid", sentence)


def test_a_field_of_a_newer_peer_is_ignored() -> None:
    assert read(MessagePayload, {**MESSAGE, "mood": {"of": "tomorrow"}}) == read(MessagePayload, MESSAGE)


def test_what_is_written_is_read_as_the_same() -> None:
    offer = read(OfferPayload, {**OFFER, "resumed": True})
    assert read(OfferPayload, plain(offer)) == offer
    status = read(DeskStatusPayload, {"handoff_id": "h", "status": "failed"})
    assert read(DeskStatusPayload, plain(status)) == status
