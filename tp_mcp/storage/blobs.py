"""Blobs as files below the state directory: `<directory>/<digest of the group>/<name>`.

`Blobs` in `tp_mcp.results.blobs` documents the methods. A file's modification time is when it was written, by the
injected clock. Several processes share one directory.
"""

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError, StoreFullError
from tp_mcp.results.blobs import digest_of

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
LOCK_TRIES = 20
LOCK_PAUSE_SECONDS = 0.01

LOOK_SECONDS = 3_600.0
"""After this the files are listed again, however little this process wrote: other processes write too."""

ADDED_SHARE = 0.25
"""Share of the free room that this process fills before it lists the files again; a listing costs a stat of each."""

LEFT_SHARE = 0.1
"""Share of all bytes that is free once the oldest were dropped, so that not every write that follows drops some."""

_LOCK = ".lock"
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class BlobLimits:
    """How much is kept, and for how long.

    Attributes:
        all_bytes: most bytes of all blobs.
        age_seconds: how long a blob is kept that is written no more.
        group_blobs: most blobs of one group; None for no limit.
        group_bytes: most bytes of one group's blobs; None for no limit.
    """

    all_bytes: int
    age_seconds: float
    group_blobs: int | None = None
    group_bytes: int | None = None


STORED_RESULTS_LIMITS = BlobLimits(
    all_bytes=256_000_000, age_seconds=7 * 86_400.0, group_blobs=500, group_bytes=64_000_000
)
"""A group is a principal."""

LOGS_LIMITS = BlobLimits(all_bytes=512_000_000, age_seconds=14 * 86_400.0)
"""A group is a TP."""


@dataclass(slots=True)
class _Blob:
    directory: Path
    octets: int = 0
    written_at: float = 0.0
    paths: list[Path] = field(default_factory=list)


class BlobDirectory:
    """Keeps blobs in a directory that belongs to it alone; it is made when something is first written."""

    def __init__(self, directory: Path, clock: Clock, limits: BlobLimits) -> None:
        self._directory = directory
        self._clock = clock
        self._limits = limits
        self._list_at = -inf
        self._may_add = 0.0

    def make_room(self, group: str, octets: int) -> None:
        now, limits = self._clock.now(), self._limits
        if now < self._list_at and octets <= self._may_add:
            self._may_add -= octets
            return
        with _store_errors():
            total = self._drop_blobs(self._path(group), octets, oldest=now - limits.age_seconds)
        if limits.group_blobs is None and limits.group_bytes is None:
            # The room of a group that is limited by itself is not known without a listing.
            self._list_at, self._may_add = now + LOOK_SECONDS, (limits.all_bytes - total) * ADDED_SHARE

    def _drop_blobs(self, own: Path, octets: int, *, oldest: float) -> int:
        """Drop what is over the limits once `octets` are added to a group; return how many bytes there are then."""
        blobs = sorted(self._blobs(), key=lambda blob: blob.written_at)
        fresh = [blob for blob in blobs if blob.written_at >= oldest]
        total = octets + sum(blob.octets for blob in fresh)
        own_bytes = octets + sum(blob.octets for blob in fresh if blob.directory == own)
        own_blobs = 1 + sum(1 for blob in fresh if blob.directory == own)
        limits = self._limits
        most = limits.all_bytes if total <= limits.all_bytes else limits.all_bytes * (1 - LEFT_SHARE)
        for blob in blobs:
            expired, is_own = blob.written_at < oldest, blob.directory == own
            group_is_full = own_blobs > (limits.group_blobs or inf) or own_bytes > (limits.group_bytes or inf)
            if not (expired or total > most or (is_own and group_is_full)):
                continue
            _remove(blob.paths)
            if not expired:
                total -= blob.octets
                own_bytes -= blob.octets if is_own else 0
                own_blobs -= 1 if is_own else 0
        return total

    def _blobs(self) -> Iterator[_Blob]:
        for directory in self._directory.iterdir() if self._directory.exists() else ():
            blobs: dict[str, _Blob] = {}
            for entry in os.scandir(directory):
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    continue  # another process dropped it in between
                if entry.name == _LOCK:
                    continue
                # A name that begins with a dot is a file whose writer has not finished, or died.
                blob = blobs.setdefault(entry.name.partition(".")[0] or entry.name, _Blob(directory))
                blob.octets += status.st_size
                blob.written_at = max(blob.written_at, status.st_mtime)
                blob.paths.append(Path(entry.path))
            yield from blobs.values()

    def write(self, group: str, name: str, data: bytes) -> None:
        path = self._path(group) / name
        unfinished = path.with_name(f".{secrets.token_hex(8)}")
        with _store_errors():
            self._make_directory(group)
            try:
                with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
                    file.write(data)
                self._stamp(unfinished)
                unfinished.replace(path)
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise

    def append(self, group: str, name: str, data: bytes, *, at: int) -> None:
        path = self._path(group) / name
        with _store_errors():
            self._make_directory(group)
            with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE), "r+b") as file:
                file.truncate(at)
                file.seek(at)
                file.write(data)
            self._stamp(path)

    def read(self, group: str, name: str, *, begin: int = 0, end: int | None = None) -> bytes | None:
        path = self._path(group) / name
        try:
            with _store_errors(), path.open("rb") as file:
                if os.fstat(file.fileno()).st_mtime < self._clock.now() - self._limits.age_seconds:
                    return None
                file.seek(begin)
                return file.read(-1 if end is None else end - begin)
        except FileNotFoundError:
            return None

    def remove_others(self, group: str, name: str, *, but_for: frozenset[str]) -> None:
        with _store_errors():
            found = self._path(group).glob(f"{name.partition('.')[0]}.*")
            _remove([path for path in found if path.name not in but_for])

    @contextmanager
    def locked(self, group: str) -> Iterator[bool]:
        with _store_errors():
            self._make_directory(group)
            file = os.open(self._path(group) / _LOCK, os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            yield _lock(file)
        finally:
            os.close(file)

    def _path(self, group: str) -> Path:
        return self._directory / digest_of(group)

    def _make_directory(self, group: str) -> None:
        self._path(group).mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)

    def _stamp(self, path: Path) -> None:
        now = self._clock.now()
        os.utime(path, (now, now))


def _remove(paths: list[Path]) -> None:
    # An index, `446.json`, goes before the text that it describes, `446.3.txt`: a text alone counts as nothing.
    for path in sorted(paths, reverse=True):
        path.unlink(missing_ok=True)


def _lock(file: int) -> bool:
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_PAUSE_SECONDS)
        else:
            return True
    return False


@contextmanager
def _store_errors() -> Iterator[None]:
    """Raise a failure of the disk as a StoreError; a file that is not there stays FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StoreFullError("there is no space left on the disk") from error
        raise StoreError(f"the state directory cannot be written ({error.strerror or 'unknown reason'})") from error
