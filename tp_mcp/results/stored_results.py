"""Results that were too large to show, each stored whole for one principal.

A stored result is a blob of a header line and the text; its group is the principal.
"""

import json
import logging
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import anyio.to_thread

from tp_mcp.errors import InvalidArgumentError, StoreError
from tp_mcp.results.blobs import Blobs
from tp_mcp.results.text import cut_mark, echoed

ENTRY_MAX_BYTES = 8_000_000
"""The largest text that is stored whole."""

ID_PREFIX = "r_"
_ID_CHARACTERS = 16
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID = re.compile(rf"{ID_PREFIX}[{_ALPHABET}]{{{_ID_CHARACTERS}}}")
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A stored text.

    Attributes:
        what: a short description, e.g. "a result of get_execution".
        version: changes when places in the text change.
    """

    what: str
    text: str
    version: int = 0


class StoredResults:
    """Stores texts and returns them to their owners."""

    def __init__(self, blobs: Blobs, mask: Callable[[str], str], *, entry_bytes: int = ENTRY_MAX_BYTES) -> None:
        """Prepare.

        Args:
            mask: removes secrets and invisible characters from texts that are stored.
            entry_bytes: the largest text; the middle of a larger one is left out, with a mark.
        """
        self._blobs = blobs
        self._mask = mask
        self._entry_bytes = entry_bytes

    async def keep(self, principal: str, text: str, *, what: str) -> str:
        """Store a text, and return its id, e.g. "r_v109ds8t6mcg7nv6". Raises StoreFullError, or another StoreError."""
        return await anyio.to_thread.run_sync(self._keep, principal, text, what)

    async def get(self, principal: str, result_id: str) -> StoredResult:
        """Return a stored result. Raises InvalidArgumentError, with one message for no result and for another's."""
        stored = await anyio.to_thread.run_sync(self._get, principal, result_id)
        if stored is None:
            raise no_such_result(result_id)
        return stored

    def _keep(self, principal: str, text: str, what: str) -> str:
        result_id = ID_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARACTERS))
        body = shortened_to(self._mask(text), self._entry_bytes)
        header = json.dumps({"what": self._mask(what)})
        data = f"{header}\n{body}".encode("utf-8", "replace")
        self._blobs.make_room(principal, len(data))
        self._blobs.write(principal, result_id, data)
        return result_id

    def _get(self, principal: str, result_id: str) -> StoredResult | None:
        if not _ID.fullmatch(result_id):
            return None
        try:
            data = self._blobs.read(principal, result_id)
            if data is None:
                return None
            header, _, text = data.decode("utf-8", "replace").partition("\n")
            return StoredResult(what=str(json.loads(header)["what"]), text=text)
        except (StoreError, ValueError, LookupError, TypeError):
            logging.getLogger(__name__).warning("A stored result could not be read", exc_info=True)
            return None


def no_such_result(result_id: str) -> InvalidArgumentError:
    """Return the error for an id with which the caller has no stored result."""
    return InvalidArgumentError(
        f"There is no stored result {echoed(result_id, _SHOWN_CHARACTERS)!r}.",
        remedy="Ids of stored results stand in results, and expire. Make that call again.",
    )


def shortened_to(text: str, max_bytes: int) -> str:
    """Return a text of about at most so many bytes: its beginning and its end, with a mark between them."""
    data = text.encode("utf-8", "replace")
    if len(data) <= max_bytes:
        return text
    half = max_bytes // 2
    head, tail = data[:half].decode("utf-8", "ignore"), data[-half:].decode("utf-8", "ignore")
    return f"{head}\n{cut_mark(len(text) - len(head) - len(tail))}\n{tail}"
