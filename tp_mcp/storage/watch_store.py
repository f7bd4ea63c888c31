"""The store port over one SQLite file, which several processes may share."""

import json
import logging
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tp_mcp.errors import StoreCorruptError, WatchError, WatchLimitError
from tp_mcp.storage import deliveries, inbox, leases, tasks
from tp_mcp.storage.durations import record_duration, usual_duration
from tp_mcp.storage.engines.sqlite import Connection
from tp_mcp.storage.idempotency import repeated_call
from tp_mcp.storage.inbox import ends_after
from tp_mcp.storage.outbox import SqliteOutbox, queue
from tp_mcp.storage.watch_rows import Row, entry_to_row, row_to_watch, watch_to_row
from tp_mcp.watch.delivery.delivery_log import Delivery
from tp_mcp.watch.delivery.inbox import LeastShown
from tp_mcp.watch.delivery.outbox import EventsOfEnd, no_events
from tp_mcp.watch.delivery.tasks import TaskEnd, WatchTask
from tp_mcp.watch.model.lease import Lease
from tp_mcp.watch.model.usual_duration import Usual
from tp_mcp.watch.model.watch import InboxEntry, Owner, Watch, WatchState

logger = logging.getLogger(__name__)

FILE_NAME = "watches.sqlite3"
MAX_UNENDED_WATCHES = 20_000
MAX_UNSEEN_ENDS = 10_000


_ABOUT = "AND (job = ? OR testbed = ? OR instr(chain, ?))"


