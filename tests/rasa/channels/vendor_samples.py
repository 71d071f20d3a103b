"""What vendors send for other things than plain words, as their documents show it, and how a person reads it.

The documents stand at the top of each vendor's reader (``rasa_handoff/channel/vendors``). None of it was recorded at a vendor.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.rasa.channels.channel_customers import (
    Customer,
    OnBotFramework,
    OnFacebook,
    OnHangouts,
    OnMattermost,
    OnRocketChat,
    OnSlack,
    OnTelegram,
    OnTwilio,
    OnWebexTeams,
)

NOT_FOR_BOT = None


class Sample(NamedTuple):
    """Something a vendor sends.

    ``body``: makes the request. ``read_as``: how a person reads it, the words of each message. ``parts``: the types of the last
    message's parts. ``for_bot``: the text that the bot gets, as it did before; None: it gets nothing. ``only_live``: it is told
    only to somebody who reads along.
    """

    name: str
    kind: type[Customer]
    body: Callable[[Any, str], Any]
    read_as: Sequence[str]
    parts: Sequence[str] = ()
    for_bot: str | None = NOT_FOR_BOT
    only_live: bool = False


def telegram(name: str, content: dict[str, Any], read_as: str, *parts: str, **more: Any) -> Sample:
    def body(customer: OnTelegram, id: str) -> Any:
        chat = {"id": int(customer.id), "type": "private", "first_name": "Sipho"}
        common = {"message_id": 7, "date": 1764316800, "chat": chat, "from": {**chat, "is_bot": False}}
        return {"update_id": int(id), "message": {**common, **content}}

    return Sample(f"telegram {name}", OnTelegram, body, [read_as], parts, **more)


def telegram_update(name: str, update: Callable[[dict[str, Any]], Any], read_as: Sequence[str], **more: Any) -> Sample:
    def body(customer: OnTelegram, id: str) -> Any:
        chat = {"id": int(customer.id), "type": "private", "first_name": "Sipho"}
        return {"update_id": int(id), **update(chat)}

    return Sample(f"telegram {name}", OnTelegram, body, read_as, **more)


def on_slack(name: str, event: dict[str, Any], read_as: str, *parts: str, **more: Any) -> Sample:
    def body(customer: OnSlack, id: str) -> Any:
        common = {"type": "message", "user": customer.id, "ts": "17.9", "thread_ts": customer.thread}
        return {
            "event_id": f"Ev{id}",
            "event": {**common, "channel": customer.place, "channel_type": "im", **event},
            "authorizations": [{"user_id": "UBOT", "is_bot": True}],
        }

    return Sample(f"slack {name}", OnSlack, body, [read_as] if read_as else [], parts, **more)


def messenger(
    name: str, events: Sequence[Any], read_as: Sequence[str], *parts: str, where: str = "messaging", **more: Any
) -> Sample:
    def body(customer: OnFacebook, id: str) -> Any:
        made = []
        for number, event in enumerate(events):
            event = event(customer.id) if callable(event) else dict(event)
            if "message" in event:
                event["message"] = {"mid": f"m_{id}.{number}", **event["message"]}
            made.append(
                {"sender": {"id": customer.id}, "recipient": {"id": "page"}, "timestamp": 1764316800000, **event}
            )
        return {"object": "page", "entry": [{"id": "page", "time": 1764316800001, where: made}]}

    return Sample(f"facebook {name}", OnFacebook, body, read_as, parts, **more)


def attached(*attachments: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"message": {"attachments": list(attachments), **more}}


def twilio(name: str, form: dict[str, str], read_as: str, *parts: str, **more: Any) -> Sample:
    return Sample(
        f"twilio {name}",
        OnTwilio,
        lambda _, id: {"MessageSid": f"SM{id}", "Body": "", **form},
        [read_as],
        parts,
        **more,
    )


def teams(name: str, activity: dict[str, Any], read_as: str, *parts: str, **more: Any) -> Sample:
    return Sample(
        f"botframework {name}", OnBotFramework, lambda _, id: {"id": f"act{id}", **activity}, [read_as], parts, **more
    )


def google(name: str, message: dict[str, Any], read_as: str, *parts: str, **more: Any) -> Sample:
    def body(customer: OnHangouts, id: str) -> Any:
        common = {"sender": {"displayName": customer.id}, "name": f"spaces/s/messages/{id}"}
        return {"type": "MESSAGE", "message": {**common, **message}, "space": {"type": "DM"}}

    return Sample(f"hangouts {name}", OnHangouts, body, [read_as], parts, **more)


def webex(name: str, text: str | None, files: Sequence[str], read_as: str, *parts: str, **more: Any) -> Sample:
    def body(customer: OnWebexTeams, id: str) -> Any:
        customer.vendors.webex_messages[f"m{id}"] = customer.place, text
        customer.vendors.webex_files[f"m{id}"] = [file.replace("URL", customer.vendors.url) for file in files]
        data = {"id": f"m{id}", "roomId": customer.place}
        event = "updated" if more.get("only_live") else "created"
        return {"id": "hook", "resource": "messages", "event": event, "created": id, "data": data}

    return Sample(f"webexteams {name}", OnWebexTeams, body, [read_as], parts, **more)


def webex_press(name: str, inputs: dict[str, str], read_as: str, *parts: str, **more: Any) -> Sample:
    def body(customer: OnWebexTeams, id: str) -> Any:
        customer.vendors.webex_presses[f"p{id}"] = {"id": f"p{id}", "roomId": customer.place, "inputs": inputs}
        return {"id": "hook", "resource": "attachmentActions", "event": "created", "data": {"id": f"p{id}"}}

    return Sample(f"webexteams {name}", OnWebexTeams, body, [read_as], parts, **more)


def mattermost(name: str, post: dict[str, Any], read_as: str, *parts: str, **more: Any) -> Sample:
    def body(customer: OnMattermost, id: str) -> Any:
        where = {"user_id": customer.id, "channel_id": customer.place, "post_id": f"mm{id}"}
        return {"trigger_word": "@bot", **where, **post}

    return Sample(f"mattermost {name}", OnMattermost, body, [read_as], parts, **more)


def rocketchat(
    name: str, post: Callable[[str], dict[str, Any]], read_as: Sequence[str], *parts: str, **more: Any
) -> Sample:
    def body(customer: OnRocketChat, id: str) -> Any:
        return {"user_name": customer.id, "channel_id": customer.place, "message_id": f"rc{id}", **post(id)}

    return Sample(f"rocketchat {name}", OnRocketChat, body, read_as, parts, **more)


def rocketchat_visitor(
    name: str, messages: Sequence[dict[str, Any]], read_as: Sequence[str], *parts: str, **more: Any
) -> Sample:
    def body(customer: OnRocketChat, id: str) -> Any:
        said = [
            {"_id": f"{id}.{number}", "username": customer.id, **message} for number, message in enumerate(messages)
        ]
        return {"_id": customer.place, "type": "Message", "visitor": {"token": "t"}, "messages": said}

    return Sample(f"rocketchat {name}", OnRocketChat, body, read_as, parts, **more)


PHOTO = [
    {"file_id": "small", "file_unique_id": "a", "width": 90, "height": 67, "file_size": 1000},
    {"file_id": "large", "file_unique_id": "b", "width": 1280, "height": 960, "file_size": 150000},
]
PDF = {
    "file_id": "BQAC",
    "file_unique_id": "c",
    "file_name": "invoice.pdf",
    "mime_type": "application/pdf",
    "file_size": 9,
}
DENT = {
    "id": "F1",
    "name": "dent.jpg",
    "mimetype": "image/jpeg",
    "size": 9,
    "mode": "hosted",
    "url_private": "URL/slackfiles/T1-F1/dent.jpg",
    "url_private_download": "URL/slackfiles/T1-F1/download/dent.jpg",
}
STICKER = "URL/cdn/sticker.png?oh=1"
VOICE = "URL/cdn/voice.ogg"
CDN = "URL/cdn/dent.jpg?oh=1"
MMS = "URL/twilio/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME"
VISITORS = "URL/rocketchat/file-upload/f2/invoice.pdf?rc_token=1"
CHAT_FILE = "https://chat.google.com/api/get_attachment_url?id=1"
FILE_ID = "znana1194bfnxqhbxxcsgqeado"

SAMPLES = [
    telegram("photo", {"photo": PHOTO}, "[Image: image/jpeg]", "image"),
    telegram(
        "photo with caption", {"photo": PHOTO, "caption": "The dent"}, "The dent [Image: image/jpeg]", "text", "image"
    ),
    telegram("file", {"document": PDF}, "[Attachment: invoice.pdf]", "file"),
    telegram(
        "voice note",
        {"voice": {"file_id": "AwAC", "file_unique_id": "d", "duration": 3, "mime_type": "audio/ogg"}},
        "[Audio: audio/ogg]",
        "audio",
    ),
    telegram(
        "film",
        {
            "video": {
                "file_id": "BAAC",
                "file_unique_id": "e",
                "width": 1,
                "height": 1,
                "duration": 1,
                "mime_type": "video/mp4",
            }
        },
        "[Video: video/mp4]",
        "video",
    ),
    telegram(
        "animation",
        {
            "animation": {
                "file_id": "CgAC",
                "file_unique_id": "f",
                "width": 1,
                "height": 1,
                "duration": 1,
                "file_name": "a.mp4",
                "mime_type": "video/mp4",
            },
            "document": PDF,
        },
        "[Video: a.mp4]",
        "video",
    ),
    telegram(
        "sticker",
        {
            "sticker": {
                "file_id": "CAAC",
                "file_unique_id": "g",
                "width": 1,
                "height": 1,
                "is_animated": False,
                "is_video": False,
                "emoji": "😀",
            }
        },
        "[Image: sticker 😀.jpg]",
        "image",
    ),
    telegram(
        "animated sticker",
        {
            "sticker": {
                "file_id": "CAAC",
                "file_unique_id": "g",
                "width": 1,
                "height": 1,
                "is_animated": True,
                "emoji": "😀",
            }
        },
        "[Sticker: 😀]",
    ),
    telegram(
        "place",
        {"location": {"latitude": -33.92, "longitude": 18.42}},
        "[Location: -33.92, 18.42]",
        "location",
        for_bot='{{"lng":18.42, "lat":-33.92}}'.format(),
    ),
    telegram(
        "venue",
        {
            "location": {"latitude": -33.92, "longitude": 18.42},
            "venue": {
                "location": {"latitude": -33.92, "longitude": 18.42},
                "title": "Karoo Books",
                "address": "1 Long St",
            },
        },
        "[Location: Karoo Books, 1 Long St, -33.92, 18.42]",
        "location",
        for_bot='{"lng":18.42, "lat":-33.92}',
    ),
    telegram(
        "contact",
        {"contact": {"phone_number": "+27115550100", "first_name": "Lerato", "last_name": "M"}},
        "[Contact: Lerato M, +27115550100]",
        "contact",
    ),
    telegram(
        "poll",
        {
            "poll": {
                "id": "1",
                "question": "Which?",
                "options": [{"text": "Red", "voter_count": 0}, {"text": "Blue", "voter_count": 0}],
            }
        },
        "[Poll: Which? Red, Blue]",
    ),
    telegram("dice", {"dice": {"emoji": "🎲", "value": 4}}, "[🎲 4]"),
    telegram(
        "something new", {"hologram": {"id": 1}}, "[Something that can only be seen in the customer's app: hologram]"
    ),
    telegram_update(
        "edited text",
        lambda chat: {"edited_message": {"message_id": 7, "date": 1, "edit_date": 2, "chat": chat, "text": "hello"}},
        ["[Edited: hello]"],
        for_bot="hello",
    ),
    telegram_update(
        "edited caption",
        lambda chat: {
            "edited_message": {
                "message_id": 7,
                "date": 1,
                "edit_date": 2,
                "chat": chat,
                "photo": PHOTO,
                "caption": "Dent",
            }
        },
        ["[Edited: Dent [Image: image/jpeg]]"],
        only_live=True,
    ),
    telegram_update(
        "place that moves",
        lambda chat: {
            "edited_message": {
                "message_id": 7,
                "date": 1,
                "chat": chat,
                "location": {"latitude": 1, "longitude": 1, "live_period": 900},
            }
        },
        [],
    ),
    telegram_update(
        "press",
        lambda chat: {
            "callback_query": {
                "id": "1",
                "from": {**chat, "is_bot": False},
                "chat_instance": "1",
                "data": "/inform",
                "message": {
                    "message_id": 7,
                    "date": 1,
                    "chat": chat,
                    "reply_markup": {"inline_keyboard": [[{"text": "The red one", "callback_data": "/inform"}]]},
                },
            }
        },
        ["The red one"],
        for_bot="/inform",
    ),
    telegram_update(
        "press on an old message",
        lambda chat: {
            "callback_query": {
                "id": "1",
                "from": {**chat, "is_bot": False},
                "chat_instance": "1",
                "data": "the old one",
            }
        },
        ["the old one"],
        for_bot="the old one",
    ),
    telegram_update("block", lambda chat: {"my_chat_member": {"chat": chat, "date": 1}}, []),
    telegram_update(
        "new title", lambda chat: {"message": {"message_id": 7, "date": 1, "chat": chat, "new_chat_title": "x"}}, []
    ),
    on_slack(
        "file",
        {"subtype": "file_share", "text": "", "files": [DENT]},
        "[Image: dent.jpg]",
        "image",
    ),
    on_slack(
        "file with words",
        {"subtype": "file_share", "text": "1 &lt; 2", "files": [DENT]},
        "1 < 2 [Image: dent.jpg]",
        "text",
        "image",
        for_bot="1 < 2",
    ),
    on_slack(
        "file of another company",
        {"subtype": "file_share", "text": "", "files": [{"id": "F2", "file_access": "check_file_info"}]},
        "[Attachment: application/pdf]",
        "file",
    ),
    on_slack(
        "voice note",
        {
            "subtype": "file_share",
            "text": "",
            "files": [
                {"id": "F3", "name": "audio.m4a", "mimetype": "audio/mp4", "url_private": "URL/slackfiles/voice"}
            ],
        },
        "[Audio: audio.m4a.ogg]",
        "audio",
    ),
    on_slack(
        "shared message",
        {"text": "", "attachments": [{"is_share": True, "author_name": "Lerato", "text": "Closed on &lt;Sunday&gt;"}]},
        "[Shared: Lerato Closed on <Sunday>]",
    ),
    on_slack("own file", {"subtype": "file_share", "text": "", "user": "UBOT", "files": [DENT]}, ""),
    messenger(
        "picture", [attached({"type": "image", "payload": {"url": CDN}})], ["[Image: image/jpeg]"], "image", for_bot=CDN
    ),
    messenger(
        "two pictures and words",
        [attached({"type": "image", "payload": {"url": CDN}}, {"type": "image", "payload": {"url": CDN}}, text="Look")],
        ["Look [Image: image/jpeg] [Image: image/jpeg]"],
        "text",
        "image",
        "image",
        for_bot="Look",
    ),
    messenger(
        "file",
        [attached({"type": "file", "payload": {"url": "URL/cdn/invoice%201.pdf?oh=1"}})],
        ["[Attachment: invoice 1.pdf]"],
        "file",
        for_bot="URL/cdn/invoice%201.pdf?oh=1",
    ),
    messenger(
        "voice note",
        [attached({"type": "audio", "payload": {"url": VOICE}})],
        ["[Audio: audio/ogg]"],
        "audio",
        for_bot=VOICE,
    ),
    messenger(
        "sticker",
        [
            attached(
                {"type": "image", "payload": {"url": STICKER, "sticker_id": 369}},
                {"type": "sticker", "payload": {"url": STICKER, "sticker_id": 369}},
            )
        ],
        ["[Image: sticker.jpg]"],
        "image",
        for_bot=STICKER,
    ),
    messenger("sticker alone", [attached({"type": "sticker", "payload": {"sticker_id": 369}})], ["[Sticker]"]),
    messenger(
        "place",
        [attached({"type": "location", "title": "Home", "payload": {"coordinates": {"lat": -33.92, "long": 18.42}}})],
        ["[Location: Home, -33.92, 18.42]"],
        "location",
    ),
    messenger(
        "link and its preview",
        [
            attached(
                {"type": "fallback", "payload": {"url": "https://example.org/", "title": "Example"}},
                text="https://example.org/",
            )
        ],
        ["https://example.org/"],
        for_bot="https://example.org/",
    ),
    messenger(
        "shared page",
        [attached({"type": "fallback", "payload": {"url": "https://example.org/", "title": "Example"}})],
        ["Example https://example.org/"],
    ),
    messenger(
        "press",
        [{"postback": {"mid": "m_press", "title": "The red one", "payload": "/inform"}}],
        ["The red one"],
        for_bot="/inform",
    ),
    messenger(
        "quick reply",
        [{"message": {"text": "The blue one", "quick_reply": {"payload": "/inform"}}}],
        ["The blue one"],
        for_bot="/inform",
    ),
    messenger("batch", [{"message": {"text": "One"}}, {"message": {"text": "Two"}}], ["One", "Two"], for_bot="One"),
    messenger(
        "what follows an echo",
        [
            lambda id: {
                "sender": {"id": "page"},
                "recipient": {"id": id},
                "message": {"is_echo": True, "attachments": [{"type": "image", "payload": {"url": CDN}}]},
            },
            {"message": {"text": "Three"}},
        ],
        ["Three"],
        for_bot="Three",
    ),
    messenger("standby", [{"message": {"text": "To the page"}}], ["To the page"], where="standby"),
    messenger("standby press", [{"postback": {"title": "The red one"}}], ["The red one"], where="standby"),
    messenger(
        "edit",
        [{"message_edit": {"mid": "m_1", "text": "I mean it", "num_edit": 1}}],
        ["[Edited: I mean it]"],
        only_live=True,
    ),
    messenger(
        "reaction",
        [{"reaction": {"mid": "m_1", "action": "react", "emoji": "❤", "reaction": "love"}}],
        ["[Reaction: ❤]"],
        only_live=True,
    ),
    messenger("receipts", [{"read": {"watermark": 1}}, {"delivery": {"watermark": 1}}], []),
    twilio(
        "picture with words",
        {"Body": "The dent", "NumMedia": "1", "MediaUrl0": MMS + "1", "MediaContentType0": "image/jpeg"},
        "The dent [Image: image/jpeg]",
        "text",
        "image",
        for_bot="The dent",
    ),
    twilio(
        "two files",
        {
            "NumMedia": "2",
            "MediaUrl0": MMS + "voice",
            "MediaContentType0": "audio/ogg",
            "MediaUrl1": MMS + "invoice",
            "MediaContentType1": "text/vcard",
        },
        "[Audio: audio/ogg] [Attachment: application/pdf]",
        "audio",
        "file",
        for_bot="",
    ),
    twilio(
        "place",
        {"Latitude": "-33.92", "Longitude": "18.42", "Label": "Karoo Books", "Address": "1 Long St"},
        "[Location: Karoo Books, 1 Long St, -33.92, 18.42]",
        "location",
        for_bot="/locationData{'Latitude': -33.92,'Longitude': 18.42}",
    ),
    twilio(
        "press",
        {"Body": "The red one", "ButtonText": "The red one", "ButtonPayload": "red"},
        "The red one",
        for_bot="The red one",
    ),
    twilio(
        "something new",
        {"MessageType": "order"},
        "[Something that can only be seen in the customer's app: order]",
        for_bot="",
    ),
    mattermost(
        "file with words",
        {"text": "@bot The dent", "file_ids": FILE_ID},
        "The dent [Image: image/jpeg]",
        "text",
        "image",
        for_bot="The dent",
    ),
    mattermost("file", {"text": "@bot", "file_ids": FILE_ID}, "[Image: image/jpeg]", "image", for_bot="@bot"),
    rocketchat(
        "file",
        lambda id: {
            "text": "",
            "message": {
                "_id": f"rc{id}",
                "msg": "",
                "file": {"_id": "f1", "name": "dent.jpg", "type": "image/jpeg"},
                "attachments": [{"description": "The dent"}],
            },
        },
        ["The dent [Image: dent.jpg]"],
        "text",
        "image",
        for_bot="",
    ),
    rocketchat("edit", lambda _: {"text": "I mean it", "isEdited": True}, ["[Edited: I mean it]"], only_live=True),
    rocketchat_visitor("several of a visitor", [{"msg": "One"}, {"msg": "Two"}], ["One", "Two"], for_bot="One"),
    rocketchat_visitor(
        "file of a visitor",
        [
            {
                "msg": "",
                "file": {"_id": "f2", "name": "a.pdf"},
                "fileUpload": {
                    "publicFilePath": VISITORS,
                    "type": "application/pdf",
                    "size": 9,
                },
            }
        ],
        ["[Attachment: a.pdf]"],
        "file",
        for_bot="",
    ),
    webex(
        "file",
        None,
        ["URL/webex/v1/contents/c1"],
        "[Image: image/jpeg]",
        "image",
    ),
    webex(
        "file with words",
        "The dent",
        ["URL/webex/v1/contents/c1"],
        "The dent [Image: image/jpeg]",
        "text",
        "image",
        for_bot="The dent",
    ),
    webex("edit", "I mean it", [], "[Edited: I mean it]", only_live=True),
    webex_press("press", {"payload": "/inform", "title": "The red one"}, "The red one", for_bot="/inform"),
    webex_press("form", {"size": "XL"}, "[a message only the chat window can show]", "custom"),
    teams(
        "picture",
        {
            "text": "Look",
            "attachments": [
                {"contentType": "text/html", "content": "<p>Look</p>"},
                {
                    "contentType": "image/png",
                    "contentUrl": "URL/teams/v3/attachments/a/views/original",
                },
            ],
        },
        "Look [Image: image/jpeg]",
        "text",
        "image",
        for_bot="Look",
    ),
    teams(
        "file",
        {
            "attachments": [
                {
                    "contentType": "application/vnd.microsoft.teams.file.download.info",
                    "contentUrl": "https://contoso.sharepoint.com/personal/a/Documents/a.pdf",
                    "name": "a.pdf",
                    "content": {
                        "downloadUrl": "SHAREPOINT/sharepoint/invoice?tempauth=1",
                        "uniqueId": "1",
                        "fileType": "pdf",
                    },
                }
            ]
        },
        "[Attachment: a.pdf]",
        "file",
        for_bot="",
    ),
    teams(
        "place",
        {
            "text": "",
            "entities": [
                {
                    "type": "Place",
                    "name": "Home",
                    "geo": {"type": "GeoCoordinates", "latitude": -33.92, "longitude": 18.42},
                }
            ],
        },
        "[Location: Home, -33.92, 18.42]",
        "location",
        for_bot="",
    ),
    teams(
        "press",
        {"text": "/inform", "value": {"payload": "/inform", "title": "The red one"}},
        "The red one",
        for_bot="/inform",
    ),
    teams("form", {"value": {"size": "XL"}}, "[a message only the chat window can show]", "custom", for_bot=""),
    teams(
        "edit", {"type": "messageUpdate", "text": "I mean it", "timestamp": "1"}, "[Edited: I mean it]", only_live=True
    ),
    teams("deletion", {"type": "messageDelete"}, "[Deleted: an earlier message]", only_live=True),
    teams(
        "reaction",
        {"type": "messageReaction", "reactionsAdded": [{"type": "like"}]},
        "[Reaction: like]",
        only_live=True,
    ),
    google(
        "file",
        {
            "attachment": [
                {
                    "name": "spaces/s/messages/1/attachments/1",
                    "contentName": "dent.jpg",
                    "contentType": "image/jpeg",
                    "downloadUri": CHAT_FILE,
                    "source": "UPLOADED_CONTENT",
                }
            ]
        },
        f"[Image: dent.jpg {CHAT_FILE}]",
        "image",
    ),
    google(
        "file with words",
        {
            "text": "Look",
            "attachment": [
                {
                    "contentName": "plan",
                    "contentType": "application/vnd.google-apps.document",
                    "source": "DRIVE_FILE",
                    "driveDataRef": {"driveFileId": "d1"},
                }
            ],
        },
        "Look [Attachment: plan https://drive.google.com/open?id=d1]",
        "text",
        "file",
        for_bot="Look",
    ),
]
