"""Watches as rows, each end written in one transaction with its inbox entry and its events.

`Store` in `tp_mcp.watch.store` documents the methods.
"""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tp_mcp.errors import StoreCorruptError, WatchError, WatchLimitError
from tp_mcp.storage.delivery import DeliveryTable, queue_events
from tp_mcp.storage.inbox import InboxTable
from tp_mcp.storage.table import Database, Db, Row, Table, insert_sql
from tp_mcp.storage.watch_rows import entry_to_row, row_to_watch, watch_to_row
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.outbox import EventsOfEnd, no_events
from tp_mcp.watch.model.idempotency import REPEAT_SECONDS
from tp_mcp.watch.model.lease import Lease, claim
from tp_mcp.watch.model.usual_duration import Usual, usual_of
from tp_mcp.watch.model.watch import InboxEntry, Owner, Watch, WatchState

logger = logging.getLogger(__name__)

FORGOTTEN_AFTER_SECONDS = 3600.0
"""How old the last heartbeat of a process is when its row is dropped."""

_LEASES = (
    "SELECT target, epoch, owner, beat_at FROM targets LEFT JOIN processes ON processes.id = targets.owner "
    "WHERE server = ?"
)


class LeaseTable(Table):
    """Keeps which process polls which target."""

    async def beat(
        self, process: str, server: str, wanted: Collection[str], *, at: float, lifetime: float
    ) -> tuple[Lease, ...]:
        def write(db: Db) -> tuple[Lease, ...]:
            _write_heartbeat(db, process, at)
            before = _leases(db, server)
            change = claim(before, wanted, process=process, at=at, lifetime=lifetime)
            if not change.take and not change.drop:
                return before
            db.executemany(
                "DELETE FROM targets WHERE server = ? AND target = ?",
                [(server, target) for target in (*change.take, *change.drop)],
            )
            db.executemany(
                "INSERT INTO targets (server, target, owner) VALUES (?, ?, ?)",
                [(server, target, process) for target in change.take],
            )
            return _leases(db, server)

        return await self._database.write(write)

    async def leases(self, server: str) -> tuple[Lease, ...]:
        return await self._database.run(lambda db: _leases(db, server))

    async def release(self, process: str) -> None:
        def write(db: Db) -> None:
            db.execute("DELETE FROM targets WHERE owner = ?", (process,))
            db.execute("DELETE FROM processes WHERE id = ?", (process,))

        await self._database.write(write)


def has_lease(db: Db, epoch: int) -> bool:
    """Return whether the lease of an epoch is still there."""
    return db.execute("SELECT 1 FROM targets WHERE epoch = ?", (epoch,)).fetchone() is not None


def _leases(db: Db, server: str) -> tuple[Lease, ...]:
    return tuple(Lease(*row) for row in db.execute(_LEASES, (server,)))


def _write_heartbeat(db: Db, process: str, at: float) -> None:
    db.execute(
        "INSERT INTO processes (id, beat_at) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at",
        (process, at),
    )
    if db.execute("DELETE FROM processes WHERE beat_at < ?", (at - FORGOTTEN_AFTER_SECONDS,)).rowcount:
        db.execute("DELETE FROM targets WHERE owner NOT IN (SELECT id FROM processes)")


MAX_UNENDED_WATCHES = 20_000
"""Most watches of one principal that have not ended."""

MAX_UNSEEN_ENDS = 10_000
"""Most ends of one principal that nobody has seen."""

MAX_DURATIONS_OF_GROUP = 50
"""Most durations of one group of jobs, the newest: testbeds and tests change, and so do their usual durations."""

MAX_DURATIONS = 20_000
"""Most durations of all groups together, the newest."""

_ABOUT = "AND (job = ? OR testbed = ? OR instr(chain, ?))"


