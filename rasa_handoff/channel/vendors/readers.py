"""Which reader reads a channel's requests. By the names of Rasa's classes, so that a project's subclass is read too."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.vendors import (
    google_chat_events,
    mattermost_posts,
    messenger_events,
    rocketchat_posts,
    slack_events,
    teams_activities,
    telegram_updates,
    twilio_forms,
    webex_webhooks,
)
from rasa_handoff.channel.vendors.vendor_message import ReadVendorMessages, VendorFields, VendorMessage
from rasa_handoff.protocol.text import valid

READERS: Final[Mapping[str, ReadVendorMessages]] = {
    "rasa.core.channels.botframework.BotFrameworkInput": teams_activities.read_activity,
    "rasa.core.channels.facebook.FacebookInput": messenger_events.read_batch,
    "rasa.core.channels.hangouts.HangoutsInput": google_chat_events.read_event,
    "rasa.core.channels.mattermost.MattermostInput": mattermost_posts.read_post,
    "rasa.core.channels.rocketchat.RocketChatInput": rocketchat_posts.read_webhook,
    "rasa.core.channels.slack.SlackInput": slack_events.read_event,
    "rasa.core.channels.telegram.TelegramInput": telegram_updates.read_update,
    "rasa.core.channels.twilio.TwilioInput": twilio_forms.read_form,
    "rasa.core.channels.webexteams.WebexTeamsInput": webex_webhooks.read_webhook,
}


def reader_of(channel: InputChannel) -> ReadVendorMessages | None:
    """Return the reader of this channel's requests; None for one whose requests say all to Rasa's channel."""
    names = (f"{base.__module__}.{base.__qualname__}" for base in type(channel).__mro__)
    return next((READERS[name] for name in names if name in READERS), None)


def read(reader: ReadVendorMessages, body: VendorFields, channel: InputChannel) -> list[VendorMessage]:
    """Return the messages in a request, never none; one that the reader fails on is left to Rasa's channel as it came."""
    try:
        found = reader(body, channel) or [VendorMessage()]
        return [replace(said, words=valid(said.words), parts=valid(said.parts)) for said in found]
    except (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
        return [VendorMessage()]
