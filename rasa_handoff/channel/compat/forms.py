"""Rasa's forms: a button of this package never counts as an answer to a form.

Rasa fills slots from whatever isn't ignored, so a form without the intent in its ``ignored_intents`` would take
``/handoff_carry_on`` for a street. In a turn begun by a payload of this package, the form treats the payload's intent as ignored:
it rejects the turn, the rules answer, and the form asks its open question again. A sentence that the NLU takes for a request is
left to the form, since it may be an answer.

Seen with ``rasa.shared.core.slot_mappings`` of 3.6.21; ``tests/rasa/handoff/test_forms.py`` fails when it has changed.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final

from rasa.shared.core.domain import Domain
from rasa.shared.core.slot_mappings import SlotMapping
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.compat.patches import Patches

PAYLOAD: Final = re.compile(r"/([^{@\s]+)")
_ignored: ContextVar[str | None] = ContextVar("handoff_ignored_intent", default=None)


@contextmanager
def payload_turn(text: str | None, own_intents: tuple[str, ...]) -> Iterator[None]:
    """Within the block, which encloses a message's turn, have forms ignore the intent of the message's payload.

    ``text``: the message's; unless it is a payload of this package's, nothing is ignored. ``own_intents``: the intents of this
    package's buttons, whether or not the domain has them, since Rasa reads a payload with an unknown intent as a sentence.
    """
    written = PAYLOAD.match((text or "").strip())
    token = _ignored.set(written[1] if written and written[1] in own_intents else None)
    try:
        yield
    finally:
        _ignored.reset(token)


def _without_ignored(original: Any) -> Any:
    @wraps(original.__func__)
    def intent_is_desired(mapping: Mapping[str, Any], tracker: DialogueStateTracker, domain: Domain) -> bool:
        ignored = _ignored.get()
        if (
            ignored is not None
            and tracker.active_loop_name
            and ignored not in SlotMapping.to_list(mapping.get("intent"))
        ):
            return False
        return bool(original.__func__(mapping, tracker, domain))

    return staticmethod(intent_is_desired)


PATCHES: Final = Patches(SlotMapping, {"intent_is_desired": _without_ignored})
"""Make forms respect :func:`payload_turn`."""
