"""The ends that conversations have yet to see, and watches that move from one conversation to another.

`InboxStore` in `tp_mcp.watch.delivery.inbox` documents the methods.
"""

import json
from collections.abc import Collection, Sequence

from tp_mcp.storage.table import Db, Row, Table
from tp_mcp.storage.watch_rows import row_to_entry, row_to_watch
from tp_mcp.watch.delivery.inbox import LeastShown
from tp_mcp.watch.model.watch import InboxEntry, Owner, Watch

MAX_ENDS_AT_ONCE = 1_000
"""Most ends that `ends_after` returns; the next call continues after them."""

_OF_OWNER = "FROM inbox WHERE principal = ? AND conversation = ? AND seen_at IS NULL"
_UNSEEN = f"SELECT * {_OF_OWNER}"


class InboxTable(Table):
    """Keeps one entry for each end."""

    async def unseen(self, owner: Owner) -> tuple[InboxEntry, ...]:
        return await self._all(row_to_entry, f"{_UNSEEN} ORDER BY created_at, watch_id", _key(owner))

    async def unseen_of(
        self, owner: Owner, *, watch_ids: Collection[str], job: str | None = None
    ) -> tuple[InboxEntry, ...]:
        sql = f"{_UNSEEN} AND (watch_id IN (SELECT value FROM json_each(?)) OR job = ?)"  # noqa: S608 -- a constant
        return await self._all(row_to_entry, sql, (*_key(owner), json.dumps(sorted(watch_ids)), job))

    async def least_shown(self, owner: Owner, *, but_for: Collection[str], limit: int) -> LeastShown:
        others = "AND watch_id NOT IN (SELECT value FROM json_each(?))"
        first = f"{_UNSEEN} {others} ORDER BY showings, created_at DESC, watch_id LIMIT ?"
        count = f"SELECT count(*) {_OF_OWNER} {others}"
        values = (*_key(owner), json.dumps(sorted(but_for)))

        def read(db: Db) -> LeastShown:
            rows = db.execute(first, (*values, limit)).fetchall()
            # There may be more only where the limit was reached: a short inbox takes one query.
            total = db.execute(count, values).fetchone()[0] if len(rows) == limit else len(rows)
            return LeastShown(tuple(row_to_entry(row) for row in rows), total)

        return await self._database.run(read)

    async def entries(self, watch_ids: Sequence[str]) -> tuple[InboxEntry, ...]:
        sql = "SELECT * FROM inbox WHERE watch_id IN (SELECT value FROM json_each(?))"
        return await self._all(row_to_entry, sql, (json.dumps(watch_ids),))

    async def ends_after(self, cursor: int | None) -> tuple[int, tuple[str, ...]]:
        def read(db: Db) -> tuple[int, tuple[str, ...]]:
            # Row ids count up, but start again below the newest where that one was dropped.
            newest: int = db.execute("SELECT coalesce(max(rowid), 0) FROM inbox").fetchone()[0]
            if cursor is None or cursor >= newest:
                return newest, ()
            sql = "SELECT rowid, watch_id FROM inbox WHERE rowid > ? ORDER BY rowid LIMIT ?"
            rows = db.execute(sql, (cursor, MAX_ENDS_AT_ONCE)).fetchall()
            return rows[-1]["rowid"], tuple(row["watch_id"] for row in rows)

        return await self._database.run(read)

    async def count_showings(self, watch_ids: Sequence[str]) -> None:
        sql = "UPDATE inbox SET showings = showings + 1 WHERE watch_id = ?"
        await self._database.write(lambda db: db.executemany(sql, [(watch_id,) for watch_id in watch_ids]))

    async def mark_seen(self, watch_ids: Sequence[str], at: float) -> None:
        sql = "UPDATE inbox SET seen_at = ? WHERE watch_id = ? AND seen_at IS NULL"
        await self._database.write(lambda db: db.executemany(sql, [(at, watch_id) for watch_id in watch_ids]))

    async def conversations(self, principal: str) -> tuple[Owner, ...]:
        def owner(row: Row) -> Owner:
            return Owner(principal, row["conversation"], exact=bool(row["conversation_exact"]))

        sql = (
            "SELECT conversation, conversation_exact FROM watches WHERE principal = ? "
            "GROUP BY conversation ORDER BY max(created_at) DESC"
        )
        return await self._all(owner, sql, (principal,))

    async def hand_over(self, watch_id: str, to: Owner) -> Watch | None:
        def write(db: Db) -> Watch | None:
            _move(db, "id = :id AND principal = :principal", to, {"id": watch_id})
            found = db.execute("SELECT * FROM watches WHERE id = ? AND principal = ?", (watch_id, to.principal))
            row = found.fetchone()
            return None if row is None else row_to_watch(row)

        return await self._database.write(write)

    async def leave(self, prefix: str, *, but_for: Collection[str], to_key: str) -> int:
        begins, kept = "substr(conversation, 1, length(:prefix)) = :prefix", "(SELECT value FROM json_each(:kept))"
        gone = f"{begins} AND conversation NOT IN {kept}"
        owners = f"SELECT DISTINCT principal FROM watches WHERE {gone}"  # noqa: S608 -- every value is a parameter
        values: dict[str, object] = {"prefix": prefix, "kept": json.dumps(list(but_for))}

        def write(db: Db) -> int:
            return sum(
                _move(db, f"{gone} AND principal = :principal", Owner(row["principal"], to_key, exact=False), values)
                for row in db.execute(owners, values).fetchall()
            )

        return await self._database.write(write)


def _key(owner: Owner) -> tuple[str, str]:
    return owner.principal, owner.conversation


def _move(db: Db, which: str, to: Owner, values: dict[str, object]) -> int:
    """Move the watches for which `which` holds, with their unseen ends; the new revision shows pollers the change."""
    # `which` is ours; every value is a parameter.
    parameters = {**values, "principal": to.principal, "conversation": to.conversation, "exact": int(to.exact)}
    db.execute(
        "UPDATE inbox SET conversation = :conversation, conversation_exact = :exact, showings = 0 "  # noqa: S608
        f"WHERE seen_at IS NULL AND watch_id IN (SELECT id FROM watches WHERE {which})",
        parameters,
    )
    return db.execute(
        "UPDATE watches SET conversation = :conversation, conversation_exact = :exact, revision = revision + 1 "  # noqa: S608
        f"WHERE {which}",
        parameters,
    ).rowcount