class SqliteStore:
    """Keeps watches and inbox entries. Made by `SqliteStore.open`."""

    def __init__(self, connection: Connection, events_of_end: EventsOfEnd = no_events) -> None:
        self._connection = connection
        self._events_of_end = events_of_end
        self.outbox = SqliteOutbox(connection)

    @property
    def connection(self) -> Connection:
        """Return the connection, for what else is kept in the same file."""
        return self._connection

    @classmethod
    async def open(cls, directory: Path, *, events_of_end: EventsOfEnd = no_events) -> "SqliteStore":
        """Open the store of a state directory, making it where there is none.

        Args:
            directory: the state directory.
            events_of_end: what is to be sent of an end; written in its transaction. It must not raise.

        Raises:
            StoreError: it cannot be used; says why and the way out.

        """
        connection = Connection(directory / FILE_NAME)
        await connection.open()
        return cls(connection, events_of_end)

    async def add(self, watch: Watch, entry: InboxEntry | None = None) -> Watch | None:
        """Write a new watch, unless the same call was made already, and the entry of its end where it has ended.

        It is all one transaction. A watch that follows another takes its place in it too, so that it begins once; there
        is always room for it, because its chain was let in as a whole.

        Returns:
            None when it was written; else the watch that the same call made, and nothing was written.

        Raises:
            WatchError: it follows another, and has begun already.
            WatchLimitError: the principal has too many watches or unseen ends already. An unseen end is never dropped
                to make room.

        """

        def write(db: sqlite3.Connection) -> Watch | None:
            same = repeated_call(db, watch.owner, server=watch.server, call_key=watch.call_key, now=watch.created_at)
            if same is not None:
                return same
            if watch.chain is not None and watch.chain.parent is not None:
                _take_step(db, watch.chain.parent, watch.id)
            else:
                _check_room(db, watch.owner.principal)
            row = watch_to_row(watch)
            db.execute(_insert("watches", row), row)
            if entry is not None:
                self._write_end(db, watch, entry)
            return None

        return await self._connection.write(write)

    async def save(self, watch: Watch, entry: InboxEntry | None = None, *, epoch: int | None = None) -> Watch | None:
        """Write a watch, and the entry of its end, in one transaction.

        Returns:
            The watch with its new revision; None where somebody else wrote it meanwhile, or the lease of that epoch is
            no more, and nothing was written.

        """

        def write(db: sqlite3.Connection) -> Watch | None:
            if epoch is not None and not leases.stands(db, epoch):
                return None
            saved = _update(db, watch)
            if saved is not None and entry is not None:
                self._write_end(db, saved, entry)
                record_duration(db, saved)
            return saved

        return await self._connection.write(write)

    async def save_all(self, watches: Sequence[Watch]) -> tuple[Watch | None, ...]:
        """Write several watches in one transaction; each as `save` would."""
        return await self._connection.write(lambda db: tuple(_update(db, watch) for watch in watches))

    async def get(self, watch_id: str) -> Watch | None:
        """Return one watch."""

        def read(db: sqlite3.Connection) -> Watch | None:
            row = db.execute("SELECT * FROM watches WHERE id = ?", (watch_id,)).fetchone()
            return None if row is None else row_to_watch(row)

        return await self._connection.run(read)

    async def repeated(self, owner: Owner, *, server: str, call_key: str, now: float) -> Watch | None:
        """Return the newest watch that the same call made and that still answers it."""
        return await self._connection.run(
            lambda db: repeated_call(db, owner, server=server, call_key=call_key, now=now),
        )

    async def usual(self, server: str, groups: Sequence[str]) -> Usual | None:
        """Return how long jobs of the first group take that has enough ends on this TP."""
        return await self._connection.run(lambda db: usual_duration(db, server, groups))

    async def get_many(self, watch_ids: Sequence[str]) -> tuple[Watch, ...]:
        """Return those of several watches that there are."""
        sql = "SELECT * FROM watches WHERE id IN (SELECT value FROM json_each(?))"
        values = (json.dumps(watch_ids),)
        return await self._connection.run(lambda db: tuple(row_to_watch(row) for row in db.execute(sql, values)))

    async def pending(self, server: str) -> tuple[Watch, ...]:
        """Return the ended watches of one TP whose next step has not begun, in the order of their ends.

        One that cannot be read is left out, so that it does not keep the others from being followed.
        """
        sql = "SELECT * FROM watches WHERE server = ? AND pending_step IS NOT NULL ORDER BY ended_at, id"
        return _readable(await self._connection.run(lambda db: db.execute(sql, (server,)).fetchall()))

    async def unended_revisions(self, server: str) -> Mapping[str, int]:
        """Return the watches of one TP that have not ended, each id with its revision."""
        sql = "SELECT id, revision FROM watches WHERE server = ? AND ended_at IS NULL"
        return await self._connection.run(lambda db: {row[0]: row[1] for row in db.execute(sql, (server,))})

    async def ends_after(self, cursor: int | None) -> tuple[int, tuple[str, ...]]:
        """Return the ids of watches whose ends were written after a cursor, and the cursor of now."""
        return await self._connection.run(lambda db: ends_after(db, cursor))

    async def version(self) -> int:
        """Return a number that differs from the one before if another process wrote in between."""

        def read(db: sqlite3.Connection) -> int:
            version: int = db.execute("PRAGMA data_version").fetchone()[0]
            return version

        return await self._connection.run(read)

    async def beat(
        self, process: str, server: str, wanted: Collection[str], *, at: float, lifetime: float
    ) -> tuple[Lease, ...]:
        """Write a process's heartbeat, take and drop leases; return every lease of that TP's targets afterwards."""
        return await self._connection.write(
            lambda db: leases.beat(db, process, server, wanted, at=at, lifetime=lifetime)
        )

    async def leases(self, server: str) -> tuple[Lease, ...]:
        """Return every lease of one TP's targets."""
        return await self._connection.run(lambda db: leases.all_of(db, server))

    async def release(self, process: str) -> None:
        """Drop a process's heartbeat and all its leases."""
        await self._connection.write(lambda db: leases.release(db, process))

    async def unended(self, server: str | None) -> tuple[Watch, ...]:
        """Return the watches of one TP, or of all, that have not ended, oldest first.

        One that cannot be read is left out, so that it does not keep the others from being watched.
        """
        sql = "SELECT * FROM watches WHERE (? IS NULL OR server = ?) AND ended_at IS NULL ORDER BY created_at, id"
        rows = await self._connection.run(lambda db: db.execute(sql, (server, server)).fetchall())
        return _readable(rows)

    async def jobs_started(self, server: str, *, since: float, but_for: str) -> frozenset[str]:
        """Return the jobs that TP accepted for other watches than `but_for` since a time."""
        sql = (
            "SELECT DISTINCT job FROM watches WHERE server = ? AND started_at >= ? AND id <> ? "
            # Whoever only watches what somebody else started has no answer to a start.
            "AND json_extract(record, '$.answer') IS NOT NULL"
        )
        values = (server, since, but_for)
        return await self._connection.run(lambda db: frozenset(row["job"] for row in db.execute(sql, values)))

    async def of_owner(
        self,
        principal: str,
        *,
        conversation: str | None,
        states: Sequence[WatchState],
        limit: int,
        about: str | None = None,
    ) -> tuple[Watch, ...]:
        """Return a principal's watches, newest first; of one conversation, or of all when it is None.

        With `about` only those whose job it is, which are on that testbed, or whose chain has a step of that id.
        """
        marks = ", ".join("?" * len(states))
        sql = (
            "SELECT * FROM watches WHERE principal = ? AND (? IS NULL OR conversation = ?) "  # noqa: S608 -- marks only
            f"AND state IN ({marks}) {_ABOUT if about is not None else ''} ORDER BY created_at DESC, id LIMIT ?"
        )
        asked = () if about is None else (about, about, json.dumps(about))
        values = (principal, conversation, conversation, *(state.value for state in states), *asked, limit)
        return await self._connection.run(lambda db: tuple(row_to_watch(row) for row in db.execute(sql, values)))

    async def unseen(self, owner: Owner) -> tuple[InboxEntry, ...]:
        """Return the entries that this conversation has not seen, oldest first."""
        return await self._connection.run(lambda db: inbox.unseen(db, owner))

    async def unseen_of(
        self, owner: Owner, *, watch_ids: Collection[str], job: str | None = None
    ) -> tuple[InboxEntry, ...]:
        """Return those of the entries that this conversation has not seen which are of these watches or of that job."""
        return await self._connection.run(lambda db: inbox.unseen_of(db, owner, watch_ids=watch_ids, job=job))

    async def least_shown(self, owner: Owner, *, but_for: Collection[str], limit: int) -> LeastShown:
        """Return the first of the entries that this conversation has not seen: the least shown, of those the newest."""
        return await self._connection.run(
            lambda db: inbox.least_shown(db, owner, but_for=but_for, limit=limit),
        )

    async def count_showings(self, watch_ids: Sequence[str]) -> None:
        """Count one more sure showing of each entry."""
        sql = "UPDATE inbox SET showings = showings + 1 WHERE watch_id = ?"
        await self._connection.write(lambda db: db.executemany(sql, [(watch_id,) for watch_id in watch_ids]))

    async def mark_seen(self, watch_ids: Sequence[str], at: float) -> None:
        """Let entries count as seen."""
        sql = "UPDATE inbox SET seen_at = ? WHERE watch_id = ? AND seen_at IS NULL"
        await self._connection.write(lambda db: db.executemany(sql, [(at, watch_id) for watch_id in watch_ids]))

    async def purge(self, *, ended_before: float, unseen_before: float) -> int:
        """Drop ended watches whose end was seen, and ends that nobody came for; return how many watches."""

        def write(db: sqlite3.Connection) -> int:
            sql = "DELETE FROM inbox WHERE (seen_at IS NOT NULL AND created_at < ?) OR created_at < ?"
            db.execute(sql, (ended_before, unseen_before))
            dropped = db.execute(
                "DELETE FROM watches WHERE ended_at < ? AND pending_step IS NULL "
                "AND id NOT IN (SELECT watch_id FROM inbox)",
                (ended_before,),
            ).rowcount
            deliveries.drop_orphans(db)
            return dropped

        return await self._connection.write(write)

    async def conversations(self, principal: str) -> tuple[Owner, ...]:
        """Return the conversations of a principal that have a watch, the newest first."""
        return await self._connection.run(lambda db: inbox.of_principal(db, principal))

    async def entries(self, watch_ids: Sequence[str]) -> tuple[InboxEntry, ...]:
        """Return the ends of some watches, seen or not."""
        return await self._connection.run(lambda db: inbox.entries(db, watch_ids))

    async def hand_over(self, watch_id: str, to: Owner) -> Watch | None:
        """Move a watch of `to`'s principal to that conversation, and its unseen end; return it as it stands then."""
        return await self._connection.write(lambda db: inbox.hand_over(db, watch_id, to))

    async def leave(self, prefix: str, *, but_for: Collection[str], to_key: str) -> int:
        """Move the watches of conversations whose keys begin with `prefix` to a shared key; return how many."""
        return await self._connection.write(lambda db: inbox.leave(db, prefix, but_for=but_for, to_key=to_key))

    async def record_delivery(self, delivery: Delivery) -> None:
        """Count one try to tell of an end besides the inbox."""
        await self._connection.write(lambda db: deliveries.record(db, delivery))

    async def deliveries(self, watch_ids: Sequence[str]) -> tuple[Delivery, ...]:
        """Return what was recorded for some watches, in the order in which their channels were first used."""
        return await self._connection.run(lambda db: deliveries.of_watches(db, watch_ids))

    async def add_task(self, task: WatchTask) -> bool:
        """Write a new task, and drop those that expired; False where its principal has too many already."""
        return await self._connection.write(lambda db: tasks.add(db, task))

    async def task(self, task_id: str) -> WatchTask | None:
        """Return a task."""
        return await self._connection.run(lambda db: tasks.find(db, task_id))

    async def end_task(self, task_id: str, end: TaskEnd) -> WatchTask | None:
        """End a task unless it has ended; return it as it stands then."""
        return await self._connection.write(lambda db: tasks.end(db, task_id, end))

    async def amend(self, watch_id: str, brief: str) -> Watch | None:
        """Add a brief to an ended watch and to its entry; return the watch, None where there is none."""
        return await self._connection.write(lambda db: inbox.add_brief(db, watch_id, brief))

    async def ended_since(self, server: str, *, since: float, limit: int) -> tuple[Watch, ...]:
        """Return the newest watches of one TP that ended since a time; one that cannot be read is left out."""
        rows = await self._connection.run(lambda db: inbox.ended_since(db, server, since=since, limit=limit))
        return _readable(rows)

    async def close(self) -> None:
        """Close the store; it cannot be used afterwards."""
        await self._connection.close()

    def _write_end(self, db: sqlite3.Connection, watch: Watch, entry: InboxEntry) -> None:
        row = entry_to_row(entry)
        db.execute(_insert("inbox", row), row)
        queue(db, self._events_of_end(watch, entry))


