"""Migration of an older database to the schema of this version, step by step.

Each side lists its steps by the schema they lead to, in ``STEPS`` (``server/storage/tables.py``, ``relay/repository.py``). A
step is a function that takes Alembic's operations, which change tables on SQLite and on Postgres alike. All steps of a start
share one transaction with the new schema's number, so a process that is killed in between leaves the old schema intact. To change
a table: change its definition, raise ``SCHEMA`` beside it, and add the step.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy.engine import Connection

if TYPE_CHECKING:
    from alembic.operations import Operations

MigrationStep: TypeAlias = "Callable[[Operations], None]"
Steps: TypeAlias = Mapping[int, MigrationStep]


def migrate(connection: Connection, steps: Steps, found: int, wanted: int) -> None:
    """Run the steps from schema ``found`` to ``wanted``, inside the connection's transaction."""
    # Imported only when there is something to migrate: it registers plugins and logs that at each start.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    operations = Operations(MigrationContext.configure(connection))
    for schema in range(found + 1, wanted + 1):
        if schema in steps:
            steps[schema](operations)
