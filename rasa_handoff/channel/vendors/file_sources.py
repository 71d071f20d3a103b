"""Where each vendor keeps customers' files, and what shows it that the bot may have one.

A file is fetched from the vendor's own hosts alone, or from the server that the channel's settings name; an address on any other
host is one that a person may open. Written after the vendors' documents, which each source names; none was tried at a vendor.
"""

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.vendors import mattermost_posts, slack_events, telegram_updates
from rasa_handoff.channel.vendors.vendor_message import fields, text
from rasa_handoff.media.media_errors import TOO_LARGE, UNKNOWN, MediaMissing, MediaRefused
from rasa_handoff.protocol.errors import Unreachable

VENDOR_HOSTS: Final[Mapping[str, tuple[str, ...]]] = {
    "facebook": ("https://*.fbcdn.net", "https://*.fbsbx.com"),
    "slack": ("https://files.slack.com", "https://*.slack-files.com"),
    "teams": ("https://smba.trafficmanager.net", "https://*.botframework.com", "https://*.asm.skype.com"),
    "sharepoint": ("https://*.sharepoint.com", "https://*.sharepoint-df.com", "https://*.sharepoint.us"),
    "twilio": ("https://api.twilio.com", "https://*.twilio.com"),
    "twilio_cdn": ("https://*.twiliocdn.com", "https://*.amazonaws.com"),
    "webex": ("https://webexapis.com", "https://*.webexapis.com", "https://api.ciscospark.com"),
}
"""The hosts of vendors' files; ``*.`` stands for any name before the rest."""


TWILIO_FILE: Final = re.compile(r"/2010-04-01/Accounts/\w+/Messages/\w+/Media/\w+", re.ASCII)
WEBEX_FILE: Final = re.compile(r"/v1/contents/[\w-]+(/\d+)?", re.ASCII)
TEAMS_PATH: Final = re.compile(r"(/[\w-]+){0,3}/(attachments|objects)/[\w-]+(/[\w.-]+)*", re.ASCII)
ROCKETCHAT_FILE: Final = re.compile(
    r"https?://[^?#]*?/(?P<path>file-upload/[\w-]+/(?!\.{1,2}(\?|$))[^/?#\\]+(\?[^#]*)?)", re.ASCII
)
"""The paths of files: who forges a vendor's call, which some vendors don't sign, gets nothing else fetched with the token."""


class FilePlace(NamedTuple):
    """Where a file is: its address, what is sent with the request there and to no other host, and where it may lead on to.

    ``proxy``: by way of which proxy. ``leads_to``: hosts; None: to any with TLS.
    """

    address: str
    headers: Mapping[str, str] = {}
    leads_to: tuple[str, ...] | None = ()
    proxy: str | None = None


Post = Callable[..., Any]
"""Posts to an address, and returns the answer's JSON: ``await post(address, json=..., data=...)``."""


class FileSource:
    """The files of one channel."""

    def __init__(self, channel: InputChannel) -> None:
        self.channel: Any = channel

    def has(self, address: str) -> bool:
        """Return whether the vendor keeps a file at this address."""
        raise NotImplementedError

    async def place(self, address: str, post: Post) -> FilePlace:
        """Return where the file is fetched from.

        Raises:
            MediaRefused: the vendor doesn't give it out.
            Unreachable: the vendor can't be asked now.
        """
        raise NotImplementedError


class TelegramFiles(FileSource):
    """Asks for a file's address by its id; it has at most 20 MB (https://core.telegram.org/bots/api#getfile)."""

    def has(self, address: str) -> bool:
        """Return whether it is the id of a file at Telegram."""
        return address.startswith(telegram_updates.ADDRESS)

    async def place(self, address: str, post: Post) -> FilePlace:
        """Return the address, which has the bot's token in it."""
        bot = self.channel.get_output_channel()
        try:
            file = await bot.get_file(address.removeprefix(telegram_updates.ADDRESS))
        except Exception as problem:  # of aiogram, which has a class for each answer
            if "too big" in str(problem).lower():
                raise MediaRefused(TOO_LARGE, "Telegram gives bots no file of more than 20 MB.") from problem
            if type(problem).__name__ in (
                "BadRequest",
                "InvalidFileID",
                "WrongFileIdentifier",
                "NotFound",
                "FileIsTooBig",
            ):
                raise MediaRefused(UNKNOWN, "Telegram doesn't have this file any more.") from problem
            raise Unreachable(f"Telegram doesn't say where a file is: {type(problem).__name__}.") from problem
        return FilePlace(bot.get_file_url(file.file_path))


