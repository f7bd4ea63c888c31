"""The operators of a match: how each compares what the path found with the value it was given.

    equals   the same JSON type and value: the text "3" is not the number 3, `true` is not 1, 3 and 3.0 are one number
    in       equals one of several values
    matches  a text in which the regular expression is found, anywhere unless it is anchored; see `pattern`
    exists   `true`: something is there that is not null, be it false, 0 or empty; `false`: nothing is, or null
    gte      a number that is the given one or more

What is missing, null, a list or an object meets none of them but `exists`. A list that a filter leaves empty exists:
end the path with `| [0]` to ask for its first element.

An operator is one entry in `OPERATORS` and one field of `Match`, by the same name; nothing else knows them one by one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tp_mcp.connectors.manifest import JsonScalar
from tp_mcp.connectors.pattern import is_found, pattern_problem


def _no_problem(expected: object) -> None:  # noqa: ARG001 - the shape of every check
    return None


@dataclass(frozen=True, slots=True)
class Operator:
    """One way to compare.

    Attributes:
        meets: whether what was found (any JSON value) meets the value that the match gives to the operator.
        problem: says what makes such a value unusable; None where nothing does.
        takes_templates: whether templates in the value are filled when the watch is made.

    """

    meets: Callable[[object, Any], bool]
    problem: Callable[[Any], str | None] = _no_problem
    takes_templates: bool = False


def _equals(found: object, expected: JsonScalar) -> bool:
    # bool is a kind of int in Python, and not in JSON.
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
"""Every operator, by the name of its field in `Match`."""
