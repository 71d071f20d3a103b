"""The parts of Rasa, Sanic and python-socketio that ``channel/compat`` and ``guard/compat`` replace or rely on.

Each has a fingerprint of its source. Where it has changed, our code was written for another version of that part.
"""

import ast
import hashlib
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

import rasa_handoff.channel
import rasa_handoff.guard
import rasa_handoff.platforms
from rasa_handoff.channel.compat import patches, rasa_line
from tests.support.paths import ROOT

RELIED_ON: dict[str, dict[str, str]] = {
    "channel/compat/blueprints.py": {
        "sanic.app.Sanic.blueprint": "dd0022a291",
        "sanic.blueprints.Blueprint.register": "edf1027d36",
    },
    "channel/compat/event_types.py": {"rasa.shared.core.events.Event.resolve_by_type": "f5a941562f"},
    "channel/compat/fail_safe_store.py": {
        "rasa.core.tracker_store.FailSafeTrackerStore.retrieve": "2cd0ca0881",
        "rasa.core.tracker_store.FailSafeTrackerStore.retrieve_full_tracker": "d4dfbbc60c",
        "rasa.core.tracker_store.FailSafeTrackerStore.get_or_create_tracker": "1362c791d9",
        "rasa.core.tracker_store.FailSafeTrackerStore.save": "ba64aa919a",
    },
    "channel/compat/forms.py": {"rasa.shared.core.slot_mappings.SlotMapping.intent_is_desired": "dcc21e7709"},
    "channel/compat/http_answers.py": {"sanic.response.BaseHTTPResponse.send": "f53c77b056"},
    "channel/compat/http_connections.py": {
        "sanic.server.protocols.http_protocol.HttpProtocol.connection_made": "6b9483019d",
        "sanic.server.protocols.http_protocol.HttpProtocol.check_timeouts": "988719acd7",
        "sanic.http.Http.http1": "565bee3ee4",
    },
    "channel/compat/lock_store.py": {
        "rasa.core.lock_store.LockStore.lock": "68216118be",
        "rasa.core.lock_store.LockStore._acquire_lock": "835d90dde1",
        "rasa.core.lock_store.InMemoryLockStore.get_lock": "99302b1637",
        "rasa.core.lock_store.InMemoryLockStore.save_lock": "1261cc47d9",
        "rasa.core.lock_store.InMemoryLockStore.delete_lock": "39db346026",
        "rasa.core.lock.TicketLock.remove_expired_tickets": "9949e32d45",
        "rasa.core.lock.TicketLock._ticket_for_ticket_number": "0fcc9cb5be",
    },
    "channel/compat/output_observer.py": {"rasa.core.channels.channel.OutputChannel.send_response": "feb5efd7a0"},
    "channel/compat/processor.py": {
        "rasa.core.processor.MessageProcessor._has_session_expired": "b12dd1079d",
        "rasa.core.processor.MessageProcessor.trigger_external_user_uttered": "9334901790",
        "rasa.core.processor.MessageProcessor._run_prediction_loop": "5d3761a4de",
        "rasa.core.processor.MessageProcessor.execute_action": "f2603c3504",
        "rasa.core.processor.MessageProcessor._run_action": "9694ae7944",
        "rasa.core.processor.MessageProcessor._send_bot_messages": "0622c03d38",
        "rasa.core.processor.MessageProcessor._predict_next_with_tracker": "a5b2eb5ebc",
    },
    "channel/compat/rasa_channels.py": {
        "rasa.core.channels.rest.RestInput._extract_sender": "9fae249704",
        "rasa.core.channels.channel.CollectingOutputChannel._persist_message": "ba43bd722b",
        "rasa.core.channels.socketio.SocketIOOutput._send_message": "2c50f0c470",
    },
    "channel/compat/response_slots.py": {
        "rasa.core.nlg.response.TemplatedNaturalLanguageGenerator.generate_from_slots": "fc070e77fe",
        "rasa.core.nlg.response.TemplatedNaturalLanguageGenerator._random_response_for": "5be595f33f",
        "rasa.core.nlg.response.TemplatedNaturalLanguageGenerator._fill_response": "15d5603ee0",
        "rasa.core.nlg.interpolator.interpolate_text": "19de9fa054",
        "rasa.core.nlg.interpolator.interpolate": "cd8a91a33e",
    },
    "channel/compat/slack.py": {"rasa.core.channels.slack.SlackInput._sanitize_user_message": "8ab86c4d53"},
    "channel/compat/socketio_server.py": {
        "rasa.core.channels.socketio.SocketIOInput.blueprint": "4070ffd600",
        "socketio.async_server.AsyncServer.emit": "3098814364",
        "socketio.async_server.AsyncServer.enter_room": "ac51ade556",
        "socketio.base_manager.BaseManager.basic_enter_room": "afb34dd66c",
        "socketio.base_manager.BaseManager.basic_leave_room": "8c315192c6",
    },
    "channel/compat/telegram.py": {
        "rasa.core.channels.telegram.TelegramInput.blueprint": "51d8edce10",
        "rasa.core.channels.telegram.TelegramOutput.send_text_with_buttons": "3322053181",
    },
    "channel/compat/tracker_append.py": {
        "rasa.core.tracker_store.SQLTrackerStore.save": "dc32d892bb",
        "rasa.core.tracker_store.SQLTrackerStore._additional_events": "f06f454ff6",
        "rasa.core.tracker_store.SQLTrackerStore.session_scope": "25d63bb280",
    },
    "channel/compat/tracker_questions.py": {
        "rasa.core.tracker_store.SQLTrackerStore.session_scope": "25d63bb280",
        "rasa.core.tracker_store.SQLTrackerStore._event_query": "98d67dca97",
    },
    "channel/compat/tracker_store.py": {
        "rasa.core.tracker_store.FailSafeTrackerStore.__init__": "45dccd1389",
        "rasa.core.tracker_store.TrackerStore._stream_new_events": "7ba7b0d18f",
        "rasa.core.tracker_store.SQLTrackerStore.save": "dc32d892bb",
        "rasa.core.tracker_store.RedisTrackerStore.save": "bef4ab0036",
        "rasa.core.tracker_store.MongoTrackerStore.save": "3d971459b3",
    },
    "channel/compat/twilio.py": {
        "rasa.core.channels.twilio.TwilioInput.blueprint": "1f2587f16a",
        "rasa.core.channels.twilio_voice.TwilioVoiceInput._build_twilio_voice_response": "856a0f8670",
    },
    "channel/compat/vendor_calls.py": {
        "sanic.blueprints.Blueprint.register": "edf1027d36",
    },
    "channel/compat/vendor_errors.py": {
        "rasa.core.channels.callback.CallbackOutput._persist_message": "d3947dbe94",
        "rasa.core.channels.facebook.MessengerBot.__init__": "a580c44db7",
        "rasa.core.channels.rocketchat.RocketChatBot.__init__": "498989de7f",
        "rasa.core.channels.twilio.TwilioOutput.__init__": "d6c90746a1",
    },
    "channel/compat/vendor_outputs.py": {
        "rasa.core.channels.botframework.BotFramework.send": "32c02d301a",
        "rasa.core.channels.botframework.BotFramework._get_headers": "1cc7bce51b",
        "rasa.core.channels.mattermost.MattermostBot._post_data_to_channel": "5f18c1a0a0",
    },
    "channel/compat/webex.py": {
        "rasa.core.channels.webexteams.WebexTeamsInput.__init__": "551b0a4f07",
        "rasa.core.channels.webexteams.WebexTeamsInput.blueprint": "dbe718f374",
    },
    "guard/compat/http_requests.py": {
        "sanic.request.Request.receive_body": "e24a219801",
        "sanic.http.Http.http1": "565bee3ee4",  # its other methods are compiled anew when an application starts
    },
    "guard/compat/protected_server.py": {
        "socketio.async_server.AsyncServer._handle_eio_connect": "3686c5190d",
        "socketio.async_server.AsyncServer._handle_eio_disconnect": "f7742d33d9",
        "socketio.async_server.AsyncServer._handle_eio_message": "cdeb6607bf",
        "socketio.async_server.AsyncServer._handle_connect": "21acb30366",
        "socketio.async_server.AsyncServer._handle_disconnect": "cfed66b86e",
        "socketio.async_server.AsyncServer._handle_event_internal": "963582a5f8",
        "socketio.async_server.AsyncServer._handle_ack": "e46b3d6a23",
        "engineio.async_server.AsyncServer.handle_request": "cbc5f9bda8",
        "engineio.async_server.AsyncServer._make_response": "253a6f0349",
        "engineio.async_socket.AsyncSocket._websocket_handler": "2822186d44",
        "engineio.async_socket.AsyncSocket.close": "18bdb592eb",
    },
}
"""By file of ours, what it replaces or relies on, with its fingerprint."""
PARTS = [(file, part, known) for file, parts in RELIED_ON.items() for part, known in parts.items()]
NOT_OF_A_HOST = {"__init__.py", "garbage_collection.py", "patches.py", "rasa_line.py", "server_patches.py"}
"""Files of ``compat`` folders that rely on nothing private."""


