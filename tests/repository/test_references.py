"""Nothing refers to a document, file, test or heading that isn't there; documents wrap at the end of sentences."""

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.paths import PACKAGE, ROOT

DOCUMENTS: Final = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.md")]
    if path.is_file()
)
FOLDERS: Final = ("rasa_handoff", "tests", "tools", "example_bot", ".ci", ".github")
SOURCES: Final = sorted(
    path
    for path in [
        ROOT / "Makefile",
        ROOT / "pyproject.toml",
        *(file for each in FOLDERS for file in (ROOT / each).rglob("*")),
    ]
    if path.is_file()
    and path != Path(__file__)
    and (
        path.suffix in {".py", ".js", ".mjs", ".css", ".html", ".sh", ".toml", ".yml"}
        or path.name in {"Makefile", "run"}
    )
    and not {"vendor", "models", "__pycache__", ".rasa", "node_modules"} & set(path.parts)
)
PROJECTS_OWN: Final = frozenset(
    {
        "config.yml",
        "credentials.yml",
        "domain.yml",
        "endpoints.yml",
        "handoff.db",
        "rasa-handoff-desk.db",
        "handoff.db-admin",
    }
)
"""Files of a bot's project and of a running system."""
MADE_LATER: Final = frozenset({"example_bot/models", "example_bot/.rasa"})
"""Folders that a run makes."""
DOTTED: Final = re.compile(r"(?<![\w./-])rasa_handoff(?:\.\w+)+")
"""A module, class or function of the package."""
PATH: Final = re.compile(
    r"(?<![\w/.:@~-])((?:docs|tests|tools|example_bot|rasa_handoff|\.ci|\.github)/[\w./-]*\w/?)(?:::(\w+))?"
)
"""A path from the top of the repository, perhaps with a test's name."""
FILE: Final = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|js|mjs|sh|md|yml|toml|css|html|txt|json))(?:::(\w+))?`")
"""A file's name in backticks."""
FOLDER: Final = re.compile(r"`((?:[\w.-]+/)+)`")
HEADING: Final = re.compile(r"(docs/[\w/-]+\.md),? (?:section )?[\"“']([^\"”']+)[\"”']|'([^']+)' in (docs/[\w/-]+\.md)")
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
NAMES: Final = frozenset(path.name for path in (*SOURCES, *DOCUMENTS, *ROOT.iterdir()))


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def headings(page: str) -> list[str]:
    without_code = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    return [line.lstrip("#").strip() for line in without_code.splitlines() if re.match(r"#{1,6} ", line)]


def anchors(page: str) -> set[str]:
    found: set[str] = set()
    for heading in headings(page):
        name = slug(heading)
        count = 1
        while name in found:
            name, count = f"{slug(heading)}-{count}", count + 1
        found.add(name)
    return found


def missing_links(path: Path, text: str) -> Iterator[str]:
    for link in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = path.parent / target if target else path
        if not file.exists():
            yield f"a link leads to {link}"
        elif anchor and file.suffix == ".md":
            page = text if file == path else file.read_text()
            if anchor not in anchors(page):
                yield f"a link leads to {link}, and there is no such heading"


def missing_test(file: Path, name: str) -> bool:
    return bool(name) and not re.search(rf"\b(?:def|class) {name}\b", file.read_text())


def missing_paths(text: str) -> Iterator[str]:
    for name, test in PATH.findall(text):
        if not (ROOT / name).exists():
            if name not in MADE_LATER:
                yield name
        elif missing_test(ROOT / name, test):
            yield f"{name}::{test}"


def missing_files(path: Path, text: str) -> Iterator[str]:
    """A file in backticks is named by the end of its path: from the top, from the package, from a folder, or by its name."""
    for name, test in FILE.findall(text):
        places = [base / name for base in (ROOT, PACKAGE, path.parent)]
        places += [source for source in SOURCES if "/" in name and str(source).endswith(f"/{name}")]
        found = next((place for place in places if place.is_file()), None)
        if found is None and name not in PROJECTS_OWN and ("/" in name or name not in NAMES):
            yield name
        elif found is not None and missing_test(found, test):
            yield f"{name}::{test}"
    for name in FOLDER.findall(text):
        if not any((base / name).is_dir() for base in (ROOT, PACKAGE, path.parent)) and "/" in name.rstrip("/")[:-1]:
            yield name


def missing_names(text: str) -> Iterator[str]:
    for name in set(DOTTED.findall(text)) - {"rasa_handoff.test_of_logs"}:  # a log that a test makes
        place, rest = ROOT, name.split(".")
        while rest and (place / rest[0]).is_dir():
            place, rest = place / rest[0], rest[1:]
        if rest and (place / f"{rest[0]}.py").is_file():
            place, rest = place / f"{rest[0]}.py", rest[1:]
        module = place / "__init__.py" if place.is_dir() else place
        if rest and not re.search(rf"\b{rest[0]}\b", module.read_text()):
            yield name


def missing_headings(text: str) -> Iterator[str]:
    for page, heading, other_heading, other_page in HEADING.findall(text):
        file = ROOT / (page or other_page)
        wanted = heading or other_heading
        if file.exists() and not any(wanted in found.replace("`", "") for found in headings(file.read_text())):
            yield f'{page or other_page}, "{wanted}"'


