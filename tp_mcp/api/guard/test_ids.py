"""Checks of test ids: literal names of files, directories and tests below the tests root.

An id is not shell text: `file.py::test[a b]` has a parameter with a space and is sent with quotes. TP prefixes each id
with the tests root, so the leading slash is removed, and only the parts that need quotes get them: a needlessly quoted
id may not be found.
"""

import re
import shlex
from collections.abc import Sequence

from tp_mcp.api.guard.plain_text import guard_text, shown
from tp_mcp.errors import InvalidArgumentError, UnsafeArgumentError

MOST_TEST_IDS = 500
"""Limit of the ids of one run."""

LONGEST_TEST_ID = 1_000
"""Limit of an id, in characters."""

MOST_TEST_ID_CHARACTERS = 60_000
"""Limit of all ids of one run together, in characters; well below the limit of a Linux command line."""

_SEGMENT = re.compile(r"[\w.+=,@%-](?:[\w.+=,@% -]*[\w.+=,@%-])?")
_EXAMPLES = "Examples: 'Tests_CLI', 'Tests_CLI/test_cli.py', 'Tests_CLI/test_cli.py::TestLogin::test_ssh[admin user]'."
_SYSTEM_DIRECTORIES = frozenset(
    {"bin", "boot", "dev", "etc", "home", "opt", "proc", "root", "sbin", "tmp", "usr", "var"}
)


def guard_test_ids(values: object) -> tuple[str, ...]:
    """Return the ids of `testcase` as they are sent: relative to the tests root, quoted for the shell if necessary.

    Args:
        values: list of ids such as `Tests_CLI/test_cli.py::TestLogin::test_ssh`; a leading slash is optional.

    Raises:
        InvalidArgumentError: not a list, an empty list, too many ids, or a malformed id.
        UnsafeArgumentError: an id outside the tests root, or one that pytest reads as an option or a file name.
    """
    return tuple(_carried(each) for each in intended_ids(values))


def intended_ids(values: object) -> tuple[str, ...]:
    """Return the ids of `testcase` as pytest receives them, without quotes; raise the errors of `guard_test_ids`."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InvalidArgumentError(
            f"testcase must be a list of test ids; {shown(values)} was given.", remedy="Pass a list, even for one id."
        )
    if not values:
        raise InvalidArgumentError(
            "testcase is empty: there is nothing to run.",
            remedy=f"Pass at least one file, directory or test. {_EXAMPLES}",
        )
    if len(values) > MOST_TEST_IDS:
        raise InvalidArgumentError(
            f"testcase has {len(values)} ids; at most {MOST_TEST_IDS} are allowed.",
            remedy="Pass directories or files instead of single tests, and select with -k.",
        )
    ids = tuple(check_id(f"testcase[{index}]", value) for index, value in enumerate(values))
    if (characters := sum(map(len, ids))) > MOST_TEST_ID_CHARACTERS:
        raise InvalidArgumentError(
            f"testcase has {characters} characters in total; at most {MOST_TEST_ID_CHARACTERS} are allowed.",
            remedy="Pass directories or files instead of single tests, and select with -k.",
        )
    return ids


def check_id(name: str, value: object) -> str:
    """Return `value` without its leading slash if it is an id: a path, or a `.py` file and names joined by `::`.

    Raises:
        InvalidArgumentError: it is malformed.
        UnsafeArgumentError: a shell or pytest could misinterpret it.
    """
    text = guard_text(name, value, longest=LONGEST_TEST_ID)
    names, bracket, parameters = text.partition("[")
    path, *parts = names.split("::")
    path = check_path(name, path)
    if not parts:
        if bracket:
            raise InvalidArgumentError(
                f"{name} is {shown(text)}: a '[' may only follow the name of a test.", remedy=_EXAMPLES
            )
        return path
    if not path.endswith(".py"):
        raise InvalidArgumentError(
            f"{name} is {shown(text)}: the part before '::' must be a .py file.", remedy=_EXAMPLES
        )
    if not all(part.isidentifier() for part in parts):
        raise InvalidArgumentError(
            f"{name} is {shown(text)}: the parts after '::' must be names of classes and tests, without quotes.",
            remedy=_EXAMPLES,
        )
    if bracket and not parameters.endswith("]"):
        raise InvalidArgumentError(
            f"{name} is {shown(text)}: the '[' of its parameters must be closed at the end.", remedy=_EXAMPLES
        )
    return "::".join((path, *parts)) + bracket + parameters


def check_path(name: str, value: str) -> str:
    """Return `value` without its leading and trailing slash if it is a path below the tests root.

    Segments consist of letters, digits, `_ . + = , @ % -` and inner spaces.

    Raises:
        InvalidArgumentError: it is empty, or starts with `tests/`.
        UnsafeArgumentError: it is an option, a file of arguments, or a path outside the tests root, or contains a
            character that a shell could act on.
    """
    text = guard_text(name, value, longest=LONGEST_TEST_ID)
    path = text.removeprefix("/").removesuffix("/")
    if not path:
        raise InvalidArgumentError(f"{name} is {shown(text)}: the path is empty.", remedy=_EXAMPLES)
    segments = path.split("/")
    if path.startswith("-"):
        raise UnsafeArgumentError(
            f"{name} is {shown(text)}: pytest reads a word that starts with '-' as an option.",
            remedy="Pass options in argument.",
        )
    if path.startswith("@"):
        raise UnsafeArgumentError(
            f"{name} is {shown(text)}: pytest reads arguments from a file if a word starts with '@'.",
            remedy=_EXAMPLES,
        )
    if any(segment in ("", ".", "..") for segment in segments):
        raise UnsafeArgumentError(
            f"{name} is {shown(text)}: empty, '.' and '..' segments could leave the tests root.",
            remedy=f"Write the path relative to the tests root. {_EXAMPLES}",
        )
    if text.startswith("/") and segments[0] in _SYSTEM_DIRECTORIES:
        raise UnsafeArgumentError(
            f"{name} is {shown(text)}: an absolute path of the controller is outside the tests root.",
            remedy=f"Write the path relative to the tests root. {_EXAMPLES}",
        )
    if segments[0] == "tests":
        raise InvalidArgumentError(
            f"{name} is {shown(text)}: paths are relative to the tests root, so omit 'tests/'.",
            remedy=f"Write {shown('/'.join(segments[1:]))}." if segments[1:] else _EXAMPLES,
        )
    if "\\" in path:
        raise UnsafeArgumentError(
            f"{name} is {shown(text)}: use '/' instead of a backslash between directories.",
            remedy=f"Write {shown(path.replace(chr(92), '/'))}.",
        )
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise UnsafeArgumentError(
            f"{name} is {shown(text)}: a path may contain letters, digits, '_', '.', '+', '=', ',', '@', '%', '-' and "
            "inner spaces; quotes, patterns and shell syntax are not allowed.",
            remedy=_EXAMPLES,
        )
    return path


def _carried(test_id: str) -> str:
    names, bracket, parameters = test_id.partition("[")
    parts = re.split(r"(/|::)", names)
    carried = "".join(part if part in ("/", "::") else shlex.quote(part) for part in parts)
    return carried + (shlex.quote(bracket + parameters) if bracket else "")
