"""The admin token: by which commands are taken over HTTP (docs/operations.md, "Dead letters")."""

import hashlib
import hmac
import re
from typing import Final

from rasa_handoff.vocabulary.errors import SettingsError

VARIABLE: Final = "RASA_HANDOFF_ADMIN_TOKEN"
"""The environment variable of ``serve``, and of the commands that go to a side over HTTP."""
LEAST: Final = 32
"""Characters a token must have: there is no counting of failed tries by which a stranger could shut the right ones out."""
MAKE_ONE: Final = "openssl rand -hex 32 makes one"

_FORM: Final = re.compile(r"[!-~]+")


def check_admin_token(token: str, place: str) -> str:
    """The token, if it is one. ``place``: where it stands.

    Raises:
        SettingsError: one sentence, without the token.
    """
    if len(token) < LEAST:
        raise SettingsError(
            f"{place} has {len(token)} characters, which can be guessed: at least {LEAST} are needed ({MAKE_ONE})."
        )
    if not _FORM.fullmatch(token):
        raise SettingsError(
            f"{place} has characters that can't stand in a header: letters, digits and signs only ({MAKE_ONE})."
        )
    return token


def fits(token: str, shown: str | None) -> bool:
    """Whether an ``Authorization`` header shows this token; in the same time whatever it shows."""
    kind, _, value = (shown or "").partition(" ")
    is_same = hmac.compare_digest(_hash(value.strip()), _hash(token))
    return is_same and kind.lower() == "bearer"


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
