"""What the bot says, as LivePerson shows it, and what comes back when the customer presses something."""

from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.platforms.liveperson.liveperson_caller import LivePerson, settings, text_event

RED = "https://example.com/red.png"
SILENCE = {"delay": 1, "typing": False}


def publishes(title: str) -> dict[str, Any]:
    click = {"actions": [{"type": "publishText", "text": title}], "metadata": [{"type": "ExternalId", "id": title}]}
    return {"type": "button", "title": title, "tooltip": title, "click": click}


def links(title: str, uri: str) -> dict[str, Any]:
    action = {"type": "link", "uri": uri, "name": title}
    return {**publishes(title), "click": {"actions": [action], "metadata": [{"type": "ExternalId", "id": title}]}}


def card(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "vertical", "elements": list(elements)}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def rich(content: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"structuredContent": content, **more}


def asks(message: str, *titles: str) -> dict[str, Any]:
    replies = [publishes(title) for title in titles]
    return rich({"message": message, "quickReplies": {"type": "quickReplies", "itemsPerRow": 8, "replies": replies}})


TITLES = ("Suggested Reply button 1", "Suggested Reply button 2")
MAPS = {"actions": [{"type": "link", "uri": "https://example.com/maps"}]}
SHELVES = [card(text("Novels"), text("on the left")), card(text("Maps"), text("on the right", click=MAPS))]
ANSWERS: dict[str, list[Any]] = {
    "/greet": ["Hello."],
    "/suggest": [
        "A message can be simple as a plain text",
        asks("A message can be a actionable message containing metadata", *TITLES),
    ],
    "/picture": ["This one:", rich(card({"type": "image", "url": RED}))],
    "/links": ["Look here.", rich(card(links("Our page", "https://example.com/"), publishes("No, thanks")))],
    "/catalogue": [
        "Have a look:",
        rich(
            card(
                {"type": "image", "url": RED, "tooltip": "The red one"},
                text("The red one"),
                text("warm"),
                publishes("Take it"),
                links("Read on", "https://example.com/red"),
            )
        ),
    ],
    "/shelves": ["The shelves:", rich({"type": "carousel", "elements": SHELVES})],
    "/own_widget": ["Pick a day."],
}


@pytest.mark.parametrize("payload", ANSWERS)
async def test_every_kind_of_message_has_its_shape(liveperson: LivePerson, payload: str) -> None:
    assert await liveperson.messages(payload) == ANSWERS[payload]


async def test_without_quick_replies_buttons_stand_on_a_card(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(quick_replies=False)) as rasa:
        last = (await LivePerson(rasa).messages("/suggest"))[-1]
        assert last == rich(card(*(publishes(title) for title in TITLES)))


async def test_eleven_cards_are_two_carousels(liveperson: LivePerson) -> None:
    elements = [{"title": f"Book {number}", "subtitle": "good"} for number in range(11)]
    carousels = await liveperson.messages(liveperson.will_say({"elements": elements}))
    assert [len(one["structuredContent"]["elements"]) for one in carousels] == [6, 5]


async def test_a_button_comes_back_by_its_title_and_reaches_the_bot_as_its_payload(liveperson: LivePerson) -> None:
    assert "/choose_red" not in str(await liveperson.say("/suggest"))
    assert await liveperson.messages(TITLES[0]) == ["Red it is."]
    assert (await liveperson.say(TITLES[0]))["context"]["intentId"] != "choose_red", "it isn't shown any more"


@pytest.mark.parametrize("wrap", [lambda one: [one], lambda one: one], ids=["a list", "an object"])
async def test_an_old_button_counts_only_if_it_was_pressed(liveperson: LivePerson, wrap: Any) -> None:
    await liveperson.say("/catalogue")
    await liveperson.say("hello")
    assert await liveperson.messages("Take it") != ["Red it is."], "typed: by now it may mean something else"
    pressed = text_event("Take it", metadata=wrap({"type": "ExternalId", "id": "Take it"}))
    assert await liveperson.messages("Take it", event=pressed) == ["Red it is."]


async def test_a_reply_of_the_projects_own_says_what_it_publishes(liveperson: LivePerson) -> None:
    click = {"actions": [{"type": "publishText", "text": "hello"}], "metadata": [{"type": "ExternalId", "id": "7"}]}
    reply = {"type": "button", "title": "Red", "click": click}
    own = {"quickReplies": {"type": "quickReplies", "replies": [reply]}}
    (question,) = await liveperson.messages(liveperson.will_say({"text": "Which?", "custom": own}))
    assert question["structuredContent"]["quickReplies"]["replies"] == [reply]
    assert await liveperson.messages("hello", event=text_event("hello", metadata=click["metadata"])) == ["Hello."]


