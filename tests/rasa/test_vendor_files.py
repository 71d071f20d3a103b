"""Customers' files are fetched with the vendor's token, from the vendor's hosts alone, and the token goes nowhere else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.inbound.hosting import make_channels
from rasa_handoff.channel.vendors import file_sources, vendor_files
from rasa_handoff.channel.vendors.file_sources import VENDOR_HOSTS
from rasa_handoff.channel.vendors.vendor_files import VendorFiles
from rasa_handoff.media.media_errors import TOO_LARGE, MediaMissing, MediaRefused
from rasa_handoff.protocol.errors import Unreachable
from tests.rasa.channels.file_stand_ins import CONTENT, FileStandIns

ID = "znana1194bfnxqhbxxcsgqeado"
ADDRESSES = {
    "telegram": "vendor:telegram/BQAC",
    "slack": "URL/slackfiles/F1/a.pdf",
    "facebook": "URL/cdn/a.pdf?oh=1",
    "twilio": "URL/twilio/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1",
    "webexteams": "URL/webex/v1/contents/c1",
    "mattermost": f"URL/mattermost/api/v4/files/{ID}",
    "rocketchat": "https://chat.example.org/file-upload/f1/an%20invoice.pdf",
    "botframework": "URL/teams/v3/attachments/a/views/original",
}
"""An address of each vendor's, where URL is the stand-in."""


def settings(url: str) -> dict[str, Any]:
    return {
        "botframework": {"app_id": "app", "app_password": "password"},
        "facebook": {"verify": "verify", "secret": "secret", "page-access-token": "token"},
        "mattermost": {"url": f"{url}/mattermost/api/v4", "token": "token", "webhook_url": "http://127.0.0.1/"},
        "rocketchat": {"user": "bot", "password": "password", "server_url": f"{url}/rocketchat"},
        "slack": {"slack_token": "token", "slack_signing_secret": "secret"},
        "telegram": {"access_token": "1:token", "verify": "karoo_bot", "webhook_url": "https://127.0.0.1/hook"},
        "twilio": {"account_sid": "AC1", "auth_token": "token", "twilio_number": "+27"},
        "webexteams": {"access_token": "token"},
    }


@pytest_asyncio.fixture
async def stand_ins(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FileStandIns]:
    """The vendors' stand-ins."""
    async with FileStandIns() as files:
        files.redirect(monkeypatch)
        yield files


@pytest_asyncio.fixture
async def files(stand_ins: FileStandIns) -> AsyncIterator[VendorFiles]:
    """The files of all channels that have a vendor's."""
    channels = await asyncio.to_thread(make_channels, settings(stand_ins.url))
    fetched = VendorFiles(channels)
    yield fetched
    await fetched.close()
    await channels["telegram"].get_output_channel().session.close()  # type: ignore[union-attr]


async def content(files: VendorFiles, channel: str, address: str) -> bytes:
    return b"".join([piece async for piece in files.fetch(channel, address)])


@pytest.mark.parametrize("channel", ADDRESSES)
async def test_a_file_is_fetched_with_the_vendors_token(
    files: VendorFiles, stand_ins: FileStandIns, channel: str
) -> None:
    address = ADDRESSES[channel].replace("URL", stand_ins.url)
    assert files.fetches(channel, address)
    assert await content(files, channel, address) == CONTENT
    assert len(stand_ins.requests) == 1


async def test_a_file_that_slack_names_by_its_id_alone_is_looked_up(
    files: VendorFiles, stand_ins: FileStandIns
) -> None:
    assert await content(files, "slack", "vendor:slack/F1") == CONTENT
    assert stand_ins.requests[0][0] == "slackfiles/F1/a.pdf"


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        ("slack", "https://files.slack.com.example.org/a"),
        ("slack", "https://files.slack.com@example.org/a"),
        ("slack", "http://files.slack.com/a"),
        ("slack", "https://files.slack.com:8443/a"),
        ("slack", "https://files.slack.com\\@example.org/a"),
        ("slack", "https://[files.slack.com/a"),
        ("slack", "vendor:telegram/BQAC"),
        ("facebook", "https://fbcdn.net/a"),
        ("facebook", "https://example.org/?https://a.fbcdn.net/"),
        ("twilio", "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json"),
        ("twilio", "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/../../x"),
        ("webexteams", "https://webexapis.com/v1/people/me"),
        ("mattermost", "https://mm.example.org/api/v4/files/short"),
        ("mattermost", "https://mm.example.org/api/v4/files/../users/me"),
        ("rocketchat", "https://chat.example.org/file-upload/../api/v1/users.list"),
        ("rocketchat", "https://chat.example.org/file-upload/f1/.."),
        ("rocketchat", "https://chat.example.org/api/v1/users.list"),
        ("botframework", "https://smba.trafficmanager.net.example.org/v3/attachments/a"),
        ("botframework", "https://smba.trafficmanager.net/emea/v3/conversations/a/members"),
        ("botframework", "https://smba.trafficmanager.net/emea/v3/attachments/a/../../conversations"),
        ("botframework", "https://smba.trafficmanager.net/emea/v3/attachments/a/%2e%2e/%2E./conversations"),
        ("facebook", "https://scontent.xx.fbcdn.net/a/../b"),
        ("rest", "https://files.slack.com/a"),
        ("", "vendor:telegram/BQAC"),
        ("telegram", "https://api.telegram.org/file/bot1/a"),
    ],
)
async def test_no_other_address_is_fetched_and_no_token_shown_there(channel: str, address: str) -> None:
    hosted = {
        name: Named(name)
        for name in (
            "slack",
            "facebook",
            "twilio",
            "webexteams",
            "mattermost",
            "rocketchat",
            "botframework",
            "telegram",
            "rest",
        )
    }
    files = VendorFiles({})
    files._sources = {
        name: kind(hosted[name])
        for kind in file_sources.SOURCES.values()
        for name in hosted
        if kind is SOURCE_OF.get(name)
    }
    assert not files.fetches(channel, address)
    with pytest.raises(MediaMissing):
        await content(files, channel, address)


