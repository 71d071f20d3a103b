"""The desk is told of each channel what the channel's messages then are."""

import pytest

from rasa_handoff.core.channel_messages import pieces_of
from rasa_handoff.core.channel_presentation import presentation_of
from rasa_handoff.protocol.channel_capabilities import ROWS, ChannelCapabilities
from rasa_handoff.protocol.message_parts import (
    AnyPart,
    ButtonsPart,
    FilePart,
    ImagePart,
    Media,
    MessageButton,
    TextPart,
)

ADDRESS = "https://bot.example.org/media/1"


def becomes(able: ChannelCapabilities, part: AnyPart, address: str | None) -> str:
    """Return what a picture or file becomes."""
    *_, last = [piece.message for piece in pieces_of([part], able, lambda _: address)]
    text = last.get("text") or ""
    if set(last) != {"text"}:
        return "native"
    return "link" if address and address in text else "words"


@pytest.mark.parametrize("able", ROWS, ids=lambda able: able.name)
@pytest.mark.parametrize("address", [ADDRESS, "/media/1", None])
def test_pictures_and_files_are_told_as_they_are_sent(able: ChannelCapabilities, address: str | None):
    reached = address == ADDRESS or (address is not None and able.own_client)
    shown = presentation_of(able, reached)
    image = ImagePart(media=Media(id="1", name="a.png", type="image/png", size=1))
    file = FilePart(media=Media(id="1", name="a.pdf", type="application/pdf", size=1))
    assert becomes(able, image, address) == shown.images
    assert becomes(able, file, address) == shown.files
    if shown.largest_image is not None and reached:
        assert becomes(able, _of_size(image, shown.largest_image), address) == shown.images
        assert becomes(able, _of_size(image, shown.largest_image + 1), address) == "link"
    if shown.file_types != ("",) and reached:
        strange = FilePart(media=Media(id="1", name="a", type="chemical/x-pdb"))
        assert becomes(able, strange, address) == "link"


def _of_size(part: ImagePart, size: int) -> ImagePart:
    return ImagePart(media=Media(id=part.media.id, name=part.media.name, type=part.media.type, size=size))


@pytest.mark.parametrize("able", ROWS, ids=lambda able: able.name)
def test_buttons_are_told_as_they_are_sent(able: ChannelCapabilities):
    shown = presentation_of(able, True)

    def are_numbered(count: int, length: int = 1) -> bool:
        buttons = tuple(MessageButton(title=str(number).ljust(length, "x")) for number in range(count))
        message = pieces_of([TextPart(text="Which?"), ButtonsPart(buttons=buttons)], able)[-1].message
        return set(message) == {"text"}

    assert are_numbered(1) is (shown.buttons == "numbered")
    if shown.most_buttons is not None:
        assert not are_numbered(shown.most_buttons)
        assert are_numbered(shown.most_buttons + 1)
    if shown.longest_title is not None:
        assert not are_numbered(1, shown.longest_title)
        assert are_numbered(1, shown.longest_title + 1)


@pytest.mark.parametrize("able", [one for one in ROWS if one.most_staying is not None], ids=lambda able: able.name)
def test_buttons_that_do_not_stay_are_told(able: ChannelCapabilities):
    shown = presentation_of(able, True)
    assert shown.most_staying is not None
    assert shown.longest_above is not None

    def vanish(count: int, length: int) -> bool:
        buttons = tuple(MessageButton(title=str(number)) for number in range(count))
        return (
            "quick_replies" in pieces_of([TextPart(text="x" * length), ButtonsPart(buttons=buttons)], able)[-1].message
        )

    assert not vanish(shown.most_staying, shown.longest_above)
    assert vanish(shown.most_staying + 1, 1)
    assert vanish(1, shown.longest_above + 1)


@pytest.mark.parametrize("able", [one for one in ROWS if one.longest_text], ids=lambda able: able.name)
@pytest.mark.parametrize("letter", ["x", "é", "😀"])
def test_a_text_is_cut_where_the_desk_says(able: ChannelCapabilities, letter: str):
    shown = presentation_of(able, True)
    assert shown.longest_text is not None
    size = len(letter.encode()) if shown.in_bytes else len(letter.encode("utf-16-le")) // 2
    fitting = letter * (shown.longest_text // size)
    assert len(pieces_of([TextPart(text=fitting)], able)) == 1
    assert len(pieces_of([TextPart(text=fitting + letter)], able)) == 2


@pytest.mark.parametrize("able", ROWS, ids=lambda able: able.name)
def test_paragraphs_are_told(able: ChannelCapabilities):
    assert (len(pieces_of([TextPart(text="One\n\nTwo")], able)) == 2) is presentation_of(able, True).paragraphs