def _insert(table: str, row: dict[str, object]) -> str:
    # Table and column names are ours; every value is a parameter.
    columns, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    return f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608


def _update(db: sqlite3.Connection, watch: Watch) -> Watch | None:
    saved = replace(watch, revision=watch.revision + 1)
    sql = _UPDATE_ENDED if watch.state.ended else _UPDATE_GOING_ON
    return saved if db.execute(sql, watch_to_row(saved)).rowcount == 1 else None


def _update_sql(*columns: str) -> str:
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    return f"UPDATE watches SET {changes} WHERE id = :id AND revision = :revision - 1"  # noqa: S608 -- names are ours


# What never changes is not written again: each index over a column that is named is, whether its value moved or not.
_GOING_ON = ("job", "title", "spec", "state", "advisory", "outcome", "reason", "record", "polls", "started_at", "chain")
_UPDATE_GOING_ON = _update_sql(*_GOING_ON, "revision")
_UPDATE_ENDED = _update_sql(*_GOING_ON, "ended_at", "pending_step", "revision")


def _readable(rows: Sequence[Row]) -> tuple[Watch, ...]:
    watches: list[Watch] = []
    for row in rows:
        try:
            watches.append(row_to_watch(row))
        except StoreCorruptError as error:
            logger.warning("A watch is left out: %s", error)
    return tuple(watches)


