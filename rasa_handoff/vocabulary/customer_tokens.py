"""Customer tokens: who shows one for a conversation may read it and speak in it (docs/security.md, "Customers").

A token is ``KIND.EXPIRES.SIGNATURE``: the kind says who made it, ``expires`` is in seconds since 1970 (0: never), and the
signature is an HMAC-SHA256 over kind, bot id, conversation id and expiry, each with its length before it, so that no two
different sets of them are signed alike. The documents have the same function for a project's own backend.
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

from rasa_handoff.vocabulary.errors import Refused

HEADER: Final = "Handoff-Customer-Token"
"""In a request to ``rest`` or ``callback``."""
TOKEN_KEY: Final = "handoff_token"
"""The same in a request's metadata; and in a ``custom`` message to whom we gave one."""
REFUSED: Final = "customer_token"
"""The code of a refusal: no token, or one that doesn't fit."""
LEAST_SECRET: Final = 32
"""Characters a secret must have."""

_FORM: Final = re.compile(r"(1p?)\.(0|[1-9][0-9]{0,11})\.([A-Za-z0-9_-]{43})")


class Issuer(enum.Enum):
    """Who made a token; the value is its kind."""

    BACKEND = "1"
    """The project's backend, which knows the customer."""
    CHANNEL = "1p"
    """HandoffChannel, for the page that began a new conversation."""


def make_token(
    secret: str, bot_id: str, conversation_id: str, expires: int = 0, issuer: Issuer = Issuer.BACKEND
) -> str:
    """The token of this conversation. ``expires``: seconds since 1970, or 0."""
    return f"{issuer.value}.{expires}.{_signature(secret, issuer.value, bot_id, conversation_id, str(expires))}"


def check_token(secrets: Sequence[str], token: str, bot_id: str, conversation_id: str) -> Issuer:
    """Who made this token for this conversation.

    Raises:
        Refused: it is none, of another conversation or bot, signed with another secret, or it has expired.
    """
    if not (form := _FORM.fullmatch(token)):
        raise Refused(REFUSED, "That isn't a customer token.")
    kind, expires, given = form.groups()
    # Every secret is tried, whichever fits: the time it takes tells nothing.
    fits = [hmac.compare_digest(given, _signature(each, kind, bot_id, conversation_id, expires)) for each in secrets]
    if not any(fits):
        raise Refused(REFUSED, "The customer token isn't of this conversation.")
    if int(expires) and int(expires) <= time.time():
        raise Refused(REFUSED, "The customer token has expired.")
    return Issuer(kind)


def expiry(token: str) -> int | None:
    """When the token expires, in seconds since 1970; None if it never does, or is none."""
    form = _FORM.fullmatch(token)
    return (int(form[2]) or None) if form else None


def can_be_issued(conversation_id: str) -> bool:
    """Whether nobody else can have meant this id: 32 hexadecimal digits or a UUID, made at random. A customer's number or
    address may be known to a stranger, who could come first."""
    try:
        return str(uuid.UUID(conversation_id)).replace("-", "") == conversation_id.replace("-", "").lower()
    except ValueError:
        return False


def _signature(secret: str, *parts: str) -> str:
    raw = [part.encode("utf-8", "surrogatepass") for part in ("handoff-customer", *parts)]
    signed = b"".join(b"%d:%b," % (len(part), part) for part in raw)
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
