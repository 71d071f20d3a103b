"""The parts of messages: in words, as Rasa's messages, and on the wire."""

from typing import Any

import msgspec
import pytest

from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.message_parts import (
    LONGEST_PART,
    MOST_PARTS,
    AnyPart,
    AudioPart,
    ButtonsPart,
    CardPart,
    ContactPart,
    CustomPart,
    FilePart,
    ImagePart,
    LocationPart,
    Media,
    MessageButton,
    TextPart,
    VideoPart,
    in_words,
    read_parts,
    worth_keeping,
)
from rasa_handoff.protocol.payloads import MessagePayload
from rasa_handoff.protocol.values import plain, read

PICTURE = Media(url="https://x/a.png", name="a.png", type="image/png", size=7)
ALL: list[tuple[AnyPart, str]] = [
    (TextPart(text="Hello"), "Hello"),
    (ImagePart(media=PICTURE), "[Image: a.png https://x/a.png]"),
    (FilePart(media=Media(id="9f", type="application/pdf")), "[Attachment: application/pdf]"),
    (AudioPart(media=Media(id="9f", name="note.ogg")), "[Audio: note.ogg]"),
    (VideoPart(media=Media()), "[Video: a file]"),
    (LocationPart(latitude=-33.92, longitude=18.42, name="Cape Town"), "[Location: Cape Town, -33.92, 18.42]"),
    (ContactPart(name="Thandi", phone="+27 21 555 0100"), "[Contact: Thandi, +27 21 555 0100]"),
    (ContactPart(), "[Contact: nothing is known]"),
    (ButtonsPart(buttons=(MessageButton(title="Red"), MessageButton(title="Blue"))), "[Red] [Blue]"),
    (CardPart(title="Book", subtitle="R 90", image=PICTURE, buttons=(MessageButton(title="Buy"),)),
     "Book: R 90 [Image: a.png https://x/a.png] [Buy]"),
    (CustomPart(json={"text": "blocks"}), "blocks"),
    (CustomPart(json=[1]), "[a message only the chat window can show]"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "words"), ALL)
def test_each_part_has_words_and_survives_the_wire(part: AnyPart, words: str) -> None:
    assert part.words == words
    sent = MessagePayload(handoff_id="h", id="m", text=in_words([part]), at=1.0, parts=(part,))
    assert read(MessagePayload, msgspec.json.decode(msgspec.json.encode(plain(sent)))) == sent


def test_a_message_of_an_earlier_peer_has_no_parts() -> None:
    said = read(MessagePayload, {"handoff_id": "h", "id": "m", "text": "hello", "at": 1})
    assert said.parts == ()


def test_text_alone_needs_no_parts() -> None:
    assert worth_keeping([TextPart(text="one"), TextPart(text="two")]) == ()


def test_what_a_peer_could_not_read_is_told_in_words_only() -> None:
    picture = ImagePart(media=PICTURE)
    unfit: list[AnyPart] = [
        CustomPart(json={"blob": "x" * LONGEST_PART}),
        ButtonsPart(buttons=(MessageButton(title="t" * 1001),)),
        LocationPart(latitude=91, longitude=0),
        LocationPart(latitude=float("nan"), longitude=0),
        ImagePart(media=Media(url="https://x/" + "a" * 2000)),
        CustomPart(json={"odd": {1, 2}, "lone": "\ud83d"}),
    ]
    *shown, last = worth_keeping([*unfit, picture])
    assert last == picture
    assert [part.words for part in shown[1:]] == [part.words for part in unfit[1:]]
    assert shown[0] == TextPart(text="[a message only the chat window can show]")
    assert all(isinstance(part, TextPart) for part in shown)
    many = worth_keeping([picture] * (MOST_PARTS + 5))
    assert many[:-1] == (picture,) * (MOST_PARTS - 1)
    assert many[-1] == TextPart(text=in_words([picture] * 6))
    long = worth_keeping([TextPart(text="x" * 30_000), picture])[0]
    assert len(long.words) == LONGEST_MESSAGE
    read(
        MessagePayload,
        plain(MessagePayload(handoff_id="h", id="m", text="t", at=1.0, parts=(long, *shown, *many)[:20])),
    )


@pytest.mark.parametrize(
    "wrong",
    [{"type": "image"}, {"type": "location", "latitude": 100, "longitude": 0}, {"type": "nobody knows this"}, "text"],
)
def test_a_part_that_is_wrong_is_refused_on_the_wire_and_left_out_where_it_was_stored(wrong: Any) -> None:
    with pytest.raises(Refused, match="parts"):
        read(MessagePayload, {"handoff_id": "h", "id": "m", "text": "x", "at": 1, "parts": [wrong]})
    assert read_parts([wrong, {"type": "text", "text": "kept"}]) == (TextPart(text="kept"),)
    assert read_parts(wrong) == ()
