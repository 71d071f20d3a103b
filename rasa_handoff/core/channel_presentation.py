"""What the desk is told of a customer's channel: what it makes of an agent's message (``Presentation`` in protocol/values.py).

It says what ``channel_messages.py`` will do.
"""

from rasa_handoff.protocol.channel_capabilities import ChannelCapabilities, Takes, Unit
from rasa_handoff.protocol.values import Presentation


def presentation_of(able: ChannelCapabilities, reached: bool) -> Presentation:
    """Return what the desk is told.

    ``able``: what the channel can do; one of the project's own, as its output tells. ``reached``: whether the files that this
    side keeps have an address for the channel's customers.
    """
    longest = able.longest_text
    return Presentation(
        name=able.name,
        images=_shown(able, able.images, reached),
        files=_shown(able, able.files, reached),
        cards=able.cards.name.lower(),
        buttons=able.buttons.name.lower(),
        longest_text=None if longest is None else longest.most,
        in_bytes=longest is not None and longest.unit is Unit.BYTES,
        most_buttons=able.most_buttons,
        longest_title=None if able.longest_title is None else able.longest_title.most,
        most_staying=able.most_staying,
        longest_above=able.longest_above,
        largest_image=able.largest_image,
        largest_file=able.largest_file,
        file_types=able.file_types,
        paragraphs=able.paragraphs,
        costly=able.costly,
    )


def _shown(able: ChannelCapabilities, takes: Takes, reached: bool) -> str:
    is_shown = reached and able.images is not Takes.WORDS
    return takes.name.lower() if is_shown else Takes.WORDS.name.lower()
