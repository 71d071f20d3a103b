"""What a project's action may ask of the desk: to close a conversation, to give it to somebody, to tell people about it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.platforms.kommunicate_caller import Kommunicate, settings
from tests.rasa.platforms.rest_api import RestApi


@pytest.fixture
async def with_api(platform_model: Path, tmp_path: Path, api: RestApi) -> AsyncIterator[Kommunicate]:
    own = settings(api_key="key", api_url=api.url, api_user="admin@example.com", user_details=True)
    async with RasaServer(platform_model, tmp_path, own) as rasa:
        yield Kommunicate(rasa)


async def test_a_closed_conversation_is_resolved_after_the_last_words(with_api: Kommunicate, api: RestApi) -> None:
    assert await with_api.say("/goodbye") == [], "spoken in, Kommunicate would open it again"
    assert (api.said, api.statuses) == (["All done. Goodbye."], {"4711": "2"})
    assert [call.user for call in api.calls] == ["shop-bot", "admin@example.com"]
    assert not (await with_api.rasa.tracker("4711"))["paused"]


async def test_closing_is_tried_again_and_done_once(with_api: Kommunicate, api: RestApi) -> None:
    api.refuse(503, 200)
    asked = with_api.body("/goodbye")
    assert await with_api.call(asked) == [{"message": "All done. Goodbye."}], "a refusal with 200 is one too"
    assert await with_api.say("/goodbye") == []
    assert api.statuses == {"4711": "2"}
    done = len(api.calls)
    assert await with_api.call(with_api.body("/greet")) == [{"message": "Hello."}]
    assert len(api.calls) == done


async def test_a_call_that_comes_again_closes_nothing_twice(with_api: Kommunicate, api: RestApi) -> None:
    asked = with_api.body("/goodbye")
    assert await with_api.call(asked) == await with_api.call(asked) == []
    assert len(api.calls) == 2


async def test_a_change_is_tried_again_whatever_went_wrong(with_api: Kommunicate, api: RestApi) -> None:
    assert await with_api.say("/pass_back") == []
    api.refuse(500, 0)
    assert await with_api.say("/pass_back") == []
    assert len(api.calls) == 4


async def test_without_the_api_the_words_are_said_and_the_log_says_the_rest(
    kommunicate: Kommunicate, caplog: pytest.LogCaptureFixture
) -> None:
    assert await kommunicate.say("/goodbye") == [{"message": "All done. Goodbye."}]
    assert "The conversation de650d61 wasn't resolved: There is no api_key in the settings." in caplog.text


async def test_a_conversation_given_to_an_agent_is_paused(with_api: Kommunicate, api: RestApi) -> None:
    assert await with_api.say("/pass_on") == []
    assert (api.said, api.assignees) == (["Thandi knows more."], {"4711": "thandi@example.com"})
    assert api.calls[-1].query["takeOverFromBot"] == "true"
    assert (await with_api.rasa.tracker("4711"))["paused"]
    assert await with_api.texts("hello") == ["Hello."]


async def test_a_conversation_given_to_a_bot_is_not_paused(with_api: Kommunicate, api: RestApi) -> None:
    await with_api.say("/pass_back")
    assert api.assignees == {"4711": "shop-bot"}
    assert api.calls[-1].query["takeOverFromBot"] == "false"
    assert not (await with_api.rasa.tracker("4711"))["paused"]


@pytest.mark.parametrize(("bot", "gets_it"), [("other-bot", {"4711": "other-bot"}), ("strange-bot", {})])
async def test_a_transfer_is_to_one_of_our_bots(
    with_api: Kommunicate, api: RestApi, bot: str, gets_it: dict[str, str]
) -> None:
    responses = with_api.rasa.app.ctx.agent.processor.nlg.responses
    responses["utter_pass_back"] = [{"text": "One moment.", "custom": {"handoff_transfer": bot}}]
    await with_api.say("/pass_back")
    assert api.assignees == gets_it
    assert not (await with_api.rasa.tracker("4711"))["paused"]


async def test_without_the_api_the_answer_assigns_the_agent(kommunicate: Kommunicate) -> None:
    assert await kommunicate.say("/pass_on") == [
        {"message": "Thandi knows more."},
        {"message": "", "metadata": {"KM_ASSIGN_TO": "thandi@example.com"}},
    ]
    assert (await kommunicate.rasa.tracker("4711"))["paused"]


async def test_it_may_be_given_back_from_outside_while_people_have_it(with_api: Kommunicate, api: RestApi) -> None:
    await with_api.say("/give_up")
    url = f"{with_api.rasa.url}/conversations/4711/execute?output_channel=latest"
    for action in ("utter_pass_back", "utter_goodbye"):
        async with with_api.rasa.http.post(url, json={"name": action}) as answer:
            assert answer.status == 200
    await eventually(lambda: api.statuses)
    assert (api.assignees, api.statuses, api.said) == ({"4711": "shop-bot"}, {"4711": "2"}, []), "done, nothing said"


async def test_an_own_assignment_pauses_it(kommunicate: Kommunicate) -> None:
    metadata = {"KM_ASSIGN_TEAM": 12, "colour": "red"}
    assert await kommunicate.say("/own_assignment") == [{"message": "One moment.", "metadata": metadata}]
    assert (await kommunicate.rasa.tracker("4711"))["paused"]
    assert await kommunicate.texts("hello") == ["Hello."]
    assert not (await kommunicate.rasa.tracker("4711"))["paused"]


async def test_an_own_assignment_stands_beside_a_marker(kommunicate: Kommunicate) -> None:
    replies = await kommunicate.say("/own_and_marker")
    assert [one["metadata"] for one in replies] == [{"KM_ASSIGN_TEAM": 12, "colour": "red"}], (
        "one handoff, the project's"
    )
    assert (await kommunicate.rasa.tracker("4711"))["paused"]


ABOUT = {
    "reason": "refund",
    "note": "third call",
    "priority": "urgent",
    "contact": {"name": "Thabo", "email": "t@example.com", "phone": "+27 11"},
}


async def test_what_the_bot_says_about_a_handoff_reaches_the_people(with_api: Kommunicate, api: RestApi) -> None:
    (reply,) = await with_api.say("/urgently")
    assert reply["metadata"] == {"KM_ASSIGN_TO": "boss@example.com", "KM_CHAT_CONTEXT": {"handoff": ABOUT}}
    await eventually(lambda: api.users)
    notes = {"handoff_reason": "refund", "handoff_note": "third call", "handoff_priority": "urgent", "phone": "+27 11"}
    details = {"displayName": "Thabo", "email": "t@example.com", "metadata": notes}
    assert api.users == {"thabo@example.com": details}


async def test_a_handoff_goes_before_an_end_beside_it(
    with_api: Kommunicate, api: RestApi, caplog: pytest.LogCaptureFixture
) -> None:
    both = with_api.will_say({"text": "One moment.", "custom": {"handoff": {}, "handoff_close": True}})
    assert await with_api.say(both) == [{"message": "One moment.", "metadata": {"KM_ASSIGN_TO": ""}}]
    assert (api.statuses, "is handed over, so it isn't resolved" in caplog.text) == ({}, True)


async def test_options_say_what_the_handoff_chosen_from_them_says(with_api: Kommunicate) -> None:
    with_api.rasa.app.ctx.agent.processor.nlg.responses["utter_native"] = [{"custom": {"handoff_options": ABOUT}}]
    (offered,) = await with_api.say("/native")
    assert "Billing" in [one["title"] for one in offered["metadata"]["payload"]]
    (reply,) = await with_api.say("Billing")
    context = {"handoff": ABOUT}
    assert reply["metadata"] == {"KM_ASSIGN_TEAM": "77", "KM_CHAT_CONTEXT": context}


async def test_the_request_is_not_passed_on_if_the_settings_say_so(platform_model: Path, tmp_path: Path) -> None:
    async with RasaServer(platform_model, tmp_path, settings(handoff_context=False)) as rasa:
        (reply,) = await Kommunicate(rasa).say("/urgently")
        assert reply["metadata"] == {"KM_ASSIGN_TO": "boss@example.com"}


async def test_the_words_of_a_handoff_are_in_the_tracker_before_the_pause(kommunicate: Kommunicate) -> None:
    (reply,) = await kommunicate.say("/silently")
    events = await kommunicate.rasa.events("4711")
    (said,) = [event for event in events if event.get("text") == reply["message"]]
    assert (said["event"], said["metadata"]["utter_action"]) == ("bot", "utter_handoff_assigned")
    assert events.index(said) < [event["event"] for event in events].index("pause")
