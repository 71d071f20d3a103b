"""Which choice of a question a customer's answer means."""

import pytest

from rasa_handoff.channel.outbound.choices import payload_meant
from rasa_handoff.protocol.values import ShownChoice

ASKED = (
    ShownChoice(title="Go on waiting", payload="/wait"),
    ShownChoice(title="Leave a message", payload="/leave"),
    ShownChoice(title="Go back to the bot.", payload="/back"),
    ShownChoice(title="2 for 1", payload="/offer"),
    ShownChoice(title="?", payload="/help"),
)


@pytest.mark.parametrize(
    ("answer", "payload"),
    [
        ("1", "/wait"), (" 2. ", "/leave"), ("(3)", "/back"), ("2!", "/leave"), ("3:", "/back"),
        ("leave a message!", "/leave"), ("LEAVE  A\tMESSAGE", "/leave"), ("Go back to the bot", "/back"),
        ("Leave a message\u3002", "/leave"), ("/WAIT", "/wait"), ("2 for 1", "/offer"), ("?", "/help"),
        ("leave", "/leave"), ("Leave a...", "/leave"), ("go back", "/back"), ("Go on.", "/wait"), ("2 for", "/offer"),
    ],
)  # fmt: skip
def test_an_answer_names_one_choice(answer: str, payload: str) -> None:
    assert payload_meant(answer, ASKED) == payload


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " ",
        ".",
        "go",
        "l",
        "leav",
        "0",
        "6",
        "99",
        "message",
        "I'd rather leave a message, if that's fine",
        "Go where?",
    ],
)
def test_anything_else_is_said_to_whoever_listens(answer: str) -> None:
    assert payload_meant(answer, ASKED) is None
