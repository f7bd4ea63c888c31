"""Where a text may be cut without cutting in two what a reader sees as one character."""

import unicodedata

LONGEST_CLUSTER = 32
"""Code points after which a cluster counts as an attack, and is cut wherever it has to be."""

_LONGEST_ROW_OF_FLAGS = 1_000
_MARKS = frozenset({"Mn", "Me", "Mc"})
_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_JAMO_VOWELS_AND_FINALS = range(0x1160, 0x1200)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)


def cut_before(text: str, at: int) -> int:
    """Return the nearest place at or before `at` where a text may be cut."""
    for place in range(at, max(at - LONGEST_CLUSTER, -1), -1):
        if not _is_inside(text, place):
            return place
    return at


def cut_after(text: str, at: int) -> int:
    """Return the nearest place at or after `at` where a text may be cut."""
    for place in range(at, min(at + LONGEST_CLUSTER, len(text) + 1)):
        if not _is_inside(text, place):
            return place
    return at


def _is_inside(text: str, at: int) -> bool:
    if at <= 0 or at >= len(text) or (text[at].isascii() and text[at - 1].isascii()):
        return text[max(at - 1, 0) : at + 1] == "\r\n"
    here, number = text[at], ord(text[at])
    if unicodedata.category(here) in _MARKS or _JOINER in (here, text[at - 1]):
        return True
    if number in _SKIN_TONES or number in _JAMO_VOWELS_AND_FINALS:
        return True
    return number in _FLAG_LETTERS and _flag_letters_before(text, at) % 2 == 1


def _flag_letters_before(text: str, at: int) -> int:
    count = 0
    while count < min(_LONGEST_ROW_OF_FLAGS, at) and ord(text[at - count - 1]) in _FLAG_LETTERS:
        count += 1
    return count
