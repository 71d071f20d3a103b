"""Run a module of the product with one of its guarantees broken, to see that the chaos checks notice it.

``python -m tests.chaos.careless no-acks rasa run ...``: what was sent counts as delivered, without an acknowledgement. ``python
-m tests.chaos.careless no-dedup rasa_handoff.cli serve ...``: copies of a message count as new. ``python -m
tests.chaos.careless no-guards rasa run ...``: reminders and triggered intents speak to customers who talk to an agent.
``no-files``: files are left out without a word. ``mixed-files``: the live-agent server gives out another file than was asked for.
"""

import runpy
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from rasa_handoff.protocol.message_parts import MediaPart
from rasa_handoff.store.outbox import Entry


def main() -> None:
    """Break the guarantee, then run the module as ``python -m`` would."""
    _, promise, module, *arguments = sys.argv
    BREAKING[promise](module)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _no_acks(module: str) -> None:
    if module == "rasa":
        _relay_does_not_wait()
    else:
        _server_does_not_wait()


def _relay_does_not_wait() -> None:
    from rasa_handoff.desks.ours import OurDesk
    from rasa_handoff.protocol.names import RELAY_NAMESPACE

    careful = OurDesk.deliver

    async def deliver(self: OurDesk, lane: str, entries: Sequence[Entry]) -> Any:
        (entry,) = entries
        if entry.name != "message":
            return await careful(self, lane, entries)
        if self.connected:
            await self._client.emit(entry.name, entry.body, namespace=RELAY_NAMESPACE)
        return []

    OurDesk.deliver = deliver  # type: ignore[method-assign]


def _server_does_not_wait() -> None:
    from rasa_handoff.protocol.names import RELAY_NAMESPACE
    from rasa_handoff.server.gateways.relay_gateway import RelayGateway

    careful = RelayGateway.deliver

    async def deliver(self: RelayGateway, lane: str, entries: Sequence[Entry]) -> Any:
        (entry,) = entries
        if entry.name != "message":
            return await careful(self, lane, entries)
        sid = self._newest(entry.body["bot_id"])
        if sid is not None:
            await self._sio.emit(entry.name, entry.body["payload"], to=sid, namespace=RELAY_NAMESPACE)
        return ()

    RelayGateway.deliver = deliver  # type: ignore[method-assign]


def _no_dedup(module: str) -> None:
    if module == "rasa":
        _relay_takes_all_for_new()
    else:
        _server_takes_all_for_new()


def _relay_takes_all_for_new() -> None:
    from rasa_handoff.relay.conversation_writer import ConversationWriter

    careful = ConversationWriter._apply

    def apply(self: ConversationWriter, connection: Any, before: Any, event: Any, running: Any) -> Any:
        anew = {"number": None} | ({"id": uuid.uuid4().hex} if type(event).__name__ == "AgentSaid" else {})
        return careful(self, connection, before, msgspec.structs.replace(event, **anew), running)

    ConversationWriter._apply = apply  # type: ignore[method-assign]


def _server_takes_all_for_new() -> None:
    from rasa_handoff.server.service.unit_of_work import UnitOfWork
    from rasa_handoff.server.storage import handoffs

    careful = UnitOfWork.say

    def say(self: UnitOfWork, record: Any, event: Any) -> Any:
        return careful(self, record, msgspec.structs.replace(event, id=uuid.uuid4().hex))

    UnitOfWork.say = say  # type: ignore[method-assign]
    handoffs.last_received = lambda *_: None  # nor does the server say on connecting what it has


def _no_guards(module: str) -> None:
    if module == "rasa":
        from rasa_handoff.channel.compat import lock_store, processor

        processor.install = lambda *_: (
            lock_store.patch()
        )  # or a leap of the clock leaves customers stuck in Rasa's lock


def _no_files(module: str) -> None:
    if module == "rasa":
        from rasa_handoff.channel.outbound import agent_files
        from rasa_handoff.desks import ours_media

        for place in (agent_files, ours_media):
            vars(place)["with_each_media"] = _without_files


async def _without_files(parts: Sequence[Any], each: Any) -> tuple[Any, ...]:
    return tuple(part for part in parts if not isinstance(part, MediaPart))


def _mixed_files(module: str) -> None:
    if module != "rasa":
        from rasa_handoff.media.media_library import MediaLibrary

        careful, latest = MediaLibrary.read, list[Any]()

        def read(self: MediaLibrary, kept: Any, first: int = 0, length: int | None = None) -> Any:
            latest.append(kept)
            return careful(self, latest[-2] if len(latest) > 1 else kept, first, length)

        MediaLibrary.read = read  # type: ignore[method-assign]


BREAKING: dict[str, Callable[[str], None]] = {
    "no-acks": _no_acks,
    "no-dedup": _no_dedup,
    "no-guards": _no_guards,
    "no-files": _no_files,
    "mixed-files": _mixed_files,
}

if __name__ == "__main__":
    main()
