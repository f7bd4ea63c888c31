r"""Matches: conditions on a polled document.

    {path: status, equals: Done}                the value is equal
    {path: status, in: [Failed, Cancelled]}     the value is one of these
    {path: log_tail, matches: '(?i)error: \d+'}  the regular expression is found in the text
    {path: report_file_path, exists: true}      the value is present and not null; `false`: it is missing or null
    {path: pass_count, gte: 40}                 the number is at least this one

A path is dotted, as in Forge (`per_device.0.status`), or a JMESPath expression. An expression that fails on the
document, such as the length of a missing value, never matches, whatever the operator.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tp_mcp.connectors.manifest import JsonScalar, Match
from tp_mcp.connectors.pattern import is_found, pattern_problem
from tp_mcp.connectors.template import render_value
from tp_mcp.errors import WatchSpecError


@dataclass(frozen=True, slots=True)
class Operator:
    """A comparison.

    Attributes:
        meets: returns whether a found JSON value meets the value of the operator.
        problem: returns the problem of an operator's value; None if it is valid.
        takes_templates: whether templates in the value are filled when the watch is created.
    """

    meets: Callable[[object, Any], bool]
    problem: Callable[[Any], str | None] = lambda _: None
    takes_templates: bool = False


def _equals(found: object, expected: JsonScalar) -> bool:
    # In Python, but not in JSON, bool is a kind of int.
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    if isinstance(found, int | float) and isinstance(expected, int | float):
        return found == expected
    return isinstance(found, str) and found == expected


def _in(found: object, expected: tuple[JsonScalar, ...]) -> bool:
    return any(_equals(found, value) for value in expected)


def _matches(found: object, pattern: str) -> bool:
    return isinstance(found, str) and is_found(pattern, found)


def _exists(found: object, expected: bool) -> bool:
    return (found is not None) is expected


def _gte(found: object, least: float) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool) and found >= least


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "equals": Operator(_equals, takes_templates=True),
        "in_": Operator(_in, takes_templates=True),
        "matches": Operator(_matches, problem=pattern_problem),
        "exists": Operator(_exists),
        "gte": Operator(_gte),
    }
)
"""All operators, by their field names in `Match`."""


PATH_MAX_CHARACTERS = 300
"""Limit of a match's path: its evaluation must not cost more than reading the document."""

ALLOWED_FUNCTIONS = frozenset(
    {"contains", "ends_with", "length", "max", "min", "not_null", "starts_with", "sum", "to_number", "type"}
)

# Without expressions that can copy their input several times: chains of them grow exponentially.
_ALLOWED_NODES = frozenset(
    {
        "and_expression",
        "comparator",
        "current",
        "field",
        "filter_projection",
        "flatten",
        "function_expression",
        "identity",
        "index",
        "index_expression",
        "literal",
        "not_expression",
        "or_expression",
        "pipe",
        "projection",
        "subexpression",
        "value_projection",
    }
)
_DOTTED = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INDEX = re.compile(r"[0-9]{1,9}")


def to_jmespath(path: str) -> str:
    """Return the JMESPath expression of a path.

    In a dotted path, numbers become indexes (`a.0.b` becomes `a[0].b`) and unusual names are quoted; other paths are
    already JMESPath.
    """
    if not _DOTTED.fullmatch(path):
        return path
    expression = ""
    for part in path.split("."):
        if _INDEX.fullmatch(part):
            expression += f"[{part}]"
            continue
        name = part if _PLAIN_NAME.fullmatch(part) else f'"{part}"'
        expression += f".{name}" if expression else name
    return expression


def path_problem(path: str) -> str | None:
    """Return the problem of a match's path; None if it is valid."""
    # Imported here to keep it out of the server's start.
    import jmespath  # noqa: PLC0415 - start-up time
    from jmespath.exceptions import JMESPathError  # noqa: PLC0415 - start-up time

    if len(path) > PATH_MAX_CHARACTERS:
        return f"the path has {len(path):,} characters; the limit is {PATH_MAX_CHARACTERS}"
    try:
        expression = jmespath.compile(to_jmespath(path))
    except (JMESPathError, ValueError, RecursionError):
        return (
            f"the path {path!r} is invalid: use names and numbers joined by dots, such as per_device.0.status, "
            "or a JMESPath expression"
        )
    for node in _nodes(expression.parsed):
        kind = node["type"]
        if kind not in _ALLOWED_NODES:
            return f"the path {path!r} uses {kind.replace('_', ' ')}, which a match does not allow"
        if kind == "function_expression" and node["value"] not in ALLOWED_FUNCTIONS:
            allowed = ", ".join(sorted(ALLOWED_FUNCTIONS))
            return f"the path {path!r} calls {node['value']}; a match may call {allowed}"
    return None


def match_problems(match: Match) -> Iterator[tuple[str, str]]:
    """Yield the problems of a match, each with its key in a manifest."""
    problem = path_problem(match.path)
    if problem is not None:
        yield "path", problem
    problem = OPERATORS[match.operator].problem(getattr(match, match.operator))
    if problem is not None:
        yield match.operators()[match.operator], problem


def check_match(match: Match) -> None:
    """Raise WatchSpecError if the path or the pattern of a match is invalid, too long or too expensive."""
    problems = [problem for _, problem in match_problems(match)]
    if problems:
        raise WatchSpecError(
            f"The match cannot be used: {'; '.join(problems)}.",
            remedy="A match is a path and an operator, for example path: status, equals: Done.",
        )


def resolve_match(match: Match, roots: Mapping[str, object]) -> Match:
    """Return a match with its templates filled; raise WatchSpecError for a missing, null, infinite or nested value."""
    if not OPERATORS[match.operator].takes_templates:
        return match
    expected = getattr(match, match.operator)
    filled = tuple(_resolved(value, roots) for value in expected) if match.in_ else _resolved(expected, roots)
    return match.model_copy(update={match.operator: filled})


def matches(match: Match, document: object) -> bool:
    """Return whether a document meets a valid match.

    A function in its path that fails on its argument, such as the null of a missing path, does not match.
    """
    # Imported here to keep it out of the server's start.
    import jmespath  # noqa: PLC0415 - start-up time
    from jmespath.exceptions import JMESPathError  # noqa: PLC0415 - start-up time

    try:
        found = jmespath.search(to_jmespath(match.path), document)
    except (JMESPathError, TypeError):
        # The library raises a bare TypeError when it compares a number with a string.
        return False
    return OPERATORS[match.operator].meets(found, getattr(match, match.operator))


def _resolved(value: JsonScalar, roots: Mapping[str, object]) -> JsonScalar:
    filled = render_value(value, roots)
    if isinstance(filled, bool | int | str) or (isinstance(filled, float) and math.isfinite(filled)):
        return filled
    raise WatchSpecError(
        f"The value {value!r} of a match becomes null, infinite, a list or an object when it is filled.",
        remedy="Compare with a text, a number, true or false.",
    )


def _nodes(root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        # All children are nodes except those of a slice, which is not allowed: the caller stops at it.
        waiting.extend(node["children"])
