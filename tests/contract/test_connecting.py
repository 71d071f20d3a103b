"""A desk's connection that breaks at the worst moment is made again, whatever the client makes of it."""

from pathlib import Path

from aiohttp import web

from rasa_handoff.desks.ours import OurDesk
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER
from rasa_handoff.testing.desks import settings_for
from rasa_handoff.testing.relay_side import RelaySide
from rasa_handoff.testing.waiting import until


class ClosesAtOnce:
    """A web socket that is opened and closed before a word, as by a server that is killed at that moment."""

    def __init__(self) -> None:
        self.opened = 0
        app = web.Application()
        app.router.add_get("/socket.io/", self._close)
        self._runner = web.AppRunner(app, access_log=None)

    async def _close(self, request: web.Request) -> web.WebSocketResponse:
        self.opened += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close()
        return socket

    async def start(self) -> int:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        await self._runner.cleanup()


async def test_a_socket_closed_before_a_word_is_tried_again(tmp_path: Path) -> None:
    closing = ClosesAtOnce()
    desk = {"url": f"http://127.0.0.1:{await closing.start()}"}
    side = RelaySide(OurDesk, settings_for(desk, tmp_path))
    await side.relay.open({DESK: side.desk, CUSTOMER: side.customer, TRACKER: side.tracker})
    await side.desk.open()
    try:
        await until(lambda: closing.opened >= 3, what="it is tried again and again")
    finally:
        await closing.stop()
        await side.desk.close()
        await side.relay.close()
