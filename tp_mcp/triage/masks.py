"""Taking out of a message what differs from one failure to the next although the reason is the same.

Each mask is data: a name, a pattern, and what stands for what it matches. They are applied in order, the more specific
first. All patterns are linear in the length of the text.
"""

import re
from dataclasses import dataclass

TEXT_MAX_CHARACTERS = 4_000
"""Longest text that is masked; the rest of a longer one is left out."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Something that is no part of a reason.

    Attributes:
        name: what it is.
        pattern: how it looks.
        stands_for: what is written in its place.

    """

    name: str
    pattern: re.Pattern[str]
    stands_for: str


def _mask(name: str, pattern: str, stands_for: str = "") -> Mask:
    return Mask(name, re.compile(pattern), stands_for or f"<{name}>")


MASKS: tuple[Mask, ...] = (
    _mask("object", r"<([\w.]{1,120})(?: object)? at 0x[0-9a-fA-F]+>", r"<\1>"),
    _mask("url", r"\b[a-z][a-z0-9+.-]{1,10}://[^\s'\"<>)\]]+"),
    _mask("uuid", r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"),
    _mask("mac", r"\b[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}\b"),
    _mask("time", r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?: ?Z\b|[+-]\d\d:?\d\d\b)?"),
    _mask("time", r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? [A-Z\d][\w ]{4,10} \d\d:\d\d:\d\d(?: \w{3,4})?(?: \d{4})?\b"),
    _mask("time", r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) {1,2}\d{1,2} \d\d:\d\d:\d\d\b"),
    _mask("time", r"\b\d{4}-\d\d-\d\d\b"),
    _mask("time", r"\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b"),
    _mask("ip", r"\b\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2}|:\d{1,5})?\b"),
    _mask("ip", r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4}){1,6}(?:/\d{1,3})?(?![\w:])"),
    _mask("ip", r"(?<![\w:])[0-9a-fA-F]{1,4}::(?:[0-9a-fA-F]{1,4}:){0,5}[0-9a-fA-F]{0,4}(?![\w:])"),
    _mask("mail", r"\b[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+\b"),
    _mask("path", r"(?<![\w<>/.])/(?:[\w.+@%~:-]+/)*[\w.+@%~-]+/?"),
    _mask("host", r"\b(?:[A-Za-z0-9-]{1,63}\.)+(?:com|net|org|io|dev|example|internal|invalid|lab|lan|local|test)\b"),
    _mask("hex", r"\b0[xX][0-9a-fA-F]+\b"),
    _mask("hex", r"\b(?=[a-f]{0,30}\d)(?=\d{0,30}[a-f])[0-9a-f]{6,64}\b"),
    _mask("host", r"\b[A-Za-z]+\d*(?:-[A-Za-z]+\d*){0,4}-\d+\b"),
    _mask("id", r"\b(?=[A-Z]{0,30}\d)[A-Z0-9]{8,40}\b"),
    _mask("n", r"(?<![\w<])[-+]?\d+(?:[.,]\d+)*(?![\w>])"),
    _mask("n", r"\d+(?:\.\d+)*"),
)

_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_SPACES = re.compile(r"[ \t]+")


def mask(text: str) -> str:
    """Return a text without addresses, numbers, times, ids, hosts and paths: "server <ip> had <n> errors"."""
    text = text[:TEXT_MAX_CHARACTERS]
    for each in MASKS:
        text = each.pattern.sub(each.stands_for, text)
    return _SPACES.sub(" ", text).strip()


def without_quoted(text: str) -> str:
    """Return a text with what stands in quotes taken out: "'show vlan' failed" becomes "<q> failed"."""
    return _QUOTED.sub("<q>", text)