async def test_the_options_are_the_departments_of_the_settings(liveperson: LivePerson) -> None:
    (question,) = await liveperson.messages("/provide_handoff_options")
    assert question == asks("Who would you like to talk to?", "Billing", "vip", "Carry on with the bot")
    last = await liveperson.say("Billing")
    assert last["context"]["actionParameters"] == {"skill": "Billing"}


async def test_intents_go_out_with_their_confidence(liveperson: LivePerson) -> None:
    context = (await liveperson.say("hello"))["context"]
    assert (context["intentId"], context["intentName"]) == ("greet", "greet")
    assert 0.9 < context["confidenceScore"] <= 1
    assert [one["confidenceScore"] < 0.1 for one in context["alternativeIntents"]] == [True, True]
    first, *others = (await liveperson.tell("hello"))["analytics"]["intents"]
    assert (first["id"], first["description"], first["confidenceScore"] > 0.9, len(others)) == (
        "greet",
        "greet",
        True,
        2,
    )


ENCODED = "eyJhIjogMX0="  # {"a": 1}
ID = {"type": "ExternalId", "id": "7"}
OWN: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "a delay": ({"text": "Wait", "custom": {"delay": 2.4, "typing": False}}, ["Wait", {"delay": 2, "typing": False}]),
    "no time at all": ({"custom": {"delay": 0}}, [{"delay": 1, "typing": True}]),
    "a delay that is none": ({"text": "Wait", "custom": {"delay": "long"}}, ["Wait"]),
    "a private note": (
        {"custom": {"text": "VIP", "messageAudience": "AGENTS_AND_MANAGERS"}},
        [{"text": "VIP", "messageAudience": "AGENTS_AND_MANAGERS"}],
    ),
    "structured content": (
        {"text": "See:", "custom": {"structuredContent": card(text("a")), "metadata": ID, "encodedMetadata": {"a": 1}}},
        ["See:", rich(card(text("a")), metadata=[ID], encodedMetadata=ENCODED)],
    ),
    "the content alone": ({"custom": card(text("a"))}, [rich(card(text("a")))]),
    "quick replies to the text": (
        {"text": "Well?", "custom": {"quickReplies": asks("", "Yes")["structuredContent"]["quickReplies"]}},
        [asks("Well?", "Yes")],
    ),
    "metadata of buttons": (
        {"text": "Well?", "buttons": [{"title": "Yes", "payload": "/greet"}], "custom": {"encodedMetadata": ENCODED}},
        [{**asks("Well?", "Yes"), "encodedMetadata": ENCODED}],
    ),
    "an attachment": ({"text": "The bill:", "attachment": "https://example.com/bill.pdf"}, ["The bill:", "https://example.com/bill.pdf"]),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
async def test_a_projects_own_words(liveperson: LivePerson, name: str) -> None:
    said, expected = OWN[name]
    assert await liveperson.messages(liveperson.will_say(said)) == expected


async def test_a_texts_metadata_goes_where_each_surface_has_it(liveperson: LivePerson) -> None:
    payload = liveperson.will_say({"text": "Hi", "custom": {"encodedMetadata": {"a": 1}, "metadata": [ID]}})
    answer = await liveperson.say(payload)
    assert (answer["messages"], answer["context"]["encodedMetadata"], answer["context"]["metadata"]) == (
        ["Hi"],
        ENCODED,
        [ID],
    )
    (item,) = (await liveperson.tell(payload))["response"]
    assert item["data"] == {"message": "Hi", "encodedMetadata": ENCODED, "metadata": [ID]}


