"""The life of a watch, as a pure function of what is observed.

Each function takes a watch, one observation and the time, and returns the watch afterwards with what must be written.
A watch that ended never changes again, and time never goes back.
"""

from dataclasses import replace

from pydantic import JsonValue

from tp_mcp.errors import TpError, TpNotAuthenticatedError, TpNotFoundError, TpServerFaultError, TpUnreachableError
from tp_mcp.redaction import one_line
from tp_mcp.results.text import format_duration, shorten
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.lifecycle.answer_retention import kept
from tp_mcp.watch.lifecycle.chain_steps import followed
from tp_mcp.watch.model.reading import Interpretation, Outcome, Reading, Settlement, Verdict
from tp_mcp.watch.model.watch import Advisory, InboxEntry, Step, Watch, WatchState

COUNTED_SHARE = 0.9
"""Part of a watch's interval after which a poll counts: polls come a little early or late."""

LOST_AFTER_MISSING_POLLS = 3
LOST_AFTER_MISSING_SECONDS = 120.0
SILENCE_BEFORE_TIMEOUT_SECONDS = 600.0
"""How long TP is silent before a watch over its limit is given up: it may have ended while nobody could look."""

REASON_KEPT_CHARACTERS = 500

IN_TIME_INTERVALS = 2.0
"""How many intervals before an end was seen the look before it may lie."""

_RAN = frozenset({None, Outcome.PASSED, Outcome.FAILED})
"""Outcomes of jobs that did their work; a listing, or a run in which no test ran, says nothing of one that does."""


def accept(watch: Watch, *, answer: JsonValue, now: float) -> Step:
    """Let a watch become active: TP accepted its job."""
    now = _not_before(watch, now)
    active = replace(watch, state=WatchState.ACTIVE, answer=kept(answer), started_at=now, lively_at=now, reason="")
    return Step(active, durable=True)


def leave_open(watch: Watch, failure: TpError) -> Step:
    """Let a watch stay in state `starting`: TP may have its job, and reading has to tell."""
    return Step(replace(watch, reason=_said(failure)), durable=True)


def refuse(watch: Watch, *, reason: str, now: float) -> Step:
    """End a watch in state `starting` whose job TP refused, or never got; `reason` says why, in a sentence.

    Nothing follows it: only a job that TP may have had can have failed.
    """
    now = _not_before(watch, now)
    return _ended(_as_ended(watch, WatchState.FAILED, now, reason=reason), now)


def observe_answer(watch: Watch, interpretation: Interpretation, answer: JsonValue, *, now: float) -> Step:
    """Take in one answered poll; `answer` as it is kept."""
    if watch.state.ended:
        return Step(watch)
    now = _not_before(watch, now)
    reading = interpretation.reading
    # Others may want the same answer more often, or all intervals may be scaled: what counts against a watch's limit
    # is one poll in each interval of its own.
    counted = watch.counted_at is None or now - watch.counted_at >= watch.spec.interval_seconds * COUNTED_SHARE
    seen = replace(
        watch,
        polls=watch.polls + counted,
        counted_at=now if counted else watch.counted_at,
        polled_at=now,
        memory=interpretation.memory,
        reading=reading,
        last_answer=answer,
        lively_at=now if _shows_life(watch.reading, reading) else _lively_at(watch, now),
        missing_since=None,
        missing_polls=0,
        silent_since=None,
    )
    match reading.verdict:
        case Verdict.FOREIGN:
            # What was known of this watch's own job stays what is known of it.
            own = replace(seen, memory=watch.memory, reading=watch.reading, last_answer=watch.last_answer)
            return _end(own, WatchState.LOST, now, reason=reading.detail)
        case Verdict.DONE:
            return _end(timed(watch, seen, now), WatchState.DONE, now, outcome=reading.outcome, reason=reading.detail)
        case Verdict.FAILED:
            return _end(seen, WatchState.FAILED, now, outcome=reading.outcome, reason=reading.detail)
        case _:
            advised = _advise(watch, seen, reading, now)
            return _limits(advised.watch, now) or advised


