"""Texts about a watch, for a reader who may know nothing else about it."""

import json
from collections.abc import Iterator, Mapping
from typing import assert_never

from pydantic import JsonValue

from tp_mcp.connectors.template import render_text
from tp_mcp.redaction import clean, one_line
from tp_mcp.results.text import count_of, format_duration, shorten
from tp_mcp.watch.lifecycle.chain_steps import template_values
from tp_mcp.watch.model.chain import Chain, Link
from tp_mcp.watch.model.fact import Fact, FactKind
from tp_mcp.watch.model.reading import Counts, Outcome, Reading, Verdict
from tp_mcp.watch.model.usual_duration import about_words, left_words, usual_words
from tp_mcp.watch.model.watch import (
    Advisory,
    AdvisoryBegan,
    AdvisoryEnded,
    InboxEntry,
    Note,
    Origin,
    StartFound,
    Step,
    Watch,
    WatchState,
)

CALL_MAX_CHARACTERS = 300
STOPPED_MAX_CHARACTERS = 400


def call_words(tool: str, args: Mapping[str, JsonValue]) -> str:
    """Return a call as a model can copy it: `run_pytest(lab="AT16_Combined_FSW")`, values as JSON."""
    given = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in args.items())
    return f"{tool}({given})"


def end_line(chain: Chain | None) -> str:
    """Return the position of an ended watch in its chain, and the next call or why there is none; empty without one."""
    if chain is None:
        return ""
    where = f"Step {chain.step} of {chain.steps}"
    if chain.next is not None:
        return f"{where}. Next, by itself: {_short(chain.next)}, watched as {chain.next.id}."
    if chain.stopped:
        return f"{where}. The chain stops here: {shorten(chain.stopped, STOPPED_MAX_CHARACTERS)}"
    if chain.links:
        return f"{where}. The chain ends here; not called: {', '.join(_short(link) for link in chain.links)}."
    return f"{where}, the last of its chain."


def place_lines(chain: Chain | None) -> tuple[str, ...]:
    """Return the position of a watch that goes on in its chain, and whether a call follows; empty without a chain."""
    if chain is None:
        return ()
    follows = "; the next starts by itself at its end" if chain.links else ", the last"
    return (f"Step {chain.step} of {chain.steps} of its chain{follows}.",)


def chain_lines(chain: Chain, first: str) -> tuple[str, ...]:
    """Return a whole chain, one line for each step and message; `first` is its first call."""
    return (f"step {chain.step}: {first}", *_following(chain.on_done, chain.on_fail, chain.step))


def _following(on_done: Link | str | None, on_fail: Link | str | None, step: int) -> Iterator[str]:
    for follow, end in ((on_done, "is done"), (on_fail, "failed, timed out or is lost")):
        if isinstance(follow, str):
            yield f"when step {step} {end}, its end message is: {follow}"
        elif follow is not None:
            # In full: this is the call that would be sent.
            yield f"step {step + 1}, when step {step} {end}: [{follow.id}] {call_words(follow.tool, follow.args)}"
            yield from _following(follow.on_done, follow.on_fail, step + 1)


def _short(link: Link) -> str:
    return shorten(call_words(link.tool, link.args), CALL_MAX_CHARACTERS)


REQUEST_MAX_CHARACTERS = 240
ARGUMENT_MAX_CHARACTERS = 80
MESSAGE_MAX_CHARACTERS = 400
REASON_MAX_CHARACTERS = 300
TITLE_MAX_CHARACTERS = 160
COUNTS_MAX_CHARACTERS = 120
KNOWN_MAX_CHARACTERS = 200
LINE_MAX_CHARACTERS = 400
ANSWERED_WITHIN_SECONDS = 10.0
"""Longest time that TP takes to answer a start; half a second is usual."""
FOUND_BY_READING = "TP never answered its start; it was found by reading, so it is probably the requested one."
MIN_FINISHED_FOR_PACE = 5
"""Minimum number of finished tests for an estimate: the time of the first ones includes the preparation."""
BRIEF_MAX_CHARACTERS = 700
END_MAX_CHARACTERS = 1_200
"""Longest end message: several have to fit into the inbox of one result."""

