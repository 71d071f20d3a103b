"""The leases of lanes: which of the processes that share a database delivers a lane of the outbox.

A lane is leased to one process (``membership.py``): its entries name it (``holder``). An entry is written already leased, to the
process that has its lane, or else to the one that writes it. A lane that rests is leased to nobody. What a process changes in a
lane of another one is noted in the change log.
"""

from typing import Any, Final

from sqlalchemy import Table, bindparam, func, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.text import as_json
from rasa_handoff.protocol.values import Value
from rasa_handoff.store.change_log import ChangeLog
from rasa_handoff.store.statements import Statement
from rasa_handoff.store.writer import PROCESS

LANE: Final = "lane"
"""The topic of a change that says that a process has a lane, or another entry in its lane."""
REMOVED: Final = "removed"
"""The topic of a change that says that an entry was removed from a lane that another process has."""
FLUSH: Final = "flush"
"""The topic of a change that asks the process that has a lane not to wait for more entries."""
ENDED: Final = "ended"
"""The topic of a change that says that leases have ended with their process: any number of lanes rest now."""
LANE_TOPICS: Final = (LANE, REMOVED, FLUSH, ENDED)


class LaneChange(Value, frozen=True, kw_only=True):
    """The body of a change in a lane. ``holder``: the process that has it. ``key``: the entry that was removed."""

    target: str
    holder: str = ""
    key: int = 0


class LaneLeases:
    """The leases on the entries of one side's outbox.

    On a database with one owner there are none: everything is this process's.
    """

    def __init__(self, table: Table, change_log: ChangeLog) -> None:
        self._table, self._change_log = table, change_log
        self._insert = _insertion(table)
        resting, others = table.c.holder == "", table.alias()
        # A name of a column would stand for its new value here.
        in_this = (table.c.target == bindparam("of_target"), table.c.lane == bindparam("of_lane"))
        of_others = (
            others.c.target == bindparam("of_target"),
            others.c.lane == bindparam("of_lane"),
            others.c.holder != "",
            others.c.holder != bindparam("process"),
        )
        self._of_others = Statement(select(others.c.key).where(*of_others).limit(1))
        first = select(others.c.holder).where(*of_others[:3]).order_by(others.c.key).limit(1).scalar_subquery()
        is_first = func.coalesce(first, bindparam("process")) == bindparam("process")
        self._claim = Statement(update(table).where(*in_this, resting, is_first).values(holder=bindparam("process")))
        mine = table.c.holder == bindparam("giver")
        self._pass_on = Statement(update(table).where(*in_this, mine).values(holder=bindparam("process")))
        free = (table.c.holder == bindparam("giver")) | resting
        self._give = Statement(update(table).where(*in_this, free).values(holder=bindparam("process")))

    def insert(self, connection: Connection, row: dict[str, Any], process: str) -> Any:
        """Insert an entry, leased to the process of its lane, or else to ``process``.

        Return its key, the process that has it (``holder``), and the key of the entry before it (``previous``).
        """
        here = {"of_target": row["target"], "of_lane": row["lane"], "process": process}
        return self._insert.first(connection, {**row, **here})

    def claim(self, connection: Connection, target: str, lane: str) -> bool:
        """Lease what rests in a lane to this process, unless another one has its first entries.

        Return whether no other has any of it now.
        """
        process = connection.info.get(PROCESS)
        if process is None:
            return True
        self.take_resting(connection, target, lane, process)
        here = {"of_target": target, "of_lane": lane, "process": process}
        return self._of_others.first(connection, here) is None

    def take_resting(self, connection: Connection, target: str, lane: str, process: str) -> None:
        """Lease what rests in a lane to this process, unless another one has its first entries."""
        self._claim.change(connection, {"of_target": target, "of_lane": lane, "process": process})

    def pass_on(self, connection: Connection, target: str, lane: str, process: str) -> None:
        """Give what this process has in a lane to the one that has what comes before."""
        here = {"of_target": target, "of_lane": lane, "giver": connection.info.get(PROCESS), "process": process}
        if self._pass_on.change(connection, here):
            self.tell(connection, LANE, lane, LaneChange(target=target, holder=process))

    def give(self, connection: Connection, target: str, lane: str, process: str) -> None:
        """Give a lane to another process, unless a third one has it; empty: end this process's lease, so that the lane rests."""
        mine = connection.info.get(PROCESS)
        here = {"of_target": target, "of_lane": lane}
        self._give.change(connection, {**here, "giver": mine, "process": process})
        if process:
            self.tell(connection, LANE, lane, LaneChange(target=target, holder=process))

    def release_of_ended(self, connection: Connection, processes: Table) -> bool:
        """End the leases of processes that have no row any more: what they had rests. Return whether there were any."""
        table = self._table
        lost = (table.c.holder != "", table.c.holder.notin_(select(processes.c.id)))
        if not connection.execute(update(table).where(*lost).values(holder="")).rowcount:
            return False
        self.tell(connection, ENDED, "", LaneChange(target=""))
        return True

    def ask_to_flush(self, connection: Connection, target: str, lane: str) -> bool:
        """Ask the process that has a lane not to wait for more entries; return False if it is empty, rests, or is this one's."""
        query = select(self._table.c.holder).where(self._table.c.target == target, self._table.c.lane == lane).limit(1)
        holder = connection.execute(query).scalar_one_or_none()
        if holder in (None, "", connection.info.get(PROCESS)):
            return False
        self.tell(connection, FLUSH, lane, LaneChange(target=target, holder=str(holder)))
        return True

    def tell(self, connection: Connection, topic: str, lane: str, change: LaneChange) -> None:
        """Tell the other processes what this one has changed in a lane."""
        self._change_log.note(connection, topic, lane, as_json(change))


def _insertion(table: Table) -> Statement:
    """Return the insertion of an entry that is leased to the process of its lane, or else to the one that writes it.

    It returns the key, the process, and the key of the entry before it.
    """
    others = table.alias()
    in_lane = (others.c.target == bindparam("of_target"), others.c.lane == bindparam("of_lane"))
    holder = select(others.c.holder).where(*in_lane, others.c.holder != "").order_by(others.c.key.desc()).limit(1)
    holder_or_self = func.coalesce(holder.scalar_subquery(), bindparam("process"))
    before = select(others.c.key).where(*in_lane).order_by(others.c.key.desc()).limit(1)
    returned = (table.c.key, table.c.holder, before.scalar_subquery().label("previous"))
    return Statement(insert(table).values(holder=holder_or_self).returning(*returned))
