"""What is found in a manifest, and where: the key and the line."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

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


_MUST_BE = "must be "
_MAPPING = f"{_MUST_BE}a mapping of keys and values"
_WHAT_IS_ALLOWED = {
    "model_type": _MAPPING,
    "mapping_type": _MAPPING,
    "dict_type": _MAPPING,
    "string_type": f"{_MUST_BE}a text (put it in quotes if it looks like a number or a date)",
    "bool_type": f"{_MUST_BE}true or false",
    "bool_parsing": f"{_MUST_BE}true or false",
    "int_type": f"{_MUST_BE}a whole number",
    "float_type": f"{_MUST_BE}a number",
    "invalid-json-value": f"{_MUST_BE}what JSON can hold (put a date in quotes)",
    "tuple_type": f"{_MUST_BE}a list",
    "too_short": f"{_MUST_BE}more than nothing",
}
_NOTHING = object()
_QUOTED = re.compile(r"'([^']*)'")


def schema_findings(document: Mapping[str, Any], error: ValidationError) -> list[Finding]:
    """Return everything that the models have against a document, one finding for each key.

    What the document holds is never repeated, because a setting's default may be a secret.
    """
    whats: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        key, what = _in_our_words(document, dict(problem))
        whats.setdefault(key, []).append(what)
    return [Finding(key, _joined(each)) for key, each in whats.items()]


def existing_path(document: object, path: Sequence[str | int]) -> tuple[str | int, ...]:
    """Return as much of a path as the document has: the rest is the model's own way to say which of its kinds it is."""
    found: list[str | int] = []
    for part in path:
        below = _below(document, part)
        if below is _NOTHING:
            break
        document = below
        found.append(part)
    return tuple(found)


def _below(document: object, part: str | int) -> object:
    if isinstance(document, Mapping):
        return document.get(part, _NOTHING)
    if isinstance(document, list) and isinstance(part, int) and part < len(document):
        return document[part]
    return _NOTHING


def _in_our_words(document: Mapping[str, Any], problem: dict[str, Any]) -> tuple[str, str]:
    kind, path = problem["type"], problem["loc"]
    there = existing_path(document, path)
    if kind == "missing":
        return _dotted((*there, path[len(there)])), f"is required{_misspelt(document, there, str(path[len(there)]))}"
    if kind == "string_pattern_mismatch":
        what = f"must match {problem['ctx']['pattern']}"
    elif kind in _WHAT_IS_ALLOWED:
        what = _WHAT_IS_ALLOWED[kind]
    else:
        what = str(problem["msg"])
        what = (what[0].lower() + what[1:]).replace("input should", "must", 1)
    if kind == "literal_error":
        what += nearest_words(str(problem["input"]), _QUOTED.findall(problem["ctx"]["expected"]))
    return _dotted(there), what


def _misspelt(document: object, path: Sequence[str | int], missing: str) -> str:
    for part in path:
        document = _below(document, part)
    names = [str(key) for key in document] if isinstance(document, Mapping) else []
    near = difflib.get_close_matches(missing, names, n=1, cutoff=SUGGESTION_CUTOFF + 0.15)
    return f"; there is {near[0]!r}, which may be it" if near else ""


def _joined(whats: list[str]) -> str:
    if len(whats) > 1 and all(what.startswith(_MUST_BE) for what in whats):
        return _MUST_BE + " or ".join(what.removeprefix(_MUST_BE) for what in whats)
    return "; ".join(whats)


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in path)
