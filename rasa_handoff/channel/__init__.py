"""HandoffChannel: hosts the project's channels inside Rasa. Put together in ``handoff_channel.py``."""
