"""All errors of this package. A message says what happened, the evidence, and what to do next."""


class HandoffError(Exception):
    """Base of all errors. The message is for the person who reads the log."""


class SettingsError(HandoffError):
    """A setting is unknown, missing or of the wrong type. Names the key and says what to write."""


class MarkerError(HandoffError):
    """A project's handoff marker (``custom: {handoff: {...}}``) is invalid. Names the field."""


class StoreError(HandoffError):
    """The database can't be used: it has a newer schema, belongs to the other side, or is unreachable."""


class StoreUnavailable(StoreError):
    """The database can't be used now: it is locked, full or unreachable. Nothing was done; try again later."""


class Unreachable(HandoffError):
    """The other side can't be reached now. The entry stays in the outbox and is sent again."""


class Waits(HandoffError):
    """The receiver will fetch it (a customer on a channel that can't push). Not a failure."""


class Unforeseen(HandoffError):
    """The other side failed for an unknown reason. The delivery is tried a bounded number of times."""


class Refused(HandoffError):
    """The other side refused. ``code``: the protocol's code of the reason; the message is its sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
