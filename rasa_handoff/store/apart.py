"""Many of a kind, each by itself: one row that can't be read, or one conversation that fails, never stops the others."""

import contextlib
import logging
from collections.abc import Iterator

from rasa_handoff.store.engine import TROUBLES
from rasa_handoff.vocabulary.errors import StoreError, Unreachable


@contextlib.contextmanager
def apart(log: logging.Logger, message: str, *about: object) -> Iterator[None]:
    """One of many: if it fails, ``message`` is logged with the traceback, and the loop around it goes on.

    Raises:
        StoreError, Unreachable: the database or the other side can't be used now, which holds for all of them.
    """
    try:
        yield
    except (StoreError, Unreachable, *TROUBLES):
        raise
    except Exception:
        log.exception(message, *about)
