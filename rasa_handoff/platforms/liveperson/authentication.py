"""Authentication of LivePerson's calls: a Function's header, or the token of Custom Endpoint.

A token is an App-JWT, signed with RS256. One signer signs for many accounts, so the signature only shows that the caller is some
customer of LivePerson. The token's audience shows whose bot it may call.

LivePerson shows the customer a 2xx answer with the JSON of its documents. A Function treats anything else as an error, which it
passes on; Custom Endpoint repeats its call three times. After that the bot has failed, and the conversation goes to the bot's
default skill. So a request that is refused loses no customer. Only a 404 to an event has a meaning of its own: "create the
conversation again".
"""

from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from jwt.algorithms import RSAAlgorithm
from sanic import response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.platforms.base import Rejected, json_object, refuse, trusted_callers
from rasa_handoff.platforms.liveperson.settings import CHANNEL_NAME, EndpointSettings
from rasa_handoff.platforms.platform_settings import SecretHeader
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.logs import get_log

log = get_log(__name__)

LEEWAY: Final = 30
"""Seconds by which LivePerson's clock and ours may differ."""


class TokenCheck:
    """Checks tokens. ``settings.public_keys`` are PEM texts or paths of PEM files."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._keys = [_key(key) for key in settings.public_keys]
        for bot_id, bot in settings.bots.items():
            if bot.checked_audience is None:
                log.warning("%s takes any audience: every account of LivePerson may call it.", bot_id)

    def check(self, authorization: str | None, audience: str | None) -> None:
        """Check that the ``Authorization`` header has a token for this audience; None: for any audience.

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


def authenticate_function(
    request: Request, functions: Mapping[str, SecretHeader], limit: int
) -> tuple[str, dict[str, Any]]:
    """Check who calls the webhook; return the Function's name in the settings and the request's body.

    Raises:
        Rejected: 401 wrong or missing header; 413 too large; 400 not a JSON object.
    """
    name = trusted_callers(request, functions)[0]
    return name, json_object(request.body, limit)


def authenticate_endpoint(
    request: Request, settings: EndpointSettings, tokens: TokenCheck, bot_id: str, environment: str | None = None
) -> None:
    """Check that the caller may use this bot, and this environment of it.

    Raises:
        Rejected: 401 no token or a wrong one; 404 a bot or an environment that isn't in the settings.
    """
    bot = settings.bots.get(bot_id)
    tokens.check(request.headers.get("Authorization"), bot.checked_audience if bot is not None else None)
    if bot is None:
        raise Rejected(404, f"The bot is {bot_id[:100]!r}, which doesn't stand under 'endpoint.bots'.")
    if environment is not None and environment not in bot.environments:
        raise Rejected(404, f"The environment is {environment[:100]!r}; {bot_id} has {', '.join(bot.environments)}.")


async def answer_or_refuse(request: Request, work: Awaitable[HTTPResponse]) -> HTTPResponse:
    """Return the handler's answer; turn an error into its status, with a line in the log."""
    try:
        return await work
    except Rejected as rejection:
        return refuse(request, rejection)
    except Exception:
        log.exception("A request to %s failed; LivePerson passes the conversation to people.", request.path)
        return response.json({"error": "The bot failed."}, 500)