class WatchStore(InboxTable, LeaseTable, DeliveryTable):
    """Keeps watches, and everything whose writes belong to theirs."""

    def __init__(self, database: Database, events_of_end: EventsOfEnd = no_events) -> None:
        """Prepare.

        Args:
            database: the open database.
            events_of_end: returns the events to send of an end; they are written in its transaction. It must not raise.
        """
        super().__init__(database)
        self._events_of_end = events_of_end

    async def add(self, watch: Watch, entry: InboxEntry | None = None) -> Watch | None:
        def write(db: Db) -> Watch | None:
            same = _repeated(db, watch.owner, server=watch.server, key=watch.idempotency_key, now=watch.created_at)
            if same is not None:
                return same
            if watch.chain is not None and watch.chain.parent is not None:
                # There is always room for a step, because its chain was admitted as a whole.
                _take_step(db, watch.chain.parent, watch.id)
            else:
                _check_room(db, watch.owner.principal)
            row = watch_to_row(watch)
            db.execute(insert_sql("watches", row), row)
            if entry is not None:
                self._write_end(db, watch, entry)
            return None

        return await self._database.write(write)

    async def save(self, watch: Watch, entry: InboxEntry | None = None, *, epoch: int | None = None) -> Watch | None:
        def write(db: Db) -> Watch | None:
            if epoch is not None and not has_lease(db, epoch):
                return None
            saved = _update(db, watch)
            if saved is not None and entry is not None:
                self._write_end(db, saved, entry)
                _record_duration(db, saved)
            return saved

        return await self._database.write(write)

    async def save_all(self, watches: Sequence[Watch]) -> tuple[Watch | None, ...]:
        return await self._database.write(lambda db: tuple(_update(db, watch) for watch in watches))

    async def amend(self, watch_id: str, brief: str) -> Watch | None:
        def write(db: Db) -> Watch | None:
            row = db.execute("SELECT * FROM watches WHERE id = ? AND ended_at IS NOT NULL", (watch_id,)).fetchone()
            if row is None:
                return None
            before = row_to_watch(row)
            watch = replace(before, brief=brief, revision=before.revision + 1)
            # No other column: the step that follows may have been taken in between.
            sql = "UPDATE watches SET record = :record, revision = :revision WHERE id = :id"
            db.execute(sql, watch_to_row(watch))
            db.execute("UPDATE inbox SET text = ? WHERE watch_id = ?", (messages.end_message(watch), watch_id))
            return watch

        return await self._database.write(write)

    async def get(self, watch_id: str) -> Watch | None:
        return await self._first(row_to_watch, "SELECT * FROM watches WHERE id = ?", (watch_id,))

    async def get_many(self, watch_ids: Sequence[str]) -> tuple[Watch, ...]:
        sql = "SELECT * FROM watches WHERE id IN (SELECT value FROM json_each(?))"
        return await self._all(row_to_watch, sql, (json.dumps(watch_ids),))

    async def repeated(self, owner: Owner, *, server: str, key: str, now: float) -> Watch | None:
        return await self._database.run(lambda db: _repeated(db, owner, server=server, key=key, now=now))

    async def usual(self, server: str, groups: Sequence[str]) -> Usual | None:
        def read(db: Db) -> Usual | None:
            sql = "SELECT seconds FROM durations WHERE server = ? AND job_group = ?"
            for group in groups:
                usual = usual_of([row["seconds"] for row in db.execute(sql, (server, group))])
                if usual is not None:
                    return usual
            return None

        return await self._database.run(read)

    async def unended(self, server: str | None) -> tuple[Watch, ...]:
        sql = "SELECT * FROM watches WHERE (? IS NULL OR server = ?) AND ended_at IS NULL ORDER BY created_at, id"
        return await self._readable(sql, (server, server))

    async def unended_revisions(self, server: str) -> Mapping[str, int]:
        sql = "SELECT id, revision FROM watches WHERE server = ? AND ended_at IS NULL"
        return await self._database.run(lambda db: {row[0]: row[1] for row in db.execute(sql, (server,))})

    async def pending(self, server: str) -> tuple[Watch, ...]:
        sql = "SELECT * FROM watches WHERE server = ? AND pending_step IS NOT NULL ORDER BY ended_at, id"
        return await self._readable(sql, (server,))

    async def ended_since(self, server: str, *, since: float, limit: int) -> tuple[Watch, ...]:
        sql = "SELECT * FROM watches WHERE server = ? AND ended_at >= ? ORDER BY ended_at DESC, id LIMIT ?"
        return await self._readable(sql, (server, since, limit))

    async def jobs_started(self, server: str, *, since: float, but_for: str) -> frozenset[str]:
        sql = (
            "SELECT DISTINCT job FROM watches WHERE server = ? AND started_at >= ? AND id <> ? "
            # A watch of a job that somebody else started has no answer to a start.
            "AND json_extract(record, '$.answer') IS NOT NULL"
        )
        return frozenset(await self._all(lambda row: str(row["job"]), sql, (server, since, but_for)))

    async def of_owner(
        self,
        principal: str,
        *,
        conversation: str | None,
        states: Sequence[WatchState],
        limit: int,
        about: str | None = None,
    ) -> tuple[Watch, ...]:
        marks = ", ".join("?" * len(states))
        sql = (
            "SELECT * FROM watches WHERE principal = ? AND (? IS NULL OR conversation = ?) "  # noqa: S608 -- marks only
            f"AND state IN ({marks}) {_ABOUT if about is not None else ''} ORDER BY created_at DESC, id LIMIT ?"
        )
        subject = () if about is None else (about, about, json.dumps(about))
        values = (principal, conversation, conversation, *(state.value for state in states), *subject, limit)
        return await self._all(row_to_watch, sql, values)

    async def purge(self, *, ended_before: float, unseen_before: float) -> int:
        def write(db: Db) -> int:
            sql = "DELETE FROM inbox WHERE (seen_at IS NOT NULL AND created_at < ?) OR created_at < ?"
            db.execute(sql, (ended_before, unseen_before))
            dropped = db.execute(
                "DELETE FROM watches WHERE ended_at < ? AND pending_step IS NULL "
                "AND id NOT IN (SELECT watch_id FROM inbox)",
                (ended_before,),
            ).rowcount
            db.execute("DELETE FROM deliveries WHERE watch_id NOT IN (SELECT id FROM watches)")
            return dropped

        return await self._database.write(write)

    async def version(self) -> int:
        return await self._database.run(lambda db: int(db.execute("PRAGMA data_version").fetchone()[0]))

    async def close(self) -> None:
        await self._database.close()

    async def _readable(self, sql: str, values: Sequence[object]) -> tuple[Watch, ...]:
        """Return the watches of a query; one that cannot be read is left out, so that it does not keep the others."""
        watches = await self._all(_watch_if_readable, sql, values)
        return tuple(watch for watch in watches if watch is not None)

    def _write_end(self, db: Db, watch: Watch, entry: InboxEntry) -> None:
        row = entry_to_row(entry)
        db.execute(insert_sql("inbox", row), row)
        queue_events(db, self._events_of_end(watch, entry))


