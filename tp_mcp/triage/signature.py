"""What identifies the reason of a failure from one run to the next."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tp_mcp.triage.report_parser import Phase, ReportedTest
from tp_mcp.triage.traceback import Frame, Traceback, read_traceback

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


MESSAGE_MAX_LINES = 6
"""How many lines of a message belong to the signature: what follows is a diff, or output."""

ID_BYTES = 5
_PARAMETERS = re.compile(r"\[(.*)\]$", re.DOTALL)
_SHORTEST_PARAMETER = 3
# What pytest adds to explain a comparison: the reason stands above it.
_COMPARISON = re.compile(
    r"\s*(?:[-+?] |[-+?]$|\+ {1,2}where |\.\.\.|Full diff|Use -v|Omitting |Differing items|At index "
    r"|(?:Left|Right) contains)"
)


@dataclass(frozen=True, slots=True)
class Signature:
    """A failure without what differs from one time to the next.

    Attributes:
        exception: its exception's name.
        message: its words, masked.
        frame: the deepest frame in the tests' own code, as `path::function`; line numbers move.
        phase: the part of the test that failed.

    """

    exception: str
    message: str
    frame: str
    phase: Phase

    @property
    def id(self) -> str:
        """Return the same short id in every process and run: `s_` and ten digits."""
        text = "\n".join((self.exception, self.message, self.frame, self.phase))
        return "s_" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=ID_BYTES).hexdigest()


@dataclass(frozen=True)
class Failure:
    """One failing row of a report, and what it tells.

    Attributes:
        test: the row.
        traceback: its log, taken apart.

    """

    test: ReportedTest
    traceback: Traceback

    @cached_property
    def signature(self) -> Signature:
        """Return what identifies the reason."""
        lines = [line.strip() for line in mask(self.words).split("\n") if not _COMPARISON.match(line)]
        return Signature(
            exception=self.traceback.exception,
            message="\n".join(line for line in lines[:MESSAGE_MAX_LINES] if line),
            frame=frame_words(self.traceback.own_frame),
            phase=self.test.phase,
        )

    @cached_property
    def words(self) -> str:
        """Return the message without the values that the test was parametrised with."""
        return without_parameters(self.traceback.message, self.test)

    @cached_property
    def function(self) -> str:
        """Return the test without its parameters."""
        return _PARAMETERS.sub("", self.test.test_id)


def failures_of(tests: Sequence[ReportedTest]) -> tuple[Failure, ...]:
    """Return what each row tells that failed or ended in an error."""
    return tuple(Failure(test, read_traceback(test.log)) for test in tests if test.outcome in {"failed", "error"})


def without_parameters(text: str, test: ReportedTest) -> str:
    """Return a message without the values that a test was parametrised with."""
    match = _PARAMETERS.search(test.test_id)
    if match is None:
        return text
    # Several values are joined by hyphens, which one value may have too: then it stands somewhere as a whole.
    values = [match[1]] if match[1] in test.log else match[1].split("-")
    for value in sorted((value for value in values if len(value) >= _SHORTEST_PARAMETER), key=len, reverse=True):
        text = re.sub(rf"(?<![\w/.-]){re.escape(value)}(?![\w-])", "<param>", text)
    return text


def frame_words(frame: Frame | None) -> str:
    """Return a frame as `path::function`; empty where there is none."""
    if frame is None:
        return ""
    return f"{frame.path}::{frame.function}" if frame.function else frame.path
