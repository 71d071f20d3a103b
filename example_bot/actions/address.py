"""Checks of the form that changes a delivery address."""

import re
from typing import Any

from rasa_sdk import Action, FormValidationAction, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

PARTS = ("street", "city", "postcode")


class ActionSaveDeliveryAddress(Action):
    """Keeps the whole address and empties its parts, so that the next change asks for everything anew."""

    def name(self) -> str:
        return "action_save_delivery_address"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        address = ", ".join(tracker.get_slot(part) for part in PARTS)
        dispatcher.utter_message(text=f"Thank you. From now on we deliver to {address}.")
        return [SlotSet("delivery_address", address), *(SlotSet(part, None) for part in PARTS)]


class ActionForgetDeliveryAddress(Action):
    """Empties the parts of the address when the change was called off."""

    def name(self) -> str:
        return "action_forget_delivery_address"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        return [SlotSet(part, None) for part in PARTS]


class ValidateDeliveryAddressForm(FormValidationAction):
    """Asks again for a part of the address that can't be right, and says what is missing."""

    def name(self) -> str:
        return "validate_delivery_address_form"

    def validate_street(
        self, value: Any, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, str | None]:
        fits = any(character.isalpha() for character in value) and any(character.isdigit() for character in value)
        return checked(
            dispatcher, "street", value, fits, "A street and a house number, please: 7 Baobab Road, for example."
        )

    def validate_city(
        self, value: Any, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, str | None]:
        fits = any(character.isalpha() for character in value)
        return checked(dispatcher, "city", value, fits, "That doesn't look like a town or city.")

    def validate_postcode(
        self, value: Any, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, str | None]:
        fits = re.fullmatch(r"\d{4}", value.strip()) is not None
        return checked(dispatcher, "postcode", value, fits, "A postcode has four digits, 6280 for example.")


def checked(
    dispatcher: CollectingDispatcher, slot: str, value: str, fits: bool, otherwise: str
) -> dict[str, str | None]:
    if fits:
        return {slot: value.strip()}
    dispatcher.utter_message(text=otherwise)
    return {slot: None}
