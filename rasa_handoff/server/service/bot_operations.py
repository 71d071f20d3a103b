"""The operations of the customer's side: relays, clients of Botlhale's protocol, and the Tkinter demo's window."""

from collections.abc import Sequence

from msgspec.structs import replace

from rasa_handoff.core.assignment import Stage
from rasa_handoff.core.assignment_events import CustomerEnded, MessageLeft
from rasa_handoff.core.transcript import latest
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.payloads import (
    MessageLeftPayload,
    OpenHandoffPayload,
    QueuedAnswer,
    RatingPayload,
    TranscriptPayload,
)
from rasa_handoff.protocol.values import Contact, Department, Offer
from rasa_handoff.server.service import availability, queues, reconciliation
from rasa_handoff.server.service.deliveries import DeliveryService, Mark, mark_message
from rasa_handoff.server.service.publications import CustomerTyping
from rasa_handoff.server.service.unit_of_work import UnitOfWork, must_find_of_bot
from rasa_handoff.server.storage import handoff_events, handoffs, whereabouts
from rasa_handoff.server.storage.handoffs import RELAY, Record


class BotService(DeliveryService):
    """The operations of the customer's side."""

    async def initiate(
        self, offer: Offer, id: str | None = None, resumed: bool = False, left: bool = False
    ) -> QueuedAnswer:
        """Queue an offered handoff; a repeated offer gets the same answer.

        ``resumed``: the handoff was here before, and this database has lost it. ``left``: it is a message to be answered later.
        """

        def work(unit: UnitOfWork) -> QueuedAnswer:
            record = handoffs.find(unit.connection, offer.handoff_id)
            if record is None:
                handoff_events.check_not_deleted(unit.connection, offer.handoff_id)
                begin = _keep_message if left else _resume if resumed else _begin
                record = begin(unit, offer)
            elif not record.is_of(RELAY, offer.bot_id):
                raise Refused("refused", f"The handoff id '{offer.handoff_id}' is another bot's.")
            handoffs.note_received(unit.connection, offer.handoff_id, id)
            wait = availability.expected_wait(unit.connection, record.assignment.department)
            is_queued = record.assignment.stage is Stage.QUEUED
            place = handoffs.place_of(unit.connection, record) if is_queued else 1
            elsewhere = _elsewhere(unit, record)
            return QueuedAnswer(ok=True, status="queued", position=place, wait=wait, elsewhere=elsewhere)

        return await self.do(work)

    async def transcript_followed(self, bot_id: str, late: TranscriptPayload) -> None:
        """Complete an offer that came without its transcript; a repetition changes nothing."""

        def work(unit: UnitOfWork) -> None:
            record = must_find_of_bot(unit, RELAY, bot_id, late.handoff_id)
            if record.offer.transcript_follows:
                _complete(unit, record, late)
            handoffs.note_received(unit.connection, late.handoff_id, late.id)

        await self.do(work)

    async def find(self, bot_id: str, conversation_id: str) -> Record | None:
        """Return the handoff of a conversation that is queued or assigned; None if there is none."""

        def work(unit: UnitOfWork) -> Record | None:
            record = handoffs.newest_of(unit.connection, RELAY, bot_id, conversation_id)
            under_way = record is not None and record.assignment.stage in (Stage.QUEUED, Stage.ASSIGNED)
            return record if under_way else None

        return await self.do(work)

    async def catch_up(self, bot_id: str, open_handoffs: Sequence[OpenHandoffPayload]) -> reconciliation.CaughtUp:
        """Reconcile a relay's open handoffs with ours: see :mod:`~rasa_handoff.server.service.reconciliation`."""
        return await self.do(lambda unit: reconciliation.catch_up(unit, RELAY, bot_id, open_handoffs))

    async def message_left(self, bot_id: str, left: MessageLeftPayload) -> None:
        """Keep the handoff as a message to be answered later, with the contact. An unknown handoff is ignored."""

        def work(unit: UnitOfWork) -> None:
            record = handoffs.find(unit.connection, left.handoff_id)
            if record is not None and record.is_of(RELAY, bot_id):
                _add_contact(unit, unit.apply(record, MessageLeft(at=unit.now)), left.contact)
                handoffs.note_received(unit.connection, left.handoff_id, left.id)

        await self.do(work)

    async def customer_ended(
        self, side: str, bot_id: str, handoff_id: str, event: CustomerEnded, id: str | None = None
    ) -> None:
        """End the handoff for the customer's side. An unknown handoff is ignored."""

        def work(unit: UnitOfWork) -> None:
            record = handoffs.find(unit.connection, handoff_id)
            if record is not None and record.is_of(side, bot_id):
                unit.apply(record, event)
                handoffs.note_received(unit.connection, handoff_id, id)

        await self.do(work)

    async def message_status(self, bot_id: str, mark: Mark, id: str | None = None) -> None:
        """Note what a relay reports about an agent's message."""

        def work(unit: UnitOfWork) -> None:
            record = must_find_of_bot(unit, RELAY, bot_id, mark.handoff_id)
            mark_message(unit, record, mark)
            handoffs.note_received(unit.connection, mark.handoff_id, id)

        await self.do(work)

    async def customer_rated(self, bot_id: str, rating: RatingPayload) -> None:
        """Keep what the customer thinks of the handoff, for reports and its agent; each rating once.

        One of a handoff that is unknown, or was deleted, is ignored.
        """

        def work(unit: UnitOfWork) -> None:
            record = handoffs.find(unit.connection, rating.handoff_id)
            if record is None or not record.is_of(RELAY, bot_id):
                return
            if rating.id is None or handoffs.find_message(unit.connection, rating.handoff_id, rating.id) is None:
                handoff_events.add_rating(unit.connection, rating.handoff_id, record.assignment, rating)
                unit.notice_for_desk(record, _rating_in_words(rating), rating.id)
            handoffs.note_received(unit.connection, rating.handoff_id, rating.id)

        await self.do(work)

    async def customer_presence(self, bot_id: str, handoff_id: str, here: bool) -> None:
        """Note whether the customer's page is open. An unknown handoff is ignored."""

        def work(unit: UnitOfWork) -> None:
            record = handoffs.find(unit.connection, handoff_id)
            if record is not None and record.is_of(RELAY, bot_id):
                unit.note_presence(record, here)

        await self.do(work)

    async def customer_elsewhere(self, handoff_id: str) -> str | None:
        """Return another server to which a customer is connected who comes without a relay; None if none is known."""
        if not self.shares:
            return None
        process = await self.do(lambda unit: whereabouts.with_customer(unit.connection, handoff_id))
        return None if process == self._store.process else process

    async def customer_typing(self, bot_id: str, handoff_id: str, on: bool) -> None:
        """Publish the customer's typing to the agents who see the conversation. It is never stored."""

        def work(unit: UnitOfWork) -> None:
            record = must_find_of_bot(unit, RELAY, bot_id, handoff_id)
            unit.publications.append(CustomerTyping(viewers=unit.readers(record), handoff_id=handoff_id, on=on))

        await self.do(work)


