"""What the vendors refuse, as their documents say: texts, buttons, payloads and files that are too long or large, and haste.

A file's size is in its address: ``https://files/6000000/dent.jpg``.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

Refusal = tuple[int, Any]
"""A status and an answer."""

TELEGRAM_FILES: Final = {
    "photo": 5_000_000,
    "document": 20_000_000,
    "audio": 20_000_000,
    "voice": 20_000_000,
    "video": 20_000_000,
}
TELEGRAM_DOCUMENTS: Final = (".pdf", ".zip", ".gif")


def refusal(vendor: str, body: Mapping[str, Any]) -> Refusal | None:
    """Return what a vendor answers to a message that it doesn't take; None if it takes it."""
    problem = RULES[vendor](body) if vendor in RULES else None
    return None if problem is None else ANSWERS[vendor](problem)


def characters(text: Any) -> int:
    """Return the length of a text as most vendors count it: in UTF-16 code units."""
    return len(str(text or "").encode("utf-16-le")) // 2


def _size(address: Any) -> int:
    parts = str(address).split("/")
    return int(parts[3]) if len(parts) > 3 and parts[3].isdigit() else 0


def _telegram(body: Mapping[str, Any]) -> str | None:
    keyboard = json.loads(body.get("reply_markup") or "{}").get("inline_keyboard", [])
    if any(len(button["callback_data"].encode()) > 64 for row in keyboard for button in row):
        return "BUTTON_DATA_INVALID"
    if sum(len(row) for row in keyboard) > 100:
        return "too many buttons"
    for kind, most in TELEGRAM_FILES.items():
        address = body.get(kind)
        if address is not None and (not address.startswith("http") or _size(address) > most):
            return "wrong file identifier/HTTP URL specified"
        if kind == "document" and address is not None and not address.endswith(TELEGRAM_DOCUMENTS):
            return "failed to get HTTP URL content"
    if "text" in body and not body["text"].strip():
        return "message text is empty"
    return "message is too long" if characters(body.get("text")) > 4_096 else None


def _slack(body: Mapping[str, Any]) -> str | None:
    blocks, attachments = _listed(body.get("blocks")), _listed(body.get("attachments"))
    if not (body.get("text") or blocks or attachments):
        return "no_text"
    if not all(isinstance(one, dict) for one in attachments):
        return "invalid_attachments"
    elements = [element for block in blocks for element in block.get("elements", ())]
    texts = [block["text"]["text"] for block in blocks if block["type"] == "section"]
    if any(not 0 < characters(text) <= 3_000 for text in texts) or len(elements) > 25:
        return "invalid_blocks"
    if any(characters(one["text"]["text"]) > 75 or characters(one["value"]) > 2_000 for one in elements):
        return "invalid_blocks"
    images = [block for block in blocks if block["type"] == "image"]
    if any(not block["image_url"].startswith("http") or not block["alt_text"] for block in images):
        return "invalid_blocks"
    return "msg_too_long" if characters(body.get("text")) > 40_000 else None


def _facebook(body: Mapping[str, Any]) -> str | None:
    message = body.get("message", {})
    attachment = message.get("attachment")
    if attachment is None and not 0 < characters(message.get("text")) <= 2_000:
        return "Length of param message[text] must be less than or equal to 2000"
    replies = message.get("quick_replies", ())
    if len(replies) > 13 or any(one.get("content_type") != "text" or characters(one["title"]) > 20 for one in replies):
        return "Invalid quick replies"
    payload = (attachment or {}).get("payload", {})
    elements = payload.get("elements", ())
    buttons = [*payload.get("buttons", ()), *(button for one in elements for button in one.get("buttons", ()))]
    if len(buttons) > 3 or any(characters(one["title"]) > 20 or "type" not in one for one in buttons):
        return "Invalid buttons"
    if payload.get("template_type") == "button" and not 0 < characters(payload["text"]) <= 640:
        return "Length of param text must be less than or equal to 640"
    if any(characters(one.get("payload")) > 1_000 for one in [*buttons, *replies]):
        return "Length of param payload must be less than or equal to 1000"
    most = 8_000_000 if (attachment or {}).get("type") == "image" else 25_000_000
    return "Attachment size exceeds allowable limit" if _size(payload.get("url")) > most else None


def _twilio(body: Mapping[str, Any]) -> str | None:
    if characters(body.get("Body")) > 1_600:
        return "The concatenated message body exceeds the 1600 character limit"
    address = body.get("MediaUrl")
    if address is None:
        return None if body.get("Body") else "A Message Body is required"
    return "Media exceeds the maximum size" if _size(address) > 16_000_000 else None


def _mattermost(body: Mapping[str, Any]) -> str | None:
    if not (body.get("message") or body.get("props")):
        return "Invalid message."
    return "Post Message property is longer than 16383" if len(body.get("message") or "") > 16_383 else None


def _rocketchat(body: Mapping[str, Any]) -> str | None:
    attachments = body.get("attachments", [])
    if not isinstance(attachments, list) or not all(isinstance(one, dict) for one in attachments):
        return "Invalid attachments"
    return "error-message-size-exceeded" if len(body.get("text") or "") > 5_000 else None


def _webexteams(body: Mapping[str, Any]) -> str | None:
    if not (body.get("text") or body.get("files")):
        return "Message text or files are required"
    return "Message length limited to 7439 bytes" if len((body.get("text") or "").encode()) > 7_439 else None


def _botframework(body: Mapping[str, Any]) -> str | None:
    if len(json.dumps(body, ensure_ascii=False).encode()) > 28_000:
        return "MessageSizeTooBig"
    cards = [one["content"] for one in body.get("attachments", ())]
    buttons = [button for card in cards for button in card.get("buttons", ())]
    return "BadSyntax" if any("type" not in one or "value" not in one for one in buttons) else None


def _listed(value: Any) -> list[Any]:
    """Return a list that a form has as JSON."""
    return list(json.loads(value)) if isinstance(value, str) else list(value or ())


RULES: Final[Mapping[str, Callable[[Mapping[str, Any]], str | None]]] = {
    "botframework": _botframework,
    "facebook": _facebook,
    "mattermost": _mattermost,
    "rocketchat": _rocketchat,
    "slack": _slack,
    "telegram": _telegram,
    "twilio": _twilio,
    "webexteams": _webexteams,
}
ANSWERS: Final[Mapping[str, Callable[[str], Refusal]]] = {
    "botframework": lambda said: (413, {"error": {"code": said, "message": said}}),
    "facebook": lambda said: (400, {"error": {"message": f"(#100) {said}", "code": 100}}),
    "mattermost": lambda said: (400, {"id": "model.post.is_valid", "message": said, "status_code": 400}),
    "rocketchat": lambda said: (400, {"success": False, "error": said}),
    "slack": lambda said: (200, {"ok": False, "error": said}),
    "telegram": lambda said: (400, {"ok": False, "error_code": 400, "description": f"Bad Request: {said}"}),
    "twilio": lambda said: (400, {"code": 21617, "message": said, "status": 400}),
    "webexteams": lambda said: (400, {"message": said, "errors": [{"description": said}]}),
}


def too_fast(vendor: str, seconds: int) -> Refusal:
    """Return what a vendor answers to who is too fast; the seconds are in the header ``Retry-After`` too."""
    if vendor == "telegram":
        said = f"Too Many Requests: retry after {seconds}"
        return 429, {"ok": False, "error_code": 429, "description": said, "parameters": {"retry_after": seconds}}
    return 429, {"ok": False, "error": "ratelimited", "message": "Too many requests"}
