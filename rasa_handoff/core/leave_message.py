"""Left messages: the rules of control from the wish to leave a message to the return to the bot.

- A message is left from the queue (``MESSAGE``), or while nobody is there (``OFFLINE_MESSAGE``). In the second case the desk
  hears of it only once it is written, and keeps it without queueing it.
- What the customer has written is sent at once, so that it can't be lost by what they do, or don't do, afterwards.
- Then they are asked where they can be reached (``CONTACT``), unless that is known. If they answer with no address and
  no number, they are asked once more, and that answer is taken as it is. Each answer is passed on as a message too: it may be
  something else entirely.

``control.py`` has the table that names the rules.
"""

import re
from typing import Final

from msgspec.structs import replace

from rasa_handoff.core import handoff_start
from rasa_handoff.core.conversation import Control, ControlStep, Conversation
from rasa_handoff.protocol import events, names
from rasa_handoff.protocol.effects import Effect, OfferMessage, TellCustomer, TellDesk, WriteTracker, make_notice
from rasa_handoff.protocol.outbox_bodies import PauseBody
from rasa_handoff.protocol.payloads import MessageLeftPayload
from rasa_handoff.protocol.values import Contact

LONGEST_CONTACT: Final = 200
"""Characters of a contact that are kept in its field; all of it is in the message."""
EMAIL: Final = re.compile(r"[^\s@<>()\[\]:;,]{1,64}@[^\s@<>()\[\]:;,]{1,180}\.[^\s@<>()\[\]:;,.\d]{2,}")
PHONE: Final = re.compile(r"\+?\d(?:[ \t().\-/]*\d){5,19}")


def contact_in(text: str) -> Contact | None:
    """Return the e-mail address and the telephone number in a text; None if it has neither.

    >>> contact_in("thabo@example.org, or +27 82 555 0100")
    Contact(name=None, email='thabo@example.org', phone='+27 82 555 0100')
    >>> contact_in("order 1234")
    """
    email = EMAIL.search(text)
    phone = PHONE.search(EMAIL.sub(" ", text))
    if email is None and phone is None:
        return None
    return Contact(email=email[0] if email else None, phone=phone[0] if phone else None)


def _as_it_is(text: str) -> Contact:
    kept = " ".join(text.split())[:LONGEST_CONTACT]
    return Contact(email=kept) if "@" in kept else Contact(phone=kept)


def ask_to_write(conversation: Conversation) -> TellCustomer:
    """Return the notice that asks for the message."""
    return make_notice(names.UTTER_WRITE_MESSAGE, word=conversation.leaving_word)


def _ask_for_contact(conversation: Conversation) -> TellCustomer:
    response = names.UTTER_ASK_CONTACT_AGAIN if conversation.asked_contact_again else names.UTTER_ASK_CONTACT
    return make_notice(response, word=conversation.leaving_word)


def wants_to_write(conversation: Conversation, event: events.CustomerWantsToWrite) -> ControlStep:
    return conversation, (ask_to_write(conversation),)


def begun(conversation: Conversation, event: events.MessageBegun) -> ControlStep:
    after, _ = handoff_start.requested(conversation, event)
    pause = WriteTracker(body=PauseBody(handoff_id=after.handoff_id, filled_slot=event.filled_slot))
    return after, (pause, ask_to_write(after))


def asked_again(conversation: Conversation, event: events.CustomerAskedAgain) -> ControlStep:
    asks = _ask_for_contact if conversation.state is Control.CONTACT else ask_to_write
    return conversation, (asks(conversation),)


def given_up(conversation: Conversation, event: events.Event) -> ControlStep:
    speak = isinstance(event, events.CustomerLeaving)
    back = conversation.give_back("customer_left", speak=speak)
    return replace(conversation, ended="customer_left"), (make_notice(names.UTTER_NO_MESSAGE), back)


def written(conversation: Conversation, event: events.CustomerSaid) -> ControlStep:
    left = TellDesk(payload=MessageLeftPayload(handoff_id=str(conversation.handoff_id)))
    effects = (*conversation.pass_on(event), left)
    after = replace(conversation, agent=None, position=None, ended="message_left", asked_contact_again=False)
    if conversation.has_contact:
        return replace(after, state=Control.RETURNING), (*effects, *_thanks(after))
    return after, (*effects, _ask_for_contact(after))


def written_offline(conversation: Conversation, event: events.CustomerSaid) -> ControlStep:
    after, effects = written(conversation, event)
    return after, (OfferMessage(), *effects)


def contact_answered(conversation: Conversation, event: events.CustomerSaid) -> ControlStep:
    contact, said = contact_in(event.text), conversation.pass_on(event)
    if contact is None and not conversation.asked_contact_again:
        after = replace(conversation, asked_contact_again=True)
        return after, (*said, _ask_for_contact(after))
    given = MessageLeftPayload(handoff_id=str(conversation.handoff_id), contact=contact or _as_it_is(event.text))
    after = replace(conversation, state=Control.RETURNING)
    return after, (*said, TellDesk(payload=given), *_thanks(after))


def without_contact(conversation: Conversation, event: events.Event) -> ControlStep:
    return conversation, _thanks(conversation, speak=isinstance(event, events.CustomerLeaving))


def _thanks(conversation: Conversation, speak: bool = True) -> tuple[Effect, ...]:
    return make_notice(names.UTTER_MESSAGE_LEFT), conversation.give_back("message_left", speak=speak)
