"""The life of a watch, as a pure function of what is observed.

Each function takes a watch, one observation and the time, and returns the watch afterwards with what must be written.
A watch that ended never changes again, and time never goes back.
"""

from dataclasses import replace

from pydantic import JsonValue

from tp_mcp.errors import TpError, TpNotAuthenticatedError, TpNotFoundError
from tp_mcp.results.text import format_duration
from tp_mcp.watch import words
from tp_mcp.watch.ports import Interpretation, Settlement
from tp_mcp.watch.readings import Outcome, Reading, Verdict
from tp_mcp.watch.states import Advisory, InboxEntry, Step, Watch, WatchState

LOST_AFTER_MISSING_POLLS = 3
LOST_AFTER_MISSING_SECONDS = 120.0


def accept(watch: Watch, *, answer: JsonValue, now: float) -> Step:
    """Let a watch become active: TP accepted its job."""
    active = replace(watch, state=WatchState.ACTIVE, answer=answer, started_at=now, lively_at=now)
    return Step(active, durable=True)


def refuse(watch: Watch, *, reason: str, now: float, tell: bool) -> Step:
    """End a watch whose job TP refused, or never got.

    Args:
        watch: a watch in state `starting`.
        reason: why, in a sentence.
        now: the time.
        tell: whether an inbox entry is due, because the caller could not be told directly.

    """
    step = _end(watch, WatchState.FAILED, now, reason=reason)
    return step if tell else replace(step, entry=None)


def observe_answer(watch: Watch, interpretation: Interpretation, answer: JsonValue, *, now: float) -> Step:
    """Take in one answered poll."""
    if watch.state.ended:
        return Step(watch)
    now = _not_before(watch, now)
    reading = interpretation.reading
    seen = replace(
        watch,
        polls=watch.polls + 1,
        polled_at=now,
        memory=interpretation.memory,
        reading=reading,
        last_answer=answer,
        lively_at=now if _shows_life(watch.reading, reading) else watch.lively_at,
        missing_since=None,
        missing_polls=0,
    )
    match reading.verdict:
        case Verdict.FOREIGN:
            return _end(seen, WatchState.LOST, now, reason=reading.detail)
        case Verdict.DONE:
            return _end(seen, WatchState.DONE, now, outcome=reading.outcome, reason=reading.detail)
        case Verdict.FAILED:
            return _end(seen, WatchState.FAILED, now, outcome=reading.outcome, reason=reading.detail)
        case Verdict.STALE | Verdict.UNDERWAY:
            return _limits(seen, now) or _advise(watch, seen, now)


def observe_failure(watch: Watch, failure: TpError, *, now: float) -> Step:
    """Take in one poll that was not answered, or not with anything that can be read."""
    if watch.state.ended:
        return Step(watch)
    now = _not_before(watch, now)
    if isinstance(failure, TpNotFoundError):
        since = now if watch.missing_since is None else watch.missing_since
        missing = replace(watch, missing_since=since, missing_polls=watch.missing_polls + 1, polled_at=now)
        if missing.missing_polls >= LOST_AFTER_MISSING_POLLS and now - since >= LOST_AFTER_MISSING_SECONDS:
            return _end(missing, WatchState.LOST, now, reason="TP no longer knows this job.")
        return _limits(missing, now) or Step(missing, durable=True)
    silent = replace(watch, advisory=Advisory.UNREACHABLE, reason=str(failure), missing_since=None, missing_polls=0)
    if (over := _limits(silent, now)) is not None:
        return over
    begins = watch.advisory is not Advisory.UNREACHABLE
    what = "cannot log in to TP" if isinstance(failure, TpNotAuthenticatedError) else "cannot reach TP"
    notes = (f"{watch.id}: {what}: {failure}",) if begins else ()
    return Step(silent, durable=begins or silent.reason != watch.reason, notes=notes)


