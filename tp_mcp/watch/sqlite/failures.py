"""SQLite's failures in our words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tp_mcp.errors import StoreBusyError, StoreCorruptError, StoreError, StoreFullError


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
