"""The life of a watch, as a pure function of observations.

Each function takes a watch, one observation and the time, and returns a transition: the watch afterwards, with all that
has to be saved and logged. Reasons are facts, without words. A watch that ended never changes again, and time never
goes back.
"""

from dataclasses import replace

from pydantic import JsonValue

from tp_mcp.errors import TpError, TpNotAuthenticatedError, TpNotFoundError, TpServerFaultError, TpUnreachableError
from tp_mcp.redaction import one_line
from tp_mcp.results.text import shorten
from tp_mcp.watch.lifecycle.answer_retention import kept
from tp_mcp.watch.lifecycle.chain_steps import followed
from tp_mcp.watch.model.fact import Fact, FactKind
from tp_mcp.watch.model.reading import Interpretation, Outcome, Reading, Settlement, Verdict
from tp_mcp.watch.model.watch import Advisory, AdvisoryBegan, AdvisoryEnded, Note, StartFound, Step, Watch, WatchState

COUNTED_SHARE = 0.9
"""Share of a watch's interval after which a poll counts: polls come slightly early or late."""

LOST_AFTER_MISSING_POLLS = 3
LOST_AFTER_MISSING_SECONDS = 120.0
SILENCE_BEFORE_TIMEOUT_SECONDS = 600.0
"""How long TP has to be silent before a watch over its limit ends: the job may have ended unobserved."""

REASON_KEPT_CHARACTERS = 500

IN_TIME_INTERVALS = 2.0
"""Maximum number of intervals between the observation of an end and the previous poll, so that the end is exact."""

_RAN = frozenset({None, Outcome.PASSED, Outcome.FAILED})
"""Outcomes of jobs that did their work; a listing, or a run in which no test ran, says nothing about such a job."""


def accept(watch: Watch, *, answer: JsonValue, now: float) -> Step:
    """Make a watch active: TP accepted its job."""
    now = _not_before(watch, now)
    active = replace(watch, state=WatchState.ACTIVE, answer=kept(answer), started_at=now, lively_at=now, reason="")
    return Step(active, durable=True)


def leave_open(watch: Watch, failure: TpError) -> Step:
    """Keep a watch in state `starting`: TP may have its job, and reading has to settle it."""
    return Step(replace(watch, reason=_short(str(failure))), durable=True)


def refuse(watch: Watch, *, reason: str, now: float) -> Step:
    """End a watch in state `starting` whose job TP refused or never got; `reason` is a sentence.

    No chain step follows: only a job that TP may have had can have failed.
    """
    return _end(watch, WatchState.FAILED, _not_before(watch, now), reason=reason, chained=False)


def observe_answer(watch: Watch, interpretation: Interpretation, answer: JsonValue, *, now: float) -> Step:
    """Apply an answered poll; `answer` is the part of it that is kept."""
    if watch.state.ended:
        return Step(watch)
    now = _not_before(watch, now)
    reading = interpretation.reading
    shows_life = watch.reading is None or watch.reading.sign_of_life != reading.sign_of_life
    # Other watches may poll the same target more often, and all intervals may be scaled: one poll in each interval of
    # the watch counts towards its limit.
    counted = watch.counted_at is None or now - watch.counted_at >= watch.spec.interval_seconds * COUNTED_SHARE
    seen = replace(
        watch,
        polls=watch.polls + counted,
        counted_at=now if counted else watch.counted_at,
        polled_at=now,
        memory=interpretation.memory,
        reading=reading,
        last_answer=answer,
        lively_at=now if shows_life else _lively_at(watch, now),
        missing_since=None,
        missing_polls=0,
        silent_since=None,
    )
    match reading.verdict:
        case Verdict.FOREIGN:
            # The answer is about another job: the last observation of this one stays.
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
    """Apply a poll without a readable answer."""
    if watch.state.ended:
        return Step(watch)
    now = _not_before(watch, now)
    if isinstance(failure, TpNotFoundError):
        if watch.state is WatchState.STARTING:
            # The list that would settle the start is missing; that says nothing about the job.
            return observe_settlement(watch, Settlement(started=False, evidence=str(failure)), now=now)
        return _observe_missing(watch, now)
    since = now if watch.silent_since is None else watch.silent_since
    advisory = _advisory_of(failure)
    silent = replace(
        watch,
        advisory=advisory,
        reason=_short(str(failure)),
        fact=None,
        missing_since=None,
        missing_polls=0,
        silent_since=since,
    )
    if now - since >= SILENCE_BEFORE_TIMEOUT_SECONDS and (over := _limits(silent, now)) is not None:
        return over
    begins = watch.advisory is not advisory
    notes = (AdvisoryBegan(advisory),) if begins else ()
    return Step(silent, durable=begins or silent.reason != watch.reason, notes=notes)


def _advisory_of(failure: TpError) -> Advisory:
    if isinstance(failure, TpUnreachableError | TpServerFaultError | TpNotAuthenticatedError):
        return Advisory.UNREACHABLE
    return Advisory.NO_STATUS


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
        return _end(missing, WatchState.LOST, now, fact=Fact(FactKind.UNKNOWN_TO_TP))
    return _limits(missing, now) or Step(missing, durable=True)


