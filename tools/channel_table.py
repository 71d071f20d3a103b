"""Writes the table of channels into ``docs/host-channels.md``, from what the code reads itself."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rasa_handoff.protocol.channel_capabilities import (  # noqa: E402
    LEAST_OF_OWN,
    MB,
    OWN,
    ROWS,
    ChannelCapabilities,
    Length,
    ShownButtons,
    Takes,
)

PAGE = ROOT / "docs" / "host-channels.md"
COMMAND = ".venv/bin/python tools/channel_table.py"
BEGIN, END = "<!-- channels: made by tools/channel_table.py -->", "<!-- end of channels -->"
NONE = "–"


class Column(NamedTuple):
    """A column of the table. ``test``: the name of the test of each of its cells, in ``tests/rasa/channels``."""

    test: str
    heading: str
    cell: Callable[[ChannelCapabilities], str]


def _length(length: Length | None) -> str:
    return NONE if length is None else f"{length.most:,} {length.unit.value}"


def _shown(takes: Takes, largest: int | None) -> str:
    return takes.value if takes is not Takes.NATIVE or largest is None else f"native to {largest // MB} MB"


def _files(able: ChannelCapabilities) -> str:
    shown = _shown(able.files, able.largest_file)
    named = [kind.rstrip("/").removeprefix("application/") for kind in able.file_types if kind]
    return f"{shown}: {', '.join(named)}" if named and able.files is Takes.NATIVE else shown


def _buttons(able: ChannelCapabilities) -> str:
    if able.buttons is not ShownButtons.NATIVE:
        return able.buttons.value
    limits = [f"{able.most_buttons}" if able.most_buttons else "", _title(able.longest_title)]
    named = ", ".join(one for one in limits if one)
    return f"native, to {named}" if named else "native"


def _title(longest: Length | None) -> str:
    return "" if longest is None else f"{longest.most} characters each"


def _payload(able: ChannelCapabilities) -> str:
    return _length(able.longest_payload) if able.buttons is ShownButtons.NATIVE else "not shown"


COLUMNS = (
    Column("push", "an agent's message arrives", lambda able: able.arrival.value),
    Column("typing", "typing", lambda able: "both ways" if able.typing else NONE),
    Column("images", "pictures", lambda able: _shown(able.images, able.largest_image)),
    Column("files", "files", _files),
    Column("buttons", "buttons", _buttons),
    Column("cards", "cards", lambda able: able.cards.value),
    Column("receipts", "known of it", lambda able: able.receipts.value),
    Column("longest_text", "longest text", lambda able: _length(able.longest_text)),
    Column("longest_payload", "longest payload", _payload),
    Column("formatting", "text is shown", lambda able: able.formatting.value),
)


def _cell(column: Column, able: ChannelCapabilities) -> str:
    """Return a cell; of a channel of one's own, what it depends on."""
    most, least = column.cell(able), column.cell(LEAST_OF_OWN)
    if able is not OWN or most in (NONE, least):
        return most
    return f"as its class can: {most}, else {least}"


def table() -> str:
    """Return the table, a row for each channel."""
    lines = [f"| channel | {' | '.join(one.heading for one in COLUMNS)} |", f"| --- |{' --- |' * len(COLUMNS)}"]
    lines += [f"| {able.name} | {' | '.join(_cell(one, able) for one in COLUMNS)} |" for able in ROWS]
    return "\n".join(lines)


def page(text: str) -> str:
    """Return the page with the table as it is now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    print(f"Written: {PAGE.relative_to(ROOT)}")
