"""Mistakes under ``channels``: one sentence that names the key and says what to write, with ``rasa run`` too."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rasa.core.run import configure_app, create_http_input_channels
from sanic import Sanic
from sqlalchemy import text

from rasa_handoff.channel.handoff_channel import HandoffChannel, HandoffSettingsError
from rasa_handoff.testing.waiting import within
from tests.support.forked_rasa import forked_rasa

Sanic.test_mode = True  # several applications of one name

HANDOFF = "rasa_handoff.HandoffChannel"
SENTENCE = re.compile(r"[^\n]{20,300}[.?]")

MISTAKES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a name nearly right": ({"telegrm": {}}, ("'telegrm'", "did you mean 'telegram'?")),
    "a name like no other": ({"zzz": {}}, ("'zzz'", "it may be one of", "rest")),
    "cmdline": ({"rest": None, "cmdline": None}, ("'cmdline'", "remove it")),
    "ourselves": ({HANDOFF: {}}, ("can't host itself",)),
    "the same channel by name and path": (
        {"rest": None, "rasa.core.channels.rest.RestInput": None},
        ("'rest'", "twice", "rasa.core.channels.rest.RestInput", "keep one"),
    ),
    "two socketio": (
        {"socketio": None, "rasa.core.channels.socketio.SocketIOInput": None},
        ("'socketio'", "twice", "keep one"),
    ),
    "a setting of socketio nearly right": (
        {"socketio": {"session_persistance": True}},
        ("channels.socketio", "'session_persistance'", "did you mean 'session_persistence'?"),
    ),
    "a setting of socketio by its path": (
        {"rasa.core.channels.socketio.SocketIOInput": {"name_space": "/x"}},
        ("'name_space'", "did you mean 'namespace'?"),
    ),
    "a platform's channel": ({"rasa_handoff.KommunicateChannel": None}, ("a desk of its own", "move it beside")),
    "another platform's": ({"rasa_handoff.LivePersonChannel": None}, ("a desk of its own", "move it beside")),
    "no module": ({"nowhere.at.all.MyInput": None}, ("'nowhere.at.all.MyInput'", "can't be imported")),
    "no class in the module": (
        {"tests.rasa.channels.own_channels.Nobody": None},
        ("'tests.rasa.channels.own_channels.Nobody'", "can't be imported"),
    ),
    "no channel": ({"pathlib.Path": None}, ("'pathlib.Path'", "not a channel", "InputChannel")),
    "a channel that can't be made": (
        {"tests.rasa.channels.own_channels.BrokenInput": None},
        ("tests.rasa.channels.own_channels.BrokenInput",),
    ),
    "settings a channel can't do without": ({"slack": None}, ("channels.slack", "needs settings", "write them")),
    "a token that is none": ({"telegram": {"access_token": "x"}}, ("channels.telegram", "Token is invalid")),
    "a list": ([], ("'channels'", "a mapping")),  # type: ignore[dict-item]
    "settings that are text": ({"rest": "yes"}, ("channels", "a mapping")),
    "nothing": ({}, ("'channels'", "write")),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_with_one_sentence(mistake: str, tmp_path: Path) -> None:
    channels, words = MISTAKES[mistake]
    with pytest.raises(HandoffSettingsError) as caught:
        HandoffChannel.from_credentials(settings(tmp_path, channels))
    sentence = str(caught.value)
    assert SENTENCE.fullmatch(sentence), sentence
    assert [word for word in words if word not in sentence] == [], sentence


def test_what_a_channel_itself_says_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(HandoffSettingsError, match=r"channels\.slack: .*slack_signing_secret"):
        HandoffChannel.from_credentials(settings(tmp_path, {"slack": {"slack_token": "x"}}))


def settings(folder: Path, channels: Any) -> dict[str, Any]:
    store = f"sqlite:///{folder / 'relay.db'}"
    return {"bot_id": "small", "desk": {"url": "http://127.0.0.1:9"}, "store": store, "channels": channels}


async def rasa_run(folder: Path, model: Path, credentials: str) -> tuple[int | None, str]:
    """Run ``rasa run`` with these credentials, and return its exit code and all that it says."""
    (folder / "credentials.yml").write_text(credentials)
    environment = {**os.environ, "RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3", "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        *(
            *forked_rasa(),
            "run",
            "--port",
            "0",
            "--model",
            str(model),
            "--credentials",
            "credentials.yml",
        ),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await within(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, said.decode()


@pytest.mark.parametrize("first", [True, False], ids=["before us", "after us"])
def test_a_channel_hosted_and_by_itself_is_refused(tmp_path: Path, first: bool) -> None:
    credentials = {"rest": None, HANDOFF: settings(tmp_path, {"rest": None})}
    ordered = credentials if first else dict(reversed(credentials.items()))
    (tmp_path / "credentials.yml").write_text(yaml.safe_dump(ordered, sort_keys=False))
    channels = create_http_input_channels(None, str(tmp_path / "credentials.yml"))
    with pytest.raises(HandoffSettingsError, match=f"'rest' stands twice.*keep the one under {HANDOFF}"):
        configure_app(channels)


@pytest.mark.parametrize(("option", "found"), [("", 1), ("?synchronous=FULL", 2)])
def test_the_url_of_the_store_sets_how_sqlite_synchronises(tmp_path: Path, option: str, found: int) -> None:
    hosted = settings(tmp_path, {"rest": None})
    channel = HandoffChannel.from_credentials({**hosted, "store": f"sqlite:///{tmp_path / 'sure.db'}{option}"})
    assert channel.store.run(lambda connection: connection.execute(text("pragma synchronous")).scalar()) == found
    channel.store.dispose()


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (
            ("tests.rasa.channels.own_channels.KioskInput", "tests.rasa.channels.own_channels.PavementInput"),
            "both call their blueprint",
        ),
        (("socketio", "tests.rasa.channels.own_channels.KioskInput"), "socketio_path"),
    ],
    ids=["blueprint", "address"],
)
def test_channels_that_get_into_each_others_way_are_refused(tmp_path: Path, paths: tuple[str, ...], words: str) -> None:
    hosted = settings(tmp_path, dict.fromkeys(paths))
    with pytest.raises(HandoffSettingsError, match=words) as caught:
        configure_app([HandoffChannel.from_credentials(hosted)])
    assert SENTENCE.fullmatch(str(caught.value)), caught.value


# In the package's loop, which has to go on meanwhile: the connections of the package's servers would time out.
@pytest.mark.asyncio(loop_scope="package")
async def test_rasa_run_says_it_and_ends(small_model: Path, tmp_path: Path) -> None:
    mistaken = yaml.safe_dump({HANDOFF: settings(tmp_path, {"socketio": {"session_persistance": True}})})
    hosted_and_alone = yaml.safe_dump({HANDOFF: settings(tmp_path, {"rest": None})}) + "rest:\n"
    twice = f"{HANDOFF}:\n  bot_id: small\n  channels:\n    rest:\n    rest:\n"
    for credentials, words in {
        mistaken: "HandoffSettingsError: .*did you mean 'session_persistence'",
        hosted_and_alone: "HandoffSettingsError: .*'rest' stands twice in credentials.yml",
        twice: 'found duplicate key "rest"',  # Rasa reads the file, and says so itself, with the line
    }.items():
        code, said = await rasa_run(tmp_path, small_model, credentials)
        assert code == 1, said
        assert len(re.findall(words, said)) == 1, said
        assert "Traceback" not in said
        assert "nknown input channel" not in said
