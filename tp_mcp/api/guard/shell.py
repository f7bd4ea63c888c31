"""Splits a text into words like a POSIX shell, and refuses everything that a shell would act on."""

import re

from tp_mcp.api.guard.plain_text import shown
from tp_mcp.errors import UnsafeArgumentError

PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./^-]")
"""Characters without a special meaning outside quotes, anywhere in a word after the command's name."""

ESCAPABLE_IN_DOUBLE_QUOTES = '$`"\\'
"""Characters that a backslash escapes inside double quotes; before others it is literal."""


def split(name: str, text: str) -> tuple[str, ...]:
    """Return the words that a POSIX shell makes of a text.

    Single quotes, double quotes and backslashes are supported. Nothing is expanded: text that a shell would expand or
    act on is refused.

    Args:
        text: printable text.

    Raises:
        UnsafeArgumentError: a special character outside quotes, a `$` or a backtick in double quotes, or an open quote.
    """
    words: list[str] = []
    word: list[str] | None = None
    position = 0
    while position < len(text):
        character = text[position]
        if character == " ":
            if word is not None:
                words.append("".join(word))
                word = None
            position += 1
            continue
        word = [] if word is None else word
        if character == "'":
            piece, position = _single_quoted(name, text, position)
        elif character == '"':
            piece, position = _double_quoted(name, text, position)
        elif character == "\\":
            piece, position = _escaped(name, text, position)
        elif PLAIN.match(character):
            piece, position = character, position + 1
        else:
            raise UnsafeArgumentError(
                f"{name} contains {character!r} outside quotes at position {position}, where a shell could act on it: "
                f"{shown(text)}.",
                remedy="Put the value in single quotes, as in -k 'radius and not flaky'.",
            )
        word.append(piece)
    if word is not None:
        words.append("".join(word))
    return tuple(words)


def _single_quoted(name: str, text: str, start: int) -> tuple[str, int]:
    end = text.find("'", start + 1)
    if end < 0:
        raise _unbalanced(name, text, start)
    return text[start + 1 : end], end + 1


def _double_quoted(name: str, text: str, start: int) -> tuple[str, int]:
    piece: list[str] = []
    position = start + 1
    while position < len(text):
        character = text[position]
        if character == '"':
            return "".join(piece), position + 1
        if character in "$`":
            raise UnsafeArgumentError(
                f"{name} contains {character!r} in double quotes at position {position}, where a shell expands it: "
                f"{shown(text)}.",
                remedy="Use single quotes instead of double quotes.",
            )
        if character == "\\" and text[position + 1 : position + 2] in tuple(ESCAPABLE_IN_DOUBLE_QUOTES):
            position += 1
            character = text[position]
        piece.append(character)
        position += 1
    raise _unbalanced(name, text, start)


def _escaped(name: str, text: str, start: int) -> tuple[str, int]:
    if start + 1 == len(text):
        raise UnsafeArgumentError(
            f"{name} ends in a backslash, which would escape the following text: {shown(text)}.",
            remedy="Remove the backslash, or put it in single quotes.",
        )
    return text[start + 1], start + 2


def _unbalanced(name: str, text: str, start: int) -> UnsafeArgumentError:
    return UnsafeArgumentError(
        f"{name} opens a {text[start]} at position {start} that is never closed: {shown(text)}.",
        remedy="Close the quote.",
    )
