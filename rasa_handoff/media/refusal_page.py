"""What a browser shows in place of a picture or file that can't be given out; programs get JSON.

People come here by a link that they kept, or that stayed open for more than a day.
"""

import html
from collections.abc import Mapping
from typing import Final

HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{sentence}</title>
<p>{whole}</p>
</html>
"""


def wants_page(accept: str | None) -> bool:
    """Return whether an answer is for somebody's eyes, by the request's ``Accept``: a picture in a page asks for none."""
    return "text/html" in (accept or "").lower()


def page_of(sentence: str, advice: str = "") -> str:
    """Return a page that says why there is nothing, and what to do."""
    whole = f"{sentence} {advice}".strip()
    return PAGE.format(sentence=html.escape(sentence), whole=html.escape(whole))