class SlackFiles(FileSource):
    """Needs the bot's token with the right ``files:read`` (https://docs.slack.dev/messaging/working-with-files)."""

    def has(self, address: str) -> bool:
        """Return whether it is the address or the id of a file at Slack."""
        return address.startswith(slack_events.ADDRESS) or is_at(address, VENDOR_HOSTS["slack"])

    async def place(self, address: str, post: Post) -> FilePlace:
        """Return the address with the token; without the right Slack leads to its page for signing in, which isn't followed."""
        if address.startswith(slack_events.ADDRESS):
            address = await self._address_of(address.removeprefix(slack_events.ADDRESS))
        headers = {"Authorization": f"Bearer {self.channel.slack_token}"}
        return FilePlace(address, headers, proxy=self.channel.proxy)

    async def _address_of(self, id: str) -> str:
        try:
            answer = await self.channel.get_output_channel().client.files_info(file=id)
        except Exception as problem:  # of Slack's SDK
            error = str(fields(getattr(getattr(problem, "response", None), "data", None)).get("error"))
            if error in ("file_not_found", "file_deleted", "missing_scope", "not_allowed_token_type", "access_denied"):
                raise MediaRefused(UNKNOWN, f"Slack doesn't give this file out: {error}.") from problem
            raise Unreachable(f"Slack doesn't say where a file is: {type(problem).__name__}.") from problem
        file = fields(answer.get("file"))
        address = text(file.get("url_private_download")) or text(file.get("url_private"))
        if address is None or not is_at(address, VENDOR_HOSTS["slack"]):
            raise MediaMissing
        return address


class FacebookFiles(FileSource):
    """Meta's CDN, which needs no token; the addresses expire."""

    def has(self, address: str) -> bool:
        """Return whether it is on Meta's CDN."""
        return is_at(address, VENDOR_HOSTS["facebook"])

    async def place(self, address: str, post: Post) -> FilePlace:
        """Return the address as it came."""
        return FilePlace(address, leads_to=VENDOR_HOSTS["facebook"])


class TwilioFiles(FileSource):
    """Needs the account's name and token, and leads on to a CDN (https://www.twilio.com/docs/messaging/api/media-resource)."""

    def has(self, address: str) -> bool:
        """Return whether it is a file at Twilio."""
        return is_at(address, VENDOR_HOSTS["twilio"]) and TWILIO_FILE.fullmatch(urlsplit(address).path) is not None

    async def place(self, address: str, post: Post) -> FilePlace:
        """Return the address with the account's credentials."""
        given = base64.b64encode(f"{self.channel.account_sid}:{self.channel.auth_token}".encode()).decode()
        return FilePlace(address, {"Authorization": f"Basic {given}"}, VENDOR_HOSTS["twilio_cdn"])


class WebexFiles(FileSource):
    """Needs the bot's token; a file that is still looked through for viruses is locked
    (https://developer.webex.com/docs/basics#message-attachments)."""

    def has(self, address: str) -> bool:
        """Return whether it is a file at Webex."""
        return is_at(address, VENDOR_HOSTS["webex"]) and WEBEX_FILE.fullmatch(urlsplit(address).path) is not None

    async def place(self, address: str, post: Post) -> FilePlace:
        """Return the address with the token."""
        return FilePlace(address, {"Authorization": f"Bearer {self.channel.token}"})


class MattermostFiles(FileSource):
    """Needs the bot's token (https://developers.mattermost.com/api-documentation/#/operations/GetFile)."""

    def has(self, address: str) -> bool:
        """Return whether it is a file of the server in the settings."""
        server, _, id = address.rpartition("/files/")
        return server == str(self.channel.url).rstrip("/") and mattermost_posts.FILE_ID.fullmatch(id) is not None

    async def place(self, address: str, post: Post) -> FilePlace:
        """Return the address with the token."""
        return FilePlace(address, {"Authorization": f"Bearer {self.channel.token}"})


