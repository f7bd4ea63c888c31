"""Search for regular expressions from outside in texts from outside.

Both may be hostile, and a search blocks everything else in the process. Patterns are therefore RE2's: the time of a
search grows with the length of the text, never exponentially, and its memory has a limit. RE2 has no look-around and
no back-references; `(?i)`, `(?m)` and `(?s)` work as usual.

A pattern may be found anywhere in the text; `^` and `$` match its beginning and end. In a text longer than
`SEARCHED_MAX_CHARACTERS` only the end is searched, because the new part of a log is at its end; `^` still means the
beginning of the whole text and is not found there.
"""

from collections.abc import Callable
from typing import Any

PATTERN_MAX_CHARACTERS = 200
"""Limit of a pattern, in characters."""

PATTERN_MAX_BYTES = 32_768
"""Memory limit of a compiled pattern and its search, in bytes; it also bounds repetitions such as `.{1000}`."""

SEARCHED_MAX_CHARACTERS = 4_096
"""Length of the searched end of a text, in characters: a complete log tail of TP.

With `PATTERN_MAX_BYTES` it keeps the most expensive search under 100 ms; a typical one takes about 10 microseconds."""

WINDOW_OVERLAP_CHARACTERS = 512
"""Overlap of two windows of a long line, in characters."""

LINE_SEARCHED_MAX_CHARACTERS = 100_000
"""Limit of the searched part of a line, in characters: the most expensive pattern takes some seconds for it."""

_WINDOW_STEP = SEARCHED_MAX_CHARACTERS - WINDOW_OVERLAP_CHARACTERS


def pattern_problem(pattern: str) -> str | None:
    """Return the problem of a pattern; None if it is valid."""
    if len(pattern) > PATTERN_MAX_CHARACTERS:
        return f"the pattern has {len(pattern):,} characters; the limit is {PATTERN_MAX_CHARACTERS}"
    # Imported here: most watches do not need it.
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415 - the library has no types; start-up time

    try:
        _compiled(pattern)
    except UnicodeEncodeError:
        reason = "it contains half a character"
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace")
    else:
        return None
    return (
        f"the pattern {pattern!r} cannot be used ({reason}): it must be a regular expression in RE2's syntax, without "
        "look-around and back-references, and with small repetitions"
    )


def is_found(pattern: str, text: str) -> bool:
    """Return whether a valid pattern is found in a text, or in the end of a long one."""
    begin = max(len(text) - SEARCHED_MAX_CHARACTERS, 0)
    # One more character is kept, so that the searched part is not mistaken for the beginning of the text.
    kept = text[max(begin - 1, 0) :]
    # JSON may contain halves of characters, which UTF-8 cannot encode.
    readable = kept.encode("utf-8", "replace").decode("utf-8")
    return _compiled(pattern).search(readable, min(begin, 1)) is not None


def finder(pattern: str) -> Callable[[str], int | None]:
    """Return a function that returns the first position of a valid pattern in a line.

    A line longer than `SEARCHED_MAX_CHARACTERS` is searched in overlapping windows; a match longer than the overlap may
    be missed. Beyond `LINE_SEARCHED_MAX_CHARACTERS` a line is not searched.
    """
    compiled = _compiled(pattern)

    def find(line: str) -> int | None:
        readable = line[:LINE_SEARCHED_MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
        for begin in range(0, max(len(readable) - WINDOW_OVERLAP_CHARACTERS, 1), _WINDOW_STEP):
            found = compiled.search(readable[begin : begin + SEARCHED_MAX_CHARACTERS])
            if found is not None:
                return begin + int(found.start())
        return None

    return find


def _compiled(pattern: str) -> Any:  # noqa: ANN401 - the library has no types
    import re2  # noqa: PLC0415 - start-up time

    options = re2.Options()
    options.max_mem = PATTERN_MAX_BYTES
    options.log_errors = False
    # The library caches the latest compiled patterns.
    return re2.compile(pattern, options=options)
