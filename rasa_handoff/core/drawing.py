"""State diagram of control for the documentation; print it with ``python -m rasa_handoff.core.drawing``."""

import re

from rasa_handoff.core.control import TABLE, Control


def drawing() -> str:
    """Return the table as a Mermaid state diagram: one arrow for each pair of states, labelled with its events."""
    arrows: dict[tuple[Control, Control], list[str]] = {}
    for (state, event), (following, _) in TABLE.items():
        label = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", event.__name__).lower()
        arrows.setdefault((state, following), []).append(label)
    lines = [f"  {start.value} --> {end.value}: {', '.join(events)}" for (start, end), events in arrows.items()]
    return "\n".join(["stateDiagram-v2", f"  [*] --> {Control.BOT.value}", *lines])


if __name__ == "__main__":
    print(drawing())