LONG = "x" * 21_000
UNFIT: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "an image by http": (
        {"text": "This one:", "image": "http://example.com/red.png"},
        ["This one:", "http://example.com/red.png"],
    ),
    "an image by http above buttons": (
        {"text": "Which?", "image": "http://example.com/red.png", "buttons": [
            {"title": "The red one", "payload": "/greet"}, {"title": "The blue one", "payload": "/greet"}]},
        ["http://example.com/red.png", asks("Which?", "The red one", "The blue one")],
    ),
    "one long title among buttons": (
        {"text": "Well?", "buttons": [{"title": "x" * 129, "payload": "/greet"}, {"title": "No", "payload": "/greet"}]},
        [asks(f"Well? [{'x' * 129}]", "No")],
    ),
    "an image by http above a link by https": (
        {"image": "http://example.com/red.png", "buttons": [{"title": "Our page", "url": "https://example.com/"}]},
        ["http://example.com/red.png", rich(card(links("Our page", "https://example.com/")))],
    ),
    "a link by http beside one by https": (
        {"text": "See", "image": RED, "buttons": [
            {"title": "Here", "url": "http://example.com"}, {"title": "Our page", "url": "https://example.com/"}]},
        ["See", "[Here: http://example.com]", rich(card({"type": "image", "url": RED})),
         rich(card(links("Our page", "https://example.com/")))],
    ),
    "a card with an image by http among cards": (
        {"elements": [
            {"title": "Red", "subtitle": "warm", "image_url": "http://example.com/r.png", "buttons": [{"title": "Take it"}]},
            {"title": "Blue", "default_action": {"url": "http://example.com/blue"}, "image_url": RED},
            {"title": "Green", "image_url": RED}]},
        ["Red [Image: http://example.com/r.png]", "Blue [Blue: http://example.com/blue]",
         rich({"type": "carousel", "elements": [
             card(text("Red"), text("warm"), publishes("Take it")),
             card({"type": "image", "url": RED, "tooltip": "Blue"}, text("Blue")),
             card({"type": "image", "url": RED, "tooltip": "Green"}, text("Green"))]})],
    ),
    "a link by http": (
        {"text": "See", "buttons": [{"title": "Here", "url": "http://example.com"}]}, ["See", "[Here: http://example.com]"]
    ),
    "a card by http beside a custom": (
        {
            "elements": [{"title": "Red", "image_url": "http://example.com/r.png", "buttons": [{"title": "On", "url": "http://a.b"}]}],
            "custom": {"delay": 1},
        },
        ["Red [Image: http://example.com/r.png] [On: http://a.b]", {"delay": 1, "typing": True}],
    ),
    "a long title": ({"text": "Well?", "buttons": [{"title": "x" * 129, "payload": "/greet"}]}, [f"Well? [{'x' * 129}]"]),
    "an unknown element": ({"custom": card(text("a"), {"type": "hologram", "title": "b"})}, ["a\nb"]),
    "a button without a title": ({"custom": card(text("a"), {"type": "button"})}, ["a"]),
    "an unknown action": (
        {"custom": card({"type": "button", "title": "Go", "click": {"actions": [{"type": "explode"}]}})}, ["Go"]
    ),
    "a script as a link": (
        {"custom": card(text("a", click={"actions": [{"type": "link", "uri": "javascript:alert(1)"}]}))}, ["a"]
    ),
    "an address deep in a form": (
        {"custom": {"type": "list", "elements": [{"type": "section", "elements": [{"type": "image", "url": "http://a.b"}]}]}},
        [SILENCE],
    ),
    "a script behind a link for phones": (
        {"custom": card(text("a", click={"actions": [
            {"type": "link", "uri": "https://a.b", "ios": {"uri": "javascript:alert(1)"}}]}))}, ["a"]
    ),
    "no replies": ({"text": "Well?", "custom": {"quickReplies": {"type": "quickReplies", "replies": []}}}, ["Well?"]),
    "an action of a type that is a list": (
        {"custom": card({"type": "button", "title": "Go", "click": {"actions": [{"type": ["link"]}]}})}, ["Go"]
    ),
    "another way to respond": ({"custom": {"action": "CHANGE_TTR", "actionParameters": {"ttrType": "soon"}}}, [SILENCE]),
    "too large": ({"custom": card(*(text("x" * 4200) for _ in range(5)))}, ["\n".join(["x" * 4200] * 5)]),
    "one card as a carousel": ({"custom": {"type": "carousel", "elements": [card(text("a"))]}}, ["a"]),
    "no list": ({"custom": {"type": "vertical", "elements": "a"}}, [SILENCE]),
    "replies without words": ({"custom": {"quickReplies": {"type": "quickReplies", "replies": [publishes("A")]}}}, ["A"]),
    "no content": ({"custom": {"structuredContent": [1]}}, [SILENCE]),
    "metadata that isn't base64": ({"custom": {"text": "a", "encodedMetadata": "!"}}, ["a"]),
    "too much metadata": ({"custom": {"text": "a", "encodedMetadata": {"a": "x" * 5000}}}, ["a"]),
    "an unknown action of a conversation": ({"custom": {"action": "DANCE"}}, [SILENCE]),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
