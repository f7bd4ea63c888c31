"""An execution triaged, noted and run again, against a real pytest on real builds."""

import re
from typing import Any

import pytest

from tests.support.process import ALICE, BASE_URL, LAB
from tests.support.world import World
from tp_mcp.errors import StoreError
from tp_mcp.simulator.executions.snapshot import Counts
from tp_mcp.tools.reports import triage_view
from tp_mcp.watch.model.watch import Owner

pytestmark = pytest.mark.slow


BOB = Owner("local:bob", "environment:two", exact=True)
POE, RADIUS = "Tests_CLI/test_poe.py", "Tests_CLI/security/test_radius.py"
LOST = "radiusd: server table not loaded: /data/etc/radius.db has schema 11, expected 12 (migration 0042 was not run)"


async def ended_run(world: World, *tests: str, **arguments: Any) -> tuple[int, str]:
    """Run tests to their end; return the execution's number and the watch's id."""
    text = await world.call("run_pytest", lab=LAB, testcase=list(tests), **arguments)
    return await to_its_end(world, text)


async def to_its_end(world: World, text: str) -> tuple[int, str]:
    exec_id = int(text.split("(execution ")[1].split(")", maxsplit=1)[0])
    await world.run_to_its_end(exec_id)
    return exec_id, text[1:11]


async def upgraded(world: World, build: str) -> None:
    await world.call("start_upgrade", testbed=LAB, mode="build", build_number=build)
    await world.advance(600)


def a_signature(text: str) -> str:
    found = re.search(r"\[(s_[0-9a-f]{10})\]", text)
    assert found
    return found[1]


async def test_the_report_of_a_watched_failed_run_is_fetched_once_for_a_principal(world: World) -> None:
    await upgraded(world, "6957")
    exec_id, watch_id = await ended_run(world, "Tests_CLI")
    assert "\nTriage: 9 failed tests" in await world.call("wait_for_watch", watch_id=watch_id)
    for tool in ("get_execution", "get_test_results", "triage_execution"):
        assert "radiusd: server table not loaded" in await world.call(tool, exec_id=exec_id)
    assert world.asked.count("get_report") == 1
    elsewhere = Owner(ALICE.principal, "environment:two", exact=True)
    await world.call("get_test_results", exec_id=exec_id, owner=elsewhere)
    assert world.asked.count("get_report") == 1
    await world.call("get_test_results", exec_id=exec_id, owner=BOB)
    assert world.asked.count("get_report") == 2


async def test_a_bad_build_is_triaged_against_the_good_one_before(world: World) -> None:
    await upgraded(world, "6955")
    good, _ = await ended_run(world, "Tests_CLI")
    await upgraded(world, "6957")
    bad, watch_id = await ended_run(world, "Tests_CLI")
    end = await world.call("wait_for_watch", watch_id=watch_id)
    new = f"new since execution {good} (build 6955 to 6957)"
    assert f"\nTriage: 9 failed tests, 2 reasons: 8 x {LOST} (product, {new}); 1 x " in end
    assert end.endswith(f"triage_execution(exec_id={bad}) says why it failed, and what of it is new.")
    text = await world.call("triage_execution", exec_id=bad)
    assert text.startswith(
        f"Execution {bad} on {LAB}, build 6957: 9 of 48 tests failed for 2 reasons; the first, with 8 tests: {LOST} "
        f"(product; {new}).\n\nReasons (2), each with its id, tests and line:\n<<<list "
    )
    assert re.search(
        rf"- \[s_[0-9a-f]{{10}}\] 8 tests, product \(product-refusal\), {re.escape(new)}\n  radiusd: ", text
    )
    assert f"  e.g. {RADIUS}::TestServerTable::test_table_survives_reboot\n" in text
    assert "  at fswlib/cli.py:" in text
    assert f"Compared with execution {good} (build 6955)." in text
    assert len(text) < 2_000
    read = text.partition("under its reason's id: read_result(")[2].partition(")")[0]
    handle, search = re.findall(r'(?:handle|search)="(\w+)"', read)
    kept = await world.call("read_result", handle=handle, search=search, context=20)
    assert re.match(r"[1-8] lines match 's_", kept)
    assert f"=== [{search}] {RADIUS}::TestServerTable::test_table_survives_reboot (in call)" in kept
    assert "CommandError" in await world.call("read_result", handle=handle, search="CommandError")
    await upgraded(world, "6955")
    mended, _ = await ended_run(world, RADIUS)
    text = await world.call("triage_execution", exec_id=mended)
    assert ": Nothing failed.\n\nFixed (" in text
    assert f"{RADIUS}::TestServerTable::test_table_survives_reboot" in text
    assert " and " in text
    assert f"Compared with 2 earlier executions of this lab, {good} to {bad}." in text


