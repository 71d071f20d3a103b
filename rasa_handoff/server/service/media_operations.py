"""What agents may do with pictures and files: add one to a conversation that they may see, and learn where they are."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import exists, select

from rasa_handoff.core.assignment import Stage
from rasa_handoff.media.media_table import MediaOwner
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.server import accounts, rights
from rasa_handoff.server.service import summaries
from rasa_handoff.server.service.unit_of_work import Service, UnitOfWork, must_find_for_agent
from rasa_handoff.server.storage import audit_log, handoffs
from rasa_handoff.server.storage.audit_log import Audited
from rasa_handoff.server.storage.handoffs import RELAY
from rasa_handoff.server.storage.tables import HANDOFFS, MEDIA

MEDIA_IN_USE: Final = exists().where(
    HANDOFFS.c.bot_id == MEDIA.table.c.bot_id, HANDOFFS.c.conversation_id == MEDIA.table.c.conversation_id
)
"""A file is kept as long as a handoff of its conversation is: transcripts of later ones name it too."""
UNUSED_MEDIA_SECONDS: Final = 86_400.0
"""Seconds for which a file of no handoff is kept: a relay brings those of a transcript before its offer."""
OVER: Final = "This conversation has ended, so nothing can be sent any more."
WORDS_ONLY: Final = "This customer's side takes words only. Please describe it, or write where it is to be found."


class MediaService(Service):
    """Checks whether an agent may add or see the files of a conversation."""

    async def may_add_media(self, agent_id: str, handoff_id: str) -> MediaOwner:
        """Return the conversation to which the agent may add a file.

        Raises:
            Refused: it isn't known or has ended, or its customer's side takes words only.
        """

        def work(unit: UnitOfWork) -> MediaOwner:
            record, _ = must_find_for_agent(unit, rights.DESK_ADD_FILE, agent_id, handoff_id)
            if record.assignment.stage is Stage.ENDED:
                raise Refused("ended", OVER)
            if record.side != RELAY:
                raise Refused("words_only", WORDS_ONLY)
            return handoffs.owner_of(record)

        return await self.do(work)

    async def kept_media(self, agent_id: str, handoff_id: str, ids: Collection[str]) -> list[str]:
        """Return those of these files that the conversation has.

        Raises:
            Refused: the agent may not see the conversation.
        """

        def work(unit: UnitOfWork) -> list[str]:
            record, _ = must_find_for_agent(unit, "/desk media", agent_id, handoff_id)
            return list(MEDIA.find_all(unit.connection, handoffs.owner_of(record), ids))

        return await self.do(work)

    async def fetch(self, agent_id: str, media_id: str) -> None:
        """Check that the agent may fetch a file, and note in the audit log that they do, unless they have a conversation with it.

        Its signed address isn't enough: it may have been passed on. This is a transaction of its own, which no message waits for.

        Raises:
            Refused: they may see no conversation that has the file, as if there were none; or the account was removed.
        """

        def work(unit: UnitOfWork) -> None:
            kept, agent = MEDIA.find(unit.connection, media_id), accounts.member(unit.connection, agent_id)
            if kept is None:  # the library says so
                return
            found = _handoffs_with(unit, kept.owner)
            if any(has == agent_id and stage != Stage.ENDED.value for _, has, stage in found):
                return
            seen = (handoff_id for handoff_id, *_ in reversed(found) if _sees(unit, handoff_id, agent_id))
            subject = next(seen, None)
            rights.check(rights.DESK_FETCH_FILE, rights.Asker(agent.role.value), subject is not None)
            audit_log.add_of_agent(unit.connection, agent.agent, Audited.FILE, media_id, unit.now, handoff=subject)

        await self.do(work)


def _sees(unit: UnitOfWork, handoff_id: str, agent_id: str) -> bool:
    record = handoffs.look_at(unit.connection, handoff_id)
    return record is not None and summaries.sees(unit.connection, record, agent_id)


def _handoffs_with(unit: UnitOfWork, owner: MediaOwner) -> list[tuple[str, str | None, str]]:
    """Return the handoffs of a file's conversation, each with its agent and stage; the newest last."""
    columns = HANDOFFS.c
    query = select(columns.handoff_id, columns.agent, columns.stage).order_by(columns.queued_at)
    query = query.where(columns.bot_id == owner.bot_id, columns.conversation_id == owner.conversation_id)
    return [(row.handoff_id, row.agent, row.stage) for row in unit.connection.execute(query)]
