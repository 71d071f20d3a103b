"""Pictures and files at the live-agent server: agents' and relays', who may add and fetch them, and how they are given out."""

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import pytest

from rasa_handoff.media.media_store import new_id
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.limits import Limits
from rasa_handoff.protocol.media_limits import MediaLimits
from rasa_handoff.server import accounts
from rasa_handoff.server.app import ServerSettings
from rasa_handoff.server.forget_handoffs import forget
from rasa_handoff.server.run import serve
from rasa_handoff.server.storage.tables import open_store
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.server.conftest import Server
from tests.server.peers import Relay, agent_at
from tests.support.photos import MARKER, photo
from tests.support.s3_server import S3Server

PDF = b"%PDF-1.7\n" + b"x" * 2_000
HTML = b"<html><script>alert(1)</script></html>"


@pytest.fixture
def limits() -> MediaLimits:
    return MediaLimits()


@pytest.fixture
async def server(database: str, tmp_path: Path, limits: MediaLimits) -> AsyncIterator[Server]:
    one = Server(database, media=str(tmp_path / "media"), media_limits=limits, limits=Limits(body_seconds=3))
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as one:
        yield one


class Uploads:
    """What a desk's page does with files."""

    def __init__(self, http: aiohttp.ClientSession, server: Server, agent: ScriptedAgent) -> None:
        self.http, self.server, self.agent = http, server, agent

    async def add(
        self, handoff: str, content: Any, name: str = "a.pdf", key: str = "", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        sent = {"Cookie": self.agent.cookie, "X-CSRF-Token": await self.agent.token(), "Origin": self.server.address}
        address = f"{self.server.address}/desk/media?handoff={handoff}&name={quote(name)}&key={key}"
        sent = {key: value for key, value in {**sent, **headers}.items() if value}
        async with self.http.post(address, data=content, headers=sent) as answer:
            return answer.status, await answer.json()

    async def addresses(self, handoff: str, *ids: str) -> dict[str, str]:
        return dict((await self.agent.ask("media", handoff_id=handoff, ids=list(ids)))["addresses"])

    async def fetch(self, address: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
        sent = {"Cookie": self.agent.cookie, **headers}
        async with self.http.get(f"{self.server.address}/{address}", headers=sent) as answer:
            return answer, await answer.read()


@pytest.fixture
def uploads(server: Server, http: aiohttp.ClientSession) -> Callable[[ScriptedAgent], Uploads]:
    return lambda agent: Uploads(http, server, agent)


def files_of(tmp_path: Path) -> list[Path]:
    """The files in the media store, whole ones and those that are coming."""
    return [path for path in (tmp_path / "media").rglob("*") if path.is_file()]


async def relays_file(
    http: aiohttp.ClientSession, server: Server, id: str, method: str = "GET", content: Any = None, **headers: str
) -> tuple[int, bytes]:
    sent = {"handoff-bot": "karoo", "handoff-conversation": "c-1", "handoff-name": quote("dent é.jpg"), **headers}
    async with http.request(method, f"{server.address}/relay/media/{id}", data=content, headers=sent) as answer:
        return answer.status, await answer.read()


async def test_an_agents_file_goes_with_a_message_and_is_shown_and_given_out(server, relay, desk, uploads) -> None:
    thandi, karoo = await desk(), await relay()
    assert thandi.all("ready")[0]["largest_file"] == 32_000_000
    assert karoo.all("welcome")[0]["largest_file"] == 32_000_000
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    page = uploads(thandi)
    status, answer = await page.add(handoff, PDF, "../in voice.pdf")
    media = answer["media"]
    assert (status, media) == (200, {**media, "name": "in voice.pdf", "type": "application/pdf", "size": len(PDF)})
    sent = [{"type": "text", "text": "Here:"}, {"type": "file", "media": {"id": media["id"], "name": "another.exe"}}]
    said = await thandi.ask("message", handoff_id=handoff, id="m-1", text="", parts=sent)
    assert said["message"]["parts"][1]["media"] == media  # what the server knows, not what the page says
    assert said["message"]["text"] == "Here: [Attachment: in voice.pdf]"
    (delivered,) = await eventually(lambda: [one for one in karoo.all("message") if one["id"] == "m-1"])
    assert delivered["parts"][1]["media"]["id"] == media["id"]
    address = (await page.addresses(handoff, media["id"], new_id()))[media["id"]]
    given, content = await page.fetch(address)
    assert content == PDF
    assert given.headers["Content-Type"] == "application/pdf"
    assert given.headers["Content-Disposition"] == "attachment; filename*=UTF-8''in%20voice.pdf"
    assert given.headers["Content-Security-Policy"].startswith("sandbox")
    assert given.headers["Cache-Control"] == "private, max-age=300, immutable"
    part, content = await page.fetch(address, Range="bytes=0-7")
    assert (part.status, content, part.headers["Content-Range"]) == (206, b"%PDF-1.7", f"bytes 0-7/{len(PDF)}")
    assert (await page.fetch(address, Range=f"bytes={len(PDF)}-"))[0].status == 416


async def test_an_agents_photo_has_no_place_any_more(relay, desk, uploads) -> None:
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    page = uploads(thandi)
    _, answer = await page.add(handoff, photo((64, 48), orientation=6), "IMG.jpg")
    address = (await page.addresses(handoff, answer["media"]["id"]))[answer["media"]["id"]]
    given, content = await page.fetch(address)
    assert MARKER not in content
    assert given.headers["Content-Disposition"].startswith("inline")
    assert given.headers["Content-Type"] == "image/jpeg"


async def test_html_is_only_ever_saved(relay, desk, uploads) -> None:
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    page = uploads(thandi)
    _, answer = await page.add(handoff, HTML, "photo.jpg", **{"Content-Type": "image/jpeg"})
    address = (await page.addresses(handoff, answer["media"]["id"]))[answer["media"]["id"]]
    given, _ = await page.fetch(address)
    assert given.headers["Content-Type"] == "application/octet-stream"
    assert given.headers["Content-Disposition"].startswith("attachment")
    assert given.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_address_that_was_passed_on_gives_nothing_to_who_may_not_see_the_conversation(
    relay, desk, uploads
) -> None:
    thandi, sipho, karoo = await desk(), await desk("sipho"), await relay()
    handoff = await karoo.initiate(department="orders")
    await thandi.take(handoff)
    _, answer = await uploads(thandi).add(handoff, PDF)
    id = answer["media"]["id"]
    address = (await uploads(thandi).addresses(handoff, id))[id]
    given, content = await uploads(sipho).fetch(address)
    assert (given.status, b"unknown_handoff" in content, PDF in content) == (404, True, False)
    await thandi.transfer(handoff, "billing")
    assert (await uploads(sipho).fetch(address))[1] == PDF


async def test_who_may_not_see_the_conversation_adds_and_finds_nothing(relay, desk, uploads) -> None:
    thandi, sipho, karoo = await desk(), await desk("sipho"), await relay()
    handoff, other = await karoo.initiate(department="orders"), await karoo.initiate(department="billing")
    status, answer = await uploads(sipho).add(handoff, PDF)
    assert (status, answer["code"]) == (404, "unknown_handoff")
    _, answer = await uploads(thandi).add(handoff, PDF)
    id = answer["media"]["id"]
    assert (await sipho.ask("media", handoff_id=handoff, ids=[id]))["code"] == "unknown_handoff"
    assert await uploads(sipho).addresses(other, id) == {}  # by a conversation that they may see
    refused = await sipho.ask(
        "message", handoff_id=other, id="x", text="", parts=[{"type": "file", "media": {"id": id}}]
    )
    assert refused["code"] in ("invalid", "not_yours")
    await sipho.take(other)
    refused = await sipho.ask(
        "message", handoff_id=other, id="x", text="", parts=[{"type": "file", "media": {"id": id}}]
    )
    assert (refused["code"], "Choose it again" in refused["error"]) == ("invalid", True)


async def test_an_address_changed_by_a_character_or_without_a_session_gives_nothing(relay, desk, uploads, http) -> None:
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    page = uploads(thandi)
    ids = [(await page.add(handoff, PDF))[1]["media"]["id"] for _ in range(2)]
    address = (await page.addresses(handoff, *ids))[ids[0]]
    assert (await page.fetch(address))[0].status == 200
    for place in range(address.index("/media/") + 7, len(address)):
        changed = address[:place] + ("A" if address[place] != "A" else "B") + address[place + 1 :]
        if changed.split("?")[-1].count("=") == 2 and "&signature=" in changed and "?expires=" in changed:
            assert (await page.fetch(changed))[0].status == 403, changed
    assert (await page.fetch(address.replace(ids[0], ids[1])))[0].status == 403
    assert (await page.fetch(address.split("?")[0]))[0].status == 403
    assert (await page.fetch(f"desk/media/..%2f..%2fdesk.db?{address.split('?')[1]}"))[0].status in (403, 404)
    async with http.get(f"{page.server.address}/{address}") as stranger:
        assert stranger.status == 401
    page.server.ahead = 2 * 86_400
    assert (await page.fetch(address))[0].status == 403


async def test_a_browser_that_opens_an_address_in_vain_reads_why_on_a_page(relay, desk, uploads, http) -> None:
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    page = uploads(thandi)
    id = (await page.add(handoff, PDF))[1]["media"]["id"]
    address = f"{page.server.address}/{(await page.addresses(handoff, id))[id]}"
    async with http.get(address, headers={"Accept": "text/html,*/*;q=0.8"}) as stranger:
        assert (stranger.status, stranger.content_type) == (401, "text/html")
        assert "Please sign in again." in await stranger.text()
    async with http.get(address, headers={"Accept": "*/*"}) as program:
        assert (program.status, (await program.json())["code"]) == (401, "signed_out")


async def test_a_file_is_taken_from_the_desks_own_page_alone(relay, desk, uploads) -> None:
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    page = uploads(thandi)
    for wrong in ({"Origin": "https://evil.example"}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x"}, {"Cookie": ""}):
        status, answer = await page.add(handoff, PDF, **wrong)
        assert status in (401, 403), wrong
        assert not answer["ok"]
    assert (await page.add(handoff, PDF))[0] == 200
    await thandi.take(handoff)
    await thandi.resolve(handoff)
    assert (await page.add(handoff, PDF))[1]["code"] == "ended"


@pytest.mark.parametrize("limits", [MediaLimits(file_bytes=1_000_000, conversation_bytes=1_500_000)])
async def test_a_file_that_is_sent_again_with_its_key_is_kept_once_and_needs_no_room(relay, desk, uploads) -> None:
    thandi, karoo = await desk(), await relay()
    handoff, other = await karoo.initiate(), await karoo.initiate()
    page, content = uploads(thandi), b"%PDF-" + b"x" * 900_000
    _, first = await page.add(handoff, content, key="k1")
    _, (status, again) = await asyncio.gather(
        page.add(handoff, content, key="k1"), page.add(handoff, content, key="k1")
    )
    assert (status, again["media"]["id"]) == (200, first["media"]["id"])
    assert (await page.add(handoff, content, key="k2"))[1]["code"] == "too_many"
    _, elsewhere = await page.add(other, content, key="k1")
    assert elsewhere["media"]["id"] != first["media"]["id"]


@pytest.mark.parametrize("limits", [MediaLimits(file_bytes=1_000_000, conversation_bytes=1_500_000)])
async def test_what_is_too_much_is_answered_in_a_sentence_although_all_of_it_is_sent(relay, desk, uploads) -> None:
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    page = uploads(thandi)
    status, answer = await page.add(handoff, io.BytesIO(b"x" * 20_000_000))
    assert (status, answer["code"]) == (413, "too_large")
    assert "at most 1 MB" in answer["error"]

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 100_000

    status, answer = await page.add(handoff, unannounced())
    assert (status, answer["code"]) == (413, "too_large")
    assert (await page.add(handoff, b"%PDF-" + b"x" * 900_000))[0] == 200
    status, answer = await page.add(handoff, b"%PDF-" + b"x" * 900_000)
    assert (status, answer["code"]) == (409, "too_many")


@pytest.mark.parametrize("limits", [MediaLimits(total_bytes=3_000)])
async def test_a_full_store_is_told_to_the_agent(relay, desk, uploads) -> None:
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    page = uploads(thandi)
    assert (await page.add(handoff, PDF))[0] == 200
    status, answer = await page.add(handoff, PDF)
    assert (status, answer["code"]) == (507, "full")
    assert "in words" in answer["error"]


async def test_a_long_file_that_comes_on_slowly_is_waited_for(relay, desk, server, uploads) -> None:
    """The guard ends a body that stops; one that goes on takes as long as it takes."""
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    page = uploads(thandi)
    begun = time.monotonic()

    async def slow() -> AsyncIterator[bytes]:
        yield b"%PDF-"
        for number in range(1, 7):
            yield b"x" * 600_000
            await eventually(lambda until=begun + number: time.monotonic() >= until)

    status, answer = await page.add(handoff, slow())
    assert (status, answer["media"]["size"]) == (200, 3_600_005)


async def test_a_relay_brings_a_customers_file_before_its_message_and_takes_the_agents(
    server, relay, desk, uploads, http
) -> None:
    thandi, karoo = await desk(), await relay()
    id = new_id()
    clean = await cleaned(uploads(thandi), karoo, photo((64, 48), orientation=6))
    status, body = await relays_file(http, server, id, "PUT", clean)
    assert status == 200, body
    assert await relays_file(http, server, id, "HEAD") == (200, b"")
    assert await relays_file(http, server, id) == (200, clean)  # not written anew: the relay has done that
    assert (await relays_file(http, server, id, "PUT", b"other"))[0] == 200  # it is there already
    assert await relays_file(http, server, id) == (200, clean)
    handoff = await karoo.initiate(conversation_id="c-1")
    page = uploads(thandi)
    address = (await page.addresses(handoff, id))[id]
    given, content = await page.fetch(address)
    assert (content, given.headers["Content-Disposition"]) == (clean, "inline; filename*=UTF-8''dent%20%C3%A9.jpg")
    _, answer = await page.add(handoff, PDF)
    assert await relays_file(http, server, answer["media"]["id"]) == (200, PDF)


async def cleaned(page: Uploads, karoo: Any, content: bytes) -> bytes:
    """The picture as a side has written it anew."""
    handoff = await karoo.initiate()
    _, answer = await page.add(handoff, content, "x.jpg")
    return (await page.fetch((await page.addresses(handoff, answer["media"]["id"]))[answer["media"]["id"]]))[1]


async def test_a_relays_file_needs_its_bots_token_and_is_its_own(server, relay, http, database) -> None:
    id = new_id()
    assert (await relays_file(http, server, id, "PUT", PDF))[0] == 200  # from this machine, without any token
    token, other = accounts.add_token(database, "karoo"), accounts.add_token(database, "fynbos")
    for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {other}"}):
        assert (await relays_file(http, server, id, **wrong))[0] == 403
        assert (await relays_file(http, server, new_id(), "PUT", PDF, **wrong))[0] == 403
    right = {"Authorization": f"Bearer {token}"}
    assert (await relays_file(http, server, id, **right)) == (200, PDF)
    assert (await relays_file(http, server, id, **right, Origin=server.address))[0] == 403
    of_other = {"Authorization": f"Bearer {other}", "handoff-bot": "fynbos"}
    assert (await relays_file(http, server, id, **of_other))[0] == 404
    assert (await relays_file(http, server, id, "PUT", PDF, **of_other))[0] == 422
    assert (await relays_file(http, server, new_id(), "PUT", PDF, **right, **{"handoff-conversation": ""}))[0] == 400
    for wrong_id in ("short", "..%2f..%2fx", "x" * 65):
        assert (await relays_file(http, server, wrong_id, "PUT", PDF, **right))[0] in (404, 422)


async def test_files_go_with_their_conversation(server, relay, desk, uploads, http, tmp_path) -> None:
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate(conversation_id="c-1")
    await thandi.take(handoff)
    _, answer = await uploads(thandi).add(handoff, PDF)
    await thandi.resolve(handoff)
    assert len(files_of(tmp_path)) == 1
    store = open_store(server.database)
    store.run(lambda connection: forget(connection, "c-1"))
    store.dispose()
    await eventually(lambda: not files_of(tmp_path), seconds=20)
    assert (await relays_file(http, server, answer["media"]["id"]))[0] == 404


async def test_a_file_outlives_a_restart(server, relay, desk, uploads) -> None:
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    page = uploads(thandi)
    id = (await page.add(handoff, PDF))[1]["media"]["id"]
    address = (await page.addresses(handoff, id))[id]
    await server.stop()
    await server.start()
    assert (await page.fetch(address))[1] == PDF


async def test_a_server_that_keeps_no_files_says_so(database: str, http, opened) -> None:
    one = Server(database, media="off")
    await one.start()
    try:
        thandi, karoo = agent_at(one.address), Relay("karoo")
        opened += [thandi, karoo]
        await thandi.sign_in()
        await thandi.connect()
        await karoo.connect(one.address)
        assert thandi.all("ready")[0]["largest_file"] is None
        assert karoo.all("welcome")[0]["largest_file"] is None
        status, answer = await Uploads(http, one, thandi).add(await karoo.initiate(), PDF)
        assert (status, answer["code"]) == (501, "no_media")
    finally:
        await one.stop()


async def test_clients_of_other_protocols_are_sent_no_files(relay, desk, old_client, uploads) -> None:
    thandi = await desk()
    await old_client()
    arrival = (await eventually(lambda: thandi.all("arrival")))[0]
    status, answer = await uploads(thandi).add(arrival["handoff_id"], PDF)
    assert (status, answer["code"]) == (409, "words_only")


async def test_a_file_that_breaks_off_leaves_nothing(server, relay, desk, tmp_path) -> None:
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    parts = urlsplit(server.address)
    head = (
        f"POST /desk/media?handoff={handoff} HTTP/1.1\r\nHost: {parts.netloc}\r\nOrigin: {server.address}\r\n"
        f"Cookie: {thandi.cookie}\r\nX-CSRF-Token: {await thandi.token()}\r\nContent-Length: 1000000\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port)) as browser:
        browser.sendall(head.encode() + b"x" * 10_000)
        await eventually(lambda: files_of(tmp_path))
    await eventually(lambda: not files_of(tmp_path))


async def test_files_may_be_in_a_bucket_of_s3(database: str, http, opened) -> None:
    with S3Server() as s3:
        one = Server(database, media=s3.address("desk"))
        await one.start()
        thandi, karoo = agent_at(one.address), Relay("karoo")
        opened += [thandi, karoo]
        await thandi.sign_in()
        await thandi.connect()
        await karoo.connect(one.address)
        handoff = await karoo.initiate(conversation_id="c-1")
        page = Uploads(http, one, thandi)
        _, answer = await page.add(handoff, PDF)
        address = (await page.addresses(handoff, answer["media"]["id"]))[answer["media"]["id"]]
        assert (await page.fetch(address))[1] == PDF
        assert (await page.fetch(address, Range="bytes=-4"))[1] == b"xxxx"
        await one.stop()
        away = Server(database, media="s3://handoff-media/desk?endpoint_url=http://127.0.0.1:9")
        away.address = one.address
        await away.start()
        try:
            given, _ = await page.fetch(address)
            assert (given.status, given.headers["Retry-After"]) == (503, "5")
            status, answer = await page.add(handoff, PDF)
            assert (status, answer["code"]) == (503, "away")
        finally:
            await away.stop()


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_a_file_that_one_of_several_servers_took_is_at_each(server, relay, desk, uploads, http, tmp_path) -> None:
    second = Server(server.database, media=str(tmp_path / "media"))
    await second.start()
    try:
        thandi, karoo = await desk(), await relay()
        handoff = await karoo.initiate(conversation_id="c-1")
        _, answer = await uploads(thandi).add(handoff, PDF)
        id = answer["media"]["id"]
        address = (await uploads(thandi).addresses(handoff, id))[id]
        assert (await Uploads(http, second, thandi).fetch(address))[1] == PDF  # the other has the same key
        assert await relays_file(http, second, id) == (200, PDF)
    finally:
        await second.stop()


async def test_a_bucket_that_isnt_there_is_said_at_the_start_with_what_to_do(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with S3Server() as s3:
        one = Server(database, media=s3.address("desk").replace("handoff-media", "no-such-bucket"))
        await one.start()
        await eventually(lambda: "make the bucket no-such-bucket" in caplog.text)
        await one.stop()


def test_a_folder_that_can_never_be_used_is_refused_before_anything_begins(database: str, tmp_path: Path) -> None:
    (file := tmp_path / "file").write_text("")
    for where in ("/proc/nope/media", str(file)):
        with pytest.raises(HandoffError, match=f"--media {where} can't be used .*: name a folder"):
            serve("127.0.0.1", 0, database, ServerSettings(media=where))
