"""Scratch directories, named after the process that made them, so that what a killed one left can be cleared away."""

import os
import re
import shutil
import tempfile
from pathlib import Path

PREFIX = "tp-simulator-"


def new_scratch_directory(parent: Path | None = None) -> Path:
    """Return a new directory, after removing those of processes that are no more.

    Args:
        parent: where it is made; the system's directory for temporary files by default.

    """
    where = Path(tempfile.gettempdir()) if parent is None else parent
    for left in where.glob(f"{PREFIX}*"):
        match = re.fullmatch(rf"{PREFIX}(\d+)-\w+", left.name)
        if match is not None and not _is_alive(int(match[1])):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=where))


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # It is somebody else's, and so are its files.
        return True
    return True
