"""Writes the table of rights into ``docs/security.md``, from what the server asks itself (``rasa_handoff/server/rights.py``)."""

import sys
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rasa_handoff.server.rights import ROWS, Asker, Right  # noqa: E402

PAGE = ROOT / "docs" / "security.md"
COMMAND = ".venv/bin/python tools/rights_table.py"
BEGIN, END = "<!-- rights: made by tools/rights_table.py -->", "<!-- end of rights -->"
HEADINGS = {
    Asker.NOBODY: "nobody signed in",
    Asker.BOT: "a bot's token",
    Asker.AGENT: "agent",
    Asker.SUPERVISOR: "supervisor",
    Asker.ADMIN: "admin",
    Asker.OPERATOR: "who runs it",
}


def _reaches(row: Right) -> tuple[str, ...]:
    return tuple(row.reach(asker).value for asker in HEADINGS)


def table() -> str:
    """Return the table; operations that follow each other and are for the same people share a row."""
    lines = [f"| operation | {' | '.join(HEADINGS.values())} |", f"| --- |{' --- |' * len(HEADINGS)}"]
    for reaches, rows in groupby(ROWS, _reaches):
        operations = ", ".join(f"`{row.operation}`" for row in rows)
        lines.append(f"| {operations} | {' | '.join(reaches)} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """Return the page with the table as it is now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    print(f"Written: {PAGE.relative_to(ROOT)}")
