"""Results of executions, upgrades, notes and reruns as rows. `History` in `tp_mcp.history.records` documents it."""

import json
from collections.abc import Collection
from dataclasses import asdict

import anyio.to_thread

from tp_mcp.errors import InputError
from tp_mcp.history.records import Note, Run, Upgrade, packed, unpacked
from tp_mcp.storage.table import Db, Row, Table, insert_sql
from tp_mcp.triage.recurrence import EarlierExecution

RUNS_OF_LAB_MAX = 100
"""Most executions of one lab, the newest."""

RUNS_MAX = 2_000
"""Most executions, the newest."""

UPGRADES_OF_TESTBED_MAX = 200
"""Most upgrades of one testbed, the newest."""

NOTES_MAX = 1_000
"""Most notes of one principal."""

RERUNS_MAX = 2_000
"""Most reruns, the newest."""


class HistoryTable(Table):
    """Keeps outcomes of runs, upgrades, notes and reruns."""

    async def add(self, run: Run, principal: str) -> None:
        outcomes = await anyio.to_thread.run_sync(packed, run.outcomes)

        def write(db: Db) -> None:
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

        await self._database.write(write)

    async def known(self, server: str, exec_ids: Collection[int], principal: str) -> frozenset[int]:
        sql = (
            "SELECT exec_id FROM readers WHERE server = ? AND principal = ? "
            "AND exec_id IN (SELECT value FROM json_each(?))"
        )
        values = (server, principal, json.dumps(list(exec_ids)))
        return frozenset(await self._all(lambda row: int(row["exec_id"]), sql, values))

    async def earlier(
        self, server: str, lab: str, *, before: int, principal: str, limit: int
    ) -> tuple[EarlierExecution, ...]:
        sql = (
            "SELECT exec_id, build, outcomes FROM runs JOIN readers USING (server, exec_id) "
            "WHERE server = ? AND lab = ? AND exec_id < ? AND principal = ? ORDER BY exec_id DESC LIMIT ?"
        )
        values = (server, lab, before, principal, limit)
        return await self._all(_past, sql, values)

    async def one(self, server: str, exec_id: int, principal: str) -> EarlierExecution | None:
        sql = (
            "SELECT exec_id, build, outcomes FROM runs JOIN readers USING (server, exec_id) "
            "WHERE server = ? AND exec_id = ? AND principal = ?"
        )
        return await self._first(_past, sql, (server, exec_id, principal))

    async def add_upgrade(self, upgrade: Upgrade) -> None:
        def write(db: Db) -> None:
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

        await self._database.write(write)

    async def build_at(self, server: str, testbed: str, at: float) -> str:
        sql = "SELECT build FROM upgrades WHERE server = ? AND testbed = ? AND at <= ? ORDER BY at DESC LIMIT 1"
        return await self._first(lambda row: str(row["build"]), sql, (server, testbed, at)) or ""

    async def note(self, note: Note) -> None:
        row = asdict(note)

        def write(db: Db) -> None:
            db.execute(
                "DELETE FROM notes WHERE principal = ? AND server = ? AND signature = ?",
                (note.principal, note.server, note.signature),
            )
            count = db.execute("SELECT count(*) FROM notes WHERE principal = ?", (note.principal,)).fetchone()[0]
            if count >= NOTES_MAX:
                raise InputError(
                    f"There are {count} notes already, and {NOTES_MAX} is the limit.", remedy="Remove some first."
                )
            db.execute(insert_sql("notes", row), row)

        await self._database.write(write)

    async def forget_note(self, principal: str, server: str, signature: str) -> bool:
        sql = "DELETE FROM notes WHERE principal = ? AND server = ? AND signature = ?"
        return await self._change(sql, (principal, server, signature)) == 1

    async def notes(self, principal: str, server: str) -> tuple[Note, ...]:
        sql = "SELECT * FROM notes WHERE principal = ? AND server = ? ORDER BY made_at DESC, signature"
        return await self._all(lambda row: Note(**dict(row)), sql, (principal, server))

    async def add_rerun(self, server: str, watch_id: str, of: int, *, now: float) -> None:
        def write(db: Db) -> None:
            db.execute(
                "INSERT INTO reruns (server, watch_id, exec_id, made_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (server, watch_id, of, now),
            )
            db.execute(
                "DELETE FROM reruns WHERE rowid NOT IN (SELECT rowid FROM reruns ORDER BY made_at DESC LIMIT ?)",
                (RERUNS_MAX,),
            )

        await self._database.write(write)

    async def rerun_of(self, server: str, watch_id: str) -> int | None:
        sql = "SELECT exec_id FROM reruns WHERE server = ? AND watch_id = ?"
        return await self._first(lambda row: int(row["exec_id"]), sql, (server, watch_id))

    async def close(self) -> None:
        await self._database.close()


def _past(row: Row) -> EarlierExecution:
    return EarlierExecution(row["exec_id"], row["build"], unpacked(row["outcomes"]))