def observe_settlement(watch: Watch, settlement: Settlement, *, now: float) -> Step:
    """Apply the result of reading about an unanswered start."""
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
        return Step(started, durable=True, notes=(StartFound(settlement.evidence),))
    if now - watch.created_at < watch.spec.not_started_after_seconds:
        if watch.advisory is None:
            return Step(watch)
        return Step(replace(watch, advisory=None, reason=settlement.evidence, silent_since=None), durable=True)
    return _end(
        watch,
        WatchState.FAILED,
        now,
        outcome=Outcome.UNKNOWN,
        reason=settlement.evidence,
        fact=Fact(FactKind.START_UNSETTLED),
    )


def cancel(watch: Watch, *, reason: str, now: float) -> Step:
    """Stop watching; the job goes on. The caller knows it, so nothing goes to the inbox."""
    if watch.state.ended:
        return Step(watch)
    return replace(_end(watch, WatchState.CANCELLED, _not_before(watch, now), reason=reason), to_inbox=False)


def lose(watch: Watch, *, reason: str, now: float) -> Step:
    """End a watch whose TP is gone for good. No chain step follows: it would have to be started there."""
    if watch.state.ended:
        return Step(watch)
    return _end(watch, WatchState.LOST, _not_before(watch, now), reason=reason, chained=False)


def _limits(watch: Watch, now: float) -> Step | None:
    """Return the end of a watch that reached its limit; None while it has not."""
    spec = watch.spec
    reason, advisory = ("", None) if watch.advisory is None else (watch.reason, watch.fact)
    if now - watch.since >= spec.timeout_seconds:
        limit = Fact(FactKind.LIMIT_REACHED, seconds=spec.timeout_seconds, advisory=advisory)
    elif spec.max_polls is not None and watch.polls >= spec.max_polls:
        limit = Fact(FactKind.LIMIT_REACHED, polls=spec.max_polls, advisory=advisory)
    else:
        return None
    return _end(watch, WatchState.TIMED_OUT, now, reason=reason, fact=limit)


def _advise(before: Watch, watch: Watch, reading: Reading, now: float) -> Step:
    advisory, fact = _advisory(watch, reading, now)
    unchanged = advisory is watch.advisory and fact == watch.fact and not watch.reason
    after = watch if unchanged else replace(watch, advisory=advisory, reason="", fact=fact)
    notes: tuple[Note, ...] = ()
    if advisory is not before.advisory:
        ended = () if before.advisory is None else (AdvisoryEnded(before.advisory),)
        begun = () if advisory is None else (AdvisoryBegan(advisory),)
        notes = (*ended, *begun)
    durable = (
        advisory is not before.advisory
        or after.memory != before.memory
        or before.reading is None
        or before.reading.phase != reading.phase
    )
    return Step(after, durable=durable, notes=notes)


def _advisory(watch: Watch, reading: Reading, now: float) -> tuple[Advisory | None, Fact | None]:
    spec = watch.spec
    if reading.verdict is Verdict.STALE:
        if (waited := now - watch.since) >= spec.not_started_after_seconds:
            return Advisory.NOT_STARTED, Fact(FactKind.NOT_PICKED_UP, seconds=waited)
        return None, None
    still = now - (watch.since if watch.lively_at is None else watch.lively_at)
    if still >= spec.stalled_after_seconds:
        return Advisory.STALLED, Fact(FactKind.NO_SIGN_OF_LIFE, seconds=still)
    return None, None


def _lively_at(watch: Watch, now: float) -> float | None:
    """Return the time since which the signs of life have not changed, without TP's silence, which hides them."""
    if watch.lively_at is None or watch.silent_since is None:
        return watch.lively_at
    silent = now - watch.silent_since
    # After a long silence the job's workers may have to come back themselves, so counting starts again; a short silence
    # is only left out, or a TP that drops a poll now and then would hide a stalled job.
    return now if silent >= SILENCE_BEFORE_TIMEOUT_SECONDS else min(watch.lively_at + silent, now)


def _end(
    watch: Watch,
    state: WatchState,
    now: float,
    *,
    reason: str = "",
    fact: Fact | None = None,
    outcome: Outcome | None = None,
    chained: bool = True,
) -> Step:
    """Return the end of a watch, with the next call of its chain if `chained`."""
    ended = replace(watch, state=state, outcome=outcome, reason=_short(reason), fact=fact, ended_at=now, advisory=None)
    return Step(followed(ended) if chained else ended, to_inbox=True, durable=True)


def timed(before: Watch, ended: Watch, now: float) -> Watch:
    """Return a watch whose job was just seen done, with the job's duration in its reading if that is exact.

    Durations of past jobs show how long such a job usually takes. The duration is exact by TP's own timestamps, or if
    the watch was polled shortly before (`before` is the watch then): the end of a job that ended unobserved would count
    up to its observation.
    """
    reading = ended.reading
    if reading is None:
        return ended
    took = reading.took_seconds
    previous_poll = before.since if before.polled_at is None else before.polled_at
    if not ended.spec.history or reading.probable or reading.outcome not in _RAN:
        took = None
    elif took is None and now - previous_poll <= IN_TIME_INTERVALS * before.spec.interval_seconds:
        took = now - before.since
    return replace(ended, reading=replace(reading, took_seconds=took))


def _not_before(watch: Watch, now: float) -> float:
    known = (watch.started_at, watch.polled_at, watch.lively_at, watch.missing_since, watch.silent_since)
    return max(now, watch.created_at, *(moment for moment in known if moment is not None))


def _short(reason: str) -> str:
    return shorten(one_line(reason), REASON_KEPT_CHARACTERS)
