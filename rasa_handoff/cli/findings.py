"""What a check of ``doctor`` finds."""

import enum

import msgspec


class Grade(str, enum.Enum):
    """``mend`` makes the command fail; ``warn`` is for a person to weigh."""

    OK = "ok"
    WARN = "warn"
    MEND = "mend"


class Finding(msgspec.Struct, frozen=True):
    """One line of the report."""

    grade: Grade
    sentence: str


def ok(sentence: str) -> Finding:
    """All is well."""
    return Finding(Grade.OK, sentence)


def warn(sentence: str) -> Finding:
    """It works, and may surprise."""
    return Finding(Grade.WARN, sentence)


def mend(sentence: str) -> Finding:
    """It doesn't work like this; the sentence says what to do."""
    return Finding(Grade.MEND, sentence)
