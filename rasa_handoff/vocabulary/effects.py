"""What is to be told because of an event: to the desk, to the customer, to the tracker."""

from typing import Any

from rasa_handoff.vocabulary.values import Speaker, Value


class TellDesk(Value, frozen=True):
    """An event of the protocol for the desk. ``id`` and ``number`` are added at the commit."""

    name: str
    body: dict[str, Any]


class TellCustomer(Value, frozen=True):
    """Words for the customer: ``text`` said by somebody, or a ``response`` of the domain with its ``values``, or a ready
    ``message`` of Rasa's. Exactly one of the three is given.
    """

    speaker: Speaker
    id: str | None = None
    text: str | None = None
    response: str | None = None
    values: dict[str, Any] = {}
    message: dict[str, Any] | None = None


class Record(Value, frozen=True):
    """Something for the tracker: ``pause``, ``customer``, ``agent``, ``notice``, ``unpause``, ``back``; and
    ``transcript``, which is read from it rather than written."""

    kind: str
    body: dict[str, Any] = {}


class WithdrawOffer(Value, frozen=True):
    """What the desk hasn't been told yet needn't be told any more."""


class OfferStored(Value, frozen=True):
    """The offer goes to the desk as it is written down, without a transcript: that follows."""


class OfferAgain(Value, frozen=True):
    """The desk has forgotten the handoff: ``body`` is its offer once more; what else waits of it is told after that."""

    body: dict[str, Any]


Effect = TellDesk | TellCustomer | Record | WithdrawOffer | OfferStored | OfferAgain
