"""Rasa's channels sent to the stand-ins instead of the vendors: addresses change, nothing else does."""

import re
from functools import partial

import pytest
from aiogram.bot.api import TelegramAPIServer
from aiogram.bot.base import BaseBot
from rasa.core.channels import botframework, facebook, slack, webexteams
from twilio.rest import Client

from rasa_handoff.channel.vendors import file_sources


def redirect(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Redirect the channels whose address isn't a setting; callback, mattermost, rasa and rocketchat have one."""
    monkeypatch.setattr(botframework, "MICROSOFT_OPEN_ID_URI", f"{url}/botframework/openid")
    monkeypatch.setattr(botframework, "MICROSOFT_OAUTH2_URL", f"{url}/botframework/oauth")
    monkeypatch.setattr(slack, "AsyncWebClient", partial(slack.AsyncWebClient, base_url=f"{url}/slack/api/"))
    monkeypatch.setattr(webexteams, "WebexTeamsAPI", partial(webexteams.WebexTeamsAPI, base_url=f"{url}/webexteams/"))
    monkeypatch.setattr(Client, "get_hostname", lambda _, uri: uri.replace("https://api.twilio.com", f"{url}/twilio"))

    class LocalMessenger(facebook.MessengerClient):  # type: ignore[misc]
        def __init__(self, token: str) -> None:
            super().__init__(token)
            self.graph_url = f"{url}/facebook"

    monkeypatch.setattr(facebook, "MessengerClient", LocalMessenger)
    defaults = list(BaseBot.__init__.__defaults__)
    defaults[-1] = TelegramAPIServer.from_base(f"{url}/telegram")
    monkeypatch.setattr(BaseBot.__init__, "__defaults__", tuple(defaults))
    redirect_files(monkeypatch, url)


def redirect_files(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let vendors' files be at this address, below the vendor's name, and nowhere else; SharePoint's by another name."""
    for vendor in file_sources.VENDOR_HOSTS:
        here = url.replace("127.0.0.1", "localhost") if vendor == "sharepoint" else url
        monkeypatch.setitem(file_sources.VENDOR_HOSTS, vendor, (here,))
    monkeypatch.setattr(file_sources, "TWILIO_FILE", re.compile(f"/twilio{file_sources.TWILIO_FILE.pattern}"))
    monkeypatch.setattr(file_sources, "WEBEX_FILE", re.compile(f"/webex{file_sources.WEBEX_FILE.pattern}"))
