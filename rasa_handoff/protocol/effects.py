"""Effects of an event on the relay's side: what to deliver to the desk, the customer and the tracker."""

from typing import Any

from rasa_handoff.protocol.message_parts import AnyPart
from rasa_handoff.protocol.outbox_bodies import TrackerBody
from rasa_handoff.protocol.payloads import OfferPayload, ToDeskPayload
from rasa_handoff.protocol.values import Speaker, Value


class TellDesk(Value, frozen=True):
    """Send a payload to the desk. Its ``id`` and ``number`` are added in the transaction."""

    payload: ToDeskPayload


class TellCustomer(Value, frozen=True):
    """Send a message to the customer.

    Exactly one of three is given: the ``text`` of a speaker, a ``response`` of the domain with its ``values``, or a complete
    Rasa ``message``. ``agent``: the agent's name, if it is an agent who speaks. ``parts``: what the ``text``
    or the ``response`` has beside it.
    """

    speaker: Speaker
    id: str | None = None
    text: str | None = None
    response: str | None = None
    values: dict[str, Any] = {}
    message: dict[str, Any] | None = None
    agent: str | None = None
    parts: tuple[AnyPart, ...] = ()


class WriteTracker(Value, frozen=True):
    """Write to the tracker; a :class:`~rasa_handoff.protocol.outbox_bodies.TranscriptBody` reads from it."""

    body: TrackerBody


class WithdrawOffer(Value, frozen=True):
    """Take the offer, and everything else of this handoff that still waits for the desk, out of the outbox."""


class OfferWithoutTranscript(Value, frozen=True):
    """Send the stored offer to the desk without a transcript, which follows later."""


class OfferMessage(Value, frozen=True):
    """Send the stored offer to the desk as a message to be answered later."""


class OfferAgain(Value, frozen=True):
    """Send the offer again to a desk that has lost the handoff; whatever else of the handoff waits in the outbox follows the
    offer."""

    offer: OfferPayload


Effect = TellDesk | TellCustomer | WriteTracker | WithdrawOffer | OfferWithoutTranscript | OfferMessage | OfferAgain


def make_notice(response: str, **values: Any) -> TellCustomer:
    """Return the effect that sends the customer a notice: a response of the domain, with the values that its text names."""
    return TellCustomer(speaker=Speaker.SYSTEM, response=response, values=values)
