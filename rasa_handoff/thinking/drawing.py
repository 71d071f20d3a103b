"""The state table of control drawn for the documentation: ``python -m rasa_handoff.thinking.drawing``."""

import re

from rasa_handoff.thinking.control import TABLE, Control


def drawing() -> str:
    """The table as a Mermaid state diagram: one arrow for each pair of states, labelled with the events between them."""
    arrows: dict[tuple[Control, Control], list[str]] = {}
    for (state, event), (following, _) in TABLE.items():
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", event.__name__).lower()
        arrows.setdefault((state, following), []).append(words)
    lines = [f"  {start.value} --> {end.value}: {', '.join(events)}" for (start, end), events in arrows.items()]
    return "\n".join(["stateDiagram-v2", f"  [*] --> {Control.BOT.value}", *lines])


if __name__ == "__main__":
    print(drawing())
