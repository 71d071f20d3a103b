"""What goes wrong with pictures and files. A message is for the person who sent one: what happened, and what to do."""

from typing import Final

from rasa_handoff.protocol.errors import Refused, Unreachable

TOO_LARGE: Final = "too_large"
TOO_MANY: Final = "too_many"
FULL: Final = "full"
DAMAGED: Final = "damaged"
AWAY: Final = "away"
UNKNOWN: Final = "unknown_media"
REFUSED_AS: Final = {
    TOO_LARGE: 413,
    TOO_MANY: 409,
    FULL: 507,
    DAMAGED: 422,
    AWAY: 503,
    UNKNOWN: 404,
    "unknown_handoff": 404,
    "ended": 409,
    "words_only": 409,
    "signed_out": 401,
    "no_media": 501,
    "invalid": 400,
    "unavailable": 503,
}
"""The HTTP status of a refusal, by its code; of any other 403."""


class MediaRefused(Refused):
    """A file can't be kept. ``code``: why; the message says it to its sender, and what to do."""


class MediaAway(MediaRefused, Unreachable):
    """The media store can't be reached now. Nothing was kept; it may be tried again."""

    def __init__(self, reason: str = "", advice: str = "") -> None:
        super().__init__(AWAY, "Pictures and files can't be kept just now. Please try again in a moment.")
        self.reason, self.advice = reason, advice
        """For the log: what the store answered; and what to do, if it won't heal by itself."""


class MediaFull(MediaRefused):
    """The media store has no room for the file."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(FULL, "There is no room for pictures and files any more. Please describe it in words.")
        self.reason = reason
        """For the log: what the store answered; empty if a limit is reached."""


class MediaMissing(MediaRefused):
    """There is no such file, or not any more."""

    def __init__(self) -> None:
        super().__init__(UNKNOWN, "This picture or file isn't there any more.")
