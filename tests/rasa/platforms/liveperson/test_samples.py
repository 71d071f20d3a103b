"""Every JSON sample of LivePerson's document, said by a bot and answered as the document says, by both surfaces.

Written strictly: structured content stands in ``messages``, a slip of the document's is not repeated.
"""

from typing import Any

import pytest

from tests.rasa.platforms.liveperson.liveperson_caller import LivePerson, sample

RICH = sample("structured_content")["context"]
ASKED = sample("quick_replies")
QUICK = {
    "structuredContent": {"message": "Do you like Bots?", **ASKED["context"]["structuredContent"]},
    "metadata": ASKED["context"]["metadata"],
}
CLOSING = "Unfortunately I am unable to help you with this query. Have a nice day."
WAIT = "Please wait will I check if we have any live agents online that can attend to you"
URGENT = "This conversation has been marked urgent"
TTR = {"ttrType": "CUSTOM", "value": "120"}
INTENT = {"intentId": "some-intent-id", "intentName": "some-intent-name", "confidenceScore": 1.0}

FUNCTION: dict[str, dict[str, Any]] = {
    "messages": sample("messages"),
    "change_ttr": sample("change_ttr"),
    "transfer": sample("transfer"),
    "structured_content": {
        "messages": [
            "Just some structured Content",
            {"structuredContent": RICH["structuredContent"], "metadata": [{"type": "ExternalId", "id": "ABCD1234"}]},
        ]
    },
    "quick_replies": {"messages": [QUICK]},
    "close": sample("close"),
    "intents": {"messages": ["This message also includes the intent information"], "context": INTENT},
}


def said(texts: list[str], *more: dict[str, Any]) -> list[dict[str, Any]]:
    return [*({"type": "TEXT", "data": {"message": text}} for text in texts), *more]


def action(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "ACTION", "data": {"name": name, "parameters": parameters}}


ENDPOINT: dict[str, list[dict[str, Any]]] = {
    "messages": said(["messageOne", "MessageTwo", "MessageThree"]),
    "change_ttr": said([URGENT], action("CHANGE_TTR", TTR)),
    "transfer": said([WAIT], action("TRANSFER", {"skillName": "bot-escalation"})),
    "structured_content": said(
        ["Just some structured Content"],
        {"type": "STRUCTURED_CONTENT", "data": FUNCTION["structured_content"]["messages"][1]},
    ),
    "quick_replies": [{"type": "STRUCTURED_CONTENT", "data": QUICK}],
    "close": said([CLOSING], action("CLOSE_CONVERSATION", {})),
    "intents": said(["This message also includes the intent information"]),
}


@pytest.mark.parametrize("name", FUNCTION)
async def test_by_a_function(liveperson: LivePerson, name: str) -> None:
    answer = await liveperson.say(liveperson.will_say({"custom": sample(name)}))
    expected = FUNCTION[name].get("context", {})
    assert answer["messages"] == FUNCTION[name]["messages"]
    assert {key: answer["context"].get(key) for key in expected} == expected


@pytest.mark.parametrize("name", ENDPOINT)
async def test_by_custom_endpoint(liveperson: LivePerson, name: str) -> None:
    answer = await liveperson.tell(liveperson.will_say({"custom": sample(name)}))
    assert answer["response"] == ENDPOINT[name]
    if name == "intents":
        assert answer["analytics"]["intents"][0]["id"] == "some-intent-id"


async def test_the_documented_request_is_answered(liveperson: LivePerson) -> None:
    """``message`` and ``event``; the conversation's id isn't in the document's table."""
    assert await liveperson.messages("hello") == ["Hello."]
    welcome = {"convId": "c-1", "message": "", "event": {"name": "WELCOME"}}
    assert (await liveperson.call(welcome))["messages"] == ["Welcome."]