def resolved(part: str) -> Any:
    """Return the function or class of this full name."""
    names = part.split(".")
    for end in range(len(names), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(names[:end]))
        except ImportError:
            continue
        for name in names[end:]:
            found = inspect.getattr_static(found, name)
        return getattr(found, "__func__", found)
    raise AssertionError(f"there is no {part}")


def fingerprint(part: str) -> str:
    """Return a few digits that change with the part's code, but not with its comments and docstrings."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(resolved(part))))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:10]


@pytest.mark.parametrize(("file", "part", "known"), PARTS, ids=[part for _, part, _ in PARTS])
def test_what_is_relied_on_has_not_changed(file: str, part: str, known: str) -> None:
    found = fingerprint(part)
    assert found == known, (
        f"{part} has changed: read it beside rasa_handoff/{file}, mend that, then write '{found}' here"
    )


def test_a_change_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from rasa.core.lock import TicketLock

    part = "rasa.core.lock.TicketLock._ticket_for_ticket_number"
    before = fingerprint(part)

    def _ticket_for_ticket_number(self: Any, number: int) -> Any:
        return None

    monkeypatch.setattr(TicketLock, "_ticket_for_ticket_number", _ticket_for_ticket_number)
    assert fingerprint(part) != before


def modules_of(*packages: Any) -> Iterator[Any]:
    for package in packages:
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            yield importlib.import_module(found.name)


def test_every_patch_has_a_fingerprint() -> None:
    list(modules_of(rasa_handoff.channel, rasa_handoff.guard))  # importing each puts its patches into patches.ALL
    patched = {f"{one.host.__module__}.{one.host.__qualname__}.{name}" for one in patches.ALL for name in one.make}
    assert len(patched) > 15
    assert patched <= {part for _, part, _ in PARTS}


def test_private_methods_of_hosts_are_overridden_in_compat_alone() -> None:
    """A subclass may override a host's private method without naming the host: found by looking at the classes."""
    found = set()
    for module in modules_of(rasa_handoff.channel, rasa_handoff.guard, rasa_handoff.platforms):
        for kind in vars(module).values():
            if inspect.isclass(kind) and kind.__module__ == module.__name__:
                found |= {(module.__name__, f"{kind.__name__}.{name}") for name in overridden(kind)}
    assert ("rasa_handoff.channel.compat.vendor_outputs", "MattermostWithErrors._post_data_to_channel") in found
    assert {(module, name) for module, name in found if ".compat." not in module} == set()