_STATE_WORDS = {
    WatchState.STARTING: "is being started",
    WatchState.ACTIVE: "is under way",
    WatchState.DONE: "is done",
    WatchState.FAILED: "failed",
    WatchState.TIMED_OUT: "had not finished when its watch reached its limit",
    WatchState.LOST: "is lost",
    WatchState.CANCELLED: "is no longer watched",
}


def headline(watch: Watch) -> str:
    """Return the state of a watch, in one sentence that begins with its id."""
    return f"[{watch.id}] {state_sentence(watch)}"


def state_sentence(watch: Watch) -> str:
    """Return the state of a watch, in one sentence without its id."""
    probably = "probably " if watch.state.ended and is_doubtful(watch) else ""
    words = _state_words(watch)
    if watch.outcome is Outcome.CANCELLED:
        return f"{_line(watch.title, TITLE_MAX_CHARACTERS)} was cancelled on TP{_counts_in_brackets(watch)}"
    verb, _, rest = words.partition(" ")
    state = f"{probably}{words}" if not rest else f"{verb} {probably}{rest}"
    outcome = f": {outcome_words(watch)}" if watch.outcome is not None else ""
    return f"{_line(watch.title, TITLE_MAX_CHARACTERS)} {state}{outcome}"


def outcome_words(watch: Watch) -> str:
    """Return the job's outcome, with its counts if there are any."""
    counts = _counts_in_brackets(watch)
    match watch.outcome:
        case Outcome.NO_TEST_RAN:
            return f"no test ran{counts}, so nothing was shown to pass"
        case Outcome.LISTING:
            return "tests were listed, none was run"
        case Outcome.UNKNOWN:
            return "what came of it is not known"
        case None:
            return ""
        case ended:
            return f"{ended}{counts}"


def count_words(counts: Counts) -> str:
    """Return counts such as "41 of 60: 38 passed, 3 failed"; the total only if it exceeds the sum."""
    named = (
        (counts.passed, "passed"),
        (counts.failed, "failed"),
        (counts.errors, "errors"),
        (counts.skipped, "skipped"),
    )
    parts = [f"{count} {name}" for count, name in named if count]
    text = ", ".join(parts) or "nothing finished"
    if counts.total is not None and counts.total > counts.finished:
        text = f"{counts.finished} of {counts.total}: {text}"
    return shorten(text, COUNTS_MAX_CHARACTERS)


def request_words(origin: Origin) -> str:
    """Return the call that made a watch, shortened."""
    arguments = ", ".join(
        f"{name}={shorten(json.dumps(value, ensure_ascii=False), ARGUMENT_MAX_CHARACTERS)}"
        for name, value in origin.arguments.items()
        if value not in (None, "", [])
    )
    return _line(f"{origin.tool}({arguments})", REQUEST_MAX_CHARACTERS)


def last_known(watch: Watch) -> str:
    """Return the last known state of the job, in one sentence."""
    reading = watch.reading
    if reading is None:
        return "TP never showed its status."
    if reading.verdict is Verdict.STALE:
        return "Last known: not picked up yet; TP still showed the job before it."
    known = _known(reading)
    alive = "" if watch.lively_at is None else format_duration(max(watch.lively_at - watch.since, 0.0))
    seen = f" (last sign of life after {alive})" if alive else ""
    return f"Last known: {_line(known or 'under way', KNOWN_MAX_CHARACTERS)}{seen}."


