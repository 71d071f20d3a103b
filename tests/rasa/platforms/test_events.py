"""Events of Kommunicate's page that come as its own hidden messages, without ``eventName``."""

from typing import Any

import pytest

from tests.rasa.platforms.kommunicate_caller import Kommunicate


def triggered(event: str, **more: Any) -> dict[str, Any]:
    """What Kommunicate's page sends at ``triggerEvent``."""
    return {
        "message": f"Event: {event}",
        "contentType": 10,
        "metadata": {"category": "HIDDEN", "KM_TRIGGER_EVENT": event},
        **more,
    }


@pytest.mark.parametrize("content_type", [10, 11, 0])
async def test_an_event_that_the_page_triggers_is_told_by_the_metadata(
    kommunicate: Kommunicate, caplog: pytest.LogCaptureFixture, content_type: int
) -> None:
    assert await kommunicate.texts(**triggered("WELCOME", contentType=content_type)) == ["Welcome."]
    replies = await kommunicate.texts(**triggered("OPENED_PRICING", contentType=content_type))
    assert replies == ["Shall I explain the prices?"]
    with caplog.at_level("INFO"):
        assert await kommunicate.texts(**triggered("NOBODY_KNOWS", contentType=content_type)) == []
    assert "The event 'NOBODY_KNOWS' of de650d61 is ignored: it isn't in the settings, under 'events'." in caplog.text
    assert len(await kommunicate.user_events()) == 2, "nobody has said its name"


async def test_a_pressed_button_may_trigger_an_event(kommunicate: Kommunicate) -> None:
    """By ``replyMetadata``, beside the words the customer sees."""
    context = {"KM_CHAT_CONTEXT": {"KM_TRIGGER_EVENT": "OPENED_PRICING"}}
    assert await kommunicate.texts("Prices", metadata=context) == ["Shall I explain the prices?"]
    assert await kommunicate.texts("hello", metadata={"KM_TRIGGER_EVENT": "NOBODY_KNOWS"}) == ["Hello."]


async def test_a_rating_is_nothing_to_the_bot(kommunicate: Kommunicate) -> None:
    """Kommunicate has one of its own; a front end that serves several channels may send it all the same."""
    assert await kommunicate.texts('/handoff_rate{"score": 5}') == []
    assert await kommunicate.texts('/handoff_rate{"score": 7}') == []
    assert await kommunicate.user_events() == []
    assert await kommunicate.texts("hello") == ["Hello."]
