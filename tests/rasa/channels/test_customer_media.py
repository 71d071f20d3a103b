"""Pictures and files between customers and agents: a page adds them, vendors' are fetched, and agents' are given by address."""

import asyncio
import io
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from msgspec.structs import replace
from PIL import Image

from rasa_handoff.channel.hosted import socketio
from rasa_handoff.media.media_errors import MediaMissing
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.tokens import HEADER, make_token
from rasa_handoff.relay import relay_media
from rasa_handoff.relay.relay import CUSTOMER
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import OnCallback, OnSlack, OnTelegram
from tests.rasa.channels.talking import give_back, live, resolve, take
from tests.rasa.channels.vendor_samples import PHOTO
from tests.rasa.channels.vendors import Vendors
from tests.support.photos import MARKER, photo

pytestmark = pytest.mark.asyncio(loop_scope="package")

PDF = b"%PDF-1.7\n" + b"x" * 2_000
HTML = b"<html><script>alert(1)</script></html>"


async def added(
    rasa: RasaServer,
    session: str,
    content: Any,
    name: str = "a.pdf",
    channel: str = "socketio",
    key: str | None = None,
    **headers: str,
) -> tuple[int, dict[str, Any]]:
    address = f"{rasa.url}/webhooks/{channel}/handoff/media"
    query = {"sender": session, "name": name, **({} if key is None else {"key": key})}
    async with rasa.http.post(address, params=query, data=content, headers=headers) as got:
        return got.status, await got.json()