class Named(InputChannel):
    """A channel with the settings that a source reads."""

    url = "https://mm.example.org/api/v4"
    server_url = "https://chat.example.org"

    def __init__(self, name: str) -> None:
        self.own = name


SOURCE_OF = {
    "slack": file_sources.SlackFiles,
    "facebook": file_sources.FacebookFiles,
    "twilio": file_sources.TwilioFiles,
    "webexteams": file_sources.WebexFiles,
    "mattermost": file_sources.MattermostFiles,
    "rocketchat": file_sources.RocketChatFiles,
    "botframework": file_sources.TeamsFiles,
    "telegram": file_sources.TelegramFiles,
}


async def test_the_vendors_own_addresses_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {
        "slack": "https://files.slack.com/files-pri/T1-F1/download/dent.jpg",
        "facebook": "https://scontent.xx.fbcdn.net/v/dent.jpg?oh=1",
        "twilio": "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1",
        "webexteams": "https://webexapis.com/v1/contents/Y2lzY29zcGFyazovL3Vz_a-1",
        "mattermost": f"https://mm.example.org/api/v4/files/{ID}",
        "rocketchat": "https://elsewhere.example.org/chat/file-upload/f1/a.pdf?rc_token=1&rc_rid=2",
        "botframework": "https://smba.trafficmanager.net/emea/v3/attachments/a/views/original",
        "telegram": "vendor:telegram/BQAC",
    }
    for channel, address in own.items():
        assert SOURCE_OF[channel](Named(channel)).has(address), channel


async def test_a_redirect_takes_no_token_along(files: VendorFiles, stand_ins: FileStandIns) -> None:
    async with FileStandIns() as elsewhere:
        VENDOR_HOSTS["twilio_cdn"] = (elsewhere.url,)  # type: ignore[index]

        async def lead_on(request: web.Request) -> web.Response:
            raise web.HTTPFound(f"{elsewhere.url}/cdn/ME1")

        stand_ins.answer = lead_on
        address = ADDRESSES["twilio"].replace("URL", stand_ins.url)
        assert await content(files, "twilio", address) == CONTENT
        ((path, headers),) = elsewhere.requests
        assert path == "cdn/ME1"
        assert "Authorization" not in headers


@pytest.mark.parametrize("channel", ["slack", "twilio", "webexteams", "facebook"])
async def test_a_redirect_to_a_host_of_somebody_else_is_not_followed(
    files: VendorFiles, stand_ins: FileStandIns, channel: str
) -> None:
    async with FileStandIns() as elsewhere:

        async def lead_on(request: web.Request) -> web.Response:
            raise web.HTTPFound(f"{elsewhere.url}/cdn/ME1")

        stand_ins.answer = lead_on
        with pytest.raises(MediaRefused) as refused:
            await content(files, channel, ADDRESSES[channel].replace("URL", stand_ins.url))
        assert refused.value.code == "denied"
        assert not elsewhere.requests


async def test_redirects_have_an_end(files: VendorFiles, stand_ins: FileStandIns) -> None:
    async def lead_on(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{stand_ins.url}{request.path_qs}")

    stand_ins.answer = lead_on
    with pytest.raises(MediaMissing):
        await content(files, "facebook", ADDRESSES["facebook"].replace("URL", stand_ins.url))
    assert len(stand_ins.requests) == vendor_files.MOST_REDIRECTS + 1


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (401, MediaRefused),
        (403, MediaRefused),
        (404, MediaMissing),
        (410, MediaMissing),
        (423, Unreachable),
        (429, Unreachable),
        (503, Unreachable),
    ],
)
async def test_what_a_vendor_answers_decides_whether_it_is_tried_again(
    files: VendorFiles, stand_ins: FileStandIns, status: int, problem: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status)

    stand_ins.answer = answer
    with pytest.raises(problem) as raised:
        await content(files, "telegram", "vendor:telegram/BQAC")
    assert type(raised.value) is problem
    assert "1:token" not in f"{raised.value!r} {caplog.text}"


async def test_a_vendor_that_stands_still_has_its_time(
    files: VendorFiles, stand_ins: FileStandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = asyncio.Event()

    async def stand_still(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"x")
        await over.wait()
        return response

    stand_ins.answer = stand_still
    monkeypatch.setattr(vendor_files, "FILE_SECONDS", 0.5)
    with pytest.raises(Unreachable):
        await content(files, "telegram", "vendor:telegram/BQAC")
    over.set()


async def test_a_file_that_telegram_gives_no_bot_is_too_large(
    files: VendorFiles, stand_ins: FileStandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_big(*_: Any) -> None:
        raise ValueError("Bad Request: file is too big")

    source: Any = files._sources["telegram"]
    monkeypatch.setattr(source.channel.get_output_channel(), "get_file", too_big)
    with pytest.raises(MediaRefused) as refused:
        await content(files, "telegram", "vendor:telegram/BQAC")
    assert refused.value.code == TOO_LARGE
