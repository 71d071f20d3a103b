"""Acknowledgements of Socket.IO events: ``{"ok": true, ...}``, or ``{"ok": false, ...}`` with a code and a sentence."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from socketio import AsyncServer
from socketio.exceptions import ConnectionRefusedError

from rasa_handoff.protocol.errors import Refused, Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.payloads import Acknowledgement
from rasa_handoff.protocol.text import valid
from rasa_handoff.protocol.values import plain

log = get_log(__name__)

EventHandler = Callable[[str, Any], Awaitable[Acknowledgement | None]]
"""Takes the socket and the payload; None is an acknowledgement that says nothing more."""

ACCEPTED: Final = Acknowledgement(ok=True)
UNFORESEEN: Final = Acknowledgement(ok=False, code="failed", error="The server failed on it; its log says why.")


def listen(
    sio: AsyncServer, namespace: str, handlers: Mapping[str, EventHandler], failed: Acknowledgement | None = None
) -> None:
    """Register handlers of a namespace by event name.

    Handlers of one socket are started in the order of their events. The store works in order, too, so the order is kept if each
    handler waits for nothing before its transaction.

    ``failed`` is the acknowledgement while the server stops, and after an unforeseen error. Without it there is no
    acknowledgement while the server stops, so that our own senders send again; after an unforeseen error it has the code
    ``failed``, and our own senders give up after some tries.
    """
    for event, handler in handlers.items():
        sio.on(event, _answering(sio, event, handler, failed), namespace=namespace)


def check_is_connected(sio: AsyncServer, sid: str, namespace: str) -> None:
    """Check that a socket is still there after its handshake was looked up: once it has closed, nothing would forget it any more.

    Raises:
        ConnectionRefusedError: it has closed, and its handler of ``disconnect`` was called.
    """
    if not sio.manager.is_connected(sid, namespace):
        raise ConnectionRefusedError("This connection has closed.")


def refusal(code: str, sentence: str) -> Acknowledgement:
    """Return the acknowledgement that something was refused."""
    return Acknowledgement(ok=False, code=code, error=sentence)


async def answer_unknown(event: str, sid: str, *_: Any) -> dict[str, Any]:
    """Answer an event that the namespace doesn't have. Without an answer a relay would send it for ever, and block its lane."""
    answer: dict[str, Any] = plain(refusal("unknown_event", f"There is no event '{str(event)[:40]}' here."))
    return answer


def _answering(sio: AsyncServer, event: str, handler: EventHandler, failed: Acknowledgement | None) -> Any:
    async def answer(sid: str, data: Any = None, *_: Any) -> Any:
        try:
            return plain(await handler(sid, valid(data)) or ACCEPTED)
        except Refused as no:  # before `Unreachable`: `Unavailable`, while the database can't be used, is both
            return plain(refusal(no.code, str(no)))
        except Unreachable:  # the server is stopping
            return sio.not_handled if failed is None else plain(failed)
        except Exception:
            log.exception("The event '%s' failed.", event)
            return plain(failed or UNFORESEEN)

    return answer
