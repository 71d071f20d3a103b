"""Writes the capability matrix into ``docs/adapters/README.md``, from what each adapter says of itself in its own file."""

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rasa_handoff.desks.botlhale import BotlhaleDesk  # noqa: E402
from rasa_handoff.desks.ours import OurDesk  # noqa: E402
from rasa_handoff.desks.tkinter import TkinterDesk  # noqa: E402
from rasa_handoff.platforms.kommunicate.channel import KommunicateChannel  # noqa: E402
from rasa_handoff.platforms.liveperson.channel import LivePersonChannel  # noqa: E402
from rasa_handoff.protocol.features import GROUPS, Feature, Features  # noqa: E402
from rasa_handoff.server import capabilities  # noqa: E402

PAGE = ROOT / "docs" / "adapters" / "README.md"
BEGIN, END = "<!-- matrix: made by tools/matrix.py -->", "<!-- end of matrix -->"

SYSTEMS: Mapping[str, Features] = {
    "our desk": OurDesk.features,
    "Botlhale's server": BotlhaleDesk.features,
    "Botlhale's front ends": capabilities.BOTLHALE,
    "Kommunicate": KommunicateChannel.features,
    "LivePerson": LivePersonChannel.features,
    "Tkinter admin window": TkinterDesk.features,
    "Tkinter user window": capabilities.TKINTER,
}


def matrix() -> str:
    """Return the table, a row per feature and a column per system."""
    names = list(SYSTEMS)
    lines = [f"| | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    headings = {first: heading for heading, first in GROUPS.items()}
    for feature in Feature:
        if feature in headings:
            lines.append(f"| **{headings[feature]}** |{' |' * len(names)}")
        cells = [SYSTEMS[name].get(feature, "–") for name in names]
        lines.append(f"| {feature.value} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """Return the page with the matrix as it is now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{matrix()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    print(f"Written: {PAGE.relative_to(ROOT)}")
