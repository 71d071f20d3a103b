"""The actions through rasa_sdk's own executor, as the action server calls them."""

import subprocess
import sys
from typing import Any

import pytest
from rasa_sdk.executor import ActionExecutor

import rasa_handoff.actions

BILLING = {"name": "billing", "title": "Billing", "open": True, "staffed": True}
CLOSED = {"name": "returns", "title": "Returns", "open": False, "staffed": True}
DOMAIN = {"responses": {"utter_handoff_carry_on": [{"text": "Stay with me"}]}}


@pytest.fixture(scope="module")
def executor() -> ActionExecutor:
    executor = ActionExecutor()
    executor.register_package(rasa_handoff.actions)
    return executor


def notice(*departments: dict[str, Any], staffed: bool = True) -> dict[str, Any]:
    """Return the metadata by which HandoffChannel tells actions who is there."""
    return {"handoff": {"channel": "rest", "availability": {"departments": departments, "staffed": staffed}}}


def call(action: str, metadata: Any = None, entities: Any = (), slots: Any = None, loop: Any = None) -> dict[str, Any]:
    """Return a call as Rasa makes it to an action server."""
    message = {"text": "x", "metadata": metadata or {}, "entities": list(entities), "intent": {"name": "x"}}
    tracker = {
        "sender_id": "s",
        "slots": slots or {},
        "latest_message": message,
        "events": [],
        "paused": False,
        "followup_action": None,
        "active_loop": {"name": loop} if loop else {},
        "latest_action_name": "action_listen",
    }
    return {"next_action": action, "tracker": tracker, "domain": DOMAIN}


async def test_only_what_is_open_and_staffed_is_offered(executor: ActionExecutor) -> None:
    done = await executor.run(call("action_provide_handoff_options", notice(BILLING, CLOSED)))
    [said] = done["responses"]
    assert said["response"] == "utter_handoff_options"
    assert said["buttons"] == [
        {"title": "Billing", "payload": '/execute_handoff{"department": "billing"}'},
        {"title": "Stay with me", "payload": "/handoff_carry_on"},
    ]


async def test_a_desk_without_departments_offers_anybody(executor: ActionExecutor) -> None:
    done = await executor.run(call("action_provide_handoff_options", notice()))
    assert [button["payload"] for button in done["responses"][0]["buttons"]] == [
        "/execute_handoff",
        "/handoff_carry_on",
    ]


@pytest.mark.parametrize("metadata", [notice(staffed=False), notice(CLOSED)])
async def test_with_nobody_there_the_options_action_says_so(executor: ActionExecutor, metadata: Any) -> None:
    done = await executor.run(call("action_provide_handoff_options", metadata))
    [said] = done["responses"]
    assert said["response"] == "utter_handoff_nobody"
    assert said["custom"] == {"handoff_options": {}}


async def test_the_marker_carries_department_and_contact(executor: ActionExecutor) -> None:
    slots = {"handoff_contact_name": "Naledi", "handoff_contact_email": None}
    entities = [{"entity": "department", "value": "billing"}]
    done = await executor.run(call("action_execute_handoff", notice(BILLING), entities, slots))
    assert done["responses"][0]["custom"] == {"handoff": {"department": "billing", "contact": {"name": "Naledi"}}}
    assert done["events"] == []


@pytest.mark.parametrize("action", ["action_execute_handoff", "action_human_handoff"])
@pytest.mark.parametrize("metadata", [{}, {"handoff": "a customer's own word"}])
async def test_an_action_pauses_by_itself_where_no_channel_is_there(
    executor: ActionExecutor, action: str, metadata: Any
) -> None:
    done = await executor.run(call(action, metadata))
    assert [event["event"] for event in done["events"]] == ["pause"]


async def test_a_contact_form_left_open_is_closed(executor: ActionExecutor) -> None:
    done = await executor.run(call("action_execute_handoff", notice(), loop="handoff_contact_form"))
    assert [event["event"] for event in done["events"]] == ["active_loop", "slot"]
    other = await executor.run(call("action_execute_handoff", notice(), loop="address_form"))
    assert other["events"] == []


def test_the_star_exports_the_actions_and_nothing_else() -> None:
    exported: dict[str, Any] = {}
    exec("from rasa_handoff.actions import *", exported)
    assert sorted(name for name in exported if not name.startswith("__")) == [
        "ActionExecuteHandoff",
        "ActionHumanHandoff",
        "ActionProvideHandoffOptions",
        "ValidateHandoffContactForm",
    ]


def test_an_action_server_needs_neither_rasa_nor_socketio_nor_sqlalchemy() -> None:
    script = (
        "import sys\n"
        "for name in ('rasa', 'socketio', 'sqlalchemy', 'starlette'): sys.modules[name] = None\n"
        "import rasa_handoff.actions\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
