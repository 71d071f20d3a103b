"""What agents may do with pictures and files: add one to a conversation that they may see, and learn where they are."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import exists

from rasa_handoff.core.assignment import Stage
from rasa_handoff.media.media_table import MediaOwner
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.server.service.unit_of_work import Service, UnitOfWork, must_find_for_agent
from rasa_handoff.server.storage import handoffs
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
            record = must_find_for_agent(unit, agent_id, handoff_id)
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
            record = must_find_for_agent(unit, agent_id, handoff_id)
            return list(MEDIA.find_all(unit.connection, handoffs.owner_of(record), ids))

        return await self.do(work)