def observe_failure(watch: Watch, failure: TpError, *, now: float) -> Step:
    """Take in one poll that was not answered, or not with anything that can be read."""
    if watch.state.ended:
        return Step(watch)
    now = _not_before(watch, now)
    if isinstance(failure, TpNotFoundError):
        if watch.state is WatchState.STARTING:
            # The read that would settle it is not there; that says nothing of the job.
            return observe_settlement(watch, Settlement(started=False, evidence=str(failure)), now=now)
        return _observe_missing(watch, now)
    since = now if watch.silent_since is None else watch.silent_since
    advisory, what = _kind_of(failure)
    silent = replace(
        watch,
        advisory=advisory,
        reason=_said(failure),
        missing_since=None,
        missing_polls=0,
        silent_since=since,
    )
    if now - since >= SILENCE_BEFORE_TIMEOUT_SECONDS and (over := _limits(silent, now)) is not None:
        return over
    begins = watch.advisory is not advisory
    notes = (f"{watch.id}: {what}: {silent.reason}",) if begins else ()
    return Step(silent, durable=begins or silent.reason != watch.reason, notes=notes)


def _kind_of(failure: TpError) -> tuple[Advisory, str]:
    if isinstance(failure, TpNotAuthenticatedError):
        return Advisory.UNREACHABLE, "cannot log in to TP"
    if isinstance(failure, TpUnreachableError | TpServerFaultError):
        return Advisory.UNREACHABLE, "cannot reach TP"
    return Advisory.NO_STATUS, "TP answers, but not with how the job stands"


def no_longer(watch: Watch, advisory: Advisory) -> str:
    """Return the note that an advisory ended."""
    return f"{watch.id}: no longer {advisory}"


def _observe_missing(watch: Watch, now: float) -> Step:
    since = now if watch.missing_since is None else watch.missing_since
    back = watch.advisory in {Advisory.UNREACHABLE, Advisory.NO_STATUS}
    missing = replace(
        watch,
        advisory=None if back else watch.advisory,
        reason="" if back else watch.reason,
        missing_since=since,
        missing_polls=watch.missing_polls + 1,
        polled_at=now,
        silent_since=None,
    )
    if missing.missing_polls >= LOST_AFTER_MISSING_POLLS and now - since >= LOST_AFTER_MISSING_SECONDS:
        return _end(missing, WatchState.LOST, now, reason="TP no longer knows this job.")
    return _limits(missing, now) or Step(missing, durable=True)


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
            title=settlement.title or watch.title,
            answer=kept(settlement.answer),
            started_at=watch.created_at,
            lively_at=now,
            advisory=None,
            reason="",
            silent_since=None,
            settled=True,
        )
        return Step(started, durable=True, notes=(f"{watch.id}: TP has the job: {settlement.evidence}",))
    if now - watch.created_at < watch.spec.not_started_after_seconds:
        if watch.advisory is None:
            return Step(watch)
        return Step(replace(watch, advisory=None, reason=settlement.evidence, silent_since=None), durable=True)
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


def lose(watch: Watch, *, reason: str, now: float) -> Step:
    """End a watch whose TP is no more. Nothing follows it: it would have to be started there."""
    if watch.state.ended:
        return Step(watch)
    now = _not_before(watch, now)
    return _ended(_as_ended(watch, WatchState.LOST, now, reason=reason), now)


def _limits(watch: Watch, now: float) -> Step | None:
    spec = watch.spec
    if now - watch.since >= spec.timeout_seconds:
        limit = format_duration(spec.timeout_seconds)
    elif spec.max_polls is not None and watch.polls >= spec.max_polls:
        limit = f"{spec.max_polls} polls"
    else:
        return None
    going_on = "the job may still be going on"
    if watch.state is WatchState.STARTING:
        going_on = "whether TP ever started the job is not known"
    why = f" {watch.reason}" if watch.advisory is not None else ""
    return _end(watch, WatchState.TIMED_OUT, now, reason=f"The watch's limit of {limit} is over; {going_on}.{why}")


