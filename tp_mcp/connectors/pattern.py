"""Regular expressions that come from outside and are searched in texts that come from outside.

Both may be hostile, and a search holds up everything else in the process. So they are RE2's: its time grows with
the length of the text and never exponentially, and its memory has a limit, for a pattern that is compiled as for a
search. The price is that it has no look-around and no back-references. `(?i)`, `(?m)` and `(?s)` work as usual.

A pattern is searched for anywhere in the text; `^` and `$` anchor it to the text's beginning and end. Of a text longer
than `SEARCHED_MAX_CHARACTERS` only the end is searched: what is new in a log is at its end. `^` still means the
beginning of the whole text, and is not found there.
"""

from collections.abc import Callable
from typing import Any

PATTERN_MAX_CHARACTERS = 200
"""Longest pattern."""

PATTERN_MAX_BYTES = 32_768
"""Memory that a compiled pattern and its search may take. It bounds repetitions such as `.{1000}` as well."""

SEARCHED_MAX_CHARACTERS = 4_096
"""How much of a text is searched, from its end: all of a log's tail as TP gives it.

Together with `PATTERN_MAX_BYTES` it keeps the worst search that a pattern can ask for under 100 ms; a usual one takes
some 10 microseconds."""

WINDOW_OVERLAP_CHARACTERS = 512
"""How much two windows of one long line have in common."""

LINE_SEARCHED_MAX_CHARACTERS = 100_000
"""How much of one line is searched where it can be found: the worst pattern takes some seconds for so much."""

_WINDOW_STEP = SEARCHED_MAX_CHARACTERS - WINDOW_OVERLAP_CHARACTERS


def pattern_problem(pattern: str) -> str | None:
    """Say what is wrong with a pattern; None where nothing is."""
    if len(pattern) > PATTERN_MAX_CHARACTERS:
        return f"the pattern has {len(pattern):,} characters, and {PATTERN_MAX_CHARACTERS} are allowed"
    # Imported here: most watches never need it.
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415 - the library has no types; start-up time

    try:
        _compiled(pattern)
    except UnicodeEncodeError:
        reason = "it holds half a character"
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace")
    else:
        return None
    return (
        f"the pattern {pattern!r} cannot be used ({reason}): it is a regular expression of RE2's syntax, without "
        "look-around and back-references, and its repetitions must stay small"
    )


def is_found(pattern: str, text: str) -> bool:
    """Return whether a pattern that has no problem is found in a text, or in the end of a long one."""
    begin = max(len(text) - SEARCHED_MAX_CHARACTERS, 0)
    # One character more is kept, so that what comes before the searched part is seen not to be the text's beginning.
    kept = text[max(begin - 1, 0) :]
    # JSON can hold halves of characters, which UTF-8 cannot.
    readable = kept.encode("utf-8", "replace").decode("utf-8")
    return _compiled(pattern).search(readable, min(begin, 1)) is not None


def finder(pattern: str) -> Callable[[str], int | None]:
    """Return what tells where in a line a pattern that has no problem is found first.

    Of a line longer than `SEARCHED_MAX_CHARACTERS` one window after the other is searched, each overlapping the one
    before; what is longer than the overlap may be missed there. Of one longer than `LINE_SEARCHED_MAX_CHARACTERS` only
    the beginning is searched.
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
    # The library keeps the latest patterns compiled.
    return re2.compile(pattern, options=options)
