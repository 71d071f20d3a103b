"""Waiting by condition, with a deadline: the package's own."""

from rasa_handoff.testing.waiting import PAUSE, until

__all__ = ["PAUSE", "until"]
