"""The namespace ``/relay``: HandoffChannel's side of our server (docs/protocol.md)."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from socketio import AsyncServer
from socketio.exceptions import ConnectionRefusedError, SocketIOError

from rasa_handoff import __version__
from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.requests import is_local
from rasa_handoff.server import accounts
from rasa_handoff.server.answers import answer_unknown, listen
from rasa_handoff.server.bot_side import BotSide
from rasa_handoff.server.door import RELAY, Lost, Mark
from rasa_handoff.server.news import AgentTyping, News, StaffingChanged
from rasa_handoff.server.relay_owner import RelayOwner
from rasa_handoff.server.relay_words import Auth, Fate, Followed, Heard, Hello, Keys, Over, Sought, Typing, Words
from rasa_handoff.store.apart import apart
from rasa_handoff.store.engine import Store
from rasa_handoff.store.outbox import Entry
from rasa_handoff.thinking.desk_events import CustomerEnded, CustomerSaid
from rasa_handoff.vocabulary.errors import Refused, Unforeseen, Unreachable
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.names import PROTOCOL, RELAY_NAMESPACE
from rasa_handoff.vocabulary.values import Offer, Speaker, Status, plain, read
from rasa_handoff.vocabulary.versions import go_together

log = get_log(__name__)

TOO_LATE: Final = ("ended", "unknown_handoff")
"""Codes that say nothing of an entry but that the bot has its conversation again, or never knew it."""
ANSWER_WITHIN: Final = 5.0
"""Seconds a relay may take to acknowledge before it is told again."""
PRESENT_WITHIN: Final = 2.0
"""Seconds a relay may take to say that it is there; another one waits for that on connecting."""


class RelayEdge:
    """Hears relays, and is the outbox target ``"relay"``: one entry of a handoff at a time, until acknowledged."""

    batch: int = 1

    def __init__(
        self, sio: AsyncServer, conversations: BotSide, store: Store, now: Callable[[], float], guard: Guard
    ) -> None:
        self._sio, self._conversations, self._store, self._now = sio, conversations, store, now
        self._guard = guard
        self._bots: dict[str, str] = {}
        # The hash of the token that each was let in with; empty where none was asked for.
        self._tokens: dict[str, str] = {}
        # Sockets that said hello, oldest first, each with what is resolved when it is gone.
        self._greeted: dict[str, asyncio.Future[None]] = {}
        self._owner = RelayOwner(self._is_present, self._end, RELAY)
        conversations.board.listeners.append(self._hear)
        sio.on("connect", self._connect, namespace=RELAY_NAMESPACE)
        sio.on("disconnect", self._disconnect, namespace=RELAY_NAMESPACE)
        sio.on("*", answer_unknown, namespace=RELAY_NAMESPACE)
        handlers = {
            "hello": self._hello,
            "handoff.find": self._find,
            "handoff.initiate": self._initiate,
            "handoff.transcript": self._transcript,
            "handoff.status": self._status,
            "message": self._message,
            "message.status": self._message_status,
            "typing": self._typing,
        }
        listen(sio, RELAY_NAMESPACE, handlers)

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> Sequence[Mark | Lost]:
        """Tell the newest relay of the bot and wait for its acknowledgement."""
        (entry,) = entries
        sid = self._newest(entry.body["bot_id"])
        if sid is None:
            raise Unreachable(f"No relay of the bot {entry.body['bot_id']} is connected.")
        answer = await self._call(sid, entry.name, entry.body["say"])
        if isinstance(answer, dict) and answer.get("ok"):
            return ()
        return self._refused(lane, entry, answer)

    async def close_revoked(self) -> None:
        """End the connections whose token was revoked, or that had none when none was asked for. A relay whose token holds
        comes back by itself; another one is refused with a sentence."""
        holding = await self._conversations.do(lambda turn: accounts.token_hashes(turn.connection))
        for sid, token in list(self._tokens.items()):
            if holding and token not in holding:
                log.warning(
                    "The token of a relay of the bot %r was revoked, so its connection is ended.", self._bots[sid]
                )
                with apart(log, "A relay whose token was revoked doesn't go."):
                    await self._disconnect(sid)
                    await self._sio.disconnect(sid, namespace=RELAY_NAMESPACE)

    def _refused(self, lane: str, entry: Entry, answer: Any) -> Sequence[Mark | Lost]:
        if not isinstance(answer, dict) or "code" not in answer:
            raise Unreachable(f"The relay answered {answer!r}, which isn't an acknowledgement.")
        if answer["code"] == "unavailable":
            raise Unreachable(f"The relay can't take anything now: {answer.get('error')}")
        if answer["code"] == "failed":
            raise Unforeseen(f"The relay failed on it: {answer.get('error')}")
        if answer["code"] not in TOO_LATE:
            raise Refused(str(answer["code"]), f"The relay refused it: {answer.get('error')} ({answer['code']})")
        log.warning(
            "The relay refused %s of %s: %s", entry.name, entry.handoff_id or short_id(lane), answer.get("error")
        )
        lost = (Lost(handoff_id=lane),) if answer["code"] == "unknown_handoff" else ()
        if entry.name != "message":
            return lost
        reason = str(answer.get("error") or answer["code"])
        return Mark(handoff_id=lane, message_id=entry.body["say"]["id"], status=Status.FAILED, reason=reason), *lost

    async def _call(self, sid: str, event: str, body: dict[str, Any]) -> Any:
        # python-socketio goes on waiting when the socket closes; a relay that comes back is told at once.
        gone = self._greeted[sid]
        call = asyncio.ensure_future(
            self._sio.call(event, body, to=sid, namespace=RELAY_NAMESPACE, timeout=ANSWER_WITHIN)
        )
        try:
            await asyncio.wait({call, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise Unreachable("The relay's connection closed.")
            return call.result()
        except SocketIOError as late:
            raise Unreachable(f"The relay didn't acknowledge {event} within {ANSWER_WITHIN:g} s.") from late
        finally:
            call.cancel()

    def _bot(self, sid: str) -> str:
        if sid not in self._bots:
            raise Refused("refused", "This connection has closed.")
        return self._bots[sid]

    def _newest(self, bot_id: str) -> str | None:
        return next((sid for sid in reversed(self._greeted) if self._bots[sid] == bot_id), None)

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        if environ.get("HTTP_ORIGIN") is not None:
            raise self._refusal(environ, "A relay is a program; a web page can't be one.")
        try:
            offered = read(Auth, auth or {})
        except Refused as no:
            raise self._refusal(environ, str(no)) from no
        if not go_together(offered.protocol, PROTOCOL):
            raise self._refusal(
                environ,
                f"This server speaks protocol {PROTOCOL}, the relay {offered.protocol}: bring both to the same version.",
            )
        try:
            may = await self._conversations.do(lambda turn: _may_relay(turn.connection, offered, is_local(environ)))
        except Unreachable as problem:
            raise ConnectionRefusedError(str(problem)) from problem
        if not may:
            raise self._refusal(
                environ,
                f"The token isn't one of the bot '{offered.bot_id}'. Make one: rasa-handoff token add {offered.bot_id}",
            )
        async with self._owner.deciding(offered.bot_id):
            await self._let_in(sid, environ, offered.bot_id, offered.epoch)
        self._bots[sid] = offered.bot_id
        self._tokens[sid] = accounts.hashed(offered.token) if offered.token else ""
        self._guard.trust(self._sio, sid, RELAY_NAMESPACE)

    async def _let_in(self, sid: str, environ: dict[str, Any], bot_id: str, epoch: str | None) -> None:
        """Of the relays of one bot one speaks."""
        refusal = await self._owner.refusal_beside_another(bot_id, epoch)
        if refusal is None:
            try:
                refusal = await self._conversations.do(
                    lambda turn: self._owner.refusal_after_another(turn.connection, bot_id, epoch)
                )
            except Unreachable as problem:
                raise ConnectionRefusedError(str(problem)) from problem
        if refusal is not None:
            raise self._refusal(environ, refusal)
        self._owner.is_here(sid, bot_id, epoch)

    async def _is_present(self, sid: str) -> bool:
        """Whether the relay answers on its connection now."""
        try:
            await self._sio.call("present", to=sid, namespace=RELAY_NAMESPACE, timeout=PRESENT_WITHIN)
        except SocketIOError:
            return False
        return True

    async def _end(self, sid: str) -> None:
        await self._sio.disconnect(sid, namespace=RELAY_NAMESPACE)

    def _refusal(self, environ: dict[str, Any], sentence: str) -> ConnectionRefusedError:
        self._guard.refusals.note(self._guard.address(environ), "relay", f"a relay: {sentence}")
        return ConnectionRefusedError(sentence)

    async def _disconnect(self, sid: str, *_: Any) -> None:
        self._owner.has_left(sid)
        self._bots.pop(sid, None)
        self._tokens.pop(sid, None)
        self._guard.trust(self._sio, sid, RELAY_NAMESPACE, False)
        gone = self._greeted.pop(sid, None)
        if gone is not None:
            gone.set_result(None)

    async def _hello(self, sid: str, data: Any) -> None:
        numbered = list(_numbered(read(Hello, data or {}).open))
        ours = await self._conversations.catch_up(self._bot(sid), numbered)
        known = [{"handoff_id": handoff_id, "last": id} for handoff_id, id in ours.heard.items()]
        await self._conversations.staffing()
        here = {"protocol": PROTOCOL, "server": __version__, "epoch": self._store.epoch, "transcript_follows": True}
        body = {**here, "open": known, "unknown": list(ours.unknown)}
        self._conversations.board.later(partial(self._welcome, sid, body))

    async def _welcome(self, sid: str, body: dict[str, Any]) -> None:
        if sid not in self._bots:
            return
        body.update(plain(self._conversations.last_staffing))  # what changed meanwhile was told to others
        await self._sio.emit("welcome", body, to=sid, namespace=RELAY_NAMESPACE)
        self._greeted.pop(sid, None)
        self._greeted[sid] = asyncio.get_running_loop().create_future()
        await self._conversations.pump.ring_all(RELAY)

    async def _initiate(self, sid: str, data: Any) -> dict[str, Any]:
        keys = read(Keys, data)
        offer = read(Offer, data)
        if offer.bot_id != self._bot(sid):
            raise Refused("refused", f"This connection isn't of the bot '{offer.bot_id}'.")
        return await self._conversations.initiate(offer, keys.id, resumed=data.get("resumed") is True)

    async def _transcript(self, sid: str, data: Any) -> None:
        await self._conversations.transcript_followed(self._bot(sid), read(Followed, data))

    async def _find(self, sid: str, data: Any) -> dict[str, Any]:
        sought = read(Sought, data)
        found = await self._conversations.find(self._bot(sid), sought.conversation_id)
        return {"handoff": plain(found and found.offer), "agent": plain(found and found.assignment.agent)}

    async def _status(self, sid: str, data: Any) -> None:
        over = read(Over, data)
        if over.status == "message_left":
            return await self._conversations.message_left(self._bot(sid), over.handoff_id, over.id)
        if over.status != "ended":
            raise Refused("invalid", f"A relay says the status 'ended' or 'message_left', not '{over.status}'.")
        event = CustomerEnded(at=self._now(), reason=over.reason)
        await self._conversations.customer_ended(RELAY, self._bot(sid), over.handoff_id, event, over.id)

    async def _message(self, sid: str, data: Any) -> None:
        words = read(Words, data)
        if isinstance(data, dict) and data.get("speaker", Speaker.CUSTOMER.value) != Speaker.CUSTOMER.value:
            raise Refused("invalid", "A relay says only what the customer said.")
        event = CustomerSaid(at=words.at, id=words.id, text=words.text)
        await self._conversations.customer_said(RELAY, self._bot(sid), words.handoff_id, event)

    async def _message_status(self, sid: str, data: Any) -> None:
        fate = read(Fate, data)
        mark = Mark(handoff_id=fate.handoff_id, message_id=fate.message_id, status=fate.status, reason=fate.reason)
        await self._conversations.message_status(self._bot(sid), mark, fate.id)

    async def _typing(self, sid: str, data: Any) -> None:
        typing = read(Typing, data)
        await self._conversations.customer_typing(self._bot(sid), typing.handoff_id, typing.on)

    async def _hear(self, news: News) -> None:
        if isinstance(news, StaffingChanged):
            for sid in list(self._greeted):
                await self._sio.emit("availability", plain(news.availability), to=sid, namespace=RELAY_NAMESPACE)
        elif isinstance(news, AgentTyping) and news.side == RELAY:
            body = {"handoff_id": news.handoff_id, "on": news.on}
            newest = self._newest(news.bot_id)
            if newest is not None:
                await self._sio.emit("typing", body, to=newest, namespace=RELAY_NAMESPACE)


def _numbered(under_way: Sequence[Any]) -> Iterator[Heard]:
    """Of each handoff how far the relay has heard it; one that can't be read doesn't keep the relay out."""
    for one in under_way:
        if not isinstance(one, str):  # a relay that keeps no numbers says the ids alone
            try:
                yield read(Heard, one)
            except Refused as problem:
                log.warning(
                    "What a relay says it has heard of a handoff can't be read, and is passed over: %s", problem
                )


def _may_relay(connection: Any, offered: Auth, local: bool) -> bool:
    if not accounts.any_tokens(connection):
        return local  # such a server listens on its own machine only, and a proxy there may speak for others
    return accounts.token_fits(connection, offered.token, offered.bot_id)
