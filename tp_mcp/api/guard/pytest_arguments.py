"""Checks of `argument` and `extra_pytest_options`: pytest arguments, split like a shell and quoted safely."""

import difflib
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tp_mcp.api.guard import shell
from tp_mcp.api.guard.plain_text import guard_text, shown
from tp_mcp.api.guard.pytest_options import FORBIDDEN, KNOWN, Option, Takes
from tp_mcp.api.guard.test_ids import check_id, check_path
from tp_mcp.errors import ConfigurationError, InvalidArgumentError, UnsafeArgumentError

DEEPEST_NESTING = 20
"""Limit of nested parentheses; pytest's own parser is recursive."""

_TOKEN = re.compile(r" *(?:(?P<bracket>[()])|(?P<name>[\w:+\-.\[\]\\/]+))")
_EXAMPLE = "Join names with and, or, not and parentheses, as in 'radius and not (flaky or slow)'."


def check_expression(name: str, option: str, text: str) -> None:
    """Check that a text is an expression of pytest's `-k` and `-m`; an empty one selects everything.

    Raises:
        InvalidArgumentError: pytest would reject it, or it contains a call such as `device(serial=1)`.
    """
    depth = 0
    wants_name = True
    for word in _words(name, option, text):
        ends_name = word in ("and", "or", ")")
        if wants_name and ends_name:
            raise _wrong(name, option, text, f"a name is missing before {word!r}")
        if not wants_name and not ends_name:
            raise _wrong(name, option, text, f"'and' or 'or' is missing before {word!r}")
        depth += {"(": 1, ")": -1}.get(word, 0)
        if not 0 <= depth <= DEEPEST_NESTING:
            raise _wrong(name, option, text, "its parentheses do not match, or are nested too deeply")
        wants_name = word in ("and", "or", "not", "(")
    if text.strip(" ") and (wants_name or depth):
        raise _wrong(name, option, text, "it ends too early")


def _words(name: str, option: str, text: str) -> Iterator[str]:
    position = 0
    end = len(text.rstrip(" "))
    while position < end:
        token = _TOKEN.match(text, position, end)
        if token is None:
            raise _wrong(name, option, text, f"{text[position:].lstrip(' ')[0]!r} has no meaning there")
        position = token.end()
        yield token["bracket"] or token["name"]


def _wrong(name: str, option: str, text: str, reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{name}: {option} {shown(text)} is not a valid pytest expression: {reason}.", remedy=_EXAMPLE
    )


