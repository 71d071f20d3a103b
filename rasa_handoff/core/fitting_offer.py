"""Make an offer fit into one packet to the desk, whatever the project put into slots, notes and contacts.

A server ends the connection over which too long a packet comes, and all conversations go over the same one.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from rasa_handoff.protocol.limits import LONGEST_FIELD, LONGEST_MESSAGE, LONGEST_SLOTS
from rasa_handoff.protocol.text import as_json
from rasa_handoff.protocol.values import Offer

SLOT_LEFT_OUT: Final = "[left out: too long to be shown]"
"""Stands for a slot's value at the desk."""


def fitting(offer: Offer) -> Offer:
    """Return the offer with long texts cut and long slots left out. The transcript is cut where it is made."""
    contact = offer.contact
    return replace(
        offer,
        department=_cut(offer.department, LONGEST_FIELD),
        agent=_cut(offer.agent, LONGEST_FIELD),
        reason=_cut(offer.reason, LONGEST_FIELD),
        language=_cut(offer.language, LONGEST_FIELD),
        note=_cut(offer.note, LONGEST_MESSAGE),
        contact=replace(
            contact,
            name=_cut(contact.name, LONGEST_FIELD),
            email=_cut(contact.email, LONGEST_FIELD),
            phone=_cut(contact.phone, LONGEST_FIELD),
        ),
        bot=replace(offer.bot, slots=_fitting_slots(offer.bot.slots)),
    )


def _cut(text: str | None, longest: int) -> str | None:
    return text if text is None or len(text) <= longest else f"{text[: longest - 1]}…"


def _fitting_slots(slots: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    left = LONGEST_SLOTS
    for name, value in slots.items():
        size = len(as_json(value).encode())
        shown[name] = value if size <= left else SLOT_LEFT_OUT
        left -= size if size <= left else 0
    return shown
