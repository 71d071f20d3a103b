"""Each word of docs/glossary.md lives where the page says: the file or folder is there, and uses the word."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.support.paths import PACKAGE, ROOT

PAGE = (ROOT / "docs" / "glossary.md").read_text()
ROWS: Final = [
    (term.strip(), places)
    for term, places in re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", PAGE, flags=re.MULTILINE)
    if term.strip() not in {"term", "---"}
]


def files_of(name: str) -> list[Path]:
    """Return the files of a path that the page names: below the package, or from the top of the repository."""
    path = PACKAGE / name if (PACKAGE / name).exists() else ROOT / name
    assert path.exists(), f"{name} isn't there"
    return [path] if path.is_file() else sorted(path.rglob("*.py")) or sorted(path.rglob("*.js"))


def is_used(term: str, text: str) -> bool:
    """Whether the text has the words of a term, in names too: ``OutboxEntry`` or ``short_id``."""
    plain = re.sub(r"[_\W]+", "", text).lower()
    return any(re.sub(r"\W+", "", word).lower() in plain for word in term.split(","))


@pytest.mark.parametrize(("term", "places"), ROWS, ids=[term for term, _ in ROWS])
def test_a_word_is_used_where_the_page_says(term: str, places: str) -> None:
    names = re.findall(r"`([^`]+)`", places)
    assert names, f"say where '{term}' lives"
    for name in names:
        text = "\n".join(f"{file.stem}\n{file.read_text()}" for file in files_of(name))
        assert is_used(term, text), f"{name} doesn't say '{term}'"


def test_each_word_is_explained_once() -> None:
    terms = [one.strip() for term, _ in ROWS for one in term.split(",")]
    assert len(terms) > 50
    assert sorted(set(terms)) == sorted(terms)


def test_the_check_can_fail() -> None:
    assert is_used("outbox entry", "class OutboxEntry:")
    assert not is_used("lane key", "a lane, and its key")
    with pytest.raises(AssertionError, match="isn't there"):
        files_of("store/nowhere.py")