def overridden(kind: type) -> set[str]:
    """Return the private methods of others' base classes that this class defines anew."""
    foreign = [base for base in kind.__mro__[1:] if not base.__module__.startswith(("rasa_handoff", "builtins"))]
    names = {name for base in foreign for name, value in vars(base).items() if callable(value)}
    return {name for name in vars(kind) if name in names and re.match(r"_[a-z]", name)}


@pytest.mark.parametrize("file", sorted(RELIED_ON))
def test_the_table_in_the_design_has_all_of_it(file: str) -> None:
    row = re.search(rf"^\| `{file}` \|.*$", (ROOT / "docs" / "design.md").read_text(), re.MULTILINE)
    assert row is not None, f"docs/design.md has no row of {file}"
    for part in RELIED_ON[file]:
        assert f"`{'.'.join(part.split('.')[-2:])}`" in row[0], (
            f"docs/design.md doesn't say that {file} relies on {part}"
        )


def test_every_file_of_compat_is_here() -> None:
    package = ROOT / "rasa_handoff"
    files = {str(path.relative_to(package)) for path in package.rglob("compat/*.py") if path.name not in NOT_OF_A_HOST}
    assert files == set(RELIED_ON)


@pytest.mark.parametrize("version", rasa_line.TESTED)
def test_nothing_is_said_of_a_rasa_that_was_tested(version: str) -> None:
    assert rasa_line.warning_for(version) is None


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("3.6.99", "try a handoff before customers do"),
        ("3.16.1", "install one of these"),
        ("4.0", "install one of these"),
    ],
)
def test_another_rasa_is_named(version: str, says: str) -> None:
    sentence = rasa_line.warning_for(version)
    assert sentence is not None
    assert version in sentence
    assert says in sentence


def test_the_installed_rasa_was_tested() -> None:
    assert rasa_line.warning_for(rasa_line.installed()) is None
