"""Every text that comes in is made valid by one function, and what that returns, everything of ours takes."""

import datetime
import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from rasa_handoff.cli import main
from rasa_handoff.platforms.base import json_object
from rasa_handoff.platforms.reading import as_mapping, as_text
from rasa_handoff.protocol.events import CustomerSaid
from rasa_handoff.protocol.settings_errors import expanded
from rasa_handoff.protocol.text import DEEPEST, TOO_DEEP, as_json, valid, valid_text
from rasa_handoff.protocol.values import BotState, Line, Speaker, plain, read
from rasa_handoff.relay import repository
from rasa_handoff.store.outbox import Entry
from tests.support import texts


@given(texts.texts)
def test_a_valid_text_can_be_encoded_and_has_no_nul(text: str) -> None:
    made = valid_text(text)
    assert made.encode().decode() == made
    assert "\0" not in made
    assert msgspec.json.decode(msgspec.json.encode(made)) == made


@given(texts.texts)
def test_made_valid_again_it_is_the_same(text: str) -> None:
    made = valid_text(text)
    assert valid_text(made) is made


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_what_was_valid_stays_itself(text: str) -> None:
    assert valid_text(text) is text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("hello \ud83d", "hello \ufffd"),
        ("\ud83d\ude00", "😀"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("a\0b", "ab"),
        ("\ud83d\0\ude00", "😀"),
        ("\ufeff\ud800", "\ufeff\ufffd"),
        ("\u202e\u0301", "\u202e\u0301"),
    ],
)
def test_halves_are_joined_or_replaced_and_nul_is_left_out(text: str, made: str) -> None:
    assert valid_text(text) == made


@given(texts.data)
def test_valid_data_can_be_written_and_read(data: Any) -> None:
    made = valid(data)
    assert json.loads(json.dumps(made, ensure_ascii=False, allow_nan=False).encode()) == json.loads(as_json(data))
    assert valid(made) is made


def test_bad_keys_numbers_and_depths_are_made_valid() -> None:
    deep: Any = "end"
    for _ in range(3 * DEEPEST):
        deep = [deep]
    made = valid({"k\ud83d": "v\0", None: 1, True: 2, 3: math.nan, (1, 2): {"x": {4}}, "deep": deep, "big": 10**40})
    assert TOO_DEEP in str(made.pop("deep"))
    assert made == {"k\ufffd": "v", "null": 1, "true": 2, "3": None, "(1, 2)": {"x": {4}}, "big": 10**40}
    assert json.loads(as_json({"at": datetime.date(2026, 1, 2), "what": Line, "bytes": b"x"}))["at"] == "2026-01-02"


def test_structs_are_made_valid_all_through() -> None:
    said = CustomerSaid(conversation_id="c\0", id="1", text="half \ud83d", at=1.0, return_data={"\ud83d": ["\0"]})
    made = valid(said)
    assert (made.conversation_id, made.text, made.return_data) == ("c", "half \ufffd", {"\ufffd": [""]})
    whole = CustomerSaid(conversation_id="c", id="1", text="😀", at=1.0)
    assert valid(whole) is whole


@given(texts.data)
def test_what_a_wire_brings_is_valid_once_read(data: Any) -> None:
    state = read(BotState, {"slots": {"x": data}})
    assert state.slots == valid({"x": data})
    msgspec.json.encode(plain(state))
    assert read(Line, {"speaker": "bot", "text": "\ud83d", "at": 1}) == Line(speaker=Speaker.BOT, text="\ufffd", at=1)


@given(st.lists(st.tuples(texts.texts, texts.data), max_size=5))
def test_the_outbox_keeps_whatever_it_is_given(bodies: list[tuple[str, Any]]) -> None:
    engine = create_engine("sqlite://", future=True, poolclass=StaticPool)
    with engine.begin() as connection:
        repository.metadata.create_all(connection)
        entries = [Entry(target="desk", lane="c", name="message", body={text: data}) for text, data in bodies]
        repository.outbox.put(connection, entries)
        kept = repository.outbox.head(connection, "desk", "c", 10)
    assert [as_json(entry.body) for entry in kept] == [as_json(entry.body) for entry in entries]
    engine.dispose()


@pytest.mark.parametrize("text", texts.KINDS)
def test_a_platforms_request_is_made_valid(text: str) -> None:
    body = json_object(json.dumps({"a": text, text: [text]}).encode(), 10**7)
    assert body == valid({"a": text, text: [text]})
    assert as_text(text) == valid_text(text).strip()
    assert as_mapping(json.dumps({"a": text})) == {"a": valid_text(text)}


def test_a_settings_variable_is_made_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TITLE", "\udcff")
    assert expanded({"title": "${TITLE}\ud83d"}) == {"title": "\ufffd\ufffd"}


@pytest.mark.parametrize("argument", ["thandi\udcff@example.org", "a\0b"])
def test_an_argument_that_is_no_text_is_refused(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agent", "add", argument, "--name", "Thandi", "--database", "sqlite://"]) == 1
    assert "isn't valid UTF-8 text" in capsys.readouterr().err
