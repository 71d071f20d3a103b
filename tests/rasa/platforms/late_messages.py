"""What waits in the database of a platform's channel."""

from typing import Any

from sqlalchemy import select

from rasa_handoff.platforms.memory_tables import LATE, NOBODY, waiting
from rasa_handoff.testing.rasa_server import RasaServer


async def late_messages(rasa: RasaServer) -> list[str]:
    """The late messages that wait for an answer, as JSON."""
    query = select(waiting.c.body).where(waiting.c.kind == LATE, waiting.c.holder == NOBODY).order_by(waiting.c.number)
    database = rasa.channel.conversations.memory.database
    return list(await database.write(lambda connection: connection.execute(query).scalars().all()))


async def keep_late(rasa: RasaServer, conversation_id: str, messages: list[Any]) -> None:
    """Have these messages wait for the next answer."""
    await rasa.channel.conversations.memory.keep_late(conversation_id, messages)
