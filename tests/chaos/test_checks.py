"""The checks of what was lost and of its order, on books written by hand."""

import io
import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image
from sqlalchemy import create_engine, text

from rasa_handoff.presets.responses import preset_text
from rasa_handoff.protocol import names
from rasa_handoff.relay.repository import outbox
from tests.chaos import chaos_files, checks
from tests.chaos.book import Book, ReceivedText, Said
from tests.chaos.file_checks import files_arrived
from tests.chaos.poison import Poison
from tests.chaos.vendor import Vendor, VendorCustomer

WHO = "c1"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with closing(Book(tmp_path)) as book:
        book.customer(WHO, "rest")
        yield book


def bot_was_given(*words: str) -> checks.Trackers:
    return checks.Trackers({WHO: [{"event": "user", "text": word} for word in words]})


def agent_said(book: Book, *moments: float) -> list[Said]:
    table = book.table("handoff", WHO)
    said = [book.agent_says(table, "a1") for _ in moments]
    for one, at in zip(said, moments, strict=True):
        one.at, one.outcome = at, "accepted"
    return said


@pytest.mark.parametrize(
    ("failures", "kinds"),
    [
        ([], ["lost"]),
        ([5], ["lost"]),  # before it was said
        ([15], []),
        ([60], ["lost"]),  # long after the next one was heard
    ],
)
def test_on_rest_a_word_is_lost_only_with_an_answer_that_may_have_held_it(
    book: Book, failures: Sequence[float], kinds: list[str]
) -> None:
    _, later = agent_said(book, 10, 19)
    book.received[WHO].append(ReceivedText(20, later.word, "agent"))
    book.failures[WHO].extend(failures)
    checks.words_arrived(book, bot_was_given())
    assert [kind for kind, _, _ in book.findings] == kinds


def test_an_answer_of_another_customers_is_no_excuse(book: Book) -> None:
    agent_said(book, 10)
    book.customer("c2", "rest")
    book.failures["c2"].append(15)
    checks.words_arrived(book, checks.Trackers({WHO: [], "c2": []}))
    assert [kind for kind, _, _ in book.findings] == ["lost"]


@pytest.mark.parametrize(("given", "kinds"), [((0, 1, 2), []), ((1, 0, 2), ["reordered"])])
def test_the_bot_is_given_words_in_their_order(book: Book, given: Sequence[int], kinds: list[str]) -> None:
    said = [book.customer_says(WHO, f"{WHO}-h1-{number}") for number in range(3)]
    for one in said:
        one.outcome = "accepted"
    checks.order_held(book, bot_was_given(*(said[index].word for index in given)))
    assert [kind for kind, _, _ in book.findings] == kinds


def test_a_word_without_an_answer_may_come_to_the_bot_later(book: Book) -> None:
    first, second = (book.customer_says(WHO, f"{WHO}-h1-{number}") for number in range(2))
    second.outcome = "accepted"
    checks.order_held(book, bot_was_given(second.word, first.word))
    assert not book.findings


@pytest.mark.parametrize(
    ("channel", "outcome", "kinds"),
    [("callback", "unsure", []), ("callback", "accepted", ["reordered"]), ("socketio", "unsure", ["reordered"])],
)
def test_what_a_client_without_ids_gave_up_may_come_to_the_agent_later(
    book: Book, channel: str, outcome: Any, kinds: list[str]
) -> None:
    book.customer("c3", channel)
    first, second = (book.customer_says("c3", f"c3-h1-{number}") for number in range(2))
    first.outcome, second.outcome = outcome, "accepted"
    book.table("h1", "c3").shown.extend((second.word, first.word))
    checks.order_held(book, checks.Trackers({WHO: [], "c3": []}))
    assert [kind for kind, _, _ in book.findings] == kinds


@pytest.mark.parametrize("taken", [True, False])
async def test_a_word_is_not_accepted_if_its_vendor_was_told_so(book: Book, taken: bool) -> None:
    async with Vendor(book, random.Random(1)) as vendor, aiohttp.ClientSession() as http:
        vendor.troubles = False

        async def take(request: web.Request) -> web.Response:
            if not taken:
                await http.post(vendor.url, json={"recipient_id": "c2", "text": preset_text(names.UTTER_NOT_TAKEN, {})})
            return web.Response(text="success")

        app = web.Application()
        app.router.add_post("/webhooks/callback/webhook", take)
        async with TestServer(app) as rasa:
            customer = VendorCustomer(
                "c2", book, random.Random(1), 1.0, lambda: str(rasa.make_url("")).rstrip("/"), vendor
            )
            said = await customer.say()
    assert said.outcome == ("accepted" if taken else "unsure")


