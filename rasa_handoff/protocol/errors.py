"""All errors of this package. A message is one sentence: what happened, and what to do."""


class HandoffError(Exception):
    """Base of all errors. The message is for the person who reads the log."""


class SettingsError(HandoffError):
    """A setting is unknown, missing or of the wrong type. Names the key and says what to write."""


class MarkerError(HandoffError):
    """A marker or a directive in a response's ``custom`` is invalid. Names its key, or its field."""


class StoreError(HandoffError):
    """The database can't be used: it has a newer schema, belongs to the other side, or is unreachable."""


class StoreUnavailable(StoreError):
    """The database can't be used now: it is locked, full or unreachable. Nothing was done; try again later."""


class Unreachable(HandoffError):
    """The other side can't be reached now. The entry stays in the outbox and is sent again."""


class Waits(HandoffError):
    """The receiver can take the entry only later, and its lane is notified then. Not a failure.

    A customer on a channel that can't push fetches it; a handoff that waits for the Tkinter window gets it with the window.
    """


class Unforeseen(HandoffError):
    """The other side failed for an unknown reason. The delivery is tried a bounded number of times."""


class Refused(HandoffError):
    """The other side refused. ``code``: the protocol's code of the reason; the message is its sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