def _watch_if_readable(row: Row) -> Watch | None:
    try:
        return row_to_watch(row)
    except StoreCorruptError as error:
        logger.warning("A watch is left out: %s", error)
        return None


def _repeated(db: Db, owner: Owner, *, server: str, key: str, now: float) -> Watch | None:
    if not key:
        return None
    # A start that TP refused failed before it was accepted, without a doubt about its outcome. A clock that was set
    # back must not let an end count for longer, so it is the distance to the end that is compared.
    sql = (
        "SELECT * FROM watches WHERE call_key = ? AND call_key != '' AND principal = ? AND conversation = ? "
        "AND server = ? AND (ended_at IS NULL OR abs(ended_at - ?) < ?) AND state != ? "
        "AND NOT (state = ? AND started_at IS NULL AND outcome IS NULL) ORDER BY created_at DESC, id LIMIT 1"
    )
    states = (WatchState.CANCELLED.value, WatchState.FAILED.value)
    values = (key, owner.principal, owner.conversation, server, now, REPEAT_SECONDS, *states)
    row = db.execute(sql, values).fetchone()
    return None if row is None else row_to_watch(row)


def _take_step(db: Db, parent: str, watch_id: str) -> None:
    sql = "UPDATE watches SET pending_step = NULL, revision = revision + 1 WHERE id = ? AND pending_step = ?"
    if db.execute(sql, (parent, watch_id)).rowcount != 1:
        raise WatchError(f"The step {watch_id} after {parent} has begun already.")


def _check_room(db: Db, principal: str) -> None:
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
        # An unseen end is never dropped to make room.
        raise WatchLimitError(
            f"There are {unseen[0]} finished watches that nobody has looked at, and {MAX_UNSEEN_ENDS} is the limit.",
            remedy="list_watches shows them; naming them in a call marks them as seen.",
        )


def _update_sql(*columns: str) -> str:
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    return f"UPDATE watches SET {changes} WHERE id = :id AND revision = :revision - 1"  # noqa: S608 -- names are ours


# Columns that never change are left out: an update of an indexed column writes its indexes even where its value stays.
_GOING_ON = ("job", "title", "spec", "state", "advisory", "outcome", "reason", "record", "polls", "started_at", "chain")
_UPDATE_GOING_ON = _update_sql(*_GOING_ON, "revision")
_UPDATE_ENDED = _update_sql(*_GOING_ON, "ended_at", "pending_step", "revision")


def _update(db: Db, watch: Watch) -> Watch | None:
    saved = replace(watch, revision=watch.revision + 1)
    sql = _UPDATE_ENDED if watch.state.ended else _UPDATE_GOING_ON
    return saved if db.execute(sql, watch_to_row(saved)).rowcount == 1 else None


def _record_duration(db: Db, watch: Watch) -> None:
    """Keep how long an ended job took, where that is known, apart from its watch, which is dropped after a while."""
    took = watch.reading.took_seconds if watch.reading is not None else None
    if took is None:
        return
    for group in watch.spec.history:
        newest = db.execute(
            "INSERT INTO durations (server, job_group, seconds) VALUES (?, ?, ?)", (watch.server, group, took)
        ).lastrowid
        db.execute(
            "DELETE FROM durations WHERE server = ? AND job_group = ? AND id NOT IN (SELECT id FROM durations "
            "WHERE server = ? AND job_group = ? ORDER BY id DESC LIMIT ?)",
            (watch.server, group, watch.server, group, MAX_DURATIONS_OF_GROUP),
        )
        db.execute("DELETE FROM durations WHERE id <= ? - ?", (newest, MAX_DURATIONS))
