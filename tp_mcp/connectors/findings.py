"""Findings in a manifest, with key and line."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

SUGGESTION_CUTOFF = 0.6
"""Similarity from which a name is suggested for another one, between 0 and 1."""


class Finding(NamedTuple):
    """A problem, or a valid part that is probably unintended.

    Attributes:
        key: path of its key, joined by dots; empty for the whole file.
        what: problem, and allowed values.
        line: line number; None for the line of the key.
    """

    key: str
    what: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """A finding with its line, from 1."""

    line: int
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.key}: {self.what}" if self.key else self.what

    def at(self, source: str) -> str:
        """Return the finding as `<file>:<line>: <key>: <what>`."""
        return f"{source}:{self.line}: {self}"


def located(findings: Iterable[Finding], lines: Mapping[str, int]) -> tuple[Located, ...]:
    """Return findings with their lines, in the order of the file, without duplicates.

    A missing key gets the line of the part that lacks it.
    """
    found = dict.fromkeys(Located(each.line or line_of(each.key, lines), each.key, each.what) for each in findings)
    return tuple(sorted(found, key=lambda each: each.line))


def line_of(key: str, lines: Mapping[str, int]) -> int:
    """Return the line of a key, or of its nearest parent in the file."""
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key, 1)


def nearest_words(name: str, names: Iterable[str]) -> str:
    """Return ` (the nearest is ...)` for an unknown name; empty if no known name is similar."""
    near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=SUGGESTION_CUTOFF)
    return f" (the nearest is {near[0]})" if near else ""


_MUST_BE = "must be "
_MAPPING = f"{_MUST_BE}a mapping of keys and values"
_WHAT_IS_ALLOWED = {
    "model_type": _MAPPING,
    "mapping_type": _MAPPING,
    "dict_type": _MAPPING,
    "string_type": f"{_MUST_BE}a string (quote it if it looks like a number or a date)",
    "bool_type": f"{_MUST_BE}true or false",
    "bool_parsing": f"{_MUST_BE}true or false",
    "int_type": f"{_MUST_BE}a whole number",
    "float_type": f"{_MUST_BE}a number",
    "invalid-json-value": f"{_MUST_BE}a JSON value (quote a date)",
    "tuple_type": f"{_MUST_BE}a list",
    "too_short": f"{_MUST_BE}non-empty",
}
_NOTHING = object()
_QUOTED = re.compile(r"'([^']*)'")


def schema_findings(document: Mapping[str, Any], error: ValidationError) -> list[Finding]:
    """Return the findings of a validation error, one for each key.

    Values of the document are never repeated, because a setting's default may be a secret.
    """
    whats: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        key, what = _reworded(document, dict(problem))
        whats.setdefault(key, []).append(what)
    return [Finding(key, _joined(each)) for key, each in whats.items()]


def existing_path(document: object, path: Sequence[str | int]) -> tuple[str | int, ...]:
    """Return the part of a path that exists in the document; the rest names alternatives inside the model."""
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


def _reworded(document: Mapping[str, Any], problem: dict[str, Any]) -> tuple[str, str]:
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
    return f"; {near[0]!r} may be a misspelling of it" if near else ""


def _joined(whats: list[str]) -> str:
    if len(whats) > 1 and all(what.startswith(_MUST_BE) for what in whats):
        return _MUST_BE + " or ".join(what.removeprefix(_MUST_BE) for what in whats)
    return "; ".join(whats)


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in path)
