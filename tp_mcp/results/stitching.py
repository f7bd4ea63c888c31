r"""Makes one growing log out of its tails, which TP shows from time to time.

    end of the log at 4,096 bytes    |..............|
    at 6,000 bytes                            |..............|     overlaps: what follows the known part is new
    at 20,000 bytes                                                       |..............|     9,904 bytes are missing

The log's size, in bytes, tells where two tails meet. The lines before that place check it: TP may have read the size a
moment before the tail, and bytes that are no UTF-8 arrive as another number of bytes.

Only whole lines are taken, up to a place where no secret is cut in two; the rest comes again with the next tail. So a
secret that begins in one tail and ends in the next is complete before it is written.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

TAIL_MAX_CHARACTERS = 65_536
"""How much of a tail is used, from its end; TP shows 4 KB."""

KNOWN_MAX_CHARACTERS = 8_192
"""How much of the known log is compared with a tail."""

HELD_BACK_CHARACTERS = 256
"""How much of a tail's end waits for the next one: a secret that continues there is hardly longer."""

LINES_COMPARED = 3
_SPLITS_TRIED = 20
_ODDITY = "\ufffd"
_BYTES_OF_ODDITY = 3
_SIZE_SLACK = 16

PERHAPS_A_GAP = "[... some of the log may be missing here ...]\n"
RESTART = "[--- the log starts again on TP here ---]\n"

Shown = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Known:
    """The known part of a log.

    Attributes:
        end: bytes of TP's log that are known.
        last: the last stored lines.
        whole_line: whether the known part ends between two lines.
    """

    end: int = 0
    last: str = ""
    whole_line: bool = True


@dataclass(frozen=True, slots=True)
class Addition:
    """The new part of a tail.

    Attributes:
        text: whole lines to append, with marks of gaps.
        end: as in `Known`, afterwards.
        missing: bytes that TP never showed.
        whole_line: as in `Known`.
    """

    text: str
    end: int
    missing: int = 0
    whole_line: bool = True


def gap_mark(missing: int) -> str:
    """Return the line that marks a gap of the log."""
    return f"[... {missing:,} bytes of the log are missing here: TP shows no more than its end ...]\n"


def stitch(known: Known, tail: str, size: int | None, shown: Shown, *, final: bool) -> Addition | None:
    """Return what a tail adds to the known part of a log; None where it adds nothing.

    Args:
        tail: the end of the log, as TP shows it; bytes that are no UTF-8 are U+FFFD.
        size: bytes of the whole log; None where TP does not say.
        shown: removes secrets and control sequences from lines.
        final: whether nothing follows, so that a last line without a line break is taken too.
    """
    raw = tail[-TAIL_MAX_CHARACTERS:]
    if size is None:
        return _by_its_lines(raw, known, shown, final=final)
    raw, size, unsure = _without_halves(raw, size, final=final)
    begin = max(size - octets_of(raw), 0)
    for likely in (0, known.end):
        if likely < begin <= likely + unsure:
            begin, size = likely, size - (begin - likely)
    if size < known.end - _SIZE_SLACK:
        return None if _is_older(raw, begin, known, shown) else _restarted(raw, begin, shown, final=final)
    if begin > known.end:
        return _after_gap(raw, 0, begin, known, shown, final=final)
    return _overlapping(raw, begin, size, known, shown, final=final)


def _overlapping(raw: str, begin: int, size: int, known: Known, shown: Shown, *, final: bool) -> Addition | None:
    expected = _position(raw, known.end - begin)
    if not known.end or not expected:
        return _taken(raw, expected, size, shown, final=final)
    if known.whole_line:
        expected = _line_end_near(raw, expected)
    agrees = _agrees(raw, expected, begin, known, shown)
    # Without a whole line to compare, the size is all there is to go by.
    if agrees is not False and (raw[expected - 1] in "\n\r" or not known.whole_line):
        return _taken(raw, expected, size, shown, final=final)
    if agrees is None:
        return _after_gap(raw, expected, begin, known, shown, final=final)
    places = _places(raw, begin, known, shown)
    if not places:
        return _restarted(raw, begin, shown, final=final)
    return _taken(raw, min(places, key=lambda place: abs(place - expected)), size, shown, final=final)


def octets_of(text: str) -> int:
    """Return the number of bytes of TP's log that a text was; each U+FFFD counts as one byte."""
    return len(text.encode("utf-8", "replace")) - (_BYTES_OF_ODDITY - 1) * text.count(_ODDITY)


def _without_halves(raw: str, size: int, *, final: bool) -> tuple[str, int, int]:
    """Return a tail without the halves of characters that it was cut from, and the size of the log up to its end.

    The last number is how much too large that size may be: half a character may be one byte or three.
    """
    unsure = 0
    whole = raw if final else raw.rstrip(_ODDITY)
    halves = len(raw) - len(whole)
    if 0 < halves <= _BYTES_OF_ODDITY:
        raw, size, unsure = whole, size - halves, _BYTES_OF_ODDITY - halves
    whole = raw.lstrip(_ODDITY)
    if len(raw) - len(whole) <= _BYTES_OF_ODDITY and size > octets_of(raw):
        raw = whole
    return raw, size, unsure


