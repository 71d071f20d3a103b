"""What a database is asked: both by SQLAlchemy and by statements that the driver runs itself."""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from rasa_handoff.store.statements import Statement, Values


@contextlib.contextmanager
def statements_on(connection: Connection) -> Iterator[list[str]]:
    """Note the text of every statement on this connection, in order."""
    found: list[str] = []
    run = Statement._run

    def note(self: Statement, on: Connection, values: Values) -> Any:
        compiled, cursor = run(self, on, values)
        found.append(compiled.text)
        return compiled, cursor

    def note_sqlalchemys(_: Any, cursor: Any, statement: str, *others: Any) -> None:
        found.append(statement)

    event.listen(connection, "before_cursor_execute", note_sqlalchemys)
    try:
        with mock.patch.object(Statement, "_run", note):
            yield found
    finally:
        event.remove(connection, "before_cursor_execute", note_sqlalchemys)


@contextlib.contextmanager
def cost_on(engine: Engine) -> Iterator[dict[str, int]]:
    """Count SQLAlchemy's statements on an engine, and the rows that they change."""
    cost = {"statements": 0, "rows": 0}

    def count(*arguments: Any) -> None:
        cost["statements"] += 1
        cost["rows"] += max(arguments[1].rowcount, 0)

    event.listen(engine, "after_cursor_execute", count)
    try:
        yield cost
    finally:
        event.remove(engine, "after_cursor_execute", count)
