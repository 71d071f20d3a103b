"""What an agent may send, and what is kept of it."""

import pytest
from msgspec.structs import replace

from rasa_handoff.core.agent_parts import NO_PICTURE, NOT_FOR_AGENTS, TOO_LONG, UNKNOWN_FILE, agent_message
from rasa_handoff.core.media_parts import media_ids
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.message_parts import (
    AnyPart,
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
)

KEPT = Media(id="m1", name="invoice.pdf", type="application/pdf", size=7)
PHOTO = Media(id="m2", name="dent.jpg", type="image/jpeg", size=7)
STORED = {"m1": KEPT, "m2": PHOTO}
BUTTONS = ButtonsPart(buttons=(MessageButton(title=" Yes "), MessageButton(title="No")))


def test_words_alone_have_no_parts():
    assert agent_message("Good day", (), {}) == ("Good day", ())
    assert agent_message("ignored", (TextPart(text="Good day"),), {}) == ("Good day", ())


def test_what_is_more_than_words_is_kept_and_told_in_words():
    parts = (TextPart(text="Which one?"), FilePart(media=Media(id="m1")), BUTTONS)
    words, kept = agent_message("", parts, STORED)
    assert words == "Which one? [Attachment: invoice.pdf] [Yes] [No]"
    assert kept[1] == FilePart(media=KEPT)
    assert kept[2] == ButtonsPart(buttons=(MessageButton(title="Yes"), MessageButton(title="No")))


def test_a_desk_is_believed_nothing_about_a_file_but_its_id():
    claimed = Media(id="m1", url="https://evil.example/", name="x.exe", type="image/png", size=1)
    card = CardPart(title="Dent", image=replace(claimed, id="m2"))
    _, kept = agent_message("", (FilePart(media=claimed), card), STORED)
    assert kept == (FilePart(media=KEPT), CardPart(title="Dent", image=PHOTO))
    assert media_ids((FilePart(media=claimed), card, BUTTONS, ImagePart(media=Media(url="x")))) == {"m1", "m2"}


def test_what_is_no_picture_is_sent_as_a_file_whatever_the_desk_calls_it():
    parts = (ImagePart(media=Media(id="m1")), VideoPart(media=Media(id="m2")), ImagePart(media=Media(id="m2")))
    assert agent_message("", parts, STORED)[1] == (
        FilePart(media=KEPT),
        FilePart(media=PHOTO),
        ImagePart(media=PHOTO),
    )


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (CustomPart(json={"handoff": {}}), NOT_FOR_AGENTS),
        (ImagePart(media=Media(url="https://pictures.example/1.png")), UNKNOWN_FILE),
        (ImagePart(media=Media(id="somebody-elses")), UNKNOWN_FILE),
        (CardPart(title="x", image=Media(id="somebody-elses")), UNKNOWN_FILE),
        (CardPart(title="x", image=Media(id="m1")), NO_PICTURE),
        (TextPart(text="x" * LONGEST_MESSAGE + " "), TOO_LONG),
    ],
)
def test_what_is_not_for_agents_is_refused(part: AnyPart, sentence: str):
    with pytest.raises(Refused) as refused:
        agent_message("", (part,) if isinstance(part, CustomPart) else (TextPart(text="x"), part), STORED)
    assert (refused.value.code, str(refused.value)) == ("invalid", sentence)


@pytest.mark.parametrize(
    "part",
    [
        TextPart(text=" \n"),
        ButtonsPart(buttons=()),
        ButtonsPart(buttons=(MessageButton(title=" "),)),
        CardPart(subtitle="only this"),
        CardPart(title=" "),
    ],
)
def test_a_part_without_anything_to_read_is_refused(part: AnyPart):
    with pytest.raises(Refused):
        agent_message("", (part,), {})


def test_places_and_contacts_are_sent_as_they_are():
    parts = (LocationPart(latitude=1, longitude=2), ContactPart(name="Naledi"))
    assert agent_message("", parts, {})[1] == parts
