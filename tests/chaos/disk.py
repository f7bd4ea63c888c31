"""Faults of the disk under the store: a foreign writer that holds it, a process that may write no more."""

import contextlib
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
from anyio import to_thread

from tp_mcp.storage.opening import STORE_FILE

FULL_AT_BYTES = 4_096
"""No file of the process may grow beyond this: to SQLite the disk is full, in the middle of a write too."""


async def hold(state_dir: Path, seconds: float) -> bool:
    """Hold the store's write lock, as a foreign process would; return whether it could be had."""
    return await to_thread.run_sync(_hold, state_dir / STORE_FILE, seconds)


def _hold(path: Path, seconds: float) -> bool:
    if not path.exists():
        return False
    with closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        threading.Event().wait(seconds)
        db.execute("ROLLBACK")
        return True


async def fill(process_id: int, seconds: float) -> bool:
    """Let the disk be full for a process; return whether it was there."""
    try:
        with _full(process_id):
            await anyio.sleep(seconds)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _full(process_id: int) -> Iterator[None]:
    _, most = resource.prlimit(process_id, resource.RLIMIT_FSIZE)
    resource.prlimit(process_id, resource.RLIMIT_FSIZE, (FULL_AT_BYTES, most))
    try:
        yield
    finally:
        # It may have been killed meanwhile.
        with contextlib.suppress(ProcessLookupError):
            # Not to what it was: another fault of the same disk may have been there then.
            resource.prlimit(process_id, resource.RLIMIT_FSIZE, (most, most))