@pytest.mark.parametrize(("where", "kinds"), [("outbox", ["stuck"]), ("dead_letter", []), (None, ["lost"])])
def test_poison_must_be_a_dead_letter(book: Book, tmp_path: Path, where: str | None, kinds: list[str]) -> None:
    url = f"sqlite:///{tmp_path / 'relay.db'}"
    engine = create_engine(url, future=True)
    outbox.table.metadata.create_all(engine)
    poison = Poison({"relay": url})
    poison.add(random.Random(1), {"customer": ["c1"]})
    with engine.begin() as database:
        if where == "dead_letter":
            columns = "target, lane, name, body, at"
            values = f"SELECT {columns}, 0, 'unreadable' FROM outbox"
            database.execute(text(f"INSERT INTO dead_letter ({columns}, set_aside_at, reason) {values}"))
        if where != "outbox":
            database.execute(text("DELETE FROM outbox"))
    checks.poison_was_set_aside(book, poison)
    assert [kind for kind, _, _ in book.findings] == kinds


@pytest.mark.parametrize("half", [False, True])
def test_a_text_that_arrives_otherwise_than_it_was_sent_is_lost(book: Book, half: bool) -> None:
    arrives = "c1-h1-1 ~half \N{REPLACEMENT CHARACTER} of it~"
    book.customer_says(WHO, arrives).outcome = "accepted"
    checks.words_arrived(book, bot_was_given("c1-h1-1 ~half  of it~" if half else arrives))
    assert [kind for kind, _, _ in book.findings] == (["lost"] if half else [])


def customer_sent_file(book: Book) -> Said:
    said = book.customer_says(WHO, f"{WHO}-h1-1")
    said.outcome = "accepted"
    book.sends_file(said, "id", chaos_files.digest(b"content"))
    return said


def shown_to_agent(book: Book, word: str) -> None:
    book.table("handoff", WHO).shown.append(word)


@pytest.mark.parametrize(
    ("content", "kinds"), [(b"content", []), (b"another", ["file changed"]), (None, ["file lost"])]
)
def test_a_file_is_what_was_sent_or_found(book: Book, content: bytes | None, kinds: list[str]) -> None:
    said = customer_sent_file(book)
    shown_to_agent(book, said.word)
    if content is not None:
        book.got_file("id", "a1", chaos_files.digest(content))
    files_arrived(book)
    assert [kind for kind, _, _ in book.findings] == kinds


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        (" [Attachment: c1-h1-1.bin, which couldn't be passed on: there is no room for it]", []),
        (" [Attachment: c1-h1-1.bin]", ["file lost"]),  # as if it were there
        (" [Attachment: c1-h1-1.bin, which couldn't be passed on: it isn't there any more]", ["file lost"]),
        (" [a file that isn't there any more]", ["file lost"]),
        ("", ["file lost"]),
    ],
)
def test_a_file_may_be_told_in_words_that_say_why(book: Book, words: str, kinds: list[str]) -> None:
    said = customer_sent_file(book)
    word, why = chaos_files.apart(said.word + words)
    shown_to_agent(book, word)
    if why is not None:
        book.told_of_file(word, why)
    files_arrived(book)
    checks.words_arrived(book, bot_was_given())
    assert [kind for kind, _, _ in book.findings] == kinds


def test_a_customer_may_be_told_of_an_agents_file(book: Book) -> None:
    said = book.agent_says(book.table("handoff", WHO), "a1", " ~one line\nand another~")
    book.sends_file(said, "id", "digest")
    text = f"{said.word}\n{preset_text(names.UTTER_NO_FILE, {'file': 'Image: a.png'})}"
    assert chaos_files.apart(text) == (said.word, "the customer was told")


def test_a_file_whose_message_went_to_the_bot_is_not_missed(book: Book) -> None:
    customer_sent_file(book)
    files_arrived(book)
    assert not book.findings


def test_a_file_beside_another_message_is_found(book: Book) -> None:
    said = customer_sent_file(book)
    shown_to_agent(book, said.word)
    book.got_file("id", "a1", chaos_files.digest(b"content"))
    book.file_beside("id", "c1-h1-2", "a1")
    book.got_file("unknown", "a1", "digest")
    files_arrived(book)
    assert [kind for kind, _, _ in book.findings] == ["file changed", "file changed"]


def test_a_picture_is_known_by_its_pixels() -> None:
    names_and_files = [chaos_files.new_file("c1-h1-1 ~text~", random.Random(seed)) for seed in range(40)]
    pictures = [content for name, content in names_and_files if name == "c1-h1-1.png"]
    assert 0 < len(pictures) < 40
    anew = io.BytesIO()
    Image.open(io.BytesIO(pictures[0])).convert("RGBA").save(anew, "PNG", compress_level=0)
    assert anew.getvalue() != pictures[0]
    assert chaos_files.digest(anew.getvalue()) == chaos_files.digest(pictures[0]) != chaos_files.digest(pictures[1])
