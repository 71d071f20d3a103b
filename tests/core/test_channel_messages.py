"""What is said to a customer as the messages of their channel."""

import json
from typing import Any

import pytest

from rasa_handoff.core.channel_messages import WITHOUT_TEXT, pieces_of, pieces_of_notice
from rasa_handoff.core.native_messages import PAYLOAD
from rasa_handoff.protocol.channel_capabilities import BY_NAME, WHATSAPP, ChannelCapabilities, ShownButtons, Takes
from rasa_handoff.protocol.message_parts import (
    AnyPart,
    ButtonsPart,
    CardPart,
    CustomPart,
    FilePart,
    ImagePart,
    LocationPart,
    Media,
    MessageButton,
    TextPart,
)

PHOTO = ImagePart(media=Media(url="https://x/dent.jpg", name="dent.jpg"))
PDF = FilePart(media=Media(url="https://x/a.pdf", name="a.pdf", type="application/pdf"))
SHEET = FilePart(media=Media(url="https://x/a.xlsx", name="a.xlsx"))
COLOURS = ButtonsPart(
    buttons=(MessageButton(title="Red", payload="/red"), MessageButton(title="Blue", payload="/blue"))
)


def said(name: str, *parts: AnyPart) -> list[dict[str, Any]]:
    return [piece.message for piece in pieces_of(parts, BY_NAME.get(name, WHATSAPP))]


def test_parts_go_in_their_order() -> None:
    assert said(
        "telegram", TextPart(text="Here:"), PHOTO, TextPart(text="and"), PDF, LocationPart(latitude=1, longitude=2)
    ) == [
        {"text": "Here:"},
        {"image": "https://x/dent.jpg"},
        {"text": "and"},
        {"custom": {"document": "https://x/a.pdf"}},
        {"text": "[Location: 1, 2]"},
    ]


def test_a_file_of_another_type_or_too_large_is_a_link() -> None:
    assert said("telegram", SHEET) == [{"text": "a.xlsx: https://x/a.xlsx"}]
    large = ImagePart(media=Media(url="https://x/dent.jpg", size=6_000_000))
    assert said("telegram", large) == [{"text": "https://x/dent.jpg"}]
    assert said("slack", large)[0]["custom"]["blocks"]


def test_what_has_no_address_is_said_in_words() -> None:
    assert said("slack", ImagePart(media=Media(id="9f", name="dent.jpg"))) == [{"text": "[Image: dent.jpg]"}]


@pytest.mark.parametrize(
    "address", ["/etc/passwd", "file:///etc/passwd", "C:\\x.png", "ftp://x/y", "/webhooks/rest/a.png"]
)
def test_an_address_that_is_none_reaches_no_vendor(address: str) -> None:
    for able in (*BY_NAME.values(), WHATSAPP):
        if not able.own_client:
            (piece,) = pieces_of([ImagePart(media=Media(url=address))], able)
            shown = "a file" if able.images is Takes.WORDS else address
            assert piece.message == {"text": f"[Image: {shown}]"}, able.name


def test_json_of_an_agents_reaches_no_vendor() -> None:
    """It could name another recipient there: ``chat_id``, ``channel``, ``to``."""
    order = CustomPart(json={"chat_id": 7, "text": "hello", "room": "another"})
    for able in BY_NAME.values():
        (piece,) = pieces_of([order], able)
        if able.custom:
            assert piece.message[PAYLOAD] in ({"custom": order.json}, order.json)
        else:
            assert piece.message == {"text": "hello"}, able.name


def test_choices_are_numbered_through_a_message() -> None:
    card = CardPart(
        title="Book", buttons=(MessageButton(title="Order"), MessageButton(title="Shop", url="https://shop"))
    )
    assert said("twilio", TextPart(text="Which?"), COLOURS, card) == [
        {"text": "Which?\n1. Red\n2. Blue"},
        {"text": "Book\nShop: https://shop\n3. Order"},
    ]


