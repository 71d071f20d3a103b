"""HandoffChannel: hosts the project's channels inside Rasa. Put together in ``channel.py``."""
