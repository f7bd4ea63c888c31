"""Small tools for texts that are read by people and models."""

import difflib
import math
from collections.abc import Iterable
from typing import NamedTuple, overload

from tp_mcp.redaction import Redactor, SafeText

LONGEST_CLUSTER = 32
"""Code points after which a cluster counts as an attack, and is cut wherever it has to be."""

_FARTHEST_BACK = 1_000
"""Code points back from a cut in which a place that is certainly between two clusters is looked for."""


def cut_before(text: str, at: int) -> int:
    """Return the nearest place at or before `at` where a text may be cut."""
    begin, _ = _cluster_around(text, at)
    return begin if at - begin < LONGEST_CLUSTER else at


def cut_after(text: str, at: int) -> int:
    """Return the nearest place at or after `at` where a text may be cut."""
    _, end = _cluster_around(text, at)
    return end if end - at < LONGEST_CLUSTER else at


def _cluster_around(text: str, at: int) -> tuple[int, int]:
    """Return where the grapheme cluster begins and ends that a cut at `at` would tear apart; `at` twice for none."""
    if at <= 0 or at >= len(text):
        return at, at
    if text[at - 1 : at + 1].isascii():
        return (at - 1, at + 1) if text[at - 1 : at + 1] == "\r\n" else (at, at)
    import regex  # noqa: PLC0415 - start-up time

    begin = at - 1
    # Two ASCII characters are two clusters, unless they end a line.
    while begin > max(at - _FARTHEST_BACK, 0) and not text[begin - 1 : begin + 1].isascii():
        begin -= 1
    clusters = regex.finditer(r"\X", text, pos=begin, endpos=min(at + LONGEST_CLUSTER, len(text)))
    around = next(cluster for cluster in clusters if cluster.end() > at)
    return (around.start(), around.end()) if around.start() < at else (at, at)


NEAREST_MAX_CANDIDATES = 20_000
"""How many names `nearest` looks at: comparing takes some 10 microseconds each."""

_NEAREST_MAX_CHARACTERS = 300
_UTF8_MAX_OCTETS = 4


class Size(NamedTuple):
    """How long a text is, or may be: its code points, and the bytes of its UTF-8."""

    characters: int
    octets: int

    def part(self, divisor: int) -> "Size":
        """Return this size divided by a number, rounded down."""
        return Size(self.characters // divisor, self.octets // divisor)

    def plus(self, other: "Size") -> "Size":
        """Return the sum."""
        return Size(self.characters + other.characters, self.octets + other.octets)

    def minus(self, other: "Size") -> "Size":
        """Return the difference, zero at least."""
        return Size(max(self.characters - other.characters, 0), max(self.octets - other.octets, 0))

    def within(self, other: "Size") -> "Size":
        """Return the smaller of both, each measure by itself."""
        return Size(min(self.characters, other.characters), min(self.octets, other.octets))

    def holds(self, other: "Size") -> bool:
        """Return whether a text of the other size fits into this one."""
        return other.characters <= self.characters and other.octets <= self.octets


def size_of(text: str) -> Size:
    """Return how long a text is."""
    octets = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return Size(len(text), octets)


def cut_mark(left_out: int) -> str:
    """Return the mark that stands where characters were left out."""
    return f"[... {left_out:,} characters left out ...]"


def shorten_middle(text: str, limit: Size) -> str:
    """Return the text within a limit; a mark in its middle counts the characters that were left out.

    Characters and grapheme clusters stay whole. A limit too small for the mark gives the beginning and
    "...", and one too small for that gives dots alone.
    """
    size = size_of(text)
    if limit.holds(size):
        return text
    mark = size_of(cut_mark(len(text)))
    room = limit.minus(mark)
    if min(room) < 2:
        return head_within(text, limit.minus(Size(3, 3))) + "..."[: max(min(limit), 0)]
    tail_room = room.part(2)
    head, tail = head_within(text, room.minus(tail_room)), tail_within(text, tail_room)
    return f"{head}{cut_mark(len(text) - len(head) - len(tail))}{tail}"


@overload
def shorten(text: SafeText, max_characters: int) -> SafeText: ...
@overload
def shorten(text: str, max_characters: int) -> str: ...
def shorten(text: str, max_characters: int) -> str:
    """Return the text within so many characters, its middle left out as `shorten_middle` does.

    A part of a safe text is safe.
    """
    return shorten_middle(text, Size(max_characters, max_characters * _UTF8_MAX_OCTETS))


def echoed(text: str, max_characters: int) -> str:
    """Return an argument as an error may repeat it: without anything that looks like a secret, and shortened.

    In this order: a secret whose beginning was cut off is not known for one any more.
    """
    return shorten(Redactor().redact(text), max_characters)


def format_duration(seconds: float) -> str:
    """Return a duration with its two largest units: "350 ms", "45 s", "3 min 20 s", "2 h 5 min", "1 d 3 h".

    A negative duration, as after a clock was set back, counts as zero; a number that is not finite is "unknown".
    """
    if not math.isfinite(seconds):
        return "unknown"
    if 0 < seconds < 0.9995:
        return f"{max(round(seconds * 1000), 1)} ms"
    whole = max(round(seconds), 0)
    for size, name, smaller, smaller_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{whole} s"


def count_of(number: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun: "1 test", "1,234 tests". Without a plural, the singular gets an s."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def nearest(name: str, candidates: Iterable[str], *, limit: int = 3) -> tuple[str, ...]:
    """Return the candidates most like a name that was probably misspelt, the most alike first.

    Case is ignored. A name that contains the given one, or makes up half of it, counts as alike. At most
    `NEAREST_MAX_CANDIDATES` are looked at.
    """
    wanted = name[:_NEAREST_MAX_CHARACTERS].casefold()
    by_folded: dict[str, str] = {}
    for candidate, _ in zip(candidates, range(NEAREST_MAX_CANDIDATES), strict=False):
        by_folded.setdefault(candidate[:_NEAREST_MAX_CHARACTERS].casefold(), candidate)
    alike = difflib.get_close_matches(wanted, by_folded, n=limit)
    contained = [folded for folded in by_folded if _overlap(wanted, folded)]
    contained.sort(key=lambda folded: abs(len(folded) - len(wanted)))
    return tuple(by_folded[folded] for folded in dict.fromkeys([*alike, *contained]))[:limit]


def _overlap(wanted: str, candidate: str) -> bool:
    if len(wanted) < 3:
        return False
    return wanted in candidate or (candidate in wanted and 2 * len(candidate) >= len(wanted))


def head_within(text: str, limit: Size) -> str:
    """Return as much of a text's beginning as fits, whole characters as a reader sees them."""
    head = text[: limit.characters].encode("utf-8", "replace")[: limit.octets].decode("utf-8", "ignore")
    return head[: cut_before(text, len(head))] or head


def tail_within(text: str, limit: Size) -> str:
    """Return as much of a text's end as fits, whole characters as a reader sees them."""
    data = text[max(len(text) - limit.characters, 0) :].encode("utf-8", "replace")
    tail = data[max(len(data) - limit.octets, 0) :].decode("utf-8", "ignore")
    begin = len(text) - len(tail)
    return tail[cut_after(text, begin) - begin :] or tail
