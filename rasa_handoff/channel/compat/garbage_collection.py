"""Keeps Python's garbage collector from looking through the loaded model again and again.

Rasa and its model are over a million objects that stay. A full collection looks at each of them and takes a tenth of a second to
half a second, in which no message is handled. Live chats allocate enough to cause one every few seconds: full collections would
take a fifth of the processor time of a live message, and cause the longest waits. Frozen objects are skipped (``gc.freeze``, in
CPython since 3.7).
"""

import gc
import weakref

from rasa.core.processor import MessageProcessor


def freeze() -> None:
    """Collect what is garbage now, and exempt what is left from later collections."""
    gc.collect()
    gc.freeze()


def unfreeze() -> None:
    """Let the garbage collector look at everything again."""
    gc.unfreeze()


class FrozenModel:
    """Remembers which model's objects are frozen."""

    def __init__(self) -> None:
        self._processor: weakref.ref[MessageProcessor] | None = None

    def freeze(self, processor: MessageProcessor) -> None:
        """Freeze the loaded model's objects; unfreeze those of the model that it replaced, so that they can be collected."""
        if self._processor is not None:
            if self._processor() is processor:
                return
            unfreeze()
        self._processor = weakref.ref(processor)
        freeze()