def observe_settlement(watch: Watch, settlement: Settlement, *, now: float) -> Step:
    """Take in what reading told about a start that was never answered."""
    if watch.state is not WatchState.STARTING:
        return Step(watch)
    now = _not_before(watch, now)
    if settlement.started:
        args = watch.spec.args if settlement.spec_args is None else settlement.spec_args
        started = replace(
            watch,
            state=WatchState.ACTIVE,
            spec=replace(watch.spec, args=args),
            job=settlement.job or watch.job,
            answer=settlement.answer,
            started_at=watch.created_at,
            lively_at=now,
            advisory=None,
            reason=settlement.evidence,
        )
        return Step(started, durable=True, notes=(f"{watch.id}: TP has the job: {settlement.evidence}",))
    if settlement.started is False:
        return _end(watch, WatchState.FAILED, now, reason=f"TP did not start it: {settlement.evidence}")
    if now - watch.created_at < watch.spec.not_started_after_seconds:
        return Step(watch)
    reason = (
        "TP never answered the request, and reading does not tell whether it started: "
        f"{settlement.evidence} It was sent once and is not sent again by itself."
    )
    return _end(watch, WatchState.FAILED, now, outcome=Outcome.UNKNOWN, reason=reason)


def cancel(watch: Watch, *, reason: str, now: float) -> Step:
    """Stop watching. The job itself goes on. The caller knows, so nothing goes to the inbox."""
    if watch.state.ended:
        return Step(watch)
    return replace(_end(watch, WatchState.CANCELLED, _not_before(watch, now), reason=reason), entry=None)


def _limits(watch: Watch, now: float) -> Step | None:
    spec = watch.spec
    elapsed = now - watch.since
    if elapsed >= spec.timeout_seconds:
        reason = f"The watch's limit of {format_duration(spec.timeout_seconds)} is over; the job may still be going on."
    elif spec.max_polls is not None and watch.polls >= spec.max_polls:
        reason = f"The watch's limit of {spec.max_polls} polls is over; the job may still be going on."
    else:
        return None
    if watch.advisory is not None and watch.reason:
        reason = f"{reason} Last known: {watch.reason}"
    return _end(watch, WatchState.TIMED_OUT, now, reason=reason)


def _advise(before: Watch, watch: Watch, now: float) -> Step:
    advisory, reason = _advisory(watch, now)
    after = replace(watch, advisory=advisory, reason=reason)
    notes: tuple[str, ...] = ()
    if advisory is not before.advisory:
        ended = () if before.advisory is None else (f"{watch.id}: no longer {before.advisory}",)
        begun = () if advisory is None else (f"{watch.id}: {advisory}: {reason}",)
        notes = ended + begun
    durable = (
        advisory is not before.advisory
        or after.memory != before.memory
        or before.reading is None
        or before.reading.phase != after.reading.phase  # type: ignore[union-attr] # observe_answer has just set it
    )
    return Step(after, durable=durable, notes=notes)


def _advisory(watch: Watch, now: float) -> tuple[Advisory | None, str]:
    spec = watch.spec
    if watch.reading is not None and watch.reading.verdict is Verdict.STALE:
        if (waited := now - watch.since) >= spec.not_started_after_seconds:
            return Advisory.NOT_STARTED, f"Nothing has picked it up for {format_duration(waited)}."
        return None, ""
    still = now - (watch.since if watch.lively_at is None else watch.lively_at)
    if still >= spec.stalled_after_seconds:
        return Advisory.STALLED, f"Its signs of life have stood still for {format_duration(still)}."
    return None, ""


def _shows_life(before: Reading | None, reading: Reading) -> bool:
    return before is None or before.sign_of_life != reading.sign_of_life


def _end(watch: Watch, state: WatchState, now: float, *, reason: str, outcome: Outcome | None = None) -> Step:
    ended = replace(watch, state=state, outcome=outcome, reason=reason, ended_at=now, advisory=None)
    entry = InboxEntry(
        watch_id=ended.id, owner=ended.owner, text=words.end_message(ended), job=ended.job, created_at=now
    )
    return Step(ended, entry=entry, durable=True)


def _not_before(watch: Watch, now: float) -> float:
    return max(now, watch.created_at, watch.polled_at or 0.0)