async def test_what_liveperson_would_not_show_goes_out_in_words(
    liveperson: LivePerson, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    said, expected = UNFIT[name]
    answer = await liveperson.say(liveperson.will_say(said))
    assert answer["messages"] == expected
    assert "encodedMetadata" not in answer["context"]
    assert any(record.name.startswith("rasa_handoff.platforms.liveperson") for record in caplog.records)


DIRECTIVES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "close": (
        {"handoff_close": True},
        {"action": "CLOSE_CONVERSATION"},
        {"name": "CLOSE_CONVERSATION", "parameters": {}},
    ),
    "close without a survey": (
        {"handoff_close": {"without_survey": True}},
        {"action": "CLOSE_CONVERSATION", "actionParameters": {"withoutPcs": True}},
        {"name": "CLOSE_CONVERSATION", "parameters": {"withoutPcs": True}},
    ),
    "urgent": (
        {"handoff_priority": "urgent"},
        {"action": "CHANGE_TTR", "actionParameters": {"ttrType": "URGENT"}},
        {"name": "CHANGE_TTR", "parameters": {"ttrType": "URGENT"}},
    ),
    "high": (
        {"handoff_priority": "high"},
        {"action": "CHANGE_TTR", "actionParameters": {"ttrType": "PRIORITIZED"}},
        {"name": "CHANGE_TTR", "parameters": {"ttrType": "PRIORITIZED"}},
    ),
    "urgent, as a document of LivePerson's spells it": (
        {"action": "CHANGE_TTR", "actionParameters": {"ttrtype": "urgent"}},
        {"action": "CHANGE_TTR", "actionParameters": {"ttrType": "URGENT"}},
        {"name": "CHANGE_TTR", "parameters": {"ttrType": "URGENT"}},
    ),
    "in two minutes": (
        {"handoff_priority": {"seconds": 120}},
        {"action": "CHANGE_TTR", "actionParameters": {"ttrType": "CUSTOM", "value": "120"}},
        {"name": "CHANGE_TTR", "parameters": {"ttrType": "CUSTOM", "value": "120"}},
    ),
    "another bot": (
        {"handoff_transfer": "returns"},
        {"action": "TRANSFER", "actionParameters": {"skill": "returns-bot"}},
        {"name": "TRANSFER", "parameters": {"skillName": "returns-bot"}},
    ),
    "another skill": (
        {"handoff_transfer": {"skill": "night"}},
        {"action": "TRANSFER", "actionParameters": {"skill": "night"}},
        {"name": "TRANSFER", "parameters": {"skillName": "night"}},
    ),
    "a function": (
        {"action": "INVOCATION", "actionParameters": {"lambdaUuid": "4e", "payload": {}}},
        {"action": "INVOCATION", "actionParameters": {"lambdaUuid": "4e", "payload": {}}},
        {"name": "INVOKE_FUNCTION", "parameters": {"lambdaUuid": "4e", "payload": {}}},
    ),
}


@pytest.mark.parametrize("name", DIRECTIVES)
async def test_an_action_asks_for_something_without_a_handoff(liveperson: LivePerson, name: str) -> None:
    custom, by_function, by_endpoint = DIRECTIVES[name]
    payload = liveperson.will_say({"text": "Bye.", "custom": custom})
    answer = await liveperson.say(payload)
    assert answer["messages"] == ["Bye."]
    assert {
        key: answer["context"][key] for key in ("action", "actionParameters") if key in answer["context"]
    } == by_function
    assert (await liveperson.tell(payload))["response"][-1] == {"type": "ACTION", "data": by_endpoint}
    assert not (await liveperson.rasa.tracker("c-1"))["paused"]


@pytest.mark.parametrize(
    "custom",
    [{"handoff_close": 7}, {"handoff_priority": "soon"}, {"handoff_transfer": "nobody"}, {"handoff_assign": "thandi"}],
    ids=str,
)
async def test_a_directive_that_does_not_fit_does_nothing(
    liveperson: LivePerson, caplog: pytest.LogCaptureFixture, custom: dict[str, Any]
) -> None:
    answer = await liveperson.say(liveperson.will_say({"text": "Bye.", "custom": custom}))
    assert (answer["messages"], "action" in answer["context"]) == (["Bye."], False)
    assert [record.levelname for record in caplog.records if "liveperson" in record.name] == ["ERROR"]
