"""Where the whole of a result is kept when only a part of it was shown.

    <directory>/<digest of the principal>/r_7k3m9q2d4x8v1c5n

One file per result, readable by its owner only, written whole or not at all; its modification time is when it was kept.
The oldest go first when there are too many, too much, or too old ones.
"""

import errno
import hashlib
import json
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from tp_mcp.clock import Clock
from tp_mcp.errors import InvalidArgumentError, StoreError, StoreFullError
from tp_mcp.results.text import cut_mark, echoed

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600

ENTRY_MAX_BYTES = 8_000_000
"""The largest text that is kept whole."""

HANDLE_PREFIX = "r_"
_HANDLE_CHARACTERS = 16
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_HANDLE = re.compile(rf"{HANDLE_PREFIX}[{_ALPHABET}]{{{_HANDLE_CHARACTERS}}}")
_SHOWN_CHARACTERS = 80
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class ShelfLimits:
    """How much is kept, and for how long.

    Attributes:
        entry_bytes: the largest entry; of a larger one the middle is left out, with a mark.
        principal_entries: most entries of one principal.
        principal_bytes: most bytes of one principal's entries.
        all_bytes: most bytes of all entries.
        age_seconds: how long an entry is kept at most.

    """

    entry_bytes: int = ENTRY_MAX_BYTES
    principal_entries: int = 500
    principal_bytes: int = 64_000_000
    all_bytes: int = 256_000_000
    age_seconds: float = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept under a handle.

    Attributes:
        what: what it is, in a few words.
        text: the whole of it.
        version: changes when places in the text change.

    """

    what: str
    text: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    octets: int
    kept_at: float


class Shelf:
    """Keeps texts on disk, each for one principal."""

    def __init__(
        self, directory: Path, clock: Clock, mask: Callable[[str], str], limits: ShelfLimits | None = None
    ) -> None:
        """Prepare; the directory is made when something is first kept.

        Args:
            directory: where the files lie; it belongs to the shelf alone.
            clock: the time.
            mask: takes secrets, and what no reader sees, out of what is written.
            limits: how much is kept.

        """
        self._directory = directory
        self._clock = clock
        self._mask = mask
        self._limits = limits or ShelfLimits()

    async def keep(self, principal: str, text: str, *, what: str) -> str:
        """Keep a text, and return its handle.

        Args:
            principal: whom it belongs to.
            text: anything; secrets are taken out of it.
            what: what it is, in a few words.

        Raises:
            StoreFullError: there is no space left.
            StoreError: it cannot be written for another reason.

        """
        return await anyio.to_thread.run_sync(self._keep, principal, text, what)

    async def get(self, principal: str, handle: str) -> Kept:
        """Return what is kept under a handle.

        Raises:
            InvalidArgumentError: nothing is, or it is another principal's; the words are the same.

        """
        kept = await anyio.to_thread.run_sync(self._get, principal, handle)
        if kept is None:
            raise no_such_handle(handle)
        return kept

    def _keep(self, principal: str, text: str, what: str) -> str:
        handle = HANDLE_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_HANDLE_CHARACTERS))
        body = shortened_to(self._mask(text), self._limits.entry_bytes)
        header = json.dumps({"what": self._mask(what)})
        data = f"{header}\n{body}".encode("utf-8", "replace")
        directory = self._of(principal)
        try:
            directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            self._make_room(directory, len(data))
            write_whole(directory / handle, data, at=self._clock.now())
        except OSError as error:
            raise not_kept(error) from error
        return handle

    def _get(self, principal: str, handle: str) -> Kept | None:
        if not _HANDLE.fullmatch(handle):
            return None
        path = self._of(principal) / handle
        try:
            if path.stat().st_mtime < self._clock.now() - self._limits.age_seconds:
                return None
            header, _, text = path.read_bytes().decode("utf-8", "replace").partition("\n")
            return Kept(what=str(json.loads(header)["what"]), text=text)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError):
            logging.getLogger(__name__).warning("A kept result could not be read", exc_info=True)
            return None

    def _of(self, principal: str) -> Path:
        # A name may hold anything, and be of any length.
        return self._directory / digest_of(principal)

    def _make_room(self, directory: Path, octets: int) -> None:
        limits = self._limits
        everything = sorted(_files(self._directory), key=lambda file: file.kept_at)
        old = self._clock.now() - limits.age_seconds
        own = [file for file in everything if file.path.parent == directory and file.kept_at >= old]
        own_octets, own_count = sum(file.octets for file in own), len(own)
        all_octets = sum(file.octets for file in everything if file.kept_at >= old)
        for file in everything:
            is_own = file.path.parent == directory
            too_many = own_count >= limits.principal_entries or own_octets + octets > limits.principal_bytes
            expired = file.kept_at < old
            if not (expired or (is_own and too_many) or all_octets + octets > limits.all_bytes):
                continue
            # Another process may have been quicker.
            file.path.unlink(missing_ok=True)
            if not expired:
                all_octets -= file.octets
                own_octets -= file.octets if is_own else 0
                own_count -= 1 if is_own else 0


def digest_of(name: str) -> str:
    """Return a name for a directory that stands for any name."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def write_whole(path: Path, data: bytes, *, at: float) -> None:
    """Write a file that only its owner may read, whole or not at all.

    Args:
        path: where; what is there is replaced.
        data: what it holds.
        at: when it was written, in seconds since the epoch.

    Raises:
        OSError: it could not be written; what was there is still there.

    """
    unfinished = path.with_name(f".{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
            file.write(data)
        os.utime(unfinished, (at, at))
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def not_kept(error: OSError) -> StoreError:
    """Return why something could not be kept."""
    if error.errno in _NO_SPACE:
        return StoreFullError("there is no space left on the disk")
    return StoreError(f"the state directory cannot be written ({error.strerror or 'unknown reason'})")


def no_such_handle(handle: str) -> InvalidArgumentError:
    """Return the error of a handle under which the caller has nothing."""
    return InvalidArgumentError(
        f"Nothing is kept under {echoed(handle, _SHOWN_CHARACTERS)!r}.",
        remedy="Handles are told by results, and what is under them is not kept for ever. Make that call again.",
    )


def shortened_to(text: str, max_bytes: int) -> str:
    """Return a text of at most about so many bytes: its beginning and its end, with a mark between them."""
    data = text.encode("utf-8", "replace")
    if len(data) <= max_bytes:
        return text
    half = max_bytes // 2
    head, tail = data[:half].decode("utf-8", "ignore"), data[-half:].decode("utf-8", "ignore")
    return f"{head}\n{cut_mark(len(text) - len(head) - len(tail))}\n{tail}"


def _files(directory: Path) -> Iterator[_File]:
    """Yield the files one level below a directory; what goes away meanwhile is left out."""
    for path in directory.glob("*/*"):
        try:
            seen = path.stat()
        except FileNotFoundError:
            continue
        yield _File(path, seen.st_size, seen.st_mtime)
