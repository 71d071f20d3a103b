"""Asks "did you mean ...?" in words a customer knows; Rasa's own asks by the intent's name."""

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType
from rasa_sdk.executor import CollectingDispatcher

QUESTIONS = {
    "order_status": "Would you like to know where your order is?",
    "opening_hours": "Would you like to know when we are open?",
    "where_are_you": "Would you like to know where the shop is?",
    "change_address": "Would you like to change your delivery address?",
    "recommend_book": "Would you like me to recommend a book?",
    "provide_handoff_options": "Would you like to talk to a person?",
    "execute_handoff": "Would you like to talk to a person?",
}


class ActionDefaultAskAffirmation(Action):
    """Asks whether the likeliest intent is meant: the first stage of the two-stage fallback."""

    def name(self) -> str:
        return "action_default_ask_affirmation"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        ranking = tracker.latest_message.get("intent_ranking") or []
        meant = next((guess["name"] for guess in ranking if guess["name"] in QUESTIONS), "provide_handoff_options")
        buttons = [{"title": "Yes", "payload": f"/{meant}"}, {"title": "No", "payload": "/out_of_scope"}]
        dispatcher.utter_message(text=QUESTIONS[meant], buttons=buttons)
        return []