async def test_a_baseline_can_be_chosen_also_one_that_was_never_looked_at(world: World) -> None:
    first, _ = await ended_run(world, POE)
    await upgraded(world, "6957")
    bad, _ = await ended_run(world, POE)
    text = await world.call("triage_execution", exec_id=bad, baseline=first)
    assert f"Compared with execution {first}." in text
    assert f"new since execution {first}" in text
    text = await world.call("triage_execution", owner=BOB, exec_id=bad)
    assert "No earlier execution of this lab is known here, so new failures cannot be told apart" in text
    assert f"new since execution {first}" in await world.call(
        "triage_execution", owner=BOB, exec_id=bad, baseline=first
    )


async def test_a_rerun_takes_two_tests_of_each_reason_and_its_end_says_what_changed(world: World) -> None:
    await upgraded(world, "6957")
    bad, _ = await ended_run(world, "Tests_CLI")
    await upgraded(world, "6955")
    text = await world.call("rerun_failed", exec_id=bad)
    assert f"It runs 3 tests of execution {bad} again; its end says what changed against it." in text
    again, watch_id = await to_its_end(world, text)
    assert f"Against execution {bad}: of 3 tests that failed there, 3 pass now." in await world.call(
        "wait_for_watch", watch_id=watch_id
    )
    assert f"Against execution {bad}: of 3 tests" in await world.call("triage_execution", exec_id=again)


async def test_a_rerun_of_one_reason_takes_all_its_tests(world: World) -> None:
    await upgraded(world, "6957")
    bad, _ = await ended_run(world, "Tests_CLI")
    signature = a_signature(await world.call("triage_execution", exec_id=bad))
    assert f"It runs 8 tests of execution {bad} again" in await world.call(
        "rerun_failed", exec_id=bad, cluster=signature
    )
    refused = await world.refused("rerun_failed", exec_id=bad, cluster="s_0000000000")
    assert f"which execution {bad} does not have" in refused
    assert signature in refused


async def test_a_rerun_needs_something_that_failed_and_can_be_named(world: World, report_html: Any) -> None:
    good, _ = await ended_run(world, POE)
    assert "Nothing failed in execution" in await world.refused("rerun_failed", exec_id=good)
    odd = world.ended_execution(counts=Counts(failed=1, total=1))
    world.write_report(odd, report_html([("no $(test) at all", "Failed", "E   Boom: x")]))
    assert "pytest cannot select any of the failed tests by id" in await world.refused("rerun_failed", exec_id=odd)
    assert world.written.count("start_pytest") == 1


async def test_a_rerun_leaves_parameters_out_that_cannot_be_carried(world: World, report_html: Any) -> None:
    exec_id = world.ended_execution(counts=Counts(failed=1, total=1))
    world.write_report(exec_id, report_html([(f"{POE}::TestPoe::test_budget[a\nb]", "Failed", "E   Boom: x")]))
    text = await world.call("rerun_failed", exec_id=exec_id)
    assert text.startswith(f"[{text[1:11]}] run of {POE}::TestPoe::test_budget on {LAB} (execution ")


async def test_a_note_keeps_no_password(world: World) -> None:
    line = "known: execute restore image scp /builds/fsw/6957/image.out 10.1.1.1 builder Hunter2Secret"
    await world.call("note_failure", signature="s_0123456789", text=line)
    (note,) = await world.services.tp.executions.history.notes(ALICE.principal, world.services.tp.executions.server)
    assert note.text == line.replace("Hunter2Secret", "[redacted]")


