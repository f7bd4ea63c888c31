"""What identifies the reason of a failure from one run to the next."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tp_mcp.triage.masks import mask
from tp_mcp.triage.report import Phase, ReportedTest
from tp_mcp.triage.traceback import Frame, Traceback, read_traceback

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
