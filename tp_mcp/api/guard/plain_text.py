"""Checks of plain text that every other guard starts with."""

from tp_mcp.errors import InvalidArgumentError, UnsafeArgumentError

SHOWN_CHARACTERS = 80
"""How much of a refused value an error repeats."""


def shown(value: object) -> str:
    """Return `value` as an error may repeat it: quoted, control characters spelled out, at most 80 characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        # A number of more digits than Python prints, or lists within lists without end.
        text = f"a value of type {type(value).__name__} that is too big to show"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}... ({len(text)} characters)"


def guard_text(name: str, value: object, *, longest: int) -> str:
    """Return `value` if it is a text of printable characters, at most `longest` of them.

    Printable is Unicode's notion of it: no control character (tab, newline and NUL among them), no invisible or
    direction-changing character, no space but the ASCII one, no half of a surrogate pair.

    Raises:
        InvalidArgumentError: it is no text, or too long.
        UnsafeArgumentError: a character of it cannot be printed.

    """
    if not isinstance(value, str):
        raise InvalidArgumentError(
            f"{name} must be a string; {shown(value)} was given.", remedy=f"Pass {name} as a string."
        )
    if len(value) > longest:
        raise InvalidArgumentError(f"{name} is {len(value)} characters long; at most {longest} are allowed.")
    for position, character in enumerate(value):
        if not character.isprintable():
            raise UnsafeArgumentError(
                f"{name} has the unprintable character U+{ord(character):04X} at position {position}: {shown(value)}.",
                remedy="Leave it out: newlines, tabs, NULs and other invisible characters are never carried.",
            )
    return value
