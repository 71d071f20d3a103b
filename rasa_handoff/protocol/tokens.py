"""Customer tokens and the admin token.

A customer token allows reading and writing in one conversation (docs/customer-tokens.md). It has the form
``KIND.EXPIRES.SIGNATURE``: the kind is the issuer, ``EXPIRES`` is in seconds since 1970 (0: never), and the signature is an
HMAC-SHA256 over kind, bot id, conversation id and expiry. Each is prefixed with its length, so that different values never give
the same input. The documentation has the same function for a project's own backend.

The admin token allows commands over HTTP (docs/dead-letters.md).
"""

import base64
import enum
import hashlib
import hmac
import re
import time
import uuid
from collections.abc import Sequence
from typing import Final

from rasa_handoff.protocol.errors import Refused, SettingsError

HEADER: Final = "Handoff-Customer-Token"
"""The header of a request to ``rest`` or ``callback`` that has the customer token."""
TOKEN_KEY: Final = "handoff_token"
"""The token's key in a request's metadata, and in the ``custom`` message that gives a new token to the front end."""
REFUSED: Final = "customer_token"
"""The code of a refusal because of a missing or wrong customer token."""
LEAST_SECRET: Final = 32
"""Characters that a secret must have at least."""

ADMIN_TOKEN_VARIABLE: Final = "RASA_HANDOFF_ADMIN_TOKEN"
"""The environment variable with the admin token, for ``serve`` and for commands that call a side over HTTP."""
LEAST_ADMIN_TOKEN: Final = 32
"""Characters that an admin token must have at least, so that it can't be guessed. Failed tries lock nobody out, because a
stranger could use that against the administrator."""
MAKE_ONE: Final = "openssl rand -hex 32 makes one"

_TOKEN: Final = re.compile(r"(1p?)\.(0|[1-9][0-9]{0,11})\.([A-Za-z0-9_-]{43})")
_HEADER_CHARACTERS: Final = re.compile(r"[!-~]+")


class Issuer(enum.Enum):
    """The issuer of a token; the value is the token's kind."""

    BACKEND = "1"
    """The project's backend, which knows the customer."""
    CHANNEL = "1p"
    """HandoffChannel, for the page that began a new conversation."""


def make_token(
    secret: str, bot_id: str, conversation_id: str, expires: int = 0, issuer: Issuer = Issuer.BACKEND
) -> str:
    """Return the token of a conversation. ``expires``: seconds since 1970; 0: never."""
    return f"{issuer.value}.{expires}.{_signature(secret, issuer.value, bot_id, conversation_id, str(expires))}"


def check_token(secrets: Sequence[str], token: str, bot_id: str, conversation_id: str) -> Issuer:
    """Return the issuer of a valid token of this conversation.

    Raises:
        Refused: the token is malformed, of another conversation or bot, signed with another secret, or expired.
    """
    if not (form := _TOKEN.fullmatch(token)):
        raise Refused(REFUSED, "That isn't a customer token.")
    kind, expires, given = form.groups()
    # All secrets are tried, so that the time taken reveals nothing.
    matches = [hmac.compare_digest(given, _signature(each, kind, bot_id, conversation_id, expires)) for each in secrets]
    if not any(matches):
        raise Refused(REFUSED, "The customer token isn't of this conversation.")
    if int(expires) and int(expires) <= time.time():
        raise Refused(REFUSED, "The customer token has expired.")
    return Issuer(kind)


def expiry(token: str) -> int | None:
    """Return when the token expires, in seconds since 1970; None if it never does, or is malformed."""
    form = _TOKEN.fullmatch(token)
    return (int(form[2]) or None) if form else None


def can_be_issued(conversation_id: str) -> bool:
    """Return whether a token may be issued for this id: it must be a random one, of 32 hexadecimal digits or a UUID.

    A stranger who knows a customer's number or address could otherwise get a token before the customer does.
    """
    try:
        return str(uuid.UUID(conversation_id)).replace("-", "") == conversation_id.replace("-", "").lower()
    except ValueError:
        return False


def _signature(secret: str, *parts: str) -> str:
    raw = [part.encode("utf-8", "surrogatepass") for part in ("handoff-customer", *parts)]
    signed = b"".join(b"%d:%b," % (len(part), part) for part in raw)
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def check_admin_token(token: str, place: str) -> str:
    """Return the admin token if it is acceptable. ``place``: where it was set.

    Raises:
        SettingsError: it is too short or can't be sent in a header; one sentence, without the token.
    """
    if len(token) < LEAST_ADMIN_TOKEN:
        raise SettingsError(
            f"{place} has {len(token)} characters, which can be guessed: at least {LEAST_ADMIN_TOKEN} are needed ({MAKE_ONE})."
        )
    if not _HEADER_CHARACTERS.fullmatch(token):
        raise SettingsError(
            f"{place} has characters that can't stand in a header: letters, digits and signs only ({MAKE_ONE})."
        )
    return token


def shows_token(token: str, shown: str | None) -> bool:
    """Return whether an ``Authorization`` header has this token; the time taken doesn't depend on the header."""
    kind, _, value = (shown or "").partition(" ")
    is_same = hmac.compare_digest(_hash(value.strip()), _hash(token))
    return is_same and kind.lower() == "bearer"


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
