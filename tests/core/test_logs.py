"""Log lines: nobody forges one, and none has an id that opens a conversation."""

import ast
import logging
from pathlib import Path

import pytest

from rasa_handoff.protocol.logs import escaped, get_log, short_id
from tests.support.paths import PACKAGE

FILES = sorted(PACKAGE.rglob("*.py"))
IDS = {"conversation_id", "sender_id", "recipient_id", "lane"}
"""Names whose value is a conversation's id. The relay's lanes are among them, and so are the keys of its timers (below)."""
LEVELS = {"debug", "info", "warning", "error", "exception"}
HELPERS = {"isolated", "complain"}
"""Functions of ours that log what they are given as ``*about``."""

FORGED = "thabo\n2026-11-26 ERROR all is lost\r\x1b[2J\u2028\u202e\x00\ud800"


def test_a_value_stays_on_its_line(caplog: pytest.LogCaptureFixture) -> None:
    log = get_log("rasa_handoff.test_of_logs")
    for value in (FORGED, ValueError(FORGED), [FORGED], {"x": FORGED}, FORGED.encode("utf-8", "surrogatepass")):
        with caplog.at_level(logging.INFO):
            caplog.clear()
            log.info("It is %s, and %r.", value, value)
            log.info("It is %s.", value)
        for message in caplog.messages:
            assert message.isprintable(), message
    assert escaped("x" * 10_000) == "x" * 500 + "…"
    assert escaped("Zoë 😀 ingxaki") == "Zoë 😀 ingxaki"


def test_numbers_keep_their_formats(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        get_log("rasa_handoff.test_of_logs").info("%d of %g s, %s%%", 3, 0.5, 7)
    assert caplog.messages == ["3 of 0.5 s, 7%"]


def test_a_short_id_is_the_same_for_the_same_and_not_the_id() -> None:
    assert short_id("thabo") == short_id("thabo") != short_id("Thabo")
    assert len(short_id("\ud800")) == 8
    assert "thabo" not in short_id("thabo")


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_no_module_logs_the_id_of_a_conversation(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert "getLogger(__name__)" not in source, "write log = get_log(__name__)"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in {
            *LEVELS,
            *HELPERS,
        }:
            named = [getattr(each, "attr", getattr(each, "id", "")) for each in node.args[1:]]
            named += ["lane" for each in node.args[1:] if ast.unparse(each) == "timer.key"]  # an id too
            assert not IDS & set(named), f"line {node.lineno}: show a conversation's id by short_id"
            starred = [ast.unparse(each) for each in node.args if isinstance(each, ast.Starred)]
            assert starred in ([], ["*about"]), f"line {node.lineno}: name the values"
