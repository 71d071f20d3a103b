"""The shop's own actions, and those of rasa_handoff."""

from rasa_handoff.actions import *  # noqa: F403
