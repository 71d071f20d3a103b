"""Socket.IO packets of our own connections, which have no binary parts: the live-agent server's, and the relay's to it.

python-socketio looks through all that it sends for binary parts, and makes an encoder for each packet. Here nothing is looked
for, and msgspec writes and reads the JSON; what it refuses goes the library's usual way.
"""

import json
from typing import Any

import msgspec
from socketio.packet import Packet


class QuickJson:
    """A module like ``json``, as python-socketio takes one."""

    JSONDecodeError = json.JSONDecodeError

    @staticmethod
    def dumps(value: Any, **options: Any) -> str:
        """Return the value as JSON.

        Raises:
            TypeError: neither msgspec nor json can write it.
        """
        try:
            return msgspec.json.encode(value).decode()
        except (TypeError, ValueError, OverflowError):  # half a character, for example
            return json.dumps(value, **options)

    @staticmethod
    def loads(text: str, **options: Any) -> Any:
        """Return the value of a JSON text.

        Raises:
            ValueError: it is none.
        """
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return json.loads(text, **options)


class TextPacket(Packet):
    """A packet without binary parts; for the option ``serializer``."""

    uses_binary_events = False
    json = QuickJson
