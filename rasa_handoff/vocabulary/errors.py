"""Every error of ours. Each says what happened, the evidence, and what to do next."""


class HandoffError(Exception):
    """Something about a handoff went wrong. The message is for the person who reads the log."""


class SettingsError(HandoffError):
    """A setting is unknown, missing or of the wrong type. Names the key and says what to write."""


class MarkerError(HandoffError):
    """A project's handoff marker (``custom: {handoff: {...}}``) does not fit. Names the field."""


class StoreError(HandoffError):
    """The database can't be used: newer schema, the other side's file, unreachable."""


class StoreUnavailable(StoreError):
    """The database can't be used now: locked, full, away. Nothing was done; it may be tried again."""


class Unreachable(HandoffError):
    """The other side can't be reached now. What was to be told stays in the outbox and is sent again."""


class Waits(HandoffError):
    """The receiver will come and fetch it (a customer on a channel that can't push). Not a failure."""


class Unforeseen(HandoffError):
    """The other side failed on it, and doesn't know why. It is tried a bounded number of times."""


class Refused(HandoffError):
    """The other side answered no. ``code`` is the protocol's word for why, the message its sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
