"""The desk classes by ``desk.type``: those of this package by name, any other by its import path."""

from difflib import get_close_matches
from importlib import import_module
from typing import Final

from rasa_handoff.desks.base import Desk
from rasa_handoff.desks.botlhale import BotlhaleDesk
from rasa_handoff.desks.ours import OurDesk
from rasa_handoff.desks.tkinter import TkinterDesk
from rasa_handoff.protocol.errors import SettingsError

DESKS: Final[dict[str, type[Desk]]] = {"rasa-handoff": OurDesk, "botlhale": BotlhaleDesk, "tkinter": TkinterDesk}


def desk_class(type_name: str) -> type[Desk]:
    """Return the class for a ``desk.type``.

    Raises:
        SettingsError: there is none; the message is one sentence.
    """
    if type_name in DESKS:
        return DESKS[type_name]
    module, _, name = type_name.rpartition(".")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError as problem:
        raise SettingsError(f"desk.type '{type_name}' can't be imported: {problem}.") from problem
    if found is None:
        near = get_close_matches(name, vars(import_module(module)), n=1)
        hint = f" Did you mean '{module}.{near[0]}'?" if near else ""
        raise SettingsError(f"desk.type '{type_name}': {module} has no '{name}'.{hint}")
    if not (isinstance(found, type) and issubclass(found, Desk)):
        raise SettingsError(f"desk.type '{type_name}' is no desk: write the path of a subclass of rasa_handoff.Desk.")
    return found
