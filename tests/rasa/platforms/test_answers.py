"""What the bot says, as Kommunicate shows it, and what comes back when the customer presses something."""

from typing import Any

import pytest

from tests.rasa.platforms.kommunicate_caller import Kommunicate


def template(id: str, payload: Any) -> dict[str, Any]:
    return {"contentType": "300", "templateId": id, "payload": payload}


READ_ON = {"name": "Read on", "action": {"type": "link", "payload": {"url": "https://example.com/red"}}}
TAKE_IT = {"name": "Take it", "action": {"type": "quickReply", "payload": {"title": "Take it", "message": "Take it"}}}
CARD = {
    "title": "The red one",
    "subtitle": "warm",
    "header": {"imgSrc": "https://example.com/red.png"},
    "buttons": [TAKE_IT, READ_ON],
}
NOVELS = {"title": "Novels", "description": "on the left", "action": {"type": "quick_reply", "text": "Novels"}}
MAPS = {"title": "Maps", "description": "on the right", "action": {"type": "link", "url": "https://example.com/maps"}}
ANSWERS: dict[str, list[dict[str, Any]]] = {
    "/greet": [{"message": "Hello."}],
    "/picture": [
        {"message": "This one:", "metadata": template("9", [{"caption": "", "url": "https://example.com/red.png"}])}
    ],
    "/links": [
        {
            "message": "Look here.",
            "metadata": template("3", [{"type": "link", "url": "https://example.com/", "name": "Our page"}]),
        },
        {"message": "", "metadata": template("6", [{"title": "No, thanks", "message": "No, thanks"}])},
    ],
    "/catalogue": [{"message": "Have a look:", "metadata": template("10", [CARD])}],
    "/shelves": [{"message": "The shelves:", "metadata": template("7", {"elements": [NOVELS, MAPS]})}],
    "/own_widget": [{"message": "Pick a day.", "metadata": {"calendar": {"from": "2024-01-01"}}}],
    "/native": [{"message": "Fill this in.", "metadata": template("12", [])}],
}


@pytest.mark.parametrize("payload", ANSWERS)
async def test_every_kind_of_message_has_its_template(kommunicate: Kommunicate, payload: str) -> None:
    assert await kommunicate.say(payload) == ANSWERS[payload]


async def test_a_button_comes_back_by_its_title_and_reaches_the_bot_as_its_payload(kommunicate: Kommunicate) -> None:
    replies = await kommunicate.say("/suggest")
    assert "/choose_red" not in str(replies)
    assert await kommunicate.texts("Suggested Reply button 1") == ["Red it is."]


async def test_a_cards_button_reaches_the_bot_as_its_payload_too(kommunicate: Kommunicate) -> None:
    await kommunicate.say("/catalogue")
    assert await kommunicate.texts("Take it") == ["Red it is."]


async def test_an_old_button_counts_only_if_it_was_pressed(kommunicate: Kommunicate) -> None:
    await kommunicate.say("/catalogue")
    await kommunicate.say("hello")
    assert await kommunicate.texts("Take it") != ["Red it is."], "typed: by now it may mean something else"
    assert await kommunicate.texts("Take it", metadata={"KM_BUTTON_CLICKED": True}) == ["Red it is."]


async def test_the_options_are_the_departments_of_the_settings(kommunicate: Kommunicate) -> None:
    (reply,) = await kommunicate.say("/provide_handoff_options")
    titles = [one["title"] for one in reply["metadata"]["payload"]]
    assert titles == ["Billing", "vip", "Carry on with the bot"]
    (last,) = await kommunicate.say("Billing")
    assert last["metadata"] == {"KM_ASSIGN_TEAM": "77"}
