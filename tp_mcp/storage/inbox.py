"""Which conversations there are, and watches that go from one to another."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace

from tp_mcp.storage.watch_rows import Row, row_to_entry, row_to_watch, watch_to_row
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.inbox import LeastShown
from tp_mcp.watch.model.watch import InboxEntry, Owner, Watch


def of_principal(db: sqlite3.Connection, principal: str) -> tuple[Owner, ...]:
    """Return the conversations of a principal that have a watch, the newest first."""
    rows = db.execute(
        "SELECT conversation, conversation_exact FROM watches WHERE principal = ? "
        "GROUP BY conversation ORDER BY max(created_at) DESC",
        (principal,),
    )
    return tuple(Owner(principal, row["conversation"], exact=bool(row["conversation_exact"])) for row in rows)


def entries(db: sqlite3.Connection, watch_ids: Sequence[str]) -> tuple[InboxEntry, ...]:
    """Return the ends of some watches, seen or not."""
    rows = db.execute(
        "SELECT * FROM inbox WHERE watch_id IN (SELECT value FROM json_each(?))", (json.dumps(watch_ids),)
    )
    return tuple(row_to_entry(row) for row in rows)


def hand_over(db: sqlite3.Connection, watch_id: str, to: Owner) -> Watch | None:
    """Move a watch of `to`'s principal to that conversation, and its end with it unless that was seen.

    Returns:
        The watch as it stands then; None where the principal has none with this id.

    """
    _move(db, "id = :id AND principal = :principal", to, {"id": watch_id})
    row = db.execute("SELECT * FROM watches WHERE id = ? AND principal = ?", (watch_id, to.principal)).fetchone()
    return None if row is None else row_to_watch(row)


def leave(db: sqlite3.Connection, prefix: str, *, but_for: Collection[str], to_key: str) -> int:
    """Move the watches of every conversation whose key begins with `prefix` to a shared key of the same principal.

    Args:
        db: the database.
        prefix: of the keys.
        but_for: keys whose watches stay.
        to_key: the shared key.

    Returns:
        How many watches were moved.

    """
    begins, kept = "substr(conversation, 1, length(:prefix)) = :prefix", "(SELECT value FROM json_each(:kept))"
    gone = f"{begins} AND conversation NOT IN {kept}"
    values: dict[str, object] = {"prefix": prefix, "kept": json.dumps(list(but_for))}
    moved = 0
    principals = db.execute(f"SELECT DISTINCT principal FROM watches WHERE {gone}", values).fetchall()  # noqa: S608
    for row in principals:
        to = Owner(row["principal"], to_key, exact=False)
        moved += _move(db, f"{gone} AND principal = :principal", to, values)
    return moved


def _move(db: sqlite3.Connection, which: str, to: Owner, values: dict[str, object]) -> int:
    """Move the watches for which `which` holds; a revision tells whoever polls one that it was written."""
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


_OF_OWNER = "FROM inbox WHERE principal = ? AND conversation = ? AND seen_at IS NULL"
_UNSEEN = f"SELECT * {_OF_OWNER}"
_COUNT_UNSEEN = f"SELECT count(*) {_OF_OWNER}"


def unseen(db: sqlite3.Connection, owner: Owner) -> tuple[InboxEntry, ...]:
    """Return the entries that a conversation has not seen, oldest first."""
    sql = f"{_UNSEEN} ORDER BY created_at, watch_id"
    return tuple(row_to_entry(row) for row in db.execute(sql, _of(owner)))


def unseen_of(
    db: sqlite3.Connection, owner: Owner, *, watch_ids: Collection[str], job: str | None
) -> tuple[InboxEntry, ...]:
    """Return those of them which are of some watches or of a job."""
    sql = f"{_UNSEEN} AND (watch_id IN (SELECT value FROM json_each(?)) OR job = ?)"  # noqa: S608 -- a constant
    values = (*_of(owner), json.dumps(sorted(watch_ids)), job)
    return tuple(row_to_entry(row) for row in db.execute(sql, values))


def least_shown(db: sqlite3.Connection, owner: Owner, *, but_for: Collection[str], limit: int) -> LeastShown:
    """Return the first of them, the least shown, of those the newest; however many there are, only those are read."""
    others = "AND watch_id NOT IN (SELECT value FROM json_each(?))"
    values = (*_of(owner), json.dumps(sorted(but_for)))
    sql = f"{_UNSEEN} {others} ORDER BY showings, created_at DESC, watch_id LIMIT ?"
    rows = db.execute(sql, (*values, limit)).fetchall()
    total = len(rows)
    if total == limit:
        # Counted only where there may be more: who has few is answered with one look.
        total = db.execute(f"{_COUNT_UNSEEN} {others}", values).fetchone()[0]
    return LeastShown(tuple(row_to_entry(row) for row in rows), total)


def _of(owner: Owner) -> tuple[str, str]:
    return owner.principal, owner.conversation


MAX_ENDS_AT_ONCE = 1_000
"""Most ends that one look returns; the next look goes on after them."""


def ends_after(db: sqlite3.Connection, cursor: int | None) -> tuple[int, tuple[str, ...]]:
    """Return the ids of watches whose ends were written after a cursor, and the cursor to go on from.

    Without a cursor there are no ids. Row ids count up, but begin again below the newest where that one was dropped.
    """
    newest: int = db.execute("SELECT coalesce(max(rowid), 0) FROM inbox").fetchone()[0]
    if cursor is None or cursor >= newest:
        return newest, ()
    sql = "SELECT rowid, watch_id FROM inbox WHERE rowid > ? ORDER BY rowid LIMIT ?"
    rows = db.execute(sql, (cursor, MAX_ENDS_AT_ONCE)).fetchall()
    return rows[-1]["rowid"], tuple(row["watch_id"] for row in rows)


def add_brief(db: sqlite3.Connection, watch_id: str, brief: str) -> Watch | None:
    """Add a brief to an ended watch and to its entry in the inbox; return the watch, None where there is none."""
    row = db.execute("SELECT * FROM watches WHERE id = ? AND ended_at IS NOT NULL", (watch_id,)).fetchone()
    if row is None:
        return None
    before = row_to_watch(row)
    watch = replace(before, brief=brief, revision=before.revision + 1)
    # Nothing else of the row: the step that follows it may have been taken meanwhile.
    sql = "UPDATE watches SET record = :record, revision = :revision WHERE id = :id"
    db.execute(sql, watch_to_row(watch))
    db.execute("UPDATE inbox SET text = ? WHERE watch_id = ?", (messages.end_message(watch), watch_id))
    return watch


def ended_since(db: sqlite3.Connection, server: str, *, since: float, limit: int) -> Sequence[Row]:
    """Return the newest watches of one TP that ended since a time, the newest first."""
    sql = "SELECT * FROM watches WHERE server = ? AND ended_at >= ? ORDER BY ended_at DESC, id LIMIT ?"
    return db.execute(sql, (server, since, limit)).fetchall()