def end_message(watch: Watch) -> str:
    """Return the end message for the conversation: a few lines, at most `END_MAX_CHARACTERS`."""
    template = watch.spec.on_done if watch.state is WatchState.DONE else watch.spec.on_fail
    if never_started(watch) or is_doubtful(watch):
        # The message states facts about the requested job, which may not be this one.
        template = ""
    message = render_text(template, template_values(watch), max_characters=MESSAGE_MAX_CHARACTERS)
    lines = [f"{headline(watch)}, after {format_duration(watch.elapsed(watch.since))}."]
    if watch.state is not WatchState.DONE or (watch.reading is not None and watch.reading.probable):
        lines.append(_line(reason_text(watch), REASON_MAX_CHARACTERS))
    if watch.state in {WatchState.LOST, WatchState.TIMED_OUT}:
        lines.append(last_known(watch))
    if watch.settled:
        lines.append(FOUND_BY_READING)
    lines.append(_line(watch.brief, BRIEF_MAX_CHARACTERS))
    # Before the message, which may be long: the next call must not be cut off.
    lines.append(end_line(watch.chain))
    lines.append(message or f"Requested as: {request_words(watch.origin)}")
    return shorten(clean("\n".join(line for line in lines if line)), END_MAX_CHARACTERS)


def inbox_entry(step: Step) -> InboxEntry | None:
    """Return the inbox entry to save with a transition; None unless it is an end for the inbox."""
    ended = step.watch
    if not step.to_inbox or ended.ended_at is None:
        return None
    return InboxEntry(
        watch_id=ended.id, owner=ended.owner, text=end_message(ended), job=ended.job, created_at=ended.ended_at
    )


def reason_text(watch: Watch) -> str:
    """Return why a watch ended or has its advisory, in one or a few sentences; empty if there is no reason."""
    return watch.reason if watch.fact is None else _fact_text(watch.fact, watch)


def _fact_text(fact: Fact, watch: Watch) -> str:
    match fact.kind:
        case FactKind.LIMIT_REACHED:
            limit = f"{fact.polls} polls" if fact.seconds is None else format_duration(fact.seconds)
            job = "whether TP ever started the job is not known"
            if watch.started_at is not None:
                job = "the job may still be going on"
            advisory = watch.reason if fact.advisory is None else _fact_text(fact.advisory, watch)
            return f"The watch's limit of {limit} is over; {job}. {advisory}".rstrip()
        case FactKind.NOT_PICKED_UP:
            return f"Nothing has picked it up for {format_duration(fact.seconds or 0.0)}."
        case FactKind.NO_SIGN_OF_LIFE:
            return f"It has shown no sign of life for {format_duration(fact.seconds or 0.0)}."
        case FactKind.UNKNOWN_TO_TP:
            return "TP no longer knows this job."
        case FactKind.START_UNSETTLED:
            return (
                "TP never answered the request, and reading does not show whether it started: "
                f"{watch.reason} It was sent once and is not sent again by itself."
            )
        case _:
            assert_never(fact.kind)


def note_text(note: Note, watch: Watch) -> str:
    """Return the log line of a change; `watch` is the watch afterwards."""
    match note:
        case AdvisoryBegan(Advisory.NO_STATUS):
            return f"{watch.id}: TP answers, but without the job's status: {reason_text(watch)}"
        case AdvisoryBegan(advisory):
            return f"{watch.id}: {advisory}: {reason_text(watch)}"
        case AdvisoryEnded(advisory):
            return f"{watch.id}: no longer {advisory}"
        case StartFound(evidence):
            return f"{watch.id}: TP has the job: {evidence}"
        case _:
            assert_never(note)


def unwritten_end(ended: Watch, error: Exception | None) -> str:
    """Return a sentence, without its full stop, about an end that could not be saved yet."""
    _, _, state = state_sentence(ended).partition(_line(ended.title, TITLE_MAX_CHARACTERS))
    why = "" if error is None else f" ({_line(str(error), REASON_MAX_CHARACTERS)})"
    return f"its end is known, it{state}, but could not be saved yet{why}; the server tries again"


def is_doubtful(watch: Watch) -> bool:
    """Return whether the observations are probably, but not certainly, about this watch's own job."""
    return watch.settled or (watch.reading is not None and watch.reading.probable)


def never_started(watch: Watch) -> bool:
    """Return whether a watch ended before TP was known to have accepted its job."""
    return watch.state is WatchState.FAILED and watch.started_at is None


def _state_words(watch: Watch) -> str:
    if watch.unwritten:
        return "has ended, but its end could not be saved yet"
    if never_started(watch):
        return "may not have started" if watch.outcome is Outcome.UNKNOWN else "was not started"
    return _STATE_WORDS[watch.state]


