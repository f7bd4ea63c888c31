"""The end of a device's session as it may be shown: without the line that restores an image, which holds a password.

What is known to be secret is taken out of every result. But of a password that another process was given, nothing is
known, and where the text begins inside the line, or a terminal broke the line inside the password, nothing looks like
one any more.
"""

import re

from tp_mcp.redaction import clean

FULL_TAIL_CHARACTERS = 1_900
"""From here on a log is taken for the cut end of a longer one; TP shows 2,048 bytes."""

TERMINAL_WIDTHS = frozenset({80, 132})
"""Columns at which a session's terminal breaks a line."""

PARTIAL_LINES = 2
"""How many lines of a cut log may belong to a line that began before it."""

COMMAND_LEFT_OUT = "[the command, with its password, is left out]"
BEGINNING_LEFT_OUT = "[the first, partial lines are left out]"

# A terminal that breaks a line without ending it writes a space and returns.
_SOFT_BREAK = re.compile(r" \r(?!\n)")
_ECHO = re.compile(r"\s*".join("executerestoreimagescp"))
_WORDS_AFTER_ECHO = 4


def without_command(log: str) -> str:
    """Return the cleaned log without the command, and without the partial lines that a cut one begins with."""
    lines = clean(_SOFT_BREAK.sub("", log)).split("\n")
    beginning: list[str] = []
    if len(log) >= FULL_TAIL_CHARACTERS:
        lines = lines[_continued(lines, PARTIAL_LINES - 1) :]
        beginning = [BEGINNING_LEFT_OUT]
    shown: list[str] = []
    text = "\n".join(lines)
    while (echo := _ECHO.search(text)) is not None:
        shown.append(f"{text[: echo.start()]}{COMMAND_LEFT_OUT}")
        text = _after_command(text[echo.end() :])
    return "\n".join([*beginning, *shown, text])


def _after_command(text: str) -> str:
    lines = text.split("\n")
    words = len(lines[0].split())
    last = 0
    while words < _WORDS_AFTER_ECHO and last < len(lines) - 1:
        last += 1
        words += len(lines[last].split())
    return "\n".join(lines[_continued(lines, last) :])


def _continued(lines: list[str], last: int) -> int:
    """Return the index of the first line that belongs to the command no more, `last` being one that does."""
    following = last + 1
    while following < len(lines) and (
        len(lines[following].split()) == 1 or len(lines[following - 1]) in TERMINAL_WIDTHS
    ):
        following += 1
    return following
