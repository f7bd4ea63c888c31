"""What each kind of pytest option may take."""

import re
from collections.abc import Callable

from tp_mcp.api.guard.expression import check_expression
from tp_mcp.api.guard.ids import check_id, check_path
from tp_mcp.api.guard.options import Option, Takes
from tp_mcp.api.guard.text import shown
from tp_mcp.errors import InvalidArgumentError, UnsafeArgumentError

_SHAPES: dict[Takes, tuple[re.Pattern[str], str]] = {
    Takes.WHOLE_NUMBER: (re.compile(r"[0-9]{1,9}"), "a whole number, as 3"),
    Takes.NUMBER: (re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?"), "a number, as 30 or 0.5"),
    Takes.WORKERS: (re.compile(r"[0-9]{1,9}|auto|logical"), "a whole number, auto or logical"),
    Takes.LEVEL: (re.compile(r"[A-Za-z]{1,20}|[0-9]{1,3}"), "a log level, as DEBUG or 10"),
    Takes.NAME: (re.compile(r"[A-Za-z0-9_.-]{1,200}"), "a name or a number of letters, digits, '_', '.' and '-'"),
}


def _check_pattern(what: str, value: str) -> str:
    # pytest expands these characters itself, and only where they stand: without them a path has to be left.
    return check_path(what, re.sub(r"[*?\[\]!]", "x", value))


_PATHS: dict[Takes, Callable[[str, str], str]] = {
    Takes.TEST_ID: check_id,
    Takes.PATH: check_path,
    Takes.PATTERN: _check_pattern,
}


def check_value(name: str, option: Option, spelling: str, value: str) -> None:
    """Check that `value` is one that `option` may take.

    Args:
        name: the argument, `argument` or `extra_pytest_options`, for the error.
        option: the option's row of the table.
        spelling: the option as it was written.
        value: its value, unquoted.

    Raises:
        InvalidArgumentError: it is not; the error says what is.
        UnsafeArgumentError: it is a path that leaves the tests root.

    """
    what = f"{name}: the value of {spelling}"
    if option.takes in _SHAPES:
        pattern, words = _SHAPES[option.takes]
        if not pattern.fullmatch(value):
            raise InvalidArgumentError(f"{what} is {shown(value)}.", remedy=f"Give {words}.")
        if option.most is not None and value[0].isdigit() and float(value) > option.most:
            glue = "=" if spelling.startswith("--") else " "
            raise InvalidArgumentError(
                f"{what} is {shown(value)}; at most {option.most:,} is carried.",
                remedy=f"Write {spelling}{glue}{option.most}, or less.",
            )
    elif option.takes is Takes.CHOICE:
        # Report characters are a set: `-r` takes several of its letters at once.
        given = tuple(value) if "-r" in option.names else (value,)
        if not given or any(each not in option.choices for each in given):
            raise InvalidArgumentError(f"{what} is {shown(value)}.", remedy=f"Allowed: {', '.join(option.choices)}.")
    elif option.takes is Takes.EXPRESSION:
        check_expression(name, spelling, value)
    elif option.takes in _PATHS:
        if value.startswith("/"):
            raise UnsafeArgumentError(
                f"{what} is {shown(value)}, an absolute path.", remedy="Write it relative to the tests root."
            )
        _PATHS[option.takes](what, value)
