"""The preset's dialogues on a real model, as any channel would see them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from rasa.core.agent import Agent, load_agent
from rasa.core.channels import CollectingOutputChannel, UserMessage
from rasa.core.policies.policy import PolicyPrediction
from rasa.core.utils import AvailableEndpoints
from rasa.utils.endpoints import EndpointConfig

from rasa_handoff.protocol import names

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOTICE = {
    "handoff": {
        "channel": "rest",
        "availability": {
            "staffed": True,
            "departments": [
                {"name": "billing", "title": "Billing", "open": True, "staffed": True},
                {"name": "returns", "open": False, "staffed": True},
            ],
        },
    }
}

Say = Callable[..., Awaitable[list[dict[str, Any]]]]


def speaker(agent: Agent, sender: str) -> Say:
    async def say(text: str, metadata: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        output = CollectingOutputChannel()
        await agent.handle_message(UserMessage(text, output, sender, metadata=metadata or NOTICE))
        return [{key: value for key, value in message.items() if key != "recipient_id"} for message in output.messages]

    return say


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain_agent(plain_project: Path) -> Agent:
    return await load_agent(model_path=str(plain_project / "models" / "model.tar.gz"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def contact_agent(contact_project: Path, action_server: str) -> Agent:
    endpoints = AvailableEndpoints(action=EndpointConfig(action_server))
    return await load_agent(model_path=str(contact_project / "models" / "model.tar.gz"), endpoints=endpoints)


@pytest.fixture
def plain(plain_agent: Agent, request: pytest.FixtureRequest) -> Say:
    return speaker(plain_agent, request.node.name)


@pytest.fixture
def contact(contact_agent: Agent, request: pytest.FixtureRequest) -> Say:
    return speaker(contact_agent, request.node.name)


@pytest.mark.parametrize("text", ["I want to talk to a human", "can I speak with a person please", "live agent"])
async def test_asking_for_a_person_sends_the_options_marker(plain: Say, text: str) -> None:
    assert await plain(text) == [{"custom": {"handoff_options": {}}}]


async def test_a_department_button_sends_the_handoff_marker(plain: Say) -> None:
    assert await plain('/execute_handoff{"department": "billing"}') == [{"custom": {"handoff": {}}}]


async def test_the_bot_speaks_first_when_the_conversation_comes_back(plain: Say) -> None:
    [said] = await plain("/handoff_ended")
    assert "back with me" in said["text"]


async def test_carrying_on_is_answered_shortly(plain: Say) -> None:
    assert await plain("/handoff_carry_on") == [{"text": "Gladly. What can I do for you?"}]


async def test_two_stage_fallback_ends_in_the_options(plain: Say) -> None:
    [asked] = await plain("qwxz vbnm")
    assert "Did you mean" in asked["text"]
    assert await plain("/out_of_scope") == [{"text": "I'm sorry, could you say that in other words?"}]
    await plain("zxcv qqqq")
    given_up = await plain("/out_of_scope")
    assert {"custom": {"handoff_options": {}}} in given_up


async def test_two_fallbacks_in_a_row_end_in_the_options(plain: Say) -> None:
    await plain("qwxz vbnm")
    assert {"custom": {"handoff_options": {}}} in await plain("zxcv qqqq")


async def test_the_contact_form_asks_once_then_offers_the_open_departments(contact: Say) -> None:
    assert "your name" in (await contact("/provide_handoff_options"))[0]["text"]
    assert "at least one letter" in (await contact("1234"))[0]["text"]
    assert "e-mail" in (await contact("Naledi"))[0]["text"]
    assert "doesn't look like" in (await contact("naledi"))[0]["text"]
    [offered] = await contact("naledi@example.com")
    assert offered["buttons"] == [
        {"title": "Billing", "payload": '/execute_handoff{"department": "billing"}'},
        {"title": "Carry on with the bot", "payload": "/handoff_carry_on"},
    ]
    [marked] = await contact('/execute_handoff{"department": "billing"}')
    assert marked["custom"]["handoff"] == {
        "department": "billing",
        "contact": {"name": "Naledi", "email": "naledi@example.com"},
    }
    [again] = await contact("/provide_handoff_options")
    assert again["text"] == offered["text"]
    [welcome] = await contact("/handoff_ended")
    assert "back with me" in welcome["text"]


async def test_who_carries_on_with_the_bot_is_asked_for_no_contact_any_more(contact: Say) -> None:
    await contact("/provide_handoff_options")
    assert await contact("/handoff_carry_on") == [{"text": "Gladly. What can I do for you?"}]
    assert await contact("hello") == [{"text": "Hey! How are you?"}]


async def test_a_request_for_a_person_inside_the_contact_form_ends_the_form_and_hands_over(contact: Say) -> None:
    await contact("/provide_handoff_options")
    assert await contact("/execute_handoff") == [{"custom": {"handoff": {}}}]
    assert await contact("hello") == [{"text": "Hey! How are you?"}]


async def test_the_name_of_rasas_templates_works(contact_agent: Agent) -> None:
    output = CollectingOutputChannel()
    processor = contact_agent.processor
    assert processor is not None
    await processor.execute_action("template", names.TEMPLATE_ACTION, output, processor.nlg, PolicyPrediction([], None))
    assert output.messages[0]["custom"] == {"handoff": {}}