def _rating_in_words(rating: RatingPayload) -> str:
    given = f"The customer gave {rating.score} of 5"
    return f"{given}: {rating.comment}" if rating.comment else f"{given}."


def _begin(unit: UnitOfWork, offer: Offer) -> Record:
    department = availability.destination(unit.connection, offer, unit.now)
    return queues.arrive(unit, offer, RELAY, None if department is None else department.name)


def _resume(unit: UnitOfWork, offer: Offer) -> Record:
    """Queue a lost handoff whether somebody is available or not; for every agent, if its department was lost too."""
    return queues.arrive(unit, offer, RELAY, _known_department(unit, offer), ahead=True)


def _keep_message(unit: UnitOfWork, offer: Offer) -> Record:
    """Keep an offer as a message to be answered later, for the agents of its department."""
    record = queues.arrive(unit, offer, RELAY, _known_department(unit, offer), announced=False)
    return unit.apply(record, MessageLeft(at=unit.now))


def _known_department(unit: UnitOfWork, offer: Offer) -> str | None:
    """Return the name of the offer's department, or of its default one if the desk doesn't know it; None if it knows neither."""
    known = (
        availability.find(unit.connection, said, unit.now) for said in (offer.department, offer.default_department)
    )
    return next((department.name for department in known if department is not None), None)


def _elsewhere(unit: UnitOfWork, record: Record) -> Department | None:
    """Return the department that has the handoff, if that isn't the one that was asked for."""
    offer, name = record.offer, record.assignment.department
    asked = availability.find(unit.connection, offer.department, unit.now)
    if name is None or offer.department is None or (asked is not None and asked.name == name):
        return None
    return availability.find(unit.connection, name, unit.now)


def _add_contact(unit: UnitOfWork, record: Record, given: Contact) -> None:
    """Save what the customer has said about where to reach them, and publish the conversation with it."""
    known = record.offer.contact
    contact = Contact(name=given.name or known.name, email=given.email or known.email, phone=given.phone or known.phone)
    if contact != known:
        whole = replace(record, offer=replace(record.offer, contact=contact))
        handoffs.save_offer(unit.connection, whole)
        unit.show_whole(whole)


def _complete(unit: UnitOfWork, record: Record, late: TranscriptPayload) -> None:
    """Add what followed the offer.

    If the offer was repeated meanwhile, its transcript has live messages; they come after what followed.
    """
    offer = replace(
        record.offer,
        transcript=latest((*late.transcript, *record.offer.transcript)),
        bot=late.bot,
        contact=late.contact,
        language=late.language,
        transcript_follows=False,
    )
    whole = replace(record, offer=offer)
    handoffs.save_offer(unit.connection, whole)
    unit.show_whole(whole)
