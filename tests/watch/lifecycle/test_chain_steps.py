from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tp_mcp.errors import WatchSpecError
from tp_mcp.watch.delivery.messages import chain_lines, end_line, inbox_entry
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.lifecycle.answer_retention import kept
from tp_mcp.watch.lifecycle.chain_steps import followed, next_chain
from tp_mcp.watch.model.chain import Chain, Link, depth_of, names_step
from tp_mcp.watch.model.reading import Interpretation, Reading, Verdict
from tp_mcp.watch.model.watch import Step, Watch, WatchState

MakeWatch = Callable[..., Watch]
NOW = 1_780_000_100.0
RUN = Link("w_00000002", "run_pytest", {"lab": "{args.lab}", "testcase": ["Tests_CLI"], "argument": "-k {poll.build}"})
UPGRADE = Link("w_00000003", "start_upgrade", {"testbed": "AT16", "mode": "ga", "version": "7.6.5"})


def observed(watch: Watch, verdict: Verdict, **answer: Any) -> Step:
    reading = Reading(verdict=verdict, phase="x", sign_of_life="")
    return state_machine.observe_answer(watch, Interpretation(reading, None), kept(answer), now=NOW)


def text_of(step: Step) -> str:
    entry = inbox_entry(step)
    assert entry is not None
    return entry.text


def test_a_good_end_is_followed_by_on_done_with_its_templates_filled(make_watch: MakeWatch) -> None:
    step = observed(make_watch(chain=Chain(on_done=RUN, on_fail=UPGRADE)), Verdict.DONE, build="0815")
    assert step.watch.chain is not None
    assert step.watch.chain.next == replace(RUN, args={"lab": "AT16", "testcase": ["Tests_CLI"], "argument": "-k 0815"})
    assert (
        'Step 1 of 2. Next, by itself: run_pytest(lab="AT16", testcase=["Tests_CLI"], argument="-k 0815"), watched as '
        "w_00000002." in text_of(step)
    )


def test_failed_timed_out_and_lost_are_followed_by_on_fail(make_watch: MakeWatch) -> None:
    watch = make_watch(chain=Chain(on_done=RUN, on_fail=UPGRADE))
    assert observed(watch, Verdict.FAILED).watch.chain == replace(watch.chain or Chain(), next=UPGRADE)
    late = make_watch(chain=watch.chain, spec={"timeout_seconds": 10.0})
    timed_out = observed(late, Verdict.UNDERWAY).watch
    assert (timed_out.state, timed_out.chain and timed_out.chain.next) == (WatchState.TIMED_OUT, UPGRADE)
    lost = observed(watch, Verdict.FOREIGN).watch
    assert (lost.state, lost.chain and lost.chain.next) == (WatchState.LOST, UPGRADE)


def test_a_cancellation_and_a_refusal_are_followed_by_nothing(make_watch: MakeWatch) -> None:
    watch = make_watch(chain=Chain(on_done=RUN, on_fail=UPGRADE))
    cancelled = state_machine.cancel(watch, reason="Enough.", now=NOW).watch
    assert cancelled.chain == watch.chain
    assert followed(cancelled) is cancelled
    refused = state_machine.refuse(replace(watch, state=WatchState.STARTING), reason="Busy.", now=NOW)
    assert refused.watch.chain == watch.chain
    assert "Step 1 of 2. The chain ends here; not called: run_pytest(" in text_of(refused)


def test_an_end_that_nothing_follows_says_what_is_not_called(make_watch: MakeWatch) -> None:
    step = observed(make_watch(chain=Chain(on_done=RUN, on_fail="It broke.")), Verdict.FAILED)
    assert step.watch.chain is not None
    assert step.watch.chain.next is None
    assert "Step 1 of 2. The chain ends here; not called: run_pytest(" in text_of(step)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({}, "args.argument: The template {poll.build} has no value."),
        ({"build": "x" * 2_000}, "the value for argument is too long to be kept whole. Call run_pytest yourself."),
    ],
)
def test_arguments_that_cannot_be_filled_whole_stop_the_chain_and_say_why(
    make_watch: MakeWatch, answer: dict[str, Any], why: str
) -> None:
    step = observed(make_watch(chain=Chain(on_done=RUN)), Verdict.DONE, **answer)
    assert step.watch.chain is not None
    assert step.watch.chain.next is None
    assert "Step 1 of 2. The chain stops here: run_pytest was not called" in text_of(step)
    assert why in text_of(step)


