"""Slack's markup, read as the customer sees it and escaped for Slack."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasa_handoff.channel.slack_markup import as_shown, escaped


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
        ("<mailto:thabo@example.org|thabo@example.org>", "thabo@example.org"),
        ("<mailto:thabo@example.org>", "thabo@example.org"),
        ("<https://example.org>", "https://example.org"),
        ("<https://example.org/|example.org>", "https://example.org/"),
        ("<https://example.org/a?b=1&amp;c=2>", "https://example.org/a?b=1&c=2"),
        ("<https://example.org/x|our page>", "our page (https://example.org/x)"),
        ("<tel:+27115550100|011 555 0100>", "011 555 0100 (+27115550100)"),
        ("<@U02>, <@U03|lerato>", "@U02, @lerato"),
        ("<#C1|help>", "#help"),
        ("<!here> <!subteam^S01|@support> <!date^1392734382^{date}|18 February>", "@here @support 18 February"),
        ("a <3 b", "a <3 b"),
        ("&lt;https://example.org|x&gt;", "<https://example.org|x>"),
        ("", ""),
    ],
)
def test_as_its_author_sees_it(sent: str, shown: str) -> None:
    assert as_shown(sent) == shown


@given(st.text())
def test_what_is_escaped_is_shown_as_it_was(text: str) -> None:
    assert as_shown(escaped(text)) == text
