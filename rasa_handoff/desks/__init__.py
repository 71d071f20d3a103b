"""The agent's edge of the Rasa side: one file per system behind one base."""
