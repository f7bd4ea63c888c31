"""Checks of plain text that all other checks start with."""

from tp_mcp.errors import InvalidArgumentError, UnsafeArgumentError

SHOWN_CHARACTERS = 80
"""Limit of a refused value in an error, in characters."""


def shown(value: object) -> str:
    """Return a value for an error: quoted, with control characters escaped, up to `SHOWN_CHARACTERS`."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        # A number with more digits than Python prints, or endlessly nested lists.
        text = f"a value of type {type(value).__name__} that is too big to show"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}... ({len(text)} characters)"


def guard_text(name: str, value: object, *, longest: int) -> str:
    """Return `value` if it is a string of printable characters within the limit.

    Printable in Unicode's sense: no control character (such as tab, newline or NUL), no invisible or direction-changing
    character, no space except the ASCII one, no half of a surrogate pair.

    Raises:
        InvalidArgumentError: it is not a string, or too long.
        UnsafeArgumentError: it contains an unprintable character.
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
                remedy="Remove it: newlines, tabs, NULs and other invisible characters are never sent.",
            )
    return value
