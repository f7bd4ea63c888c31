"""What one look at a job says, in words that hold for every kind of job."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue


class Verdict(StrEnum):
    """How the job stands, as one look tells it."""

    STALE = "stale"
    """The status shown belongs to an earlier job: this one was not picked up yet."""
    UNDERWAY = "underway"
    DONE = "done"
    FAILED = "failed"
    FOREIGN = "foreign"
    """The answer is about another job altogether: this one is gone."""


class Outcome(StrEnum):
    """What a job that ran to its end came to."""

    PASSED = "passed"
    FAILED = "failed"
    NO_TEST_RAN = "no test ran"
    LISTING = "listing"
    """A `--collect-only` run: tests were listed, none was meant to run."""
    CANCELLED = "cancelled"
    """Somebody ended it on TP."""
    UNKNOWN = "unknown"
    """The job ended, but its counts were never told."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Tests by outcome; None where the job has not told yet."""

    passed: int | None = None
    failed: int | None = None
    skipped: int | None = None
    errors: int | None = None
    total: int | None = None

    @property
    def finished(self) -> int:
        """Return how many tests have an outcome."""
        return sum(count or 0 for count in (self.passed, self.failed, self.skipped, self.errors))

    @property
    def broken(self) -> int:
        """Return how many tests failed or had an error."""
        return (self.failed or 0) + (self.errors or 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a job.

    Attributes:
        verdict: how the job stands.
        phase: the job's own word for where it is, e.g. `PROGRESS`, `Running`.
        outcome: what it came to; only with `DONE` and `FAILED`.
        probable: the end cannot be told for certain to be this job's.
        sign_of_life: any text that changes while the job is alive.
        counts: tests by outcome, for jobs that run tests.
        detail: one line a person likes to read; may be empty.
        report_url: where the report is; None before there is one.
        took_seconds: how long the job took, by TP's own timestamps; None where those do not tell it.
        broken: some part of the job, a test or a device, has failed, though others may go on.

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
    """What a rule makes of one answer.

    Attributes:
        reading: what the answer says of the job.
        memory: what the rule wants to be given back at the next answer.

    """

    reading: Reading
    memory: JsonValue


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a start whose answer never came is settled by reading.

    Attributes:
        started: whether TP is known to have the job. That it has not is never known: the request may be on its way.
        answer: what TP would have answered, as far as it was found.
        spec_args: arguments to poll with that only the answer could tell.
        job: the job's key, where only the answer could tell it.
        evidence: what it was told by, in a sentence.
        title: what is watched, where only the answer could tell it.

    """

    started: bool
    answer: JsonValue = None
    spec_args: Mapping[str, JsonValue] | None = None
    job: str | None = None
    evidence: str = ""
    title: str | None = None


def sign_of(text: str) -> str:
    """Return a short sign that differs for each text; the same text has the same sign in every process."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
