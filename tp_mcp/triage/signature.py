"""Signatures that identify the reason of a failure across runs."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tp_mcp.triage.test_report import BROKEN, Phase, ReportedTest
from tp_mcp.triage.traceback import Frame, Traceback, read_traceback

TEXT_MAX_CHARACTERS = 4_000
"""Limit of a text that is masked; the rest is dropped."""


def _mask(name: str, pattern: str, stands_for: str = "") -> tuple[re.Pattern[str], str]:
    return re.compile(pattern), stands_for or f"<{name}>"


# Texts that vary between runs, with their replacements.
_MASKS = (
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
    """Mask addresses, numbers, times, ids, hosts and paths: "server <ip> had <n> errors"."""
    text = text[:TEXT_MAX_CHARACTERS]
    for pattern, stands_for in _MASKS:
        text = pattern.sub(stands_for, text)
    return _SPACES.sub(" ", text).strip()


def without_quoted(text: str) -> str:
    """Mask quoted text: "'show vlan' failed" becomes "<q> failed"."""
    return _QUOTED.sub("<q>", text)


MESSAGE_MAX_LINES = 6
"""Number of lines of a message in a signature; the following ones are a diff or output."""

ID_BYTES = 5
_PARAMETERS = re.compile(r"\[(.*)\]$", re.DOTALL)
_SHORTEST_PARAMETER = 3
# pytest's explanation of a comparison, which follows the reason.
_COMPARISON = re.compile(
    r"\s*(?:[-+?] |[-+?]$|\+ {1,2}where |\.\.\.|Full diff|Use -v|Omitting |Differing items|At index "
    r"|(?:Left|Right) contains)"
)


@dataclass(frozen=True, slots=True)
class Signature:
    """A failure without the details that vary between runs.

    Attributes:
        message: masked message.
        frame: deepest frame in the tests' own code, as `path::function`, without a line number.
    """

    exception: str
    message: str
    frame: str
    phase: Phase

    @property
    def id(self) -> str:
        """Return a short id, stable across processes and runs: `s_` and ten hexadecimal digits."""
        text = "\n".join((self.exception, self.message, self.frame, self.phase))
        return "s_" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=ID_BYTES).hexdigest()


@dataclass(frozen=True)
class Failure:
    """A failed row of a report with its parsed log."""

    test: ReportedTest
    traceback: Traceback

    @cached_property
    def signature(self) -> Signature:
        """Return the signature of the failure's reason."""
        lines = [line.strip() for line in mask(self.words).split("\n") if not _COMPARISON.match(line)]
        return Signature(
            exception=self.traceback.exception,
            message="\n".join(line for line in lines[:MESSAGE_MAX_LINES] if line),
            frame=frame_words(self.traceback.own_frame),
            phase=self.test.phase,
        )

    @cached_property
    def words(self) -> str:
        """Return the message without the test's parameters."""
        return without_parameters(self.traceback.message, self.test)

    @cached_property
    def function(self) -> str:
        """Return the test's id without its parameters."""
        return _PARAMETERS.sub("", self.test.test_id)


def failures_of(tests: Sequence[ReportedTest]) -> tuple[Failure, ...]:
    """Return the failed rows of a report, including errors, with their parsed logs."""
    return tuple(Failure(test, read_traceback(test.log)) for test in tests if test.outcome in BROKEN)


def without_parameters(text: str, test: ReportedTest) -> str:
    """Mask the values of a test's parameters in a text."""
    match = _PARAMETERS.search(test.test_id)
    if match is None:
        return text
    # Hyphens join several values, but may also be part of one value, which then occurs as a whole in the log.
    values = [match[1]] if match[1] in test.log else match[1].split("-")
    for value in sorted((value for value in values if len(value) >= _SHORTEST_PARAMETER), key=len, reverse=True):
        text = re.sub(rf"(?<![\w/.-]){re.escape(value)}(?![\w-])", "<param>", text)
    return text


def frame_words(frame: Frame | None) -> str:
    """Return a frame as `path::function`; empty without a frame."""
    if frame is None:
        return ""
    return f"{frame.path}::{frame.function}" if frame.function else frame.path