class RocketChatFiles(FileSource):
    """Needs the id and token of a signed-in user (https://developer.rocket.chat/apidocs/login-with-username-and-password).

    The server may lead on to the storage that its operator chose.
    """

    def has(self, address: str) -> bool:
        """Return whether it is a file of the server in the settings, by whatever name that calls itself."""
        return ROCKETCHAT_FILE.fullmatch(address) is not None

    async def place(self, address: str, post: Post) -> FilePlace:
        """Return the address on the server in the settings, whose public name may be another, with the user's token."""
        found = ROCKETCHAT_FILE.fullmatch(address)
        if found is None:
            raise MediaMissing
        server = f"{str(self.channel.server_url).rstrip('/')}/"
        account = {"user": self.channel.user, "password": self.channel.password}
        data = fields(fields(await post(urljoin(server, "api/v1/login"), json=account)).get("data"))
        signed_in = {"X-Auth-Token": str(data.get("authToken")), "X-User-Id": str(data.get("userId"))}
        return FilePlace(urljoin(server, found["path"]), signed_in, leads_to=None)


class TeamsFiles(FileSource):
    """Needs the bot's token, but for files in SharePoint, whose address is enough (see ``teams_activities.py``)."""

    def has(self, address: str) -> bool:
        """Return whether it is at the Bot Framework's service or in SharePoint."""
        with_token = is_at(address, VENDOR_HOSTS["teams"]) and TEAMS_PATH.fullmatch(urlsplit(address).path) is not None
        return with_token or is_at(address, VENDOR_HOSTS["sharepoint"])

    async def place(self, address: str, post: Post) -> FilePlace:
        """Return the address, with the token where it is needed."""
        if is_at(address, VENDOR_HOSTS["sharepoint"]):
            return FilePlace(address, leads_to=VENDOR_HOSTS["sharepoint"])
        asked = {
            "client_id": self.channel.app_id,
            "client_secret": self.channel.app_password,
            "grant_type": "client_credentials",
            "scope": "https://api.botframework.com/.default",
        }
        from rasa.core.channels import botframework  # loaded only where the channel is hosted

        where = f"{botframework.MICROSOFT_OAUTH2_URL}/{botframework.MICROSOFT_OAUTH2_PATH}"
        token = text(fields(await post(where, data=asked)).get("access_token"))
        if token is None:
            raise Unreachable("Microsoft gave no token for app_id and app_password.")
        return FilePlace(address, {"Authorization": f"Bearer {token}"})


SOURCES: Final[Mapping[str, type[FileSource]]] = {
    "rasa.core.channels.botframework.BotFrameworkInput": TeamsFiles,
    "rasa.core.channels.facebook.FacebookInput": FacebookFiles,
    "rasa.core.channels.mattermost.MattermostInput": MattermostFiles,
    "rasa.core.channels.rocketchat.RocketChatInput": RocketChatFiles,
    "rasa.core.channels.slack.SlackInput": SlackFiles,
    "rasa.core.channels.telegram.TelegramInput": TelegramFiles,
    "rasa.core.channels.twilio.TwilioInput": TwilioFiles,
    "rasa.core.channels.webexteams.WebexTeamsInput": WebexFiles,
}
"""By the names of Rasa's classes, so that a project's subclass has its vendor's files too."""


def source_of(channel: InputChannel) -> FileSource | None:
    """Return the source of this channel's files; None if its vendor keeps none for us."""
    names = (f"{base.__module__}.{base.__qualname__}" for base in type(channel).__mro__)
    return next((SOURCES[name](channel) for name in names if name in SOURCES), None)


def is_at(address: str, hosts: tuple[str, ...]) -> bool:
    """Return whether an address is at one of these hosts.

    >>> is_at("https://scontent.xx.fbcdn.net/v/a.jpg", ("https://*.fbcdn.net",))
    True
    >>> is_at("https://fbcdn.net.example.org/", ("https://*.fbcdn.net",))
    False
    >>> is_at("https://files.slack.com@example.org/", ("https://files.slack.com",))
    False
    """
    try:
        found = urlsplit(address)
        name, port = found.hostname or "", found.port
    except ValueError:
        return False
    leads_up = any(unquote(step) in (".", "..") for step in found.path.split("/"))
    if found.username is not None or "\\" in address or leads_up:
        return False
    for host in hosts:
        known = urlsplit(host)
        same = name == known.hostname or (known.netloc.startswith("*.") and name.endswith(known.netloc[1:]))
        if same and (found.scheme, port) == (known.scheme, known.port):
            return True
    return False
