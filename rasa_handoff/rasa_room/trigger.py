"""The trigger: a text by which a front end knows that the bot would hand over, and goes to a person by itself.

Such a front end (the Tkinter demo's user window) reads the first entry of an answer on ``rest``, with a reader that knows
no ``true``, ``false`` or ``null``. So the trigger is the whole answer, and the conversation stays the bot's: nobody writes to it
there until the front end comes back. It has no buttons either, so who asks for a person gets the trigger in the options' place.
"""

from rasa.core.channels.channel import CollectingOutputChannel, UserMessage

from rasa_handoff.vocabulary.options import shows_options


def answers_with_options(message: UserMessage, execute: str) -> bool:
    """Whether the answer so far has a button of the options, behind which stands ``execute``. It has none if nobody is there."""
    said = getattr(message.output_channel, "messages", None)
    return isinstance(said, list) and any(shows_options(one, execute) for one in said)


def triggered(message: UserMessage, text: str | None) -> bool:
    """Answer with the trigger instead of what the turn has said; False if there is none, or the answer isn't collected."""
    output = message.output_channel
    if text is None or not isinstance(output, CollectingOutputChannel) or not isinstance(output.messages, list):
        return False
    output.messages[:] = [{"recipient_id": message.sender_id, "text": text}]
    return True
