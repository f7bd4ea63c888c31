"""The result of one poll of a job, in terms that hold for every kind of job."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue


class Verdict(StrEnum):
    """The state of a job according to one poll."""

    STALE = "stale"
    """The status belongs to an earlier job: this one has not been picked up."""
    UNDERWAY = "underway"
    DONE = "done"
    FAILED = "failed"
    FOREIGN = "foreign"
    """The answer is about an unrelated job: this one is gone."""


class Outcome(StrEnum):
    """The outcome of a job that ran to its end."""

    PASSED = "passed"
    FAILED = "failed"
    NO_TEST_RAN = "no test ran"
    LISTING = "listing"
    """A `--collect-only` run, which lists tests and runs none."""
    CANCELLED = "cancelled"
    """Somebody ended it on TP."""
    UNKNOWN = "unknown"
    """The job ended, but its counts are not known."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of tests by outcome; None if not known yet."""

    passed: int | None = None
    failed: int | None = None
    skipped: int | None = None
    errors: int | None = None
    total: int | None = None

    @property
    def finished(self) -> int:
        """Return the number of tests that have an outcome."""
        return sum(count or 0 for count in (self.passed, self.failed, self.skipped, self.errors))

    @property
    def broken(self) -> int:
        """Return the number of tests that failed or had an error."""
        return (self.failed or 0) + (self.errors or 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of one poll.

    Attributes:
        phase: the job's own name of its state, e.g. `PROGRESS`, `Running`.
        outcome: only with `DONE` and `FAILED`.
        probable: whether the end is probably, but not certainly, this job's.
        sign_of_life: a text that changes while the job is alive.
        detail: one line for a person; may be empty.
        took_seconds: duration of the job by TP's own timestamps; None if they do not show it.
        broken: whether some part of the job, a test or a device, has failed; others may go on.
    """

    verdict: Verdict
    phase: str
    outcome: Outcome | None = None
    probable: bool = False
    sign_of_life: str = ""
    counts: Counts | None = None
    detail: str = ""
    report_url: str | None = None
    took_seconds: float | None = None
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Interpretation:
    """The reading of one answer by a rule, and a value that the rule gets back with the next answer."""

    reading: Reading
    memory: JsonValue


@dataclass(frozen=True, slots=True)
class Settlement:
    """The result of reading about an unanswered start.

    `started` is True only if TP has the job for certain; False is never certain: the request may still be on its way.
    `answer` is the answer that TP would have given, and `spec_args` (to poll with), `job` and `title` follow from it,
    as far as they are known. `evidence` is the observation that shows it, in a sentence.
    """

    started: bool
    answer: JsonValue = None
    spec_args: Mapping[str, JsonValue] | None = None
    job: str | None = None
    evidence: str = ""
    title: str | None = None


def sign_of(text: str) -> str:
    """Return a short digest of a text, which is the same in every process."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
