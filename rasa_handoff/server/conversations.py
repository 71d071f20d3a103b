"""All that happens to conversations, from both sides."""

from rasa_handoff.server.agent_side import AgentSide
from rasa_handoff.server.bot_side import BotSide


class Conversations(BotSide, AgentSide):
    """The one door of a server, as both sides use it."""
