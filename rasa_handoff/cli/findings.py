"""The findings of ``doctor``'s checks."""

import enum

import msgspec


class Grade(str, enum.Enum):
    """How serious a finding is. ``mend`` makes the command fail; ``warn`` is for a person to judge."""

    OK = "ok"
    WARN = "warn"
    MEND = "mend"


class Finding(msgspec.Struct, frozen=True):
    """One line of the report."""

    grade: Grade
    sentence: str


def ok(sentence: str) -> Finding:
    """Return a finding that something is right."""
    return Finding(Grade.OK, sentence)


def warn(sentence: str) -> Finding:
    """Return a finding about something that works, but may surprise."""
    return Finding(Grade.WARN, sentence)


def mend(sentence: str) -> Finding:
    """Return a finding about something that doesn't work; the sentence says what to do."""
    return Finding(Grade.MEND, sentence)
