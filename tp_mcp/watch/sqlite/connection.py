"""One SQLite connection on one thread, and SQLite's failures in our words."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tp_mcp.errors import StoreBusyError, StoreCorruptError, StoreError, StoreFullError, StoreVersionError
from tp_mcp.watch.sqlite.location import prepare_file
from tp_mcp.watch.sqlite.schema import MIGRATIONS, VERSION

BUSY_TIMEOUT_SECONDS = 5.0

Result = TypeVar("Result")


class Connection:
    """Runs functions on the one thread that owns the connection."""

    def __init__(self, path: Path, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> None:
        self._path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tp-mcp-store")
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, making it or bringing it up to date where needed.

        Raises:
            StoreError: the file cannot be used; says why and the way out.

        """
        try:
            await self._on_thread(self._open)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise

    async def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return `work(connection)`, run on the connection's thread.

        Raises:
            StoreError: SQLite could not do it.

        """
        return await self._on_thread(lambda: self._guarded(work))

    async def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return `work(connection)`, run in one transaction that holds the write lock from its beginning.

        Raises:
            StoreError: SQLite could not do it; nothing of it was written.

        """

        def in_transaction(db: sqlite3.Connection) -> Result:
            with transaction(db):
                return work(db)

        return await self.run(in_transaction)

    async def close(self) -> None:
        """Close the connection and end its thread."""
        await self._on_thread(self._close)
        self._thread.shutdown(wait=False)

    async def _on_thread(self, work: Callable[[], Result]) -> Result:
        # Shielded: a write that has begun is finished even when the caller is cancelled.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def _open(self) -> None:
        prepare_file(self._path)
        db = sqlite3.connect(self._path, timeout=self._busy_timeout_seconds, isolation_level=None)
        try:
            with failures_in_our_words(self._path):
                db.row_factory = sqlite3.Row
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA foreign_keys = ON")
                migrate(db, self._path)
        except BaseException:
            db.close()
            raise
        self._db = db

    def _guarded(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        if self._db is None:
            raise StoreError("The store is closed.")
        with failures_in_our_words(self._path):
            return work(self._db)

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock from the beginning; commit at the end, or roll back."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # SQLite rolls some failures back by itself, and a second ROLLBACK would hide the first error.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the tables up to date.

    Raises:
        StoreVersionError: the file was written by a newer version.

    """
    with transaction(db):
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreVersionError(
                f"The store {path} was written by a newer tp-mcp (store version {version}, this one knows {VERSION}).",
                remedy="Update tp-mcp, or set TP_MCP_STATE_DIR to another directory.",
            )
        for step in MIGRATIONS[version:]:
            for statement in _statements(step):
                db.execute(statement)
        # A pragma takes no parameters; VERSION is a number of ours.
        db.execute(f"PRAGMA user_version = {VERSION:d}")


@contextmanager
def failures_in_our_words(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the store's."""
    try:
        yield
    except sqlite3.Error as error:
        raise _in_our_words(error, path) from None


def _in_our_words(error: sqlite3.Error, path: Path) -> StoreError:
    # The low byte is the primary code; the rest tells variants of it apart.
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreBusyError(
            f"The store {path} is held by another process.", remedy="Close that process, or try again in a moment."
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreFullError(
            f"There is no space left for the store {path}.", remedy="Free some space on its disk; nothing was lost."
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreCorruptError(
            f"The store {path} is damaged.",
            remedy=f"Move {path.name} and its -wal and -shm files aside; a new store is made at the next start. "
            "Watches kept in it are gone, jobs on TP are not: list_labs and get_execution still show them.",
        )
    return StoreError(f"The store {path} cannot be used: {error}.", remedy="See whether its directory can be written.")


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