def _take_step(db: sqlite3.Connection, parent: str, watch_id: str) -> None:
    sql = "UPDATE watches SET pending_step = NULL, revision = revision + 1 WHERE id = ? AND pending_step = ?"
    if db.execute(sql, (parent, watch_id)).rowcount != 1:
        raise WatchError(f"The step {watch_id} after {parent} has begun already.")


def _check_room(db: sqlite3.Connection, principal: str) -> None:
    unended = db.execute(
        "SELECT count(*) FROM watches WHERE principal = ? AND ended_at IS NULL", (principal,)
    ).fetchone()[0]
    if unended >= MAX_UNENDED_WATCHES:
        raise WatchLimitError(
            f"There are {unended} watches under way already, and {MAX_UNENDED_WATCHES} is the limit.",
            remedy="Wait for some to end, or cancel_watch those that are not needed.",
        )
    unseen = db.execute("SELECT count(*) FROM inbox WHERE principal = ? AND seen_at IS NULL", (principal,)).fetchone()
    if unseen[0] >= MAX_UNSEEN_ENDS:
        raise WatchLimitError(
            f"There are {unseen[0]} finished watches that nobody has looked at, and {MAX_UNSEEN_ENDS} is the limit.",
            remedy="list_watches shows them; naming them in a call lets them count as seen.",
        )
