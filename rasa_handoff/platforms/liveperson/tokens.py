"""The tokens LivePerson sends to a Custom Endpoint: App-JWTs, signed with RS256.

Whoever signs is one for many accounts, so the signature alone says "a customer of LivePerson's". Whose bot it may call is
said by the audience.
"""

from pathlib import Path
from typing import Any, Final

import jwt
from jwt.algorithms import RSAAlgorithm

from rasa_handoff.platforms.door import Rejected
from rasa_handoff.vocabulary.errors import SettingsError
from rasa_handoff.vocabulary.liveperson import CHANNEL_NAME, EndpointSettings
from rasa_handoff.vocabulary.log_values import get_log

log = get_log(__name__)

LEEWAY: Final = 30
"""Seconds by which clocks may differ."""


class Tokens:
    """Checks them. ``settings.public_keys`` as PEM texts, or paths of PEM files."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._keys = [_key(key) for key in settings.public_keys]
        for bot_id, bot in settings.bots.items():
            if bot.checked_audience is None:
                log.warning("%s takes any audience: any account of LivePerson's may call it.", bot_id)

    def check(self, authorization: str | None, audience: str | None) -> None:
        """Whether the ``Authorization`` header has a token for this audience; None: for anybody's.

        Raises:
            Rejected: 401, with what is wrong.
        """
        kind, _, token = (authorization or "").strip().partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Rejected(401, "The request has no 'Authorization: Bearer'.")
        claims = self._claims(token.strip(), audience)
        if self._settings.scope is not None and self._settings.scope not in str(claims.get("scope", "")).split():
            raise Rejected(401, f"The token hasn't the scope {self._settings.scope!r}.")

    def _claims(self, token: str, audience: str | None) -> dict[str, Any]:
        problem: jwt.InvalidTokenError = jwt.InvalidTokenError("no key")
        for key in self._keys:
            try:
                return jwt.decode(
                    token, key, algorithms=["RS256"], audience=audience, issuer=self._settings.issuer, leeway=LEEWAY,
                    options={"require": ["exp"], "verify_aud": audience is not None},
                )  # fmt: skip
            except jwt.InvalidSignatureError as found:
                problem = found  # another key may fit
            except jwt.InvalidTokenError as found:
                raise Rejected(401, f"The token isn't taken: {type(found).__name__}.") from None
        raise Rejected(401, f"The token isn't taken: {type(problem).__name__}.")


def _key(written: str) -> Any:
    try:
        pem = written.replace("\\n", "\n") if "-----BEGIN" in written else Path(written).read_text()
        key = RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(pem)
        if not hasattr(key, "verify"):
            raise ValueError("a private key")
        return key
    except (OSError, ValueError, TypeError, jwt.InvalidKeyError) as problem:
        raise SettingsError(
            f"{CHANNEL_NAME}: endpoint.public_key can't be read ({type(problem).__name__}): write LivePerson's public key as "
            f"PEM, or the path of its file."
        ) from problem
