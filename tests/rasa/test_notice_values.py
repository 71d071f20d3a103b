"""What a customer reads for the values of a notice: words in the bot's language, and no ``0.0``."""

from collections.abc import Mapping
from typing import Any

import pytest

from rasa_handoff.channel.outbound.notice_values import readable
from rasa_handoff.presets.responses import preset_text


async def words(response: str, values: Mapping[str, Any]) -> str:
    return preset_text(response, dict(values))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (0.0, ""),
        (10.0, "about a minute"),
        (60.0, "about a minute"),
        (70.0, "about 2 minutes"),
        (3600.0, "about 60 minutes"),
    ],
)
async def test_a_wait_is_minutes_in_words_or_nothing(seconds: float | None, shown: str) -> None:
    assert await readable({"wait": seconds, "position": 3}, str, words) == {"wait": shown, "position": 3}


async def test_what_is_not_known_is_nothing_and_a_department_has_its_title() -> None:
    values = {"position": None, "department": "billing", "word": "exit"}
    shown = await readable(values, {"billing": "Billing and refunds"}.__getitem__, words)
    assert shown == {"position": "", "department": "Billing and refunds", "word": "exit"}


def test_a_placeholder_within_a_value_stays_as_it_was_written() -> None:
    values = {"text": "Begin it with {agent}.", "agent": "Thandi"}
    assert preset_text("utter_handoff_reply", values) == "Thandi has answered your message: Begin it with {agent}."
