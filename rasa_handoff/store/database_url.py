"""Database URLs: read with errors of one sentence, and shown without their secrets.

SQLAlchemy's errors quote the URL, or what it takes for the port, which is a piece of the password if that has a character in it
that must be percent-encoded.
"""

import re
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from rasa_handoff.protocol.errors import StoreError

HIDDEN: Final = "***"
UNREADABLE: Final = (
    "it isn't an address of a database. A port is a number, and in a name or password @ is written as %40, and / as %2F"
)
CREDENTIALS: Final = re.compile(r"^([\w+]*:?//)?.*@", re.DOTALL)
"""The part of a URL before the host: all up to the last @, since a password may have another one."""
NO_PORT: Final = re.compile(r"(//[^@:/?]*):(?!\d*(?:[/?]|$))[^/?]*")
"""A port that is no number, in a URL without an @: the host may be missing, and this the password."""
SECRET_OPTION: Final = re.compile(r"([?&][^=&]*pass[^=&]*=)[^&]*", re.IGNORECASE)


def read_url(url: str) -> URL:
    """Return the parsed URL.

    Raises:
        StoreError: it can't be parsed; the sentence has none of its secrets.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or "@" in (parsed.host or ""):  # the rest of a password that has an @
        raise cannot_be_used(url, UNREADABLE)
    return parsed


def cannot_be_used(url: str, why: str) -> StoreError:
    """Return the error for a URL that can't be used, in one sentence."""
    return StoreError(f"The database URL {without_password(url)!r} can't be used: {why}. Try sqlite:///handoff.db.")


def without_password(url: str) -> str:
    """Return the URL without its password, whether or not it can be parsed.

    >>> without_password("postgresql://thabo:s3:cr@t@here/x?password=too")
    'postgresql://***@here/x?password=***'
    >>> without_password("postgresql://thabo:secret@here/x")
    'postgresql://thabo:***@here/x'
    """
    try:
        parsed = make_url(url)
        shown = str(parsed.render_as_string(hide_password=True))
        is_read = "@" not in (parsed.host or "")
    except (ArgumentError, ValueError):
        shown, is_read = url, False
    if not is_read:
        shown = CREDENTIALS.sub(rf"\1{HIDDEN}@", url) if "@" in url else NO_PORT.sub(rf"\1:{HIDDEN}", url)
    return SECRET_OPTION.sub(rf"\1{HIDDEN}", shown)
