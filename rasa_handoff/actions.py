"""Actions for the project's action server: offer the departments, request a handoff, ask for the customer's contact.

In the project's ``actions.py``: ``from rasa_handoff.actions import *``; in ``config.yml``: ``actions: true`` beside the importer.
Needs ``rasa_sdk`` and the package's protocol, nothing else.
"""

import time
from typing import Any

from rasa_sdk import Action, FormValidationAction, Tracker
from rasa_sdk.events import ActiveLoop, ConversationPaused, EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from rasa_handoff.protocol import names
from rasa_handoff.protocol.markers import MetadataForActions, option_buttons, read_metadata, somebody_there, title_of
from rasa_handoff.protocol.reopening import closed_department, opening_words
from rasa_handoff.protocol.values import Availability

__all__ = [
    "ActionExecuteHandoff",
    "ActionHumanHandoff",
    "ActionProvideHandoffOptions",
    "ValidateHandoffContactForm",
]

Domain = dict[str, Any]


class ActionProvideHandoffOptions(Action):
    """Shows the options: a button for each department that is open and staffed, and one to carry on with the bot.

    If nobody is available, it says so. The departments are in the message's metadata, where HandoffChannel puts them.
    """

    def name(self) -> str:
        """Return ``action_provide_handoff_options``."""
        return names.OPTIONS_ACTION

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        """Send the options; return no events."""
        metadata = _metadata(tracker)
        if metadata and not somebody_there(metadata.availability):
            # The marker tells the channel that this is the answer, so that it doesn't add the options itself.
            closed = _closed_text(metadata.availability, domain)
            said: dict[str, Any] = {"response": names.UTTER_NOBODY} if closed is None else closed
            dispatcher.utter_message(**said, json_message={names.OPTIONS_MARKER: {}})
            return []
        dispatcher.utter_message(response=names.UTTER_OPTIONS, buttons=_buttons(metadata, domain))
        return []


class ActionExecuteHandoff(Action):
    """Requests a handoff, with the department from the message and the contact from the slots of ``handoff_contact_form``.

    HandoffChannel reads the marker, pauses the conversation once the desk has accepted, and notifies the customer. Without
    HandoffChannel the conversation is paused here.
    """

    def name(self) -> str:
        """Return ``action_execute_handoff``."""
        return names.EXECUTE_ACTION

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        """Send the marker; return the events that close the contact form and, without HandoffChannel, pause."""
        dispatcher.utter_message(json_message={names.HANDOFF_MARKER: _request(tracker)})
        paused = [] if _metadata(tracker) else [ConversationPaused()]
        return [*_closed_contact_form(tracker), *paused]


class ActionHumanHandoff(ActionExecuteHandoff):
    """:class:`ActionExecuteHandoff` under the name that Rasa's own bot templates use."""

    def name(self) -> str:
        """Return ``action_human_handoff``."""
        return names.TEMPLATE_ACTION


class ValidateHandoffContactForm(FormValidationAction):
    """Validates the answers to ``handoff_contact_form``; an answer that doesn't fit is asked for again."""

    def name(self) -> str:
        """Return ``validate_handoff_contact_form``."""
        return f"validate_{names.CONTACT_FORM}"

    def validate_handoff_contact_name(
        self, value: Any, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain
    ) -> dict[str, str | None]:
        """Accept a name that contains a letter."""
        name = str(value).strip()
        if _has_letter(name):
            return {names.CONTACT_NAME_SLOT: name}
        dispatcher.utter_message(response="utter_handoff_wrong_name")
        return {names.CONTACT_NAME_SLOT: None}

    def validate_handoff_contact_email(
        self, value: Any, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain
    ) -> dict[str, str | None]:
        """Accept an e-mail address that contains a letter, an @ and a dot."""
        email = str(value).strip()
        if _has_letter(email) and "@" in email and "." in email:
            return {names.CONTACT_EMAIL_SLOT: email}
        dispatcher.utter_message(response="utter_handoff_wrong_email")
        return {names.CONTACT_EMAIL_SLOT: None}


def _metadata(tracker: Tracker) -> MetadataForActions | None:
    """Return what HandoffChannel says about the channel and the desk in the message's metadata; None without HandoffChannel."""
    return read_metadata(tracker.latest_message.get("metadata"))


def _closed_text(there: Availability, domain: Domain) -> dict[str, Any] | None:
    """Return what is said while it is closed; None if opening hours aren't why nobody is there."""
    department = closed_department(there)
    if department is None:
        return None
    if department.closed_text is not None:
        return {"text": department.closed_text}
    words = opening_words(department, time.time())
    if words is None:
        return None
    return {"response": names.UTTER_CLOSED, "opens": words.text(lambda response: title_of(domain, response, ""))}


def _buttons(metadata: MetadataForActions | None, domain: Domain) -> list[dict[str, str]]:
    availability = metadata.availability if metadata else Availability()
    return option_buttons(
        availability,
        anybody=title_of(domain, names.UTTER_ANYBODY, "Talk to a person"),
        carry_on=title_of(domain, names.UTTER_CARRY_ON, "Carry on with the bot"),
    )


def _request(tracker: Tracker) -> dict[str, Any]:
    """Return the marker's body, without unknown values."""
    contact = {
        "name": tracker.slots.get(names.CONTACT_NAME_SLOT),
        "email": tracker.slots.get(names.CONTACT_EMAIL_SLOT),
    }
    request = {
        "department": next(tracker.get_latest_entity_values(names.DEPARTMENT_ENTITY), None),
        "contact": {key: value for key, value in contact.items() if value},
    }
    return {key: value for key, value in request.items() if value}


def _closed_contact_form(tracker: Tracker) -> list[EventType]:
    """Return the events that close an open contact form, so that it doesn't ask again when the customer comes back."""
    if tracker.active_loop_name != names.CONTACT_FORM:
        return []
    return [ActiveLoop(None), SlotSet("requested_slot", None)]


def _has_letter(text: str) -> bool:
    return any(character.isalpha() for character in text)
