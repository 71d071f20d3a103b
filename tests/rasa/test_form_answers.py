"""What a form takes in the turn of a payload of ours, by Rasa's own slot mappings."""

import pytest
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActiveLoop, UserUttered
from rasa.shared.core.slot_mappings import SlotMapping
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.channel.compat import forms

OWN = ("execute_handoff", "handoff_carry_on")
DOMAIN = Domain.from_dict({"intents": ["greet"], "forms": {"order_form": {"required_slots": []}}})


@pytest.fixture(autouse=True)
def _patched() -> object:
    forms.PATCHES.apply()
    yield
    forms.PATCHES.restore()


def taken(
    text: str, intent: str | None, form: str | None = "order_form", mapping: dict[str, str] | None = None
) -> bool:
    """Return whether an open form takes this text for its answer."""
    tracker = DialogueStateTracker("thabo", [])
    tracker.update_with_events([ActiveLoop(form), UserUttered(text, {"name": intent})], DOMAIN)
    with forms.payload_turn(text, OWN):
        return SlotMapping.intent_is_desired(mapping or {"type": "from_text"}, tracker, DOMAIN)


@pytest.mark.parametrize(
    "text", ["/handoff_carry_on", "/execute_handoff", ' /execute_handoff{"department": "billing"}']
)
@pytest.mark.parametrize("known", [True, False], ids=["in the domain", "without the preset"])
def test_a_payload_of_ours_is_no_answer(text: str, known: bool) -> None:
    assert not taken(text, text.strip(" /").partition("{")[0] if known else None)


def test_everything_else_is_as_rasa_has_it() -> None:
    assert taken("I want a human", "execute_handoff"), "a sentence is left to the form's own list"
    assert taken("/greet", "greet")
    assert taken("/execute_handoffs", None)
    assert taken("/handoff_carry_on", "handoff_carry_on", form=None), "no form is open"
    by_intent = {"type": "from_intent", "intent": "handoff_carry_on"}
    assert taken("/handoff_carry_on", "handoff_carry_on", mapping=by_intent)
