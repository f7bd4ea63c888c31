"""What is found in a manifest, and where: the key and the line."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

SUGGESTION_CUTOFF = 0.6
"""How alike two names must be for one to be suggested for the other."""


class Finding(NamedTuple):
    """A problem, or something that is probably not meant.

    Attributes:
        key: the path of the key that it is about, joined by dots; empty for the whole file.
        what: what is wrong, and what is allowed.
        line: where it is; None for where the key is.

    """

    key: str
    what: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """A finding with its line.

    Attributes:
        line: counted from 1.
        key: as in `Finding`.
        what: as in `Finding`.

    """

    line: int
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.key}: {self.what}" if self.key else self.what

    def at(self, source: str) -> str:
        """Return it as `<file>:<line>: <key>: <what>`."""
        return f"{source}:{self.line}: {self}"


def located(findings: Iterable[Finding], lines: Mapping[str, int]) -> tuple[Located, ...]:
    """Return findings with their lines, in the order of the file and each once.

    A key that is not in the file, because it is missing, is on the line of what it is missing from.
    """
    found = dict.fromkeys(Located(each.line or line_of(each.key, lines), each.key, each.what) for each in findings)
    return tuple(sorted(found, key=lambda each: each.line))


def line_of(key: str, lines: Mapping[str, int]) -> int:
    """Return the line of a key, or of the nearest key above it that the file has."""
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key, 1)


def nearest_words(name: str, names: Iterable[str]) -> str:
    """Return ` (the nearest is ...)` for a name that is none of those there are; empty where none is near."""
    near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=SUGGESTION_CUTOFF)
    return f" (the nearest is {near[0]})" if near else ""