async def test_a_note_is_shown_used_and_ends(world: World) -> None:
    await upgraded(world, "6957")
    bad, _ = await ended_run(world, POE)
    signature = a_signature(await world.call("triage_execution", exec_id=bad))
    noted = await world.call("note_failure", signature=signature, text="known, MANTIS-123", until_build="6990")
    assert noted.startswith(f"{signature} is noted: known, MANTIS-123 (until build 6990).")
    text = await world.call("triage_execution", exec_id=bad)
    assert "1 of 1 reason noted as known." in text
    assert "  noted: known, MANTIS-123 (until build 6990)\n" in text
    assert text.endswith("All reasons are noted as known.")
    assert "It runs 1 test of" in await world.call("rerun_failed", exec_id=bad)
    listed = await world.call("list_failure_notes")
    assert listed == f"You have 1 note.\n\nNewest first:\n- {signature} noted: known, MANTIS-123 (until build 6990)"
    assert await world.call("list_failure_notes", owner=BOB) == "You have 0 notes."
    assert "MANTIS" not in await world.call("triage_execution", owner=BOB, exec_id=bad)
    await world.call("note_failure", signature=signature, text="fixed there", until_build="6957")
    text = await world.call("triage_execution", exec_id=bad)
    assert "noted: fixed there (until build 6957; expired)" in text
    assert "noted as known." not in text.split("\n")[0]
    assert "was deleted" in await world.call("forget_failure_note", signature=signature)
    assert "You have no note on" in await world.refused("forget_failure_note", signature=signature)


async def test_a_note_may_end_with_a_day(world: World) -> None:
    text = await world.call("note_failure", signature="s_0123456789", text="x", until_date="2026-05-29")
    assert "(to the end of 2026-05-29)" in text
    await world.advance(3 * 86_400)
    assert "; expired)" in await world.call("list_failure_notes")
    assert "which is not a date" in await world.refused(
        "note_failure", signature="s_0123456789", text="x", until_date="soon"
    )


async def test_a_lab_that_was_down_is_one_finding(world: World) -> None:
    await world.call("start_upgrade", testbed=LAB, mode="build", build_number="6955")
    state = world.simulator.state
    while state.running_build(state.labs[LAB]) is not None:
        await world.advance(10)
    exec_id, _ = await ended_run(world, "Tests_CLI/test_system.py")
    text = await world.call("triage_execution", exec_id=exec_id)
    assert "failed for one reason, so this is a finding about their shared environment (infrastructure), not " in text
    assert "environment (device-away)" in text
    assert f'Check the shared cause first (list_labs(search="{LAB}")); then rerun_failed(exec_id={exec_id})' in text
    assert "It runs 3 tests of" in await world.call("rerun_failed", exec_id=exec_id)


async def test_what_cannot_be_triaged_says_why(world: World, report_html: Any) -> None:
    no_report = world.ended_execution(counts=Counts(failed=1, total=1))
    refused = await world.refused("triage_execution", exec_id=no_report)
    assert "TP has no report of it, and the end of its log names no test that failed" in refused
    assert f"get_execution(exec_id={no_report})" in refused
    rows = world.ended_execution(counts=Counts(failed=1, total=2))
    world.write_report(rows, report_html([("a.py::b", "Failed", "E   Boom: x"), ("x", "Sideways", "")]))
    assert "1 row of the report could not be read." in await world.call("triage_execution", exec_id=rows)
    going_on = world.rival_runs("Tests_Log")
    refused = await world.refused("triage_execution", exec_id=going_on)
    assert f'has not ended.\n\nstart_watch(tool="get_execution", args={{"exec_id": {going_on}}})' in refused


async def test_an_execution_without_times_or_lab_has_an_unknown_build(world: World, report_html: Any) -> None:
    exec_id = world.ended_execution(counts=Counts(passed=1, total=1))
    world.write_report(exec_id, report_html([("a.py::b", "Passed", "")]))
    row = {"status": "Done", "report_file_path": world.simulator.state.executions.get(exec_id).report_file_path}
    world.answers("get_execution", row)  # type: ignore[arg-type]
    text = await world.call("triage_execution", exec_id=exec_id)
    assert text.startswith(f"Execution {exec_id} on an unknown lab, unknown build: Nothing failed.")


