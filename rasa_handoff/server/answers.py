"""How handlers of Socket.IO events answer: ``{"ok": true, ...}``, or no with a code and a sentence."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from socketio import AsyncServer

from rasa_handoff.vocabulary.errors import Refused, Unreachable
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.text import valid

log = get_log(__name__)

Handler = Callable[[str, Any], Awaitable[Mapping[str, Any] | None]]

UNFORESEEN: Final = {"ok": False, "code": "failed", "error": "The server failed on it; its log says why."}


def listen(
    sio: AsyncServer, namespace: str, handlers: Mapping[str, Handler], failed: Mapping[str, Any] | None = None
) -> None:
    """Register handlers of a namespace by event name.

    Handlers of one socket are started in the order of their events and must reach their transaction without waiting for
    anything before it: then the store, which works in order, keeps the order too.

    ``failed`` is the answer when we are stopping or something unforeseen happened. Without one there is no answer while we are
    stopping, and a sender of ours sends again; to the unforeseen it is the code ``failed``, and a sender of ours gives up after
    some tries.
    """
    for event, handler in handlers.items():
        sio.on(event, _answering(sio, event, handler, failed), namespace=namespace)


async def answer_unknown(event: str, sid: str, *_: Any) -> dict[str, Any]:
    """To an event that the namespace doesn't have. Without an answer a relay would send it again for ever, and everything behind
    it would wait."""
    return {"ok": False, "code": "unknown_event", "error": f"There is no event '{str(event)[:40]}' here."}


def _answering(sio: AsyncServer, event: str, handler: Handler, failed: Mapping[str, Any] | None) -> Any:
    async def answer(sid: str, data: Any = None, *_: Any) -> Any:
        try:
            return {"ok": True, **(await handler(sid, valid(data)) or {})}
        except Refused as no:  # among them that the database can't be used
            return {"ok": False, "code": no.code, "error": str(no)}
        except Unreachable:  # we are stopping
            return sio.not_handled if failed is None else dict(failed)
        except Exception:
            log.exception("The event '%s' failed.", event)
            return dict(UNFORESEEN if failed is None else failed)

    return answer
