"""The table of what was done to tell of ends besides the inbox: one row for each watch and channel."""

import json
import sqlite3
from collections.abc import Sequence

from tp_mcp.watch.delivery.delivery_log import Delivery


def record(db: sqlite3.Connection, delivery: Delivery) -> None:
    """Count one try; of a watch that is no longer kept, nothing is."""
    db.execute(
        "INSERT INTO deliveries (watch_id, channel, outcome, at, times) "
        "SELECT id, ?, ?, ?, ? FROM watches WHERE id = ? "
        "ON CONFLICT (watch_id, channel) DO UPDATE SET outcome = excluded.outcome, at = excluded.at, "
        "times = times + excluded.times",
        (delivery.channel, delivery.outcome, delivery.at, delivery.times, delivery.watch_id),
    )


def of_watches(db: sqlite3.Connection, watch_ids: Sequence[str]) -> tuple[Delivery, ...]:
    """Return what was recorded for some watches, in the order in which their channels were first used."""
    rows = db.execute(
        "SELECT * FROM deliveries WHERE watch_id IN (SELECT value FROM json_each(?)) ORDER BY rowid",
        (json.dumps(watch_ids),),
    )
    return tuple(Delivery(**{name: row[name] for name in row.keys()}) for row in rows)  # noqa: SIM118 -- a row has no items


def drop_orphans(db: sqlite3.Connection) -> None:
    """Drop what was recorded for watches that are no longer kept."""
    db.execute("DELETE FROM deliveries WHERE watch_id NOT IN (SELECT id FROM watches)")
