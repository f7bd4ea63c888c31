"""Which conversations there are, and watches that go from one to another."""

import json
import sqlite3
from collections.abc import Collection, Sequence

from tp_mcp.watch.owner import Owner
from tp_mcp.watch.sqlite.rows import row_to_entry, row_to_watch
from tp_mcp.watch.states import InboxEntry, Watch


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
