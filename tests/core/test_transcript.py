"""The transcript, from events as Rasa writes them."""

from typing import Any

import pytest

from rasa_handoff.core.rasa_messages import attachment_parts, message_in_words
from rasa_handoff.core.transcript import button_payloads, button_titles, latest, transcript
from rasa_handoff.protocol import message_parts as parts
from rasa_handoff.protocol.limits import LONGEST_TRANSCRIPT
from rasa_handoff.protocol.values import Line, Speaker


def user(text: str, **more: object) -> dict[str, object]:
    return {"event": "user", "text": text, "timestamp": 1.0, **more}


def bot(text: str | None, **data: object) -> dict[str, object]:
    return {"event": "bot", "text": text, "data": data, "timestamp": 2.0}


def lines(*events: dict[str, object]) -> list[tuple[str, str]]:
    return [(line.speaker.value, line.text) for line in transcript(events)]


def test_only_the_current_session_counts() -> None:
    events = [user("old"), {"event": "session_started"}, user("new"), bot("yes")]
    assert lines(*events) == [("customer", "new"), ("bot", "yes")]
    assert lines(user("old"), {"event": "restart"}, user("new")) == [("customer", "new")]


def test_a_pressed_button_counts_by_its_title() -> None:
    asked = bot("Which?", buttons=[{"title": "The red one", "payload": "/red"}])
    assert lines(asked, user("/red"))[-1] == ("customer", "The red one")


def test_what_only_the_machine_sees_is_left_out() -> None:
    assert lines(user("/never_shown"), user("EXTERNAL: handoff_ended"), bot(None, custom={"handoff": {}})) == []
    assert lines(bot(None, custom={"handoff": {"wrong": 1}})) == []


def test_a_payload_typed_in_an_earlier_live_chat_is_the_customers_own() -> None:
    assert lines(user("/restart", metadata={"speaker": "customer"})) == [("customer", "/restart")]


def test_an_earlier_agent_is_told_apart() -> None:
    assert lines({"event": "agent", "text": "Hello", "timestamp": 3.0}) == [("agent", "Hello")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"image": "a.png", "attachment": "a.png"}, "Look [Image: a.png]"),
        ({"attachment": "b.pdf"}, "Look [Attachment: b.pdf]"),
        ({"quick_replies": [{"title": "Yes"}]}, "Look [Yes]"),
        ({"elements": [{"title": "Book", "subtitle": "R 90", "buttons": [{"title": "Buy"}]}]}, "Look Book: R 90 [Buy]"),
        ({"custom": {"text": "blocks"}}, "Look blocks"),
        ({"custom": {"blocks": []}}, "Look [a message only the chat window can show]"),
        ({"custom": {"department": "billing"}}, "Look"),
        ({"buttons": None, "elements": None, "custom": None}, "Look"),
    ],
)
def test_what_isnt_text_is_told_in_words(data: dict[str, object], words: str) -> None:
    assert message_in_words("Look", data) == words


def test_titles_of_cards_count_too() -> None:
    card = bot(None, elements=[{"title": "Book", "buttons": [{"title": "Buy", "payload": "/buy"}]}])
    assert button_titles([card]) == {"/buy": "Buy"}


def test_two_titles_may_mean_the_same() -> None:
    buttons = [{"title": "Yes", "payload": "/affirm"}, {"title": "Of course ", "payload": "/affirm"}]
    assert button_payloads([bot("Well?", buttons=buttons)]) == {"Yes": "/affirm", "Of course": "/affirm"}


def test_a_word_that_is_a_payload_stays_a_word() -> None:
    asked = bot("Sure?", buttons=[{"title": "Yes, cancel my order", "payload": "yes"}])
    assert lines(asked, user("yes"))[-1] == ("customer", "yes")
    assert button_titles([asked]) == {}
    assert button_payloads([asked]) == {"Yes, cancel my order": "yes"}