def test_a_page_learns_whether_an_agents_buttons_stay_and_stock_widgets_get_what_they_know() -> None:
    replies = [
        {"content_type": "text", "title": "Red", "payload": "/red"},
        {"content_type": "text", "title": "Blue", "payload": "/blue"},
    ]
    stay = {"text": "Which?", "quick_replies": replies, "handoff_buttons_stay": True}
    assert said("socketio", TextPart(text="Which?"), COLOURS) == [{PAYLOAD: stay}]
    vanish = ButtonsPart(buttons=COLOURS.buttons, quick=True)
    buttons = [{"title": "Red", "payload": "/red"}, {"title": "Blue", "payload": "/blue"}]
    assert said("socketio", TextPart(text="Which?"), vanish) == [{"text": "Which?", "buttons": buttons}]
    notice = {"text": "Which?", "buttons": buttons}
    assert [piece.message for piece in pieces_of_notice(notice, BY_NAME["socketio"])] == [notice]


def test_buttons_without_a_text_have_one() -> None:
    assert said("telegram", COLOURS)[0]["text"] == WITHOUT_TEXT


@pytest.mark.parametrize(
    "able", [one for one in BY_NAME.values() if one.buttons is ShownButtons.NATIVE], ids=lambda one: one.name
)
def test_more_or_longer_buttons_than_a_channel_takes_are_lines(able: ChannelCapabilities) -> None:
    many = ButtonsPart(buttons=tuple(MessageButton(title=f"Number {one}") for one in range(50)))
    shown = json.dumps([piece.message for piece in pieces_of([TextPart(text="?"), many], able)])
    assert "Number 49" in shown
    assert ("50. Number 49" in shown) is (able.most_buttons is not None and able.most_buttons < 50)
    long = ButtonsPart(buttons=(MessageButton(title="y" * 300, payload="/y"),))
    shown = json.dumps([piece.message for piece in pieces_of([TextPart(text="?"), long], able)])
    assert ("1. yyy" in shown) is (able.longest_title is not None)


@pytest.mark.parametrize("able", [*BY_NAME.values(), WHATSAPP], ids=lambda one: one.name)
def test_the_last_piece_of_a_long_question_has_its_buttons(able: ChannelCapabilities) -> None:
    text = "A sentence of several words. " * 1000
    messages = [piece.message.get(PAYLOAD, piece.message) for piece in pieces_of([TextPart(text=text), COLOURS], able)]
    if able.longest_text is not None:
        assert [one for one in messages if not able.longest_text.fits(one["text"])] == []
        assert len(messages) > 1
    assert [one for one in messages if "Blue" in json.dumps(one)] == messages[-1:]
    assert " ".join("".join(one["text"] for one in messages).split()).count("sentence") == 1000


def test_a_notice_that_the_project_wrote_natively_stays_as_it_is() -> None:
    own = {"text": "Hello", "custom": {"blocks": []}, "buttons": [{"title": "A", "payload": "/a", "style": "primary"}]}
    assert [piece.message for piece in pieces_of_notice(own, BY_NAME["slack"])] == [own]
    asked = {"text": "Which?", "buttons": [{"title": "A", "payload": "/a"}]}
    assert [piece.message for piece in pieces_of_notice(asked, BY_NAME["twilio"])] == [{"text": "Which?\n1. A"}]
    long = {"text": "word " * 500, "image": "https://x/a.png"}
    first, last = [piece.message for piece in pieces_of_notice(long, BY_NAME["twilio"])]
    assert (set(first), set(last)) == ({"text"}, {"text", "image"})


@pytest.mark.parametrize("able", BY_NAME.values(), ids=lambda one: one.name)
def test_a_card_is_all_told(able: ChannelCapabilities) -> None:
    card = CardPart(title="Karoo", subtitle="R 90", image=PHOTO.media, buttons=COLOURS.buttons)
    shown = json.dumps([piece.message for piece in pieces_of([card], able)])
    assert [words for words in ("Karoo", "R 90", "Red", "Blue") if words not in shown] == []
    assert ("https://x/dent.jpg" in shown) is (able.images is not Takes.WORDS)
