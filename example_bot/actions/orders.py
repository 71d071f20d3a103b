"""Answers to "where is my order?", from the shop's order book."""

import re
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

ORDERS = {
    "1001": "is packed and leaves the shop tomorrow morning",
    "1002": "is on its way and should be with you on Thursday",
    "1003": "was delivered last Friday and signed for by a neighbour",
}


class ActionOrderStatus(Action):
    """Looks the order up, or asks for its number."""

    def name(self) -> str:
        return "action_order_status"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        found = re.search(r"\b\d{4}\b", tracker.latest_message.get("text") or "")
        number = found[0] if found else None
        dispatcher.utter_message(text=answer(number))
        return [SlotSet("order_number", number)] if number else []


def answer(number: str | None) -> str:
    if number is None:
        return "I'll gladly look. What is your order number? It has four digits, 1002 for example."
    if number not in ORDERS:
        return f"I can't find an order {number}. If the number is right, ask for a person, and they will look into it."
    return f"Order {number} {ORDERS[number]}."