async def test_where_tp_does_not_show_the_upgrade_the_history_tells_the_build(world: World) -> None:
    await upgraded(world, "6957")
    bad, _ = await ended_run(world, POE)
    world.fault("get_upgrade", status=500)
    assert "build 6957" in await world.call("triage_execution", exec_id=bad)


async def test_looking_at_an_execution_keeps_it_to_compare_with(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    exec_id = world.rival_runs(POE)
    await world.run_to_its_end(exec_id)
    await world.call("get_execution", exec_id=exec_id)
    await world.polls.idle()
    history = world.services.tp.executions.history
    assert await history.known(BASE_URL, [exec_id], ALICE.principal) == {exec_id}
    reads = world.asked.count("get_report")
    await world.call("get_execution", exec_id=exec_id)
    await world.polls.idle()
    assert world.asked.count("get_report") == reads


async def test_what_get_test_results_read_is_kept_without_reading_it_again(world: World) -> None:
    exec_id = world.rival_runs(POE)
    await world.run_to_its_end(exec_id)
    await world.call("get_test_results", exec_id=exec_id)
    await world.polls.idle()
    assert await world.services.tp.executions.history.known(BASE_URL, [exec_id], ALICE.principal) == {exec_id}
    assert world.asked.count("get_report") == 1


async def test_a_rerun_goes_on_where_it_cannot_be_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await upgraded(world, "6957")
    bad, _ = await ended_run(world, POE)

    async def broken(*_: object, **__: object) -> None:
        raise StoreError("no room")

    monkeypatch.setattr(world.services.tp.executions.history, "add_rerun", broken)
    assert f"It runs 1 test of execution {bad} again" in await world.call("rerun_failed", exec_id=bad)


async def test_evidence_that_cannot_be_kept_is_pointed_to_elsewhere(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await upgraded(world, "6957")
    bad, _ = await ended_run(world, POE)

    async def full(*_: object, **__: object) -> None:
        raise StoreError("no room")

    monkeypatch.setattr(type(world.services.results.stored), "keep", full)
    text = await world.call("triage_execution", exec_id=bad)
    assert f"Every failed test with its line: get_execution(exec_id={bad})." in text


async def test_evidence_is_bounded_and_counts_what_it_leaves_out(
    world: World, report_html: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triage_view, "EVIDENCE_MAX_CHARACTERS", 300)
    exec_id = world.ended_execution(counts=Counts(failed=3, total=3))
    logs = ("E   Boom: x", f"E   Bang: {'y' * 400}", "E   Puff: z")
    world.write_report(exec_id, report_html([(f"a.py::b{number}", "Failed", log) for number, log in enumerate(logs)]))
    text = await world.call("triage_execution", exec_id=exec_id)
    handle = re.findall(r'handle="(\w+)"', text)[0]
    kept = await world.call("read_result", handle=handle)
    assert "E   Boom: x" in kept
    assert "E   Puff: z" in kept
    assert "=== 1 failure left out: too many, or too long" in kept


async def test_without_a_report_the_end_of_the_log_serves_and_says_so(world: World) -> None:
    lines = "FAILED a.py::b - CliError: device lost for good\nFAILED a.py::c - CliError: device lost for good\n"
    log = f"=== short test summary info ===\n{lines}=== 2 failed, 40 passed in 3.00s ==="
    counts = Counts(failed=2, passed=40, total=42)
    exec_id = world.ended_execution(counts=counts, log_tail=log, log_size=len(log))
    text = await world.call("triage_execution", exec_id=exec_id)
    assert ": 2 tests of 42 failed for one reason: CliError: device lost for good (unknown)." in text
    assert "TP has no report of it, so this triage uses the summary at the end of its log." in text
    assert await world.services.tp.executions.history.known(BASE_URL, [exec_id], ALICE.principal) == frozenset()
