"""Human handoff for Rasa.

The channels, ``HandoffImporter``, and the base classes ``Desk`` and ``PlatformChannel`` can be named by ``rasa_handoff.<class>``.
They are imported on first use: an action server imports this package without Rasa, Socket.IO or a database driver.
"""

from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "HandoffChannel": "rasa_handoff.channel.handoff_channel",
    "KommunicateChannel": "rasa_handoff.platforms.kommunicate.channel",
    "LivePersonChannel": "rasa_handoff.platforms.liveperson.channel",
    "Desk": "rasa_handoff.desks.base",
    "PlatformChannel": "rasa_handoff.platforms.base",
    "HandoffImporter": "rasa_handoff.presets.importer",
}
__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'rasa_handoff' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
