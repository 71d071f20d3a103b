"""Commands for a running side: what is answered when one can't be read, is refused, or fails."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from rasa_handoff.admin.commands import answer_to, request_for
from rasa_handoff.protocol.errors import HandoffError


async def greet(arguments: Mapping[str, Any]) -> str:
    return f"Hello {arguments['name']}."


async def refuse(_: Mapping[str, Any]) -> None:
    raise HandoffError("Not today.")


async def fail(_: Mapping[str, Any]) -> None:
    raise ValueError("a bug of ours")


HANDLERS = {"greet": greet, "refuse": refuse, "fail": fail}


async def test_a_command_is_answered_or_refused_with_its_sentence() -> None:
    greeting = await answer_to(HANDLERS, request_for("greet", {"name": "Thabo"}))
    assert greeting == {"ok": True, "answer": "Hello Thabo."}
    assert await answer_to(HANDLERS, request_for("refuse", {})) == {"ok": False, "error": "Not today."}


@pytest.mark.parametrize("request_body", [b"{", b"[]", b"5", json.dumps({"command": "newer"}).encode()])
async def test_what_is_no_command_here_may_be_of_another_version(request_body: bytes) -> None:
    assert "of another version?" in (await answer_to(HANDLERS, request_body))["error"]


async def test_a_command_that_fails_is_logged_and_not_taken_for_an_unknown_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "rasa_handoff")
    answer = await answer_to(HANDLERS, request_for("fail", {}))
    assert answer == {"ok": False, "error": "The running process failed on it (ValueError); see its log."}
    assert "a bug of ours" in caplog.text
