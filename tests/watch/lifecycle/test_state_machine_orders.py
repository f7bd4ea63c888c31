"""The life of a watch, in every order of observations."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from tests.support.examples import examples
from tp_mcp.errors import TpError, TpNotAuthenticatedError, TpNotFoundError, TpServerFaultError, TpUnreachableError
from tp_mcp.watch.delivery.messages import inbox_entry
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.reading import Interpretation, Outcome, Reading, Settlement, Verdict
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Origin, Owner, Step, Watch, WatchState

NOW = 1_780_000_000.0


def read(verdict: Verdict = Verdict.UNDERWAY, memory: JsonValue = None, **fields: Any) -> Interpretation:
    return Interpretation(Reading(verdict=verdict, phase=fields.pop("phase", "Running"), **fields), memory)


VERDICTS = st.builds(
    lambda verdict, phase, sign, outcome, memory: read(
        verdict, memory, phase=phase, sign_of_life=sign, outcome=outcome if verdict is Verdict.DONE else None
    ),
    st.sampled_from([*[Verdict.UNDERWAY] * 3, *[Verdict.STALE] * 3, *list(Verdict)]),
    st.sampled_from(["", "Running", "PROGRESS"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(Outcome),
    st.sampled_from([None, ["10.0.0.1"]]),
)
FAILURES = st.sampled_from(
    [TpNotFoundError("gone"), TpUnreachableError("away"), TpNotAuthenticatedError("expired"), TpServerFaultError("500")]
)
SETTLEMENTS = st.sampled_from([Settlement(started=True), *[Settlement(started=False, evidence="none.")] * 3])
OBSERVATIONS = st.tuples(
    st.one_of(VERDICTS, FAILURES, FAILURES, SETTLEMENTS, st.just("cancel")),
    st.floats(-500, 900, allow_nan=False),
)


def observe(watch: Watch, what: object, now: float) -> Step:
    if isinstance(what, Interpretation):
        return state_machine.observe_answer(watch, what, {"status": what.reading.phase}, now=now)
    if isinstance(what, TpError):
        return state_machine.observe_failure(watch, what, now=now)
    if isinstance(what, Settlement):
        return state_machine.observe_settlement(watch, what, now=now)
    return state_machine.cancel(watch, reason="asked", now=now)


def times_of(watch: Watch) -> list[float]:
    return [
        at
        for at in (watch.created_at, watch.started_at, watch.polled_at, watch.lively_at, watch.ended_at)
        if at is not None
    ]


@examples(300)
@given(
    st.lists(OBSERVATIONS, max_size=40),
    st.sampled_from([WatchState.STARTING, WatchState.ACTIVE]),
    st.sampled_from([None, 5]),
)
def test_in_any_order_there_is_at_most_one_end_and_nothing_after_it(
    observations: list[tuple[object, float]], state: WatchState, max_polls: int | None
) -> None:
    spec = WatchSpec("get", {}, "step", 15.0, 2000.0, max_polls, not_started_after_seconds=300.0)
    watch = Watch(
        "w_1", Owner("p", "c", True), "http://tp", Origin("run", {}), "run", "job:1", spec, state, created_at=NOW
    )
    if state is WatchState.ACTIVE:
        watch = replace(watch, started_at=NOW)
    now, ends, entries, latest = NOW, 0, 0, NOW
    for what, seconds in observations:
        now += seconds
        before = watch
        step = observe(watch, what, now)
        watch = step.watch
        if before.state.ended:
            assert step == Step(before), "a watch that ended never changes"
            continue
        ends += watch.state.ended
        entries += inbox_entry(step) is not None
        assert watch.state.ended or inbox_entry(step) is None
        assert not (watch.state.ended and watch.advisory)
        assert watch.state is not WatchState.STARTING or before.state is WatchState.STARTING
        assert step.durable or (watch.state is before.state and watch.memory == before.memory)
        assert watch.polls - before.polls in {0, 1}
        if watch.state.ended:
            assert watch.ended_at == max(times_of(watch))
            assert (inbox_entry(step) is None) is (watch.state is WatchState.CANCELLED)
        for at in ("polled_at", "lively_at", "started_at"):
            earlier, later = getattr(before, at), getattr(watch, at)
            assert earlier is None or later >= earlier, f"{at} went back"
        assert max(times_of(watch)) >= latest
        latest = max(times_of(watch))
    assert ends <= 1
    assert entries <= ends