def prose_of(path: Path, source: str) -> str:
    """Comments and strings of Python, where docstrings and messages to people are; all of any other file."""
    if path.suffix != ".py":
        return source
    kinds = {tokenize.STRING, tokenize.COMMENT}
    return "\n".join(
        token.string for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type in kinds
    )


def broken_in(path: Path, text: str) -> list[str]:
    prose = prose_of(path, text)
    found = [*missing_paths(prose), *missing_names(prose), *missing_headings(prose)]
    if path.suffix == ".md":
        found += [*missing_links(path, text), *missing_files(path, text)]
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_a_document_refers_to_what_is_there(path: Path) -> None:
    assert broken_in(path, path.read_text()) == []


def test_comments_docstrings_and_messages_refer_to_what_is_there() -> None:
    assert len(SOURCES) > 300
    assert [f"{name_of(path)}: {one}" for path in SOURCES for one in broken_in(path, path.read_text())] == []


def test_every_page_is_linked_from_the_readme() -> None:
    links = {(ROOT / link.partition("#")[0]).resolve() for link in LINK.findall((ROOT / "README.md").read_text())}
    pages = [
        path for path in DOCUMENTS if path.suffix == ".md" and ".github" not in path.parts and path.name != "README.md"
    ]
    assert len(pages) > 20
    assert [name_of(path) for path in pages if path.resolve() not in links] == []


def texts_of(page: str) -> Iterator[list[str]]:
    """The paragraphs and list items of a page, each as its lines."""
    block: list[str] = []
    without_code = re.sub(r"^\s*```.*?^\s*```", "", page, flags=re.DOTALL | re.MULTILINE)
    for line in [*without_code.splitlines(), ""]:
        starts = (
            re.match(r"\s*(?:[-*]|\d+\.) ", line) or not line.strip() or line.lstrip().startswith(("|", "#", "<", "!["))
        )
        if starts:
            yield block
            block = []
        if line.strip() and not line.lstrip().startswith(("|", "#", "<", "![")):
            block.append(line)


def cut_sentences(page: str) -> list[str]:
    lines = (line for block in texts_of(page) for line in block[:-1])
    return [line for line in lines if not re.search(r"[.?!:][)*\"`]*$", line)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_lines_end_where_sentences_end(path: Path) -> None:
    assert cut_sentences(path.read_text()) == []


def shared_lines(page: str) -> list[str]:
    """Lines on which a second sentence begins."""
    without_numbers = (re.sub(r"^\s*\d+\. ", "", line) for block in texts_of(page) for line in block)
    return [line for line in without_numbers if re.search(r"\w{2}[)*\"`]*[.?!][)*\"`]* (?=[A-Z`\[*])", line)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_a_line_has_one_sentence(path: Path) -> None:
    assert shared_lines(path.read_text()) == []


def test_each_check_can_fail() -> None:
    page = ROOT / "docs" / "page.md"

    def broken(*texts: str) -> Iterable[str]:
        return [one for text in texts for one in broken_in(page, text)]

    assert list(broken("[one](settings.md#channels)", "`core/control.py`", "`tests/core/`", "`base.py`")) == []
    assert len(list(broken("[one](nowhere.md)", "[one](settings.md#nowhere)", "[one](#here)"))) == 3
    assert list(broken("see `core/nowhere.py`")) == ["core/nowhere.py"]
    assert list(broken("see `nowhere.py`")) == ["nowhere.py"]
    assert list(broken("see tests/core/test_nowhere.py.")) == ["tests/core/test_nowhere.py"]
    assert list(broken("`rasa_handoff.protocol.limits.LONGEST_LANE`", "rasa_handoff.store.nowhere")) == [
        "rasa_handoff.store.nowhere"
    ]
    assert list(broken('(docs/settings.md, "Nothing of the kind")')) == ['docs/settings.md, "Nothing of the kind"']
    assert "tests/core/test_control.py::test_nothing" in broken("`tests/core/test_control.py::test_nothing`")
    assert cut_sentences("One sentence.\nAnother that is cut\nin the middle.\n\n- an item\n- another") == [
        "Another that is cut"
    ]
    assert shared_lines("1. One sentence. Another one.\n2. One, e.g. this.\n\n| One. Two. |\n") == [
        "One sentence. Another one."
    ]
    assert anchors("# A `b`, c\n## Limits\n## Limits\n```sh\n# no heading\n```") == {"a-b-c", "limits", "limits-1"}
