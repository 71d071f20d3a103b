"""The customers' pages of the hosted socketio channels, connected to the relay and the desk.

Who is active, typing, read marks and presence pass here; messages don't.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from rasa.core.channels.channel import InputChannel

from rasa_handoff.channel.closing import CLOSED
from rasa_handoff.channel.hosted.page_presence import PagePresence
from rasa_handoff.channel.hosted.socketio import HandoffSocketIO
from rasa_handoff.core.control import Conversation
from rasa_handoff.desks.base import STORE_PAUSE, Desk, retry_until_stored
from rasa_handoff.protocol.errors import StoreError, StoreUnavailable
from rasa_handoff.relay.inbox import is_known
from rasa_handoff.relay.page_connections import PAGES_LOST
from rasa_handoff.relay.relay import CUSTOMER, Relay
from rasa_handoff.store.change_log import LoggedChange
from rasa_handoff.store.tasks import begin

TYPING: Final = "typing"
"""The topic of a change that says that an agent types to a customer whose page another process has."""
READ: Final = "read"
"""The topic of a change that says that an agent has read what a customer wrote whose page another process has."""
PRESENCE: Final = "presence"
"""The topic of a change that says that a customer came or went, from a process that can't tell the desk now."""


class CustomerPages:
    """The pages of all hosted socketio channels. ``channels``: the hosted channels, by name."""

    def __init__(self, channels: Mapping[str, InputChannel], relay: Relay, desk: Desk) -> None:
        self._channels = {name: one for name, one in channels.items() if isinstance(one, HandoffSocketIO)}
        self._relay, self._desk = relay, desk
        self._shared = relay.store.shared
        self._opened = asyncio.Event()
        self._presence = PagePresence(self._is_connected_anywhere, self._report_presence, remembers=not self._shared)

    def connect(self) -> None:
        """Have the channels, the desk and the relay call this."""
        self._desk.on_typing, self._relay.on_active_changed = self._agent_types, self._active_changed
        self._desk.on_read = self._agent_has_read
        self._relay.on_place_changed = self._show_active
        reconnection = self._relay.reconnection
        reconnection.is_away = self.is_away
        reconnection.has_page = lambda conversation_id: self._has_page(self._relay.conversation(conversation_id))
        self._relay.pages.on_noted_again = self._report_here
        self._relay.others.on_pages_lost = self.expect_all
        self._relay.change_handlers.update(
            {
                TYPING: self._follow_typing,
                READ: self._follow_read,
                PRESENCE: self._follow_presence,
                PAGES_LOST: self._follow_lost_pages,
            }
        )
        for page in self._channels.values():
            page.on_present, page.on_gone = self._customer_came, self._page_went
            page.on_typing, page.on_read = self._customer_types, self._relay.report_read

    def expect_all(self) -> None:
        """Count customers as away if their pages don't come back after this start, or after another process has ended."""
        for conversation in self._relay.under_way:
            if self._has_page(conversation) and not self._is_connected(conversation.conversation_id):
                self._presence.expect(conversation.conversation_id)

    def open(self) -> None:
        """Follow the pages, also those that have connected already: a page may come before the relay has opened its database."""
        self._opened.set()
        self.expect_all()

    async def close(self) -> None:
        """Close the pages' connections, so that they connect to another process or wait for this one's return.

        Nobody counts as away by that.
        """
        await self._presence.close()
        for page in self._channels.values():
            page.close_connections()

    async def end(self) -> None:
        """End what is left of the pages' connections, after the last request."""
        for page in self._channels.values():
            await page.end_tasks()

    def is_away(self, conversation_id: str) -> bool:
        """Return whether this process knows the customer to be away, on a channel whose pages stay connected."""
        return self._presence.is_away(conversation_id) and self._has_page(self._relay.conversation(conversation_id))

    async def show_closed(self, conversation_id: str) -> None:
        """Tell the customer's pages that the bot has ended the conversation."""
        await self._show_state(conversation_id, CLOSED)

    async def _show_state(self, conversation_id: str, shown: Mapping[str, Any]) -> None:
        for page in self._channels.values():
            await page.emit_state(conversation_id, shown)

    async def _show_active(self, conversation: Conversation) -> None:
        """Tell the customer's pages who has them, and their place if they wait."""
        await self._show_state(conversation.conversation_id, {**conversation.active_party, **conversation.place})

    async def _active_changed(self, conversation: Conversation) -> None:
        conversation_id = conversation.conversation_id
        await self._show_active(conversation)
        if not self._shared and self.is_away(conversation_id):
            await self._report_presence(conversation_id, False)
        elif self._shared and conversation.desk_active and not self._is_connected(conversation_id):
            self._presence.expect(conversation_id)  # the rows of an absence are those of handoffs under way

    def _page_went(self, conversation_id: str) -> None:
        self._presence.went(conversation_id)
        if self._shared:
            begin(_surely(lambda: self._note_gone(conversation_id)))

    async def _note_gone(self, conversation_id: str) -> None:
        """Note that this process has no page of the customer any more, unless another one is open or has just connected."""
        if not self._is_connected(conversation_id):
            await self._relay.pages.went(conversation_id)
            if self._is_connected(conversation_id):
                await self._relay.pages.came(conversation_id)

    async def _customer_came(self, conversation_id: str) -> None:
        await self._opened.wait()
        try:
            await self._note_came(conversation_id)
        except StoreUnavailable:
            begin(_surely(lambda: self._note_came(conversation_id, late=True)))
        await self._presence.came(conversation_id)
        if self._shared:  # another process may have reported them as away
            await self._report_presence(conversation_id, True)
        conversation = self._relay.conversation(conversation_id)
        if conversation.active_party["active"] != "bot":
            await self._show_active(conversation)
        await self._relay.notify(CUSTOMER, conversation_id)

    async def _note_came(self, conversation_id: str, late: bool = False) -> None:
        """Note that this process has a page of the customer, and read what others may have changed.

        ``late``: the database was away when the page came; by now it may have gone, or others may have given up what waits.
        """
        if not late or self._is_connected(conversation_id):
            await self._relay.pages.came(conversation_id)
            await self._relay.current(conversation_id)
        if late:
            await self._note_gone(conversation_id)
            await self._relay.notify(CUSTOMER, conversation_id)

    async def _report_presence(self, conversation_id: str, here: bool) -> None:
        conversation = self._relay.conversation(conversation_id)
        if not (conversation.desk_active and conversation.handoff_id is not None and self._has_page(conversation)):
            return
        await self._desk.presence(conversation.handoff_id, here)
        if self._shared:
            with contextlib.suppress(StoreError):  # then the next `hello` says it
                if not self._desk.connected:
                    await self._relay.others.tell(PRESENCE, conversation_id, "")
                elif not here and not await self._relay.pages.is_away(conversation_id):  # they came to another process
                    await self._desk.presence(conversation.handoff_id, True)

    async def _report_here(self, conversation_ids: Sequence[str]) -> None:
        """Report customers as here whom others may have reported as away while this process stood still."""
        for conversation_id in conversation_ids:
            await self._report_presence(conversation_id, True)

    async def _follow_presence(self, changes: Sequence[LoggedChange]) -> None:
        """Report what processes without a desk couldn't."""
        for change in changes if self._desk.connected else ():
            is_away = await self._relay.pages.is_away(change.subject)
            await self._report_presence(change.subject, not is_away)

    async def _follow_lost_pages(self, changes: Sequence[LoggedChange]) -> None:
        """Expect the customers whose pages another process had."""
        self.expect_all()

    async def _customer_types(self, conversation_id: str, on: bool) -> None:
        conversation = self._relay.conversation(conversation_id)
        if conversation.desk_active and conversation.handoff_id is not None:
            await self._desk.typing(conversation.handoff_id, on)

    async def _agent_types(self, conversation_id: str, on: bool) -> None:
        if self._shared and not self._is_connected(conversation_id):
            await self._relay.others.tell(TYPING, conversation_id, "on" if on else "")
        else:
            await self._show_typing(conversation_id, on)

    async def _follow_typing(self, changes: Sequence[LoggedChange]) -> None:
        """Show that agents type, whose events came to other processes."""
        for change in changes:
            await self._show_typing(change.subject, bool(change.body))

    async def _show_typing(self, conversation_id: str, on: bool) -> None:
        for page in self._channels.values():
            await page.emit_typing(conversation_id, on)

    async def _agent_has_read(self, conversation_id: str, message_id: str) -> None:
        if self._shared and not self._is_connected(conversation_id):
            await self._relay.others.tell(READ, conversation_id, message_id)
        else:
            await self._show_read(conversation_id, message_id)

    async def _follow_read(self, changes: Sequence[LoggedChange]) -> None:
        """Show what agents have read, whose events came to other processes."""
        for change in changes:
            await self._show_read(change.subject, change.body)

    async def _show_read(self, conversation_id: str, message_id: str) -> None:
        """Tell the customer's pages that an agent has read a message, if its id is the page's own: others mean nothing to it."""
        pages = [page for page in self._channels.values() if page.acknowledges(conversation_id)]
        if not pages or not await self._relay.store.write(
            lambda connection: is_known(connection, conversation_id, message_id)
        ):
            return
        for page in pages:
            await page.emit_read(conversation_id, message_id)

    async def _is_connected_anywhere(self, conversation_id: str) -> bool:
        """Return whether a process has a page of the customer; if none has, they are noted as away for all."""
        if self._is_connected(conversation_id):
            return True
        while self._shared:
            try:
                return not await self._relay.pages.note_away(conversation_id)
            except StoreUnavailable:
                await asyncio.sleep(STORE_PAUSE)
            except StoreError:  # closed
                return True
        return False

    def _is_connected(self, conversation_id: str) -> bool:
        return any(page.connected(conversation_id) for page in self._channels.values())

    def _has_page(self, conversation: Conversation) -> bool:
        """Return whether the customer wrote last on one of these channels."""
        return conversation.channel in self._channels


async def _surely(work: Callable[[], Awaitable[object]]) -> None:
    """Do this in the background, again and again while the database can't be used; not once it is closed."""
    with contextlib.suppress(StoreError):
        await retry_until_stored(work)
