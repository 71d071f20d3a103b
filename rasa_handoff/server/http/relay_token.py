"""``GET /relay-token?bot_id=...&epoch=...``: whether a relay with this token would be let in, and what departments there are.

``epoch``: of the relay's database, if it is known: another relay with another one may be there.

For ``rasa-handoff doctor``.
"""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.engine import Connection
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from rasa_handoff.guard.compat.http_requests import AsgiRequest
from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.socketio_requests import is_local
from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.protocol.payloads import RelayTokenAnswer
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.protocol.values import Availability, plain
from rasa_handoff.server import accounts
from rasa_handoff.server.service import availability
from rasa_handoff.server.service.relay_owner import RelayOwner
from rasa_handoff.server.storage.tables import Database

BEARER: Final = "bearer "
RETRY_SECONDS: Final = "5"


class RelayTokenPage:
    """The page, as an ASGI application. Whoever sends many is slowed down, and each wrong token is logged."""

    def __init__(self, store: Database, guard: Guard, owner: RelayOwner, now: Callable[[], float]) -> None:
        self._store, self._guard, self._owner, self._now = store, guard, owner, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        request = AsgiRequest(scope, receive, send)
        address = self._guard.address_of(request.head)
        given = request.head.headers.get("authorization", "")
        token = given[len(BEARER) :].strip() if given.lower().startswith(BEARER) else None
        bot_id = valid_text(str(request.head.query.get("bot_id", "")))[:LONGEST_ID]
        fits = await self._store.write(
            lambda connection: accounts.may_relay(
                connection, token, bot_id, local=is_local({"handoff.head": request.head})
            )
        )
        if not self._guard.admit_command(address, fits):
            answer = _answer(429, "Too many requests. Try again in some seconds.", {"Retry-After": RETRY_SECONDS})
        elif not fits:
            self._guard.refusals.note(
                address, "relay", f"a question about a token that isn't one of the bot '{bot_id}'."
            )
            answer = _answer(403, f"The token isn't one of the bot '{bot_id}'.")
        else:
            epoch = valid_text(str(request.head.query.get("epoch", "")))[:LONGEST_ID]
            found, refusal = await self._store.write(lambda connection: self._about(connection, bot_id, epoch))
            answer = JSONResponse(plain(RelayTokenAnswer(ok=True, departments=found.departments, refusal=refusal)))
        await answer(scope, receive, send)

    def _about(self, connection: Connection, bot_id: str, epoch: str) -> tuple[Availability, str | None]:
        """Return who is there, and why a relay with the database of this ``epoch`` would be refused, if one is given."""
        refusal = self._owner.refusal_of(connection, bot_id, epoch) if epoch else None
        return availability.availability(connection, self._now()), refusal


def _answer(status: int, sentence: str, headers: dict[str, Any] | None = None) -> JSONResponse:
    return JSONResponse({"ok": False, "error": sentence}, status, headers)