async def fetched(http: aiohttp.ClientSession, address: str, **headers: str) -> tuple[int, bytes, Any]:
    async with http.get(address, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


async def uploaded(desk: DeskServer, agent: ScriptedAgent, handoff: str, content: bytes, name: str) -> dict[str, Any]:
    """Add a file as the agent's page does, and return what the server says of it."""
    headers = {"Cookie": agent.cookie, "X-CSRF-Token": await agent.token(), "Origin": desk.url}
    address = f"{desk.url}/desk/media"
    async with (
        aiohttp.ClientSession() as http,
        http.post(address, params={"handoff": handoff, "name": name}, data=content, headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return dict((await answer.json())["media"])


async def from_desk(desk: DeskServer, agent: ScriptedAgent, handoff: str, id: str) -> bytes | None:
    """Return a file as the agent's page gets it; None while the desk doesn't have it."""
    addresses = (await agent.ask("media", handoff_id=handoff, ids=[id]))["addresses"]
    if id not in addresses:
        return None
    async with aiohttp.ClientSession() as http:
        status, content, _ = await fetched(http, f"{desk.url}/{addresses[id]}", Cookie=agent.cookie)
    return content if status == 200 else None


async def sends(agent: ScriptedAgent, handoff: str, *media: dict[str, Any], text: str = "") -> dict[str, Any]:
    parts = [{"type": "image" if one["type"].startswith("image/") else "file", "media": one} for one in media]
    words = [{"type": "text", "text": text}] if text else []
    return await agent.ask("message", handoff_id=handoff, id=uuid.uuid4().hex, text="", parts=[*words, *parts])


def said_by_customer(agent: ScriptedAgent, handoff: str) -> list[dict[str, Any]]:
    messages = [data for data in agent.all("message") if data["handoff_id"] == handoff]
    return [data for data in messages if data["speaker"] == "customer"]


# From a page


async def test_a_page_sends_a_photo_and_the_agent_gets_it_upright(
    rasa: RasaServer, desk: DeskServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        handoff = await live(page, thandi)
        status, answer = await added(rasa, session, photo((64, 48), orientation=6), "IMG_1.jpg")
        media = answer["media"]
        assert (status, media["name"], media["type"]) == (200, "IMG_1.jpg", "image/jpeg")
        said = {"message": "my parcel", "session_id": session, "id": "m1", "metadata": {"handoff_media": [media["id"]]}}
        assert await page.call("user_uttered", said) == {"ok": True}
        (message,) = await eventually(lambda: said_by_customer(thandi, handoff))
        assert message["text"] == "my parcel [Image: IMG_1.jpg]"
        assert message["parts"][1]["media"]["id"] == media["id"]
        content = await from_desk(desk, thandi, handoff, media["id"])
        assert content is not None
        assert MARKER not in content
        assert Image.open(io.BytesIO(content)).size == (48, 64)
        # The page shows what it has sent.
        assert (await fetched(rasa.http, rasa.url + media["url"]))[:2] == (200, content)
        kept = [event for event in await rasa.events(session) if event["event"] == "user"]
        assert "handoff_media" not in kept[-1].get("metadata", {})
        await resolve(thandi, handoff)


async def test_a_photo_for_the_bot_is_words_and_its_transcript_has_the_picture(
    rasa: RasaServer, desk: DeskServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        _, answer = await added(rasa, session, photo((64, 48)), "dent.jpg")
        id = answer["media"]["id"]
        said = {"message": "", "session_id": session, "id": "m1", "metadata": {"handoff_media": [id]}}
        assert await page.call("user_uttered", said) == {"ok": True}
        kept = [event for event in await rasa.events(session) if event["event"] == "user"]
        assert kept[-1]["text"] == "[Image: dent.jpg]"
        handoff = await live(page, thandi)
        opened = await thandi.ask("open", handoff_id=handoff, after=0)
        lines = [line for line in opened["conversation"]["transcript"] if line["speaker"] == "customer"]
        assert lines[0]["parts"][0]["media"]["id"] == id
        assert await eventually(lambda: from_desk(desk, thandi, handoff, id))
        await resolve(thandi, handoff)


async def test_what_stands_beside_a_file_arrives_with_it(rasa: RasaServer, thandi: ScriptedAgent, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        handoff = await live(page, thandi)
        _, answer = await added(rasa, session, PDF)
        said = {
            "message": "here",
            "session_id": session,
            "id": "m1",
            "metadata": {"handoff_media": [answer["media"]["id"]]},
        }
        place = {"type": "location", "latitude": -33.92, "longitude": 18.42}
        assert await page.call("user_uttered", {**said, "parts": [place]}) == {"ok": True}
        (message,) = await eventually(lambda: said_by_customer(thandi, handoff))
        assert message["text"] == "here [Location: -33.92, 18.42] [Attachment: a.pdf]"
        await resolve(thandi, handoff)


async def test_a_client_of_callback_sends_a_file(
    rasa: RasaServer, vendors: Vendors, desk: DeskServer, thandi: ScriptedAgent
) -> None:
    """Rasa's channel passes no metadata on."""
    customer = OnCallback(rasa, vendors, id=uuid.uuid4().hex)
    await customer.say("I give up completely")
    handoff = await take(rasa, thandi, customer)
    _, answer = await added(rasa, customer.id, PDF, channel="callback")
    id = answer["media"]["id"]
    body = {**customer.request("my form"), "metadata": {"handoff_media": [id]}}
    async with rasa.http.post(f"{rasa.url}/webhooks/callback/webhook", json=body) as taken:
        assert taken.status == 200
    (message,) = await eventually(lambda: said_by_customer(thandi, handoff))
    assert message["text"] == "my form [Attachment: a.pdf]"
    assert await from_desk(desk, thandi, handoff, id) == PDF
    await give_back(rasa, thandi, customer, handoff)


async def test_a_page_names_only_its_own_files(rasa: RasaServer, thandi: ScriptedAgent, session: str) -> None:
    _, answer = await added(rasa, uuid.uuid4().hex, PDF)
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        handoff = await live(page, thandi)
        for number, named in enumerate(([answer["media"]["id"]], ["nonsense", 5, None], "x", {"a": 1}, [])):
            said = {"message": f"{number}", "session_id": session, "id": f"m{number}"}
            await page.call("user_uttered", {**said, "metadata": {"handoff_media": named}})
        messages = await eventually(lambda: said_by_customer(thandi, handoff)[4:] and said_by_customer(thandi, handoff))
        gone = "[a file that isn't there any more]"
        assert [one["text"] for one in messages] == [f"0 {gone}", f"1 {gone}", "2", "3", "4"]
        assert not any(part.get("media") for one in messages for part in one["parts"])
        await resolve(thandi, handoff)


async def test_a_file_that_is_sent_again_with_its_key_is_kept_once(rasa: RasaServer, session: str) -> None:
    whole = b"%PDF-" + b"x" * 12_000_000
    _, first = await added(rasa, session, io.BytesIO(whole), key="k1")
    status, again = await added(rasa, session, io.BytesIO(whole), key="k1")  # it is read although it is there
    assert (status, again["media"]["id"]) == (200, first["media"]["id"])
    others = [(session, "k2"), (session, None), (session, None), (uuid.uuid4().hex, "k1")]
    ids = {(await added(rasa, who, PDF, key=key))[1]["media"]["id"] for who, key in others}
    assert len(ids | {first["media"]["id"]}) == 5


async def test_what_is_too_large_is_said_to_the_page_although_it_is_sent_whole(rasa: RasaServer, session: str) -> None:
    status, answer = await added(rasa, session, io.BytesIO(b"x" * 40_000_000))
    assert (status, answer["code"]) == (413, "too_large")
    assert "at most 32 MB" in answer["error"]
    assert (await added(rasa, session, b""))[1]["code"] == "damaged"
    assert (await added(rasa, "", PDF))[0] == 400
    assert (await added(rasa, session, io.BytesIO(b"%PDF-" + b"x" * 12_000_000)))[0] == 200  # more than a webhook takes


async def test_an_address_changed_by_a_character_gives_nothing(rasa: RasaServer, session: str) -> None:
    media = (await added(rasa, session, PDF))[1]["media"]
    other = (await added(rasa, uuid.uuid4().hex, PDF))[1]["media"]
    address = media["url"]
    assert (await fetched(rasa.http, rasa.url + address))[0] == 200
    for wrong in (
        address.replace(media["id"], other["id"]),
        address[:-1] + ("A" if address[-1] != "A" else "B"),
        address.replace("expires=1", "expires=2"),
        address.split("?")[0],
    ):
        assert (await fetched(rasa.http, rasa.url + wrong))[0] == 403, wrong


async def test_a_browser_that_opens_an_address_that_is_no_longer_valid_gets_a_page(
    rasa: RasaServer, session: str
) -> None:
    address = rasa.url + (await added(rasa, session, PDF))[1]["media"]["url"].replace("expires=1", "expires=2")
    status, content, headers = await fetched(rasa.http, address, Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert (status, headers["Content-Type"].split(";")[0]) == (403, "text/html")
    assert b"This address isn&#x27;t valid any more. Ask for the file again in the chat." in content
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    for program in ("*/*", "image/avif,image/webp,*/*;q=0.8"):
        status, content, headers = await fetched(rasa.http, address, Accept=program)
        assert (status, json.loads(content)["code"], headers["Content-Type"]) == (403, "not_signed", "application/json")


async def test_html_is_only_ever_saved_and_a_part_of_a_file_can_be_asked_for(rasa: RasaServer, session: str) -> None:
    media = (await added(rasa, session, HTML, "photo.jpg"))[1]["media"]
    status, content, headers = await fetched(rasa.http, rasa.url + media["url"])
    assert (status, content) == (200, HTML)
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox")
    media = (await added(rasa, session, PDF))[1]["media"]
    status, content, headers = await fetched(rasa.http, rasa.url + media["url"], Range="bytes=-4")
    assert (status, content, headers["Content-Range"]) == (
        206,
        b"xxxx",
        f"bytes {len(PDF) - 4}-{len(PDF) - 1}/{len(PDF)}",
    )
    async with rasa.http.head(rasa.url + media["url"]) as head:
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(PDF)))


async def test_with_tokens_a_file_needs_the_conversations(
    serve: Callable[..., RasaServer], desk: DeskServer, session: str
) -> None:
    secret = "s" * 40
    settings = {"customer_tokens": "required", "customer_token_secrets": [secret]}
    server = serve({"rest": None}, bot_id="tokens")
    server.credentials["rasa_handoff.HandoffChannel"] |= settings
    async with server as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        token = make_token(secret, "tokens", session)
        assert (await added(rasa, session, PDF, channel="rest"))[0] == 403
        wrong = {HEADER: make_token(secret, "tokens", "another")}
        assert (await added(rasa, session, PDF, channel="rest", **wrong))[0] == 403
        assert (await added(rasa, session, PDF, channel="rest", **{HEADER: token}))[0] == 200


async def test_where_sockets_need_a_web_token_a_file_does_too(
    serve: Callable[..., RasaServer], desk: DeskServer, session: str
) -> None:
    key = "a key of at least thirty-two bytes"
    async with serve({"socketio": {"session_persistence": True, "jwt_key": key}}, bot_id="web-tokens") as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        for number, wrong in enumerate((None, "x", jwt.encode({"sub": "thabo"}, key[::-1], "HS256"))):
            headers = {"Authorization": f"Bearer {wrong}"} if wrong else {}
            assert (await added(rasa, session, PDF, **headers))[0] == 403, number
        right = jwt.encode({"sub": "thabo"}, key, "HS256")
        assert (await added(rasa, session, PDF, Authorization=f"Bearer {right}"))[0] == 200


# From an agent


async def test_a_page_gets_an_agents_file_by_an_address_of_its_own(
    rasa: RasaServer, desk: DeskServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        handoff = await live(page, thandi)
        media = await uploaded(desk, thandi, handoff, PDF, "invoice.pdf")
        answer = await sends(thandi, handoff, media, text="Here it is")
        await thandi.hears("message.status", message_id=answer["message"]["id"], status="delivered")
        shown = await eventually(lambda: address_in(page.messages))
        assert shown.startswith(f"/webhooks/socketio/handoff/media/{media['id']}?expires=")
        status, content, headers = await fetched(rasa.http, rasa.url + shown)
        assert (status, content) == (200, PDF)
        assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''invoice.pdf"
        await resolve(thandi, handoff)


async def test_a_page_that_went_away_while_its_file_was_fetched_gets_it_when_it_is_back(
    rasa: RasaServer, desk: DeskServer, thandi: ScriptedAgent, session: str
) -> None:
    taken, may_go_on, of_agent = asyncio.Event(), asyncio.Event(), rasa.channel.relay.media.of_agent

    async def slow(*arguments: Any) -> Any:
        taken.set()
        await may_go_on.wait()
        return await of_agent(*arguments)

    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        handoff = await live(page, thandi)
        media = await uploaded(desk, thandi, handoff, PDF, "invoice.pdf")
        rasa.channel.relay.media.of_agent = slow
        await sends(thandi, handoff, media, text="Here it is")
        await taken.wait()
    await eventually(lambda: not rasa.channel.channels["socketio"].connected(session))
    rasa.channel.relay.media.of_agent = of_agent
    may_go_on.set()
    await thandi.hears("message.status", status="waiting")
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        assert await eventually(lambda: address_in(page.messages))
        await resolve(thandi, handoff)


def address_in(messages: list[dict[str, Any]]) -> str | None:
    """Return the first address of a file in what a page was sent."""
    words = [word for one in messages for word in str(one).replace("'", " ").split()]
    return next((word for word in words if "/handoff/media/" in word), None)


async def test_rest_gets_it_with_the_next_answer(
    rasa: RasaServer, desk: DeskServer, thandi: ScriptedAgent, session: str
) -> None:
    async def ask(text: str | None) -> list[dict[str, Any]]:
        body = {"sender": session, "message": text}
        async with rasa.http.post(f"{rasa.url}/webhooks/rest/webhook", json=body) as answer:
            return list(await answer.json())

    await ask("I give up completely")
    handoff = (await thandi.take_next())["handoff_id"]
    media = await uploaded(desk, thandi, handoff, PDF, "invoice.pdf")
    await sends(thandi, handoff, media)
    seen: list[dict[str, Any]] = []

    async def arrived() -> str | None:
        seen.extend(await ask(None))
        return address_in(seen)

    address = await eventually(arrived)
    assert (await fetched(rasa.http, rasa.url + address))[1] == PDF
    await resolve(thandi, handoff)


async def test_a_vendor_fetches_it_where_the_settings_say_and_else_the_customer_is_told(
    serve: Callable[..., RasaServer], vendors: Vendors, desk: DeskServer, thandi: ScriptedAgent
) -> None:
    channels = {"slack": {"slack_token": "token", "slack_signing_secret": "secret"}}
    for public_url in ("https://bot.example.org/rasa/", None):
        server = serve(channels, bot_id=f"slack-{bool(public_url)}")
        server.credentials["rasa_handoff.HandoffChannel"]["public_url"] = public_url
        async with server as rasa:
            await eventually(lambda: rasa.channel.desk.connected)
            customer = OnSlack(rasa, vendors, id=f"U{uuid.uuid4().hex[:8]}", place=f"C{uuid.uuid4().hex[:8]}")
            await customer.say("I give up completely")
            handoff = await take(rasa, thandi, customer)
            media = await uploaded(desk, thandi, handoff, photo((64, 48)), "map.jpg")
            answer = await sends(thandi, handoff, media, text="Here")
            status = await thandi.hears("message.status", message_id=answer["message"]["id"], status="delivered")
            if public_url:
                address = f"https://bot.example.org/rasa/webhooks/slack/handoff/media/{media['id']}?expires="
                await eventually(lambda: address in customer.raw())  # noqa: B023
                assert status["reason"] is None
            else:
                await customer.hears("couldn't be passed on to you (Image: map.jpg)")
                assert "public_url" in status["reason"]
            await give_back(rasa, thandi, customer, handoff)


async def test_a_full_store_is_told_to_who_sends(
    serve: Callable[..., RasaServer], desk: DeskServer, thandi: ScriptedAgent, session: str
) -> None:
    server = serve({"socketio": {"session_persistence": True}}, bot_id="full")
    server.credentials["rasa_handoff.HandoffChannel"]["media_limits"] = {"total_bytes": 3_000}
    async with server as rasa, ScriptedCustomer(rasa.url, session, acks=True) as page:
        await eventually(lambda: rasa.channel.desk.connected)
        assert (await added(rasa, session, PDF))[0] == 200
        status, answer = await added(rasa, session, PDF)
        assert (status, answer["code"]) == (507, "full")
        assert "in words" in answer["error"]
        handoff = await live(page, thandi)
        media = await uploaded(desk, thandi, handoff, PDF, "invoice.pdf")
        sent = await sends(thandi, handoff, media, text="Here it is")
        status = await thandi.hears("message.status", message_id=sent["message"]["id"], status="delivered")
        assert "there is no room for it" in status["reason"]
        await page.hears("couldn't be passed on to you (Attachment: invoice.pdf)")
        await page.hears("Here it is")
        await resolve(thandi, handoff)


async def test_what_is_sent_again_is_the_same_message_although_there_is_room_by_then(
    serve: Callable[..., RasaServer],
    desk: DeskServer,
    thandi: ScriptedAgent,
    session: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page that didn't acknowledge the words for a file doesn't read the agent's text twice."""
    monkeypatch.setattr(socketio, "ACK_SECONDS", 0.2)
    server = serve({"socketio": {"session_persistence": True}}, bot_id="again")
    server.credentials["rasa_handoff.HandoffChannel"]["media_limits"] = {"total_bytes": 1_000}
    async with server as rasa, ScriptedCustomer(rasa.url, session, acks=True) as page:
        await eventually(lambda: rasa.channel.desk.connected)
        handoff = await live(page, thandi)
        media = await uploaded(desk, thandi, handoff, PDF, "invoice.pdf")
        page.attentive.clear()
        sent = await sends(thandi, handoff, media, text="Here it is")
        await page.hears("couldn't be passed on to you (Attachment: invoice.pdf)")
        library = rasa.channel.relay.media.library
        assert library is not None
        library.limits = replace(library.limits, total_bytes=None)
        count = len(page.texts)
        await eventually(lambda: len(page.texts) > count)
        (stored,) = await rasa.channel.relay.waiting_entries(CUSTOMER, session)
        assert "Here it is" in stored.body["text"], "what another process, or this one after a restart, sends"
        assert "there is no room for it" in stored.body["file_problem"]
        page.attentive.set()
        status = await thandi.hears("message.status", message_id=sent["message"]["id"], status="delivered")
        assert "there is no room for it" in status["reason"]
        assert {one["id"] for one in page.messages if "Here it is" in one.get("text", "")} == {sent["message"]["id"]}
        await resolve(thandi, handoff)


# From a vendor


class Shelf:
    """A vendor's files, by their addresses. ``away``: whether the vendor can be reached."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.away = False
        self.fetched: list[str] = []

    def fetches(self, channel: str | None, address: str) -> bool:
        return channel == "telegram" and address.startswith("vendor:telegram/")

    async def fetch(self, channel: str | None, address: str) -> AsyncGenerator[bytes, None]:
        if self.away:
            raise Unreachable("Telegram doesn't answer.")
        if address not in self.files:
            raise MediaMissing
        self.fetched.append(address)
        yield self.files[address][:10]
        yield self.files[address][10:]


@pytest.fixture
def shelf(rasa: RasaServer) -> AsyncIterator[Shelf]:
    one = Shelf()
    before = rasa.channel.relay.media.fetchers
    rasa.channel.relay.media.fetchers = [one]
    yield one  # type: ignore[misc]
    rasa.channel.relay.media.fetchers = before


async def on_telegram(rasa: RasaServer, vendors: Vendors) -> OnTelegram:
    return OnTelegram(rasa, vendors, id=str(uuid.uuid4().int % 10**9))


async def photo_of(customer: OnTelegram, file_id: str) -> None:
    chat = {"id": int(customer.id), "type": "private"}
    message = {"message_id": 1, "date": 0, "chat": chat, "photo": [{**PHOTO[-1], "file_id": file_id}]}
    await customer.call({"update_id": uuid.uuid4().int % 10**12, "message": message})


async def test_a_vendors_photo_is_fetched_once_and_brought_before_its_message(
    rasa: RasaServer, vendors: Vendors, desk: DeskServer, thandi: ScriptedAgent, shelf: Shelf
) -> None:
    customer = await on_telegram(rasa, vendors)
    await customer.say("I give up completely")
    handoff = await take(rasa, thandi, customer)
    shelf.files["vendor:telegram/abc"] = photo((64, 48), orientation=6)
    shelf.away = True
    await photo_of(customer, "abc")
    await customer.say("see?")
    assert said_by_customer(thandi, handoff) == []
    shelf.away = False
    messages = await eventually(lambda: said_by_customer(thandi, handoff)[1:] and said_by_customer(thandi, handoff))
    assert [one["text"] for one in messages] == ["[Image: image/jpeg]", "see?"]  # in their order
    media = messages[0]["parts"][0]["media"]
    assert "url" not in media
    content = await from_desk(desk, thandi, handoff, media["id"])
    assert content is not None
    assert MARKER not in content
    await photo_of(customer, "abc")  # forwarded again
    await eventually(lambda: said_by_customer(thandi, handoff)[2:])
    assert shelf.fetched == ["vendor:telegram/abc"]
    await give_back(rasa, thandi, customer, handoff)


async def test_a_photo_for_the_bot_is_fetched_when_a_person_is_to_see_it(
    rasa: RasaServer, vendors: Vendors, desk: DeskServer, thandi: ScriptedAgent, shelf: Shelf
) -> None:
    customer = await on_telegram(rasa, vendors)
    shelf.files["vendor:telegram/early"] = photo((64, 48))
    await photo_of(customer, "early")
    shelf.away = True  # the offer doesn't wait for it
    await customer.say("I give up completely")
    handoff = await take(rasa, thandi, customer)
    opened = await thandi.ask("open", handoff_id=handoff, after=0)
    lines = [line for line in opened["conversation"]["transcript"] if line["speaker"] == "customer"]
    media = lines[0]["parts"][0]["media"]
    assert "url" not in media
    assert await from_desk(desk, thandi, handoff, media["id"]) is None
    shelf.away = False
    assert await eventually(lambda: from_desk(desk, thandi, handoff, media["id"]))
    await give_back(rasa, thandi, customer, handoff)


async def test_what_can_not_be_fetched_is_told_to_the_agent_in_words(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await on_telegram(rasa, vendors)
    await customer.say("I give up completely")
    handoff = await take(rasa, thandi, customer)
    await photo_of(customer, "gone")
    shelf.files["vendor:telegram/broken"] = b"\xff\xd8\xffbroken"
    await photo_of(customer, "broken")
    monkeypatch.setattr(relay_media, "PATIENCE", 0.5)
    messages = await eventually(lambda: said_by_customer(thandi, handoff)[1:] and said_by_customer(thandi, handoff))
    shelf.away = True
    await photo_of(customer, "late")
    await customer.say("after it")
    messages = await eventually(lambda: said_by_customer(thandi, handoff)[3:] and said_by_customer(thandi, handoff))
    begin = "[Image: image/jpeg, which couldn't be passed on: "
    assert [one["text"] for one in messages] == [
        f"{begin}it isn't there any more]",
        f"{begin}it can't be read]",
        f"{begin}it couldn't be had in time]",
        "after it",
    ]
    await give_back(rasa, thandi, customer, handoff)


async def test_files_under_way_outlive_a_restart_of_rasa(
    serve: Callable[..., RasaServer], desk: DeskServer, thandi: ScriptedAgent, session: str, tmp_path: Path
) -> None:
    """The desk is told of the photo, and the customer given the file, by a process that starts after both were accepted."""
    server = serve({"socketio": {"session_persistence": True}}, bot_id="restarted")
    async with server as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        async with ScriptedCustomer(rasa.url, session, acks=True) as page:
            handoff = await live(page, thandi)
            _, answer = await added(rasa, session, photo((64, 48)), "dent.jpg")
            media = await uploaded(desk, thandi, handoff, PDF, "invoice.pdf")
            stopped = asyncio.Event()

            async def stands_still(*_: Any) -> Any:
                await stopped.wait()
                raise Unreachable("It ends.")

            rasa.channel.relay.media.of_customer = rasa.channel.relay.media.of_agent = stands_still
            said = {"message": "look", "session_id": session, "id": "m1"}
            named = {"metadata": {"handoff_media": [answer["media"]["id"]]}}
            assert await page.call("user_uttered", {**said, **named}) == {"ok": True}
            sent = await sends(thandi, handoff, media)
            assert sent["ok"]
            await eventually(lambda: rasa.channel.relay.delivers("customer", session))
            assert said_by_customer(thandi, handoff) == []
    async with (
        serve({"socketio": {"session_persistence": True}}, folder=server.folder, bot_id="restarted") as rasa,
        ScriptedCustomer(rasa.url, session, acks=True) as page,
    ):
        (message,) = await eventually(lambda: said_by_customer(thandi, handoff))
        assert await from_desk(desk, thandi, handoff, message["parts"][1]["media"]["id"])
        address = await eventually(lambda: address_in(page.messages))
        assert (await fetched(rasa.http, rasa.url + address))[1] == PDF
        await resolve(thandi, handoff)
