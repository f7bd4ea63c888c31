"""The history in a SQLite file of its own, so that nothing it does holds up the watches' store.

It is opened when it is first used: a file that cannot be opened costs the history, and nothing else.
"""

import json
import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import anyio

from tp_mcp.errors import InputError
from tp_mcp.history.records import Note, Run, Upgrade, packed, unpacked
from tp_mcp.storage.engines.sqlite import Connection
from tp_mcp.triage.past import PastExecution

FILE_NAME = "history.sqlite3"
RUNS_OF_LAB_MAX = 100
"""Most executions of one lab that are kept: the newest."""

RUNS_MAX = 2_000
UPGRADES_OF_TESTBED_MAX = 200
NOTES_MAX = 1_000
"""Most notes of one principal."""

RERUNS_MAX = 2_000

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE runs (
        server             TEXT NOT NULL,
        exec_id            INTEGER NOT NULL,
        lab                TEXT NOT NULL,
        build              TEXT NOT NULL,
        ended_at           REAL NOT NULL,
        outcomes           BLOB NOT NULL,  -- JSON by test, compressed
        PRIMARY KEY (server, exec_id)
    ) STRICT;
    CREATE INDEX runs_of_lab ON runs (server, lab, exec_id);

    CREATE TABLE readers (
        server             TEXT NOT NULL,
        exec_id            INTEGER NOT NULL,
        principal          TEXT NOT NULL,
        PRIMARY KEY (server, exec_id, principal),
        FOREIGN KEY (server, exec_id) REFERENCES runs (server, exec_id) ON DELETE CASCADE
    ) STRICT;

    CREATE TABLE upgrades (
        server             TEXT NOT NULL,
        testbed            TEXT NOT NULL,
        at                 REAL NOT NULL,
        build              TEXT NOT NULL,
        PRIMARY KEY (server, testbed, at)
    ) STRICT;

    CREATE TABLE notes (
        principal          TEXT NOT NULL,
        server             TEXT NOT NULL,
        signature          TEXT NOT NULL,
        text               TEXT NOT NULL,
        made_at            REAL NOT NULL,
        until_build        TEXT NOT NULL,
        until_at           REAL,
        PRIMARY KEY (principal, server, signature)
    ) STRICT;

    CREATE TABLE reruns (
        server             TEXT NOT NULL,
        watch_id           TEXT NOT NULL,
        exec_id            INTEGER NOT NULL,
        made_at            REAL NOT NULL,
        PRIMARY KEY (server, watch_id)
    ) STRICT;
    """,
)

Result = TypeVar("Result")


class SqliteHistory:
    """Keeps the history in a state directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._connection = Connection(self._path, migrations=MIGRATIONS)
        self._opening = anyio.Lock()
        self._opened = False

    async def add(self, run: Run, principal: str) -> None:
        """Keep what an execution came to; once, however often it is told."""
        outcomes = await anyio.to_thread.run_sync(packed, run.outcomes)

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO runs (server, exec_id, lab, build, ended_at, outcomes) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (run.server, run.exec_id, run.lab, run.build, run.ended_at, outcomes),
            )
            db.execute(
                "INSERT INTO readers (server, exec_id, principal) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (run.server, run.exec_id, principal),
            )
            db.execute(
                "DELETE FROM runs WHERE server = ? AND lab = ? AND exec_id NOT IN "
                "(SELECT exec_id FROM runs WHERE server = ? AND lab = ? ORDER BY exec_id DESC LIMIT ?)",
                (run.server, run.lab, run.server, run.lab, RUNS_OF_LAB_MAX),
            )
            db.execute(
                "DELETE FROM runs WHERE rowid NOT IN (SELECT rowid FROM runs ORDER BY ended_at DESC LIMIT ?)",
                (RUNS_MAX,),
            )

        await self._write(write)

    async def known(self, server: str, exec_ids: Collection[int], principal: str) -> frozenset[int]:
        """Return those executions that are kept and that the principal may see."""
        sql = (
            "SELECT exec_id FROM readers WHERE server = ? AND principal = ? "
            "AND exec_id IN (SELECT value FROM json_each(?))"
        )
        values = (server, principal, json.dumps(list(exec_ids)))
        return await self._read(lambda db: frozenset(row[0] for row in db.execute(sql, values)))

    async def earlier(
        self, server: str, lab: str, *, before: int, principal: str, limit: int
    ) -> tuple[PastExecution, ...]:
        """Return a lab's executions with a lower number that a principal may see, the latest first."""
        sql = (
            "SELECT exec_id, build, outcomes FROM runs JOIN readers USING (server, exec_id) "
            "WHERE server = ? AND lab = ? AND exec_id < ? AND principal = ? ORDER BY exec_id DESC LIMIT ?"
        )
        values = (server, lab, before, principal, limit)
        return await self._read(lambda db: tuple(_past(row) for row in db.execute(sql, values)))

    async def one(self, server: str, exec_id: int, principal: str) -> PastExecution | None:
        """Return one execution; None where it is not kept, or the principal may not see it."""
        sql = (
            "SELECT exec_id, build, outcomes FROM runs JOIN readers USING (server, exec_id) "
            "WHERE server = ? AND exec_id = ? AND principal = ?"
        )
        row = await self._read(lambda db: db.execute(sql, (server, exec_id, principal)).fetchone())
        return None if row is None else _past(row)

    async def add_upgrade(self, upgrade: Upgrade) -> None:
        """Keep that a testbed was upgraded; of one that is kept already the build is filled in."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO upgrades (server, testbed, at, build) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET build = excluded.build WHERE build = ''",
                (upgrade.server, upgrade.testbed, upgrade.at, upgrade.build),
            )
            db.execute(
                "DELETE FROM upgrades WHERE server = ? AND testbed = ? AND at NOT IN "
                "(SELECT at FROM upgrades WHERE server = ? AND testbed = ? ORDER BY at DESC LIMIT ?)",
                (upgrade.server, upgrade.testbed, upgrade.server, upgrade.testbed, UPGRADES_OF_TESTBED_MAX),
            )

        await self._write(write)

    async def build_at(self, server: str, testbed: str, at: float) -> str:
        """Return the build that ran on a testbed at a time; empty where it is not known."""
        sql = "SELECT build FROM upgrades WHERE server = ? AND testbed = ? AND at <= ? ORDER BY at DESC LIMIT 1"
        row = await self._read(lambda db: db.execute(sql, (server, testbed, at)).fetchone())
        return "" if row is None else str(row["build"])

    async def note(self, note: Note) -> None:
        """Keep a note, in place of the principal's earlier one on the same signature.

        Raises:
            InputError: the principal has too many.

        """

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "DELETE FROM notes WHERE principal = ? AND server = ? AND signature = ?",
                (note.principal, note.server, note.signature),
            )
            count = db.execute("SELECT count(*) FROM notes WHERE principal = ?", (note.principal,)).fetchone()[0]
            if count >= NOTES_MAX:
                raise InputError(
                    f"There are {count} notes already, and {NOTES_MAX} is the limit.", remedy="Remove some first."
                )
            db.execute(
                "INSERT INTO notes (principal, server, signature, text, made_at, until_build, until_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (note.principal, note.server, note.signature, note.text, note.made_at, note.until_build, note.until_at),
            )

        await self._write(write)

    async def forget_note(self, principal: str, server: str, signature: str) -> bool:
        """Drop a note; return whether there was one."""
        sql = "DELETE FROM notes WHERE principal = ? AND server = ? AND signature = ?"
        return await self._write(lambda db: db.execute(sql, (principal, server, signature)).rowcount == 1)

    async def notes(self, principal: str, server: str) -> tuple[Note, ...]:
        """Return a principal's notes, the newest first."""
        sql = "SELECT * FROM notes WHERE principal = ? AND server = ? ORDER BY made_at DESC, signature"
        return await self._read(lambda db: tuple(Note(**dict(row)) for row in db.execute(sql, (principal, server))))

    async def add_rerun(self, server: str, watch_id: str, of: int, *, now: float) -> None:
        """Keep that a watched run repeats tests of an execution."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO reruns (server, watch_id, exec_id, made_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (server, watch_id, of, now),
            )
            db.execute(
                "DELETE FROM reruns WHERE rowid NOT IN (SELECT rowid FROM reruns ORDER BY made_at DESC LIMIT ?)",
                (RERUNS_MAX,),
            )

        await self._write(write)

    async def rerun_of(self, server: str, watch_id: str) -> int | None:
        """Return the execution that a watched run repeats tests of."""
        sql = "SELECT exec_id FROM reruns WHERE server = ? AND watch_id = ?"
        row = await self._read(lambda db: db.execute(sql, (server, watch_id)).fetchone())
        return None if row is None else int(row["exec_id"])

    async def close(self) -> None:
        """Close the file; it cannot be used afterwards."""
        async with self._opening:
            await self._connection.close()

    async def _read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        await self._open()
        return await self._connection.run(work)

    async def _write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        await self._open()
        return await self._connection.write(work)

    async def _open(self) -> None:
        async with self._opening:
            if self._opened:
                return
            try:
                await self._connection.open()
            except BaseException:
                # A connection that could not be opened is spent; what was in the way, as a full disk, may pass.
                self._connection = Connection(self._path, migrations=MIGRATIONS)
                raise
            self._opened = True


def _past(row: sqlite3.Row) -> PastExecution:
    return PastExecution(row["exec_id"], row["build"], unpacked(row["outcomes"]))