def progress_line(watch: Watch, now: float) -> str:
    """Return one line of progress for a person."""
    elapsed = format_duration(watch.elapsed(now))
    if watch.usual is not None and watch.state is WatchState.ACTIVE and watch.advisory is None:
        elapsed = f"{elapsed}, {left_words(watch.usual, watch.elapsed(now))}"
    elif watch.advisory is None and (pace := pace_words(watch, now)):
        elapsed = f"{elapsed}, {pace}"
    if (trouble := _trouble(watch, elapsed)) is not None:
        return trouble
    if watch.state is WatchState.STARTING:
        open_start = watch.reason or watch.elapsed(now) >= ANSWERED_WITHIN_SECONDS
        return f"{'it is not known yet whether TP started it' if open_start else 'being sent to TP'}, {elapsed}"
    if watch.reading is None:
        return f"started, not polled yet, {elapsed}"
    if watch.reading.verdict is Verdict.STALE:
        return f"not picked up yet, TP still shows the job before it, {elapsed}"
    return ", ".join(part for part in (_line(_known(watch.reading), LINE_MAX_CHARACTERS), elapsed) if part)


def _trouble(watch: Watch, elapsed: str) -> str | None:
    if watch.unwritten:
        return f"{watch.unwritten}, {elapsed}"
    if watch.state is WatchState.STARTING:
        return None
    if watch.missing_polls:
        return f"TP says it does not know this job ({count_of(watch.missing_polls, 'time')} in a row), {elapsed}"
    if watch.advisory is not None:
        return f"{watch.advisory.replace('_', ' ')}: {_line(reason_text(watch), REASON_MAX_CHARACTERS)} ({elapsed})"
    return None


def pace_words(watch: Watch, now: float) -> str:
    """Return the rest of a run at its present pace, if its planned number of tests is known; else an empty text."""
    counts = watch.reading.counts if watch.reading is not None else None
    if counts is None or counts.total is None or not MIN_FINISHED_FOR_PACE <= counts.finished < counts.total:
        return ""
    left = watch.elapsed(now) / counts.finished * (counts.total - counts.finished)
    return f"{about_words(left)} left at this pace"


def interim_lines(watch: Watch, now: float) -> tuple[str, ...]:
    """Return the facts about a watch that goes on, each once: phase, time, last sign of life, usual duration.

    The manifest's progress message is used only if the rule has no text of its own, which would say the same.
    """
    lines = [f"Now: {progress_line(watch, now)}."]
    wordless = watch.reading is not None and not _known(watch.reading)
    if watch.spec.progress and wordless and watch.advisory is None:
        lines.append(render_text(watch.spec.progress, template_values(watch), max_characters=MESSAGE_MAX_CHARACTERS))
    underway = watch.reading is not None and watch.reading.verdict is Verdict.UNDERWAY
    if watch.lively_at is not None and underway and watch.advisory is not Advisory.STALLED:
        lines.append(f"Last sign of life: {format_duration(max(now - watch.lively_at, 0.0))} ago.")
    if watch.usual is not None:
        lines.append(usual_words(watch.usual))
    if watch.polled_at is None:
        lines.append(f"TP is asked every {format_duration(watch.spec.interval_seconds)}.")
    if watch.advisory is Advisory.STALLED:
        lines.append("If it stays so, its worker has probably died; this note goes away if it moves again.")
    return tuple(lines)


def _counts_in_brackets(watch: Watch) -> str:
    counts = watch.reading.counts if watch.reading is not None else None
    return f" ({count_words(counts)})" if counts is not None else ""


def _known(reading: Reading) -> str:
    text = count_words(reading.counts) if reading.counts is not None else reading.detail
    # With one device its status is the phase, which is not repeated.
    if reading.counts is None and reading.phase in text.replace(",", " ").split():
        return text
    return ", ".join(part for part in (reading.phase, text) if part)


def _line(text: str, max_characters: int) -> str:
    return shorten(one_line(text), max_characters)
