"""Statements that are built once and run by the database's driver itself.

SQLAlchemy takes about 20 microseconds to run a statement that it has built before, SQLite about one (measured). A message of a
live chat needs some forty statements on its way, so those are :class:`Statement`. They are written with SQLAlchemy, which makes
the text for each database and says how values are read; everything else uses SQLAlchemy directly.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

PROGRESS: Final = "rasa_handoff_progress"
"""Key in ``Connection.info`` of a function that is called before and after each statement: it notes that the connection still
answers."""

Values = Mapping[str, Any]
ValueReader = Callable[[Any], Any]


class Statement:
    """A query, an insertion, an update or a deletion with bound parameters.

    Every method gets the values by name, the same names each time. An insertion or update also writes the columns that values
    are named after. What is raised is what SQLAlchemy would raise: a ``DBAPIError``, whose ``connection_invalidated`` is true if
    the connection is lost.
    """

    def __init__(self, query: Any) -> None:
        self._query = query
        self._compiled: dict[str, _Compiled] = {}

    def first(self, connection: Connection, values: Values) -> Any:
        """Return the first row, with the columns as attributes; None if there is none."""
        compiled, cursor = self._run(connection, values)
        row = cursor.fetchone()
        found = None if row is None else compiled.read([row], cursor, connection)[0]
        cursor.close()
        return found

    def all(self, connection: Connection, values: Values) -> list[Any]:
        """Return all rows, with the columns as attributes."""
        compiled, cursor = self._run(connection, values)
        found = compiled.read(cursor.fetchall(), cursor, connection)
        cursor.close()
        return found

    def scalar(self, connection: Connection, values: Values) -> Any:
        """Return the first column of the first row; None if there is none."""
        row = self.first(connection, values)
        return None if row is None else row[0]

    def change(self, connection: Connection, values: Values) -> int:
        """Run an insertion, update or deletion, and return how many rows it has changed."""
        _, cursor = self._run(connection, values)
        count = int(cursor.rowcount)
        cursor.close()
        return count

    def insert(self, connection: Connection, values: Values) -> int:
        """Insert a row, and return the key that the database gave it."""
        compiled, cursor = self._run(connection, values)
        key = cursor.fetchone()[0] if compiled.returns_key else cursor.lastrowid
        cursor.close()
        return int(key)

    def _run(self, connection: Connection, values: Values) -> "tuple[_Compiled, Any]":
        compiled = self._compiled.get(connection.dialect.name)
        if compiled is None:
            compiled = self._compiled[connection.dialect.name] = _Compiled(self._query, values, connection)
        progress = connection.info.get(PROGRESS)
        if progress is not None:
            progress()
        parameters = compiled.parameters(values)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(compiled.text, parameters)
        except connection.dialect.dbapi.Error as problem:
            raise _wrapped(connection, cursor, compiled.text, parameters, problem) from problem
        if progress is not None:
            progress()
        return compiled, cursor


class _Compiled:
    """A statement in the words of one database."""

    def __init__(self, query: Any, values: Values, connection: Connection) -> None:
        written = [name for name in values if name in query.table.c] if query.is_insert or query.is_update else None
        compiled = query.compile(dialect=connection.dialect, column_keys=written)
        self.text = str(compiled)
        self._positional = compiled.positional
        self._names = list(compiled.positiontup if compiled.positional else compiled.params)
        fixed = {name: value for name, value in compiled.params.items() if not compiled.binds[name].required}
        self._fixed = fixed  # what the query itself has, such as the 1 in `count + 1`
        read = list(
            getattr(query, "exported_columns", ())
        )  # what is selected, or returned by an insertion, update or deletion
        self.returns_key = query.is_insert and "RETURNING" in self.text
        self._types = [column.type for column in read]
        self._row: Any = namedtuple("Row", [column.key for column in read]) if read else tuple
        self._readers: list[tuple[int, ValueReader]] | None = None

    def parameters(self, values: Values) -> Any:
        """Return the parameters in the order or by the names that the driver expects.

        Raises:
            KeyError: a value is missing.
        """
        fixed = self._fixed
        if self._positional:
            return [values[name] if name in values else fixed[name] for name in self._names]
        return {name: values[name] if name in values else fixed[name] for name in self._names}

    def read(self, rows: Sequence[Sequence[Any]], cursor: Any, connection: Connection) -> list[Any]:
        """Return the driver's rows with their columns as attributes and their values in Python's types."""
        if self._readers is None:
            self._readers = list(_readers(self._types, cursor, connection))
        if not self._readers:
            return [self._row(*row) for row in rows]
        return [self._converted(row, self._readers) for row in rows]

    def _converted(self, row: Sequence[Any], readers: Sequence[tuple[int, ValueReader]]) -> Any:
        values = list(row)
        for index, reader in readers:
            values[index] = reader(values[index])
        return self._row(*values)


def _readers(types: Sequence[Any], cursor: Any, connection: Connection) -> Iterator[tuple[int, ValueReader]]:
    """Yield the indexes of the columns whose values the driver returns as another type, with what converts each."""
    for index, kind in enumerate(types):
        drivers_type = cursor.description[index][1]
        reader = kind.dialect_impl(connection.dialect).result_processor(connection.dialect, drivers_type)
        if reader is not None:
            yield index, reader


def _wrapped(connection: Connection, cursor: Any, text: str, parameters: Any, problem: Exception) -> Exception:
    """Return a driver's error as SQLAlchemy's own; a lost connection is marked so, as SQLAlchemy does."""
    dialect = connection.dialect
    is_lost = dialect.is_disconnect(problem, connection.connection, cursor)
    wrapped: Exception = DBAPIError.instance(
        text, parameters, problem, dialect.dbapi.Error, connection_invalidated=is_lost, dialect=dialect
    )
    if is_lost:
        connection.invalidate(wrapped)
    return wrapped