def _by_its_lines(raw: str, known: Known, shown: Shown, *, final: bool) -> Addition | None:
    """Return what a tail adds where TP does not say the log's size."""
    places = _places(raw, known.end, known, shown) if known.last else [0]
    at = max(places, default=0)
    taken = _taken(raw, at, known.end + octets_of(raw[at:]), shown, final=final)
    if taken is None or places:
        return taken
    return Addition(PERHAPS_A_GAP + taken.text, taken.end, whole_line=taken.whole_line)


def _places(raw: str, begin: int, known: Known, shown: Shown) -> list[int]:
    """Return the places in a tail that follow the last known lines."""
    if shown(raw) == raw:
        # A tail without secrets is not searched again for each of its lines.
        shown = str
    return [place for place in _line_ends(raw) if _agrees(raw, place, begin, known, shown)]


def _agrees(raw: str, place: int, begin: int, known: Known, shown: Shown) -> bool | None:
    """Return whether the lines before a place are the last known ones; None where there is no whole line before it."""
    lines = _whole_lines(raw[:place], begin)[-LINES_COMPARED:]
    if not lines:
        return None
    last = known.last if known.whole_line else known.last.removesuffix("\n").rpartition("\n")[0] + "\n"
    compared = shown("\n".join(lines)) + "\n"
    return last == compared or last.endswith("\n" + compared)


def _line_end_near(raw: str, place: int) -> int:
    """Return the end of a line up to two bytes from a place, as half a character leaves it unsure, or the place."""
    for away in (0, -1, 1, -2, 2):
        if 0 < place + away <= len(raw) and raw[place + away - 1] in "\n\r":
            return place + away
    return place


def _whole_lines(raw: str, begin: int) -> list[str]:
    # Where the tail is not the whole log, its first line may have lost its beginning.
    return raw.split("\n")[1 if begin else 0 : -1]


def _line_ends(raw: str) -> Iterator[int]:
    place = raw.find("\n") + 1
    while place:
        yield place
        place = raw.find("\n", place) + 1


def _position(raw: str, octets: int) -> int:
    """Return the character of a text that follows so many bytes of TP's log."""
    if raw.isascii():
        return min(octets, len(raw))
    low, high = 0, len(raw)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if octets_of(raw[:middle]) < octets else (low, middle)
    return low


def _is_older(raw: str, begin: int, known: Known, shown: Shown) -> bool:
    """Return whether a tail shows only known lines, or none: it was read earlier, and arrived later."""
    lines = _whole_lines(raw, begin)
    return not lines or shown("\n".join(lines[-LINES_COMPARED:])) in known.last


def _restarted(raw: str, begin: int, shown: Shown, *, final: bool) -> Addition | None:
    fresh = _after_gap(raw, 0, begin, Known(), shown, final=final)
    if fresh is None:
        return None
    return Addition(RESTART + fresh.text, fresh.end, fresh.missing, fresh.whole_line)


def _after_gap(raw: str, at: int, begin: int, known: Known, shown: Shown, *, final: bool) -> Addition | None:
    if begin:
        # The first line may begin with the end of a secret, so it is left out.
        at = raw.find("\n", at) + 1 or len(raw)
    taken = _taken(raw, at, begin + octets_of(raw), shown, final=final)
    missing = begin + octets_of(raw[:at]) - known.end
    if taken is None or not missing:
        return taken
    return Addition(gap_mark(missing) + taken.text, taken.end, missing, taken.whole_line)


def _taken(raw: str, at: int, size: int, shown: Shown, *, final: bool) -> Addition | None:
    """Return the addition of a tail from a place on."""
    new = raw[at:]
    if final:
        if not new:
            return None
        text = shown(new)
        return Addition(text if text.endswith("\n") else text + "\n", size, whole_line=new.endswith("\n"))
    split, text = _split(new, shown)
    return Addition(text, size - octets_of(new[split:])) if split else None


def _split(new: str, shown: Shown) -> tuple[int, str]:
    """Return how many new characters are taken now, and their text; 0 where all wait for the next tail."""
    latest = max(len(new) - HELD_BACK_CHARACTERS, 0)
    place = new.rfind("\n", 0, latest) + 1
    if not place:
        # A progress bar that is drawn again and again: only its last state is stored, which comes later.
        place = new.rfind("\r", 0, latest) + 1
        return (place, "") if place and shown(new[place:]) == shown(new) else (0, "")
    whole = shown(new)
    for _ in range(_SPLITS_TRIED):
        text = shown(new[:place])
        if text + shown(new[place:]) == whole:
            return place, text
        place = new.rfind("\n", 0, place - 1) + 1
        if not place:
            break
    return 0, ""