def test_a_session_that_began_in_the_customers_own_turn_does_not_hide_it() -> None:
    events = [{"event": "session_started"}, user("help"), bot("Gladly."), user("a person"), {"event": "restart"}]
    assert lines(*events, bot("Yes.")) == [
        ("customer", "help"), ("bot", "Gladly."), ("customer", "a person"), ("bot", "Yes."),
    ]  # fmt: skip
    assert lines(*events, user("hello")) == [("customer", "hello")]


@pytest.mark.parametrize("odd", [5, "Yes", {"title": "Yes"}, [None, 7, ["Yes"], {"title": None}], True])
def test_parts_of_any_shape_are_told_as_far_as_they_can_be(odd: object) -> None:
    for part in ("buttons", "quick_replies", "elements"):
        assert message_in_words("Sure?", {part: odd}).startswith("Sure?")
        assert lines(bot("Sure?", **{part: odd}))
    assert message_in_words(odd, {"elements": [{"title": "A card", "buttons": odd}]}).endswith(("A card", "]"))


@pytest.mark.parametrize(
    ("attachments", "words"),
    [
        ([{"contentType": "text/html", "content": "<p>My invoice is wrong</p>"}], ""),
        (
            [
                {"contentType": "text/html", "content": "<p>see</p>"},
                {
                    "contentType": "application/vnd.microsoft.teams.file.download.info",
                    "name": "a.pdf",
                    "contentUrl": "https://x/a",
                },
            ],
            "[Attachment: a.pdf https://x/a]",
        ),
        ([{"type": "image", "payload": {"url": "https://x/cat.png"}}], "[Image: https://x/cat.png]"),
        (["https://x/b", 7, None, {}, ["a"]], "[Attachment: https://x/b] [Attachment: 7] [Attachment: a file]"),
        ({"name": 5, "contentUrl": None, "contentType": "image/png"}, "[Image: image/png]"),
    ],
)
def test_files_are_described_by_name_and_address(attachments: Any, words: str) -> None:
    assert parts.in_words(attachment_parts(attachments)) == words


def test_a_line_has_the_parts_that_its_words_tell() -> None:
    buttons = [{"title": "Yes", "payload": "/affirm"}, {"title": "No"}]
    line = transcript([bot("Is it this one?", image="https://x/a.png", buttons=buttons)])[0]
    assert line.text == "Is it this one? [Yes] [No] [Image: https://x/a.png]"
    assert line.parts == (
        parts.TextPart(text="Is it this one?"),
        parts.ButtonsPart(
            buttons=(parts.MessageButton(title="Yes", payload="/affirm"), parts.MessageButton(title="No"))
        ),
        parts.ImagePart(media=parts.Media(url="https://x/a.png")),
    )
    assert transcript([bot("Words alone.")])[0].parts == ()


def test_a_customers_picture_is_in_the_transcript() -> None:
    attached = {"attachments": [{"contentType": "image/png", "contentUrl": "https://x/dent.png", "name": "dent.png"}]}
    kept = {"handoff_parts": [{"type": "location", "latitude": 1.5, "longitude": 2}, {"type": "unknown"}, 7]}
    picture, place = transcript([user("see", metadata=attached), user("words", metadata=kept)])
    assert picture.text == "see [Image: dent.png https://x/dent.png]"
    assert place.parts == (parts.LocationPart(latitude=1.5, longitude=2),)
    assert place.text == "[Location: 1.5, 2]"


def test_the_parts_of_a_transcript_count_as_its_words_do() -> None:
    big = parts.CustomPart(json={"blob": "x" * 90_000})
    lines = [Line(speaker=Speaker.BOT, text="a map", at=float(number), parts=(big,)) for number in range(10)]
    kept = latest(lines)
    assert sum(parts.size_of(line.parts) for line in kept) <= LONGEST_TRANSCRIPT
    assert kept[-1].parts == (big,)
