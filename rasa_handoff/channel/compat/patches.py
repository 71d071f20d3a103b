"""Methods of a host's class, replaced for as long as somebody needs that, and restored afterwards."""

from collections.abc import Callable, Mapping
from inspect import getattr_static
from typing import Any

MakeReplacement = Callable[[Any], Any]
"""Makes the replacement of a method. It gets the original as it is in the class: for a static method, the ``staticmethod``."""


class Patches:
    """The replacements in one class. ``make``: how each is made, by the method's name."""

    def __init__(self, host: type, make: Mapping[str, MakeReplacement]) -> None:
        self.host, self.make = host, make
        self._before: dict[str, Any] = {}
        """The class's own attributes before, by name; None for a method that it inherited."""
        ALL.append(self)

    def apply(self) -> None:
        """Replace the methods. A second call changes nothing.

        Raises:
            AttributeError: the class has no such method.
        """
        if self._before:
            return
        replacements = {name: make(getattr_static(self.host, name)) for name, make in self.make.items()}
        for name, replacement in replacements.items():
            self._before[name] = vars(self.host).get(name)
            setattr(self.host, name, replacement)

    def restore(self) -> None:
        """Restore the methods. A second call changes nothing."""
        while self._before:
            name, original = self._before.popitem()
            if original is None:
                delattr(self.host, name)
            else:
                setattr(self.host, name, original)


ALL: list[Patches] = []
"""All patches of Rasa's and Sanic's classes, whether in force or not."""


def instead(replacement: Any) -> MakeReplacement:
    """Return what replaces a method by ``replacement``, which doesn't call the original."""
    return lambda _: replacement