_SHAPES: dict[Takes, tuple[re.Pattern[str], str]] = {
    Takes.WHOLE_NUMBER: (re.compile(r"[0-9]{1,9}"), "a whole number, such as 3"),
    Takes.NUMBER: (re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?"), "a number, such as 30 or 0.5"),
    Takes.WORKERS: (re.compile(r"[0-9]{1,9}|auto|logical"), "a whole number, auto or logical"),
    Takes.LEVEL: (re.compile(r"[A-Za-z]{1,20}|[0-9]{1,3}"), "a log level, such as DEBUG or 10"),
    Takes.NAME: (re.compile(r"[A-Za-z0-9_.-]{1,200}"), "a name or number of letters, digits, '_', '.' and '-'"),
}


def _check_pattern(what: str, value: str) -> str:
    # pytest itself expands these characters, each within its segment: without them a valid path must remain.
    return check_path(what, re.sub(r"[*?\[\]!]", "x", value))


_PATHS: dict[Takes, Callable[[str, str], str]] = {
    Takes.TEST_ID: check_id,
    Takes.PATH: check_path,
    Takes.PATTERN: _check_pattern,
}


def check_value(name: str, option: Option, spelling: str, value: str) -> None:
    """Check the value of an option.

    Args:
        name: `argument` or `extra_pytest_options`, for the error.
        spelling: option as written.
        value: unquoted value.

    Raises:
        InvalidArgumentError: the option does not take this value; the error names valid ones.
        UnsafeArgumentError: the value is a path outside the tests root.
    """
    what = f"{name}: the value of {spelling}"
    if option.takes in _SHAPES:
        pattern, words = _SHAPES[option.takes]
        if not pattern.fullmatch(value):
            raise InvalidArgumentError(f"{what} is {shown(value)}.", remedy=f"Pass {words}.")
        if option.most is not None and value[0].isdigit() and float(value) > option.most:
            glue = "=" if spelling.startswith("--") else " "
            raise InvalidArgumentError(
                f"{what} is {shown(value)}; the limit is {option.most:,}.",
                remedy=f"Write {spelling}{glue}{option.most}, or less.",
            )
    elif option.takes is Takes.CHOICE:
        # Report characters are a set: `-r` takes several letters at once.
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


LONGEST_ARGUMENTS = 4_000
"""Limit of `argument` and of `extra_pytest_options`, in characters."""

_ALLOWABLE = re.compile(r"--[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class PytestArguments:
    """Checked pytest arguments.

    Attributes:
        carried: spelling that is sent; bash turns it into exactly `argv`.
        argv: arguments that pytest receives.
    """

    carried: str = ""
    argv: tuple[str, ...] = ()

    @property
    def only_collects(self) -> bool:
        """True if `--collect-only` is among them: such a run only lists tests."""
        return any(each in ("--collect-only", "--co") for each in self.argv)


def guard_pytest_arguments(
    name: str, value: object, *, extra_allowed_options: frozenset[str] = frozenset()
) -> PytestArguments:
    """Check pytest arguments and quote them for the shell.

    Args:
        name: `argument` or `extra_pytest_options`, for errors.
        value: text after `pytest` on a shell's command line: `-k 'radius and not flaky' -x --tb=short`.
        extra_allowed_options: long options that an operator allows besides the known ones, used as `--name` or
            `--name=value`.

    Raises:
        InvalidArgumentError: an unknown option, a missing or wrong value, a positional argument, or a text beyond the
            limit.
        UnsafeArgumentError: shell syntax, an unbalanced quote, a control character, an option that loads, writes or
            runs something else, or a word that starts with `@`.
        ConfigurationError: `extra_allowed_options` contains an option that cannot be allowed.
    """
    _check_allowed(extra_allowed_options)
    text = guard_text(name, value, longest=LONGEST_ARGUMENTS)
    words = shell.split(name, text)
    remaining = iter(words)
    quietness = 0
    for word in remaining:
        quietness += _check_word(name, word, remaining, extra_allowed_options)
    if quietness > 1:
        raise InvalidArgumentError(
            f"{name} quietens pytest {quietness} times, which hides the summary line with TP's counts.",
            remedy="Use -q once.",
        )
    return PytestArguments(carried=" ".join(map(shlex.quote, words)), argv=words)


def _check_allowed(options: frozenset[str]) -> None:
    for option in sorted(options):
        if not _ALLOWABLE.fullmatch(option):
            raise ConfigurationError(
                f"{shown(option)} cannot be allowed as a pytest option.",
                remedy="Use long options, such as '--rack-slot'.",
            )
        if option in FORBIDDEN:
            raise ConfigurationError(f"The pytest option {option} cannot be allowed: {FORBIDDEN[option]}.")


def _check_word(name: str, word: str, remaining: Iterator[str], allowed: frozenset[str]) -> int:
    """Check a word and the value that may follow it; return by how many levels it quietens pytest."""
    _check_not_a_file(name, word)
    if word.startswith("--") and word != "--":
        _check_long(name, word, remaining, allowed)
        return {"--quiet": 1, "--verbose": -1}.get(word, 0)
    if word.startswith("-") and word not in ("-", "--"):
        return _check_cluster(name, word, remaining)
    raise InvalidArgumentError(
        f"{name} contains {shown(word)}, which is neither an option nor the value of one.",
        remedy="Pass test ids in testcase. Quote a value with spaces, as in -k 'radius and not flaky'.",
    )


def _check_long(name: str, word: str, remaining: Iterator[str], allowed: frozenset[str]) -> None:
    spelling, equals, value = word.partition("=")
    if spelling in allowed and spelling not in KNOWN:
        return
    option = _known(name, spelling)
    if option.takes is Takes.NOTHING:
        if equals:
            raise InvalidArgumentError(f"{name}: {spelling} takes no value.", remedy=f"Write {spelling} alone.")
    else:
        check_value(name, option, spelling, value if equals else _next(name, spelling, remaining))


def _check_cluster(name: str, word: str, remaining: Iterator[str]) -> int:
    """Check short options such as `-x`, `-xvs`, `-kname` or `-k=name`; the last one may take a value."""
    quietness = 0
    for position in range(1, len(word)):
        spelling = f"-{word[position]}"
        option = _known(name, spelling)
        if option.takes is not Takes.NOTHING:
            attached = word[position + 1 :]
            value = attached.removeprefix("=") if attached else _next(name, spelling, remaining)
            check_value(name, option, spelling, value)
            break
        quietness += {"-q": 1, "-v": -1}.get(spelling, 0)
    return quietness


def _next(name: str, spelling: str, remaining: Iterator[str]) -> str:
    value = next(remaining, None)
    if value is None:
        raise InvalidArgumentError(
            f"{name}: {spelling} needs a value, otherwise it would consume the framework's next argument.",
            remedy=f"Write the value after {spelling}.",
        )
    if value.startswith("-"):
        raise InvalidArgumentError(
            f"{name}: {spelling} is followed by {shown(value)}, which pytest would read as an option.",
            remedy=f"Write the value of {spelling} right after it.",
        )
    _check_not_a_file(name, value)
    return value


def _check_not_a_file(name: str, word: str) -> None:
    if word.startswith("@"):
        raise UnsafeArgumentError(
            f"{name} contains {shown(word)}: pytest reads arguments from a file if a word starts with '@'.",
            remedy="Write the arguments themselves.",
        )


def _known(name: str, spelling: str) -> Option:
    if spelling in KNOWN:
        return KNOWN[spelling]
    if spelling in FORBIDDEN:
        raise UnsafeArgumentError(
            f"{name} contains {spelling}, which is never sent: {FORBIDDEN[spelling]}.", remedy=f"Remove {spelling}."
        )
    near = difflib.get_close_matches(spelling, KNOWN, n=1)
    raise InvalidArgumentError(
        f"{name} contains the unknown option {shown(spelling)}.",
        remedy=(f"Did you mean {near[0]}? " if near else "")
        + "The operator of this server can allow more long options, used as --name or --name=value.",
    )