def _advise(before: Watch, watch: Watch, reading: Reading, now: float) -> Step:
    advisory, reason = _advisory(watch, reading, now)
    unchanged = advisory is watch.advisory and reason == watch.reason
    after = watch if unchanged else replace(watch, advisory=advisory, reason=reason)
    notes: tuple[str, ...] = ()
    if advisory is not before.advisory:
        ended = () if before.advisory is None else (no_longer(watch, before.advisory),)
        begun = () if advisory is None else (f"{watch.id}: {advisory}: {reason}",)
        notes = ended + begun
    durable = (
        advisory is not before.advisory
        or after.memory != before.memory
        or before.reading is None
        or before.reading.phase != reading.phase
    )
    return Step(after, durable=durable, notes=notes)


def _advisory(watch: Watch, reading: Reading, now: float) -> tuple[Advisory | None, str]:
    spec = watch.spec
    if reading.verdict is Verdict.STALE:
        if (waited := now - watch.since) >= spec.not_started_after_seconds:
            return Advisory.NOT_STARTED, f"Nothing has picked it up for {format_duration(waited)}."
        return None, ""
    still = now - (watch.since if watch.lively_at is None else watch.lively_at)
    if still >= spec.stalled_after_seconds:
        return Advisory.STALLED, f"Its signs of life have stood still for {format_duration(still)}."
    return None, ""


def _lively_at(watch: Watch, now: float) -> float | None:
    """Return since when signs of life that have not moved stand still: while TP was silent nobody could see them."""
    if watch.lively_at is None or watch.silent_since is None:
        return watch.lively_at
    silent = now - watch.silent_since
    # After a long silence the job's workers may have to come back themselves, so it counts anew; a short one is only
    # left out, or a TP that drops a poll now and then would hide a job that stands still.
    return now if silent >= SILENCE_BEFORE_TIMEOUT_SECONDS else min(watch.lively_at + silent, now)


def _shows_life(before: Reading | None, reading: Reading) -> bool:
    return before is None or before.sign_of_life != reading.sign_of_life


def _end(watch: Watch, state: WatchState, now: float, *, reason: str, outcome: Outcome | None = None) -> Step:
    return _ended(followed(_as_ended(watch, state, now, reason=reason, outcome=outcome)), now)


def _as_ended(watch: Watch, state: WatchState, now: float, *, reason: str, outcome: Outcome | None = None) -> Watch:
    return replace(watch, state=state, outcome=outcome, reason=_short(reason), ended_at=now, advisory=None)


def _ended(ended: Watch, now: float) -> Step:
    entry = InboxEntry(
        watch_id=ended.id, owner=ended.owner, text=messages.end_message(ended), job=ended.job, created_at=now
    )
    return Step(ended, entry=entry, durable=True)


def timed(before: Watch, ended: Watch, now: float) -> Watch:
    """Return a watch whose job has just been seen done, with how long the job took in its reading, where that counts.

    Args:
        before: the watch as it stood at the look before.
        ended: the watch with the reading of the end.
        now: when the end was seen.

    """
    reading = ended.reading
    if reading is None:
        return ended
    took = reading.took_seconds
    if not ended.spec.history or reading.probable or reading.outcome not in _RAN:
        took = None
    elif took is None and now - _last_look(before) <= IN_TIME_INTERVALS * before.spec.interval_seconds:
        took = now - before.since
    return replace(ended, reading=replace(reading, took_seconds=took))


def _last_look(watch: Watch) -> float:
    return watch.since if watch.polled_at is None else watch.polled_at


def _not_before(watch: Watch, now: float) -> float:
    known = (watch.started_at, watch.polled_at, watch.lively_at, watch.missing_since, watch.silent_since)
    return max(now, watch.created_at, *(moment for moment in known if moment is not None))


def _said(failure: TpError) -> str:
    return _short(str(failure))


def _short(reason: str) -> str:
    return shorten(one_line(reason), REASON_KEPT_CHARACTERS)
