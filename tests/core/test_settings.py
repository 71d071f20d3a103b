"""Settings and markers: every mistake is one sentence that says what to write."""

from typing import Any

import pytest

from rasa_handoff.protocol.channel_settings import read_settings
from rasa_handoff.protocol.errors import MarkerError, Refused, SettingsError
from rasa_handoff.protocol.markers import HandoffRequest, OptionsRequest, read_marker, read_metadata, with_defaults
from rasa_handoff.protocol.values import Contact, Department, Offer, Priority, plain, read

RIGHT: dict[str, Any] = {"bot_id": "b", "desk": {"url": "http://localhost:5065"}, "channels": {"rest": None}}


def test_the_least_settings_are_enough() -> None:
    settings = read_settings(RIGHT)
    assert settings.store == "sqlite:///handoff.db"
    assert settings.intents.execute == "execute_handoff"
    assert settings.leaving_word(None) == settings.leaving_word("zu-ZA") == "disconnect"


def test_the_leaving_word_follows_the_language() -> None:
    settings = read_settings({**RIGHT, "leaving_words": {"en": "stop", "zu": "phuma"}})
    assert [settings.leaving_word(tag) for tag in ("zu", "zu-ZA", "fr", None)] == ["phuma", "phuma", "stop", "stop"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bot_idd": "x"}, "no setting 'bot_idd': did you mean 'bot_id'?"),
        ({"bot_id": None}, "needs the setting 'bot_id': write 'bot_id: my-bot'"),
        ({"desk": {"ur": "http://x"}}, "no setting 'desk.ur': did you mean 'desk.url'?"),
        ({"desk": {}}, "needs the setting 'desk.url'"),
        ({"desk": {"url": "localhost:5065"}}, "has no http:// or https://"),
        ({"desk": {"url": 5065}}, "'desk.url' must be text, not a whole number"),
        ({"desk": "http://x"}, "'desk' must be a mapping, not text"),
        ({"desk": {"url": "http://x", "type": "botlhal"}}, "no desk.type 'botlhal': did you mean 'botlhale'?"),
        ({"desk": {"type": "tkinter", "admin_port": 70000}}, "desk.admin_port is 70000: write a port from 1 to 65535"),
        ({"desk": {"type": "tkinter", "listen_port": 3000}}, "are both 3000: write two, such as 3000 and 4000"),
        (
            {"desk": {"type": "tkinter", "admin_prt": 3000}},
            "no setting 'desk.admin_prt': did you mean 'desk.admin_port'?",
        ),
        ({"intents": {"excute": "x"}}, "no setting 'intents.excute': did you mean 'intents.execute'?"),
        ({"channels": ["rest"]}, "'channels' must be a mapping, not a list"),
        ({"channels": {}}, "no channel stands under 'channels'"),
        ({"show_marker": "yes"}, "'show_marker' must be true or false, not text"),
        ({"state_messages": ["rset"]}, "state_messages names 'rset', which isn't under 'channels': write one of: "),
        (
            {"channels": {"slack": {"slack_token": "xoxb-${NOT_SET}"}}},
            "channels.slack.slack_token is empty, for ${NOT_SET}",
        ),
        (
            {"desk": {"url": "http://x", "token": "${NOT_SET}"}},
            "desk.token is empty, for ${NOT_SET} isn't set: set the variable, or leave the setting out",
        ),
        ({"default_department": " "}, "default_department is empty: write a department's name, such as billing"),
        ({"trigger_text": ""}, "trigger_text is empty: write a text, such as Human Handoff"),
        ({"start_timeout": 0}, "start_timeout is 0.0: write seconds"),
        ({"tracker_delay": -1}, "tracker_delay is -1.0: write seconds, such as 30, or 0 to write at once"),
        ({"timers": {"silence": float("inf")}}, "timers.silence is inf: write seconds, such as 86400."),
        ({"slots": "street"}, "'slots' must be a list, not text"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_write(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as problem:
        read_settings({**RIGHT, **changes})
    assert says in str(problem.value)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("nothing", [None, [], "x"])
def test_no_settings_at_all(nothing: Any) -> None:
    with pytest.raises(SettingsError, match="write at least bot_id, desk and channels"):
        read_settings(nothing)


def test_markers_are_read_in_their_three_forms() -> None:
    full = read_marker({"handoff": {"department": "billing", "priority": "urgent"}})
    assert full == HandoffRequest(department="billing", priority=Priority.URGENT)
    assert read_marker({"handoff": {}}) == read_marker({"handoff": None}) == HandoffRequest()
    assert read_marker({"department": "billing"}) == HandoffRequest(department="billing")
    assert read_marker({"handoff_options": {}}) == read_marker({"handoff_options": True}) == OptionsRequest()


def test_options_may_say_what_a_handoff_chosen_from_them_says() -> None:
    urgent = HandoffRequest(priority=Priority.URGENT, reason="stolen card")
    marker = read_marker({"handoff_options": {"priority": "urgent", "reason": "stolen card"}})
    assert marker == OptionsRequest(request=urgent)
    own = HandoffRequest(department="billing", reason="angry")
    assert with_defaults(own, urgent) == HandoffRequest(department="billing", reason="angry", priority=Priority.URGENT)
    calm = HandoffRequest(priority=Priority.NORMAL, contact=Contact(email="thabo@example.com"))
    known = HandoffRequest(priority=Priority.URGENT, contact=Contact(name="Thabo", email="old@example.com"))
    contact = Contact(name="Thabo", email="thabo@example.com")
    assert with_defaults(calm, known) == HandoffRequest(priority=Priority.NORMAL, contact=contact), "field by field"
    with pytest.raises(MarkerError, match="handoff_options has no field 'priorty'"):
        read_marker({"handoff_options": {"priorty": "urgent"}})


@pytest.mark.parametrize(
    ("body", "request_read"),
    [
        ({"contact": None, "reason": None}, HandoffRequest()),
        ({"department": 5, "note": 2.5}, HandoffRequest(department="5", note="2.5")),
        ({"contact": {"phone": 27115550100, "name": None}}, HandoffRequest(contact=Contact(phone="27115550100"))),
    ],
)
def test_a_marker_may_have_slots_that_are_not_set_and_numbers(body: Any, request_read: HandoffRequest) -> None:
    assert read_marker({"handoff": body}) == request_read
    assert read_marker({"handoff_options": body}) == OptionsRequest(request=request_read)


@pytest.mark.parametrize("custom", [None, "text", {"department": "billing", "floor": 2}, {"blocks": []}])
def test_anything_else_is_no_marker(custom: Any) -> None:
    assert read_marker(custom) is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"departmnt": "x"}, "no field 'departmnt'. Did you mean 'department'?"),
        ({"priority": "huge"}, "priority"),
        ({"contact": {"name": ["Thabo"]}}, "contact.name"),
        ({"contact": "thabo@example.org"}, "contact"),
        ("billing", "must be a mapping such as"),
    ],
)
def test_a_wrong_marker_says_what_is_wrong(body: Any, says: str) -> None:
    with pytest.raises(MarkerError) as problem:
        read_marker({"handoff": body})
    assert says in str(problem.value)


def test_a_customers_own_metadata_is_no_notice() -> None:
    assert read_metadata({"handoff": "please"}) is None
    assert read_metadata({}) is None


def test_values_travel_and_unknown_keys_are_ignored() -> None:
    department = Department(name="billing", staffed=False)
    assert read(Department, {**plain(department), "new": 1}) == department
    assert not department.available
    with pytest.raises(Refused, match="handoff_id") as problem:
        read(Offer, {})
    assert problem.value.code == "invalid"
