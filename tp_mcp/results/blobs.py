"""The port to the files of stored results and logs."""

import hashlib
from contextlib import AbstractContextManager
from typing import Protocol


class Blobs(Protocol):
    """Keeps files in groups, each readable by its owner only, and drops the oldest where a limit is reached.

    A blob is all files of a group whose names have the same part before the first dot. Methods are called in worker
    threads. Every method may raise StoreError.
    """

    def make_room(self, group: str, octets: int) -> None:
        """Drop blobs that are too old, and the oldest where there is no room for so many bytes more in a group."""
        ...

    def write(self, group: str, name: str, data: bytes) -> None:
        """Write a file, whole or not at all, in place of an earlier one."""
        ...

    def append(self, group: str, name: str, data: bytes, *, at: int) -> None:
        """Write from byte `at` on, and drop the bytes behind it."""
        ...

    def read(self, group: str, name: str, *, begin: int = 0, end: int | None = None) -> bytes | None:
        """Return the bytes from `begin` to `end`; None where there is no such file, or it is older than is kept."""
        ...

    def remove_others(self, group: str, name: str, *, but_for: frozenset[str]) -> None:
        """Drop the files of the blob of `name`, all but some."""
        ...

    def locked(self, group: str) -> AbstractContextManager[bool]:
        """Hold a group's lock against other processes; False where another one does not release it in time."""
        ...


def digest_of(name: str) -> str:
    """Return a short name for a file or directory, made from any name of any length."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