def test_a_mark_of_a_cut_that_the_caller_wrote_is_no_cut(make_watch: MakeWatch) -> None:
    link = replace(RUN, args={"lab": "{args.lab}", "argument": "[... 5 values left out ...]"})
    watch = observed(make_watch(chain=Chain(on_done=link)), Verdict.DONE).watch
    assert watch.chain is not None
    assert watch.chain.next is not None


def test_what_comes_next_is_said_even_where_the_message_is_cut(make_watch: MakeWatch) -> None:
    long = replace(UPGRADE, args={"testbed": "T" * 5_000})
    watch = make_watch(chain=Chain(on_done=long), spec={"on_done": "m" * 5_000})
    assert "watched as w_00000003." in text_of(observed(watch, Verdict.DONE))


def test_the_last_step_says_so_and_a_watch_without_a_chain_says_nothing() -> None:
    assert end_line(Chain(step=2, parent="w_00000001")) == "Step 2 of 2, the last of its chain."
    assert end_line(None) == ""


def test_the_next_steps_place_in_the_chain_is_after_its_parent(make_watch: MakeWatch) -> None:
    link = replace(UPGRADE, on_done=RUN, on_fail="It broke.")
    parent = observed(make_watch(chain=Chain(on_done=link)), Verdict.DONE).watch
    found, chain = next_chain(parent)
    assert found == link
    assert chain == Chain(on_done=RUN, on_fail="It broke.", step=2, parent=parent.id)
    assert (parent.chain and parent.chain.steps, chain.steps) == (3, 3)
    with pytest.raises(WatchSpecError, match="Nothing follows"):
        next_chain(make_watch(chain=Chain(on_done=link)))
    with pytest.raises(WatchSpecError, match="Nothing follows"):
        next_chain(make_watch())


def test_depths_and_ids_are_found_down_to_the_last_step() -> None:
    link = replace(UPGRADE, on_done="ok", on_fail=RUN)
    assert (depth_of(link), depth_of("a message"), depth_of(None)) == (2, 0, 0)
    chain = Chain(on_done=link)
    assert names_step(chain, RUN.id)
    assert names_step(chain, UPGRADE.id)
    assert not names_step(chain, "w_zzzzzzzz")


def test_the_whole_chain_is_shown_with_what_would_be_sent() -> None:
    chain = Chain(on_done=replace(UPGRADE, on_done=RUN, on_fail="It broke."), on_fail=RUN)
    run = 'run_pytest(lab="{args.lab}", testcase=["Tests_CLI"], argument="-k {poll.build}")'
    assert chain_lines(chain, "the first") == (
        "step 1: the first",
        'step 2, when step 1 is done: [w_00000003] start_upgrade(testbed="AT16", mode="ga", version="7.6.5")',
        f"step 3, when step 2 is done: [w_00000002] {run}",
        "when step 2 failed, timed out or is lost, its end message is: It broke.",
        f"step 2, when step 1 failed, timed out or is lost: [w_00000002] {run}",
    )


def test_a_watch_whose_tp_is_no_more_is_followed_by_nothing_because_it_would_start_there(make_watch: MakeWatch) -> None:
    watch = make_watch(chain=Chain(on_done=RUN, on_fail=UPGRADE))
    lost = state_machine.lose(watch, reason="Its TP is no more.", now=NOW)
    assert (lost.watch.state, lost.watch.chain) == (WatchState.LOST, watch.chain)
    assert "The chain ends here; not called: run_pytest(" in text_of(lost)
