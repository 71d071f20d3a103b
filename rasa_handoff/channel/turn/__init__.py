"""The bot's turn: its output, and the handoff that it asks for."""
