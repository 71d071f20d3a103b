"""What a client of Botlhale's protocol reads that no person at the desk said."""

from typing import Any, Final

from rasa_handoff.thinking.assignment import Assignment, Stage
from rasa_handoff.vocabulary.errors import Refused, Unreachable
from rasa_handoff.vocabulary.limits import LONGEST_MESSAGE

NOT_OPEN: Final = (
    "This desk takes clients from other machines, through a proxy, or from pages of other sites only with auth.token "
    "(rasa-handoff token add)."
)
OVER: Final = "This conversation has ended, so your message wasn't read."
TOO_LONG: Final = f"Your message is too long: at most {LONGEST_MESSAGE:,} characters can be read. Please shorten it."
TOO_MANY: Final = "Too many conversations were begun from your network. Please try again in a few minutes."
TRY_AGAIN: Final = "Your message couldn't be taken just now. Please send it again in a moment."
NOT_TAKEN: Final = "Your message couldn't be taken, so nobody has read it."
WORDS: Final = {
    "unanswered": "Nobody has been free to answer yet. Your messages are kept, and you are still in the queue.",
    "customer_silent": "Are you still there? The conversation ends by itself if you don't answer.",
    "failed": "This conversation has ended because nothing was said for a while.",
}
"""What a client reads of a status, since this server is the only one to say it."""
ENDINGS: Final = ("completed", "failed")

FAILED: Final = {
    "ok": False,
    "code": "failed",
    "error": "That couldn't be taken just now. Please try again in a moment.",
}
"""The acknowledgement when the server is stopping, or something unforeseen happened."""
UNKNOWN: Final = {"ok": False, "code": "invalid", "error": "This protocol has no such event."}


def apology(problem: Exception) -> str:
    """What the customer reads when their words weren't taken; the reason itself is for the acknowledgement and the log."""
    if isinstance(problem, Unreachable) or not isinstance(problem, Refused):
        return TRY_AGAIN
    return {"ended": OVER, "too_long": TOO_LONG, "busy": TOO_MANY}.get(problem.code, NOT_TAKEN)


def whom_by_status(say: dict[str, Any]) -> dict[str, Any] | None:
    """Whom the customer has after this status; None if it says nothing of that."""
    if say["status"] == "accepted":
        return _whom("person", say["agent"]["name"])
    if say["status"] == "transferred":
        return _whom("waiting")
    return _whom("bot") if say["status"] in ENDINGS else None


def whom(state: Assignment, named: bool = True) -> dict[str, Any]:
    """Whom the customer has while it goes on; the body of ``handoff_state``, as on HandoffChannel's socketio. Not ``named``:
    without the agent's name."""
    if state.stage is not Stage.ASSIGNED or state.agent is None:
        return _whom("waiting")
    return _whom("person", state.agent.name if named else None)


def _whom(active: str, agent: str | None = None) -> dict[str, Any]:
    return {"active": active, "agent": agent}
