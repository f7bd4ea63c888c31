"""pytest's `-k` and `-m` language, checked before it is sent.

The grammar is pytest's own (names joined by `and`, `or`, `not` and parentheses). It is held strictly because old
versions of pytest hand the text to Python's `eval`: without calls, strings and attributes of a bracket nothing can run
there.
"""

import re
from collections.abc import Iterator

from tp_mcp.api.guard.text import shown
from tp_mcp.errors import InvalidArgumentError

DEEPEST_NESTING = 20
"""How many parentheses may be open at once; pytest's own parser recurses."""

_TOKEN = re.compile(r" *(?:(?P<bracket>[()])|(?P<name>[\w:+\-.\[\]\\/]+))")
_EXAMPLE = "Write names joined by and, or, not and parentheses, as in 'radius and not (flaky or slow)'."


def check_expression(name: str, option: str, text: str) -> None:
    """Check that `text` is an expression of pytest's `-k` and `-m`; the empty one selects everything.

    Raises:
        InvalidArgumentError: pytest would not understand it, or it has a call such as `device(serial=1)`.

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
        f"{name}: {option} {shown(text)} is no expression that pytest understands: {reason}.", remedy=_EXAMPLE
    )
