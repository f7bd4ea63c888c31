"""One SQLite connection on one thread, and SQLite's failures in our words."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tp_mcp.errors import StoreBusyError, StoreCorruptError, StoreError, StoreFullError, StoreVersionError
from tp_mcp.watch.sqlite.location import prepare_file
from tp_mcp.watch.sqlite.schema import MIGRATIONS, VERSION

logger = logging.getLogger(__name__)

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
        opening = self._thread.submit(self._open)
        try:
            self._db = await self._outlasting(opening)
        except BaseException:
            # Where the caller was cancelled, the thread opens it all the same.
            self._thread.submit(_close_opened, opening)
            self._thread.shutdown(wait=False)
            raise

    async def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return `work(connection)`, run on the connection's thread.

        Raises:
            StoreError: SQLite could not do it.

        """
        db = self._db
        if db is None:
            raise StoreError("The store is closed.")

        def guarded() -> Result:
            with failures_in_our_words(self._path):
                return work(db)

        return await self._outlasting(self._thread.submit(guarded))

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
        """Close the connection and end its thread, after what was asked for before; closing again does nothing."""
        db, self._db = self._db, None
        if db is not None:
            closing = self._thread.submit(db.close)
            self._thread.shutdown(wait=False)
            await self._outlasting(closing)

    async def _outlasting(self, work: Future[Result]) -> Result:
        # A write that has begun is finished even when its caller is cancelled: cancelling a wait leaves what it waits
        # for alone.
        running = asyncio.wrap_future(work)
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            running.add_done_callback(_told)
            raise
        return running.result()

    def _open(self) -> sqlite3.Connection:
        prepare_file(self._path)
        with failures_in_our_words(self._path):
            db = sqlite3.connect(self._path, timeout=self._busy_timeout_seconds, isolation_level=None)
            try:
                db.row_factory = sqlite3.Row
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA foreign_keys = ON")
                migrate(db, self._path)
            except BaseException:
                db.close()
                raise
        return db


def _close_opened(opening: Future[sqlite3.Connection]) -> None:
    if opening.exception() is None:
        opening.result().close()


def _told(left: asyncio.Future[Any]) -> None:
    if not left.cancelled() and (error := left.exception()) is not None:
        logger.warning("What a caller who left had asked of the store failed: %s", error)


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
    if _version(db) == VERSION:
        # Nothing to write, so a process that holds the file, or a full disk, does not keep it from being read.
        return
    with transaction(db):
        version = _version(db)
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


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


@contextmanager
def failures_in_our_words(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the store's."""
    try:
        yield
    except sqlite3.Error as error:
        raise _in_our_words(error, path) from None
    except (ValueError, OverflowError) as error:
        # A text that is no Unicode, a number that is too large: data from outside must not end more than its own watch.
        raise StoreError(f"The store {path} cannot keep a value: {error}.") from error


def _in_our_words(error: sqlite3.Error, path: Path) -> StoreError:
    # The low byte is the primary code; the rest tells variants of it apart.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
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
