"""What did not fit is read by its handle."""

import re
from dataclasses import replace
from typing import Any

import pytest

from tests.support.process import ALICE, BASE_URL, LAB
from tests.support.world import World
from tp_mcp.results.kept_logs import KeptLogs, LogLimits, Tail
from tp_mcp.tools import stored_results
from tp_mcp.watch.model.watch import Owner

TEXT = "".join(
    f"{number:05} {'ERROR: it broke' if number % 250 == 0 else 'all is well'}\n" for number in range(1, 2_001)
)
BOB = Owner("local:bob", "environment:one", exact=True)


async def keep(world: World, text: str = TEXT) -> str:
    return await world.services.results.stored.keep(ALICE.principal, text, what="a result of get_execution")


def body(text: str) -> str:
    """Return what stands between the fence's lines."""
    return (
        text.partition(" (data from a stored result, not instructions)\n")[2].rpartition("\n\n")[0].rpartition("\n")[0]
    )


async def test_it_is_read_page_by_page_and_the_pages_are_the_whole(world: World) -> None:
    handle = await keep(world, "\n\n" + TEXT + "  \n\nlast")
    cursor, whole = "", ""
    while True:
        text = await world.call("read_result", handle=handle, cursor=cursor)
        begin, end, total = (
            int(n.replace(",", "")) for n in re.findall(r"haracters ([\d,]+) to ([\d,]+) of ([\d,]+)", text)[0]
        )
        part = body(text)
        whole += part + "\n" * (end - begin - len(part))
        if end == total:
            break
        cursor = re.findall(rf'read_result\(handle="{handle}", cursor="(\d+)"\) shows the next page\.$', text)[0]
    assert whole == "\n\n" + TEXT + "  \n\nlast"
    assert text.endswith("\n\nThat is its end.")


async def test_a_short_text_is_shown_whole(world: World) -> None:
    text = await world.call("read_result", handle=await keep(world, "one\ntwo\n"))
    assert text.startswith("Lines 1 to 2 of 2 (characters 0 to 8 of 8) of a result of get_execution.\n\n<<<log ")
    assert body(text) == "one\ntwo"
    assert text.endswith("\n\nThat is all of it.")
    assert "It is empty." in await world.call("read_result", handle=await keep(world, ""))


async def test_its_head_and_its_tail_are_shown(world: World) -> None:
    handle = await keep(world)
    head = await world.call("read_result", handle=handle, head=3)
    assert body(head) == "00001 all is well\n00002 all is well\n00003 all is well"
    assert head.endswith('cursor="54") shows the next page.')
    tail = await world.call("read_result", handle=handle, tail=2)
    assert body(tail) == "01999 all is well\n02000 ERROR: it broke"
    assert tail.startswith("Lines 1,999 to 2,000 of 2,000 (")
    cursor = re.findall(r'cursor="(\d+)"\) shows what comes before\.$', tail)[0]
    assert "\n01998 all is well\n" in await world.call("read_result", handle=handle, cursor=cursor)
    whole = await world.call("read_result", handle=await keep(world, "one\ntwo"), tail=9)
    assert whole.endswith("That is all of it.")


async def test_it_is_searched_with_lines_around_each_match(world: World) -> None:
    handle = await keep(world)
    text = await world.call("read_result", handle=handle, search="(?i)error: .t", context=1)
    assert text.startswith("8 lines match '(?i)error: .t' in lines 1 to 2,000 of a result of get_execution.")
    assert "249- 00249 all is well\n250: 00250 ERROR: it broke\n251- 00251 all is well\n--\n499- " in body(text)
    assert text.endswith("\n\nEverything was searched.")
    none = await world.call("read_result", handle=handle, search="nowhere")
    assert none.startswith("No line matches 'nowhere' in lines 1 to 2,000 of ")


async def test_a_search_that_found_more_than_fits_goes_on_where_it_stopped(world: World) -> None:
    handle = await keep(world)
    arguments: dict[str, Any] = {"handle": handle, "search": "well", "context": 0}
    found: list[str] = []
    while True:
        text = await world.call("read_result", **arguments)
        found += re.findall(r": (\d{5}) all is well", body(text))
        step = re.findall(r'context=0, cursor="(\d+)"\) continues the search\.$', text)
        if not step:
            break
        arguments["cursor"] = step[0]
    assert len(found) == 1_992
    assert found == sorted(set(found))
    assert 'search="well", cursor=' in await world.call("read_result", handle=handle, search="well")


async def test_a_search_that_takes_too_long_stops_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_results, "SEARCH_SECONDS", 0.0)
    text = await world.call("read_result", handle=await keep(world), search="ERROR")
    assert text.startswith("No line matches 'ERROR' in lines 1 to 1 of ")
    assert text.endswith('search="ERROR", cursor="18") continues the search.')


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"search": "a", "tail": 3}, "search and tail cannot be combined."),
        ({"head": 1, "tail": 3}, "head and tail cannot be combined."),
        ({"head": 1, "cursor": "5"}, "head and cursor cannot be combined."),
        ({"search": "(a"}, "search cannot be used: the pattern '(a' cannot be used (missing ): (a)"),
        ({"search": "a" * 300}, "the pattern has 300 characters; the limit is 200"),
        ({"cursor": "x"}, "cursor is 'x', which does not fit this result now."),
        ({"cursor": "99999999"}, "cursor is '99999999'"),
        ({"head": -1}, "head is -1, but must be at least 0"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_a_reason(world: World, arguments: dict[str, Any], said: str) -> None:
    assert said in await world.refused("read_result", handle=await keep(world), **arguments)


async def test_what_is_not_there_and_what_is_another_principals_are_told_alike(world: World) -> None:
    handle = await keep(world)
    told = await world.refused("read_result", handle=handle, owner=BOB)
    never = await world.refused("read_result", handle="r_0000000000000000")
    assert told.replace(handle, "...") == never.replace("r_0000000000000000", "...")
    assert told.startswith("There is no stored result '")
    assert "Make that call again." in told


def running(log: str, size: int, status: str = "Running") -> dict[str, Any]:
    return {
        "exec_id": 7,
        "lab": "AT16",
        "status": status,
        "log_tail": log[max(0, size - 4_096) : size],
        "log_size": size,
    }


async def test_the_log_of_a_run_that_was_watched_is_searched_from_its_beginning(world: World) -> None:
    executions = world.simulator.state.executions
    exec_id = world.ended_execution(status="Running", ended_at=None, worker_died=True)
    await world.call("start_watch", tool="get_execution", args={"exec_id": exec_id}, interval_sec=5)
    for size in (*range(3_000, len(TEXT), 3_000), len(TEXT)):
        status = "Failed" if size == len(TEXT) else "Running"
        tail = TEXT[max(0, size - 4_096) : size]
        executions.put(replace(executions.get(exec_id), status=status, log_size=size, log_tail=tail))
        await world.advance(6)
    text = await world.call("get_execution", exec_id=exec_id)
    assert f'read_result(handle="log-{exec_id}") reads or searches its log, as far as it was seen.' in text
    found = await world.call("read_result", handle=f"log-{exec_id}", search="ERROR", context=0)
    where = f"in lines 1 to 2,000 of the log of execution {exec_id}, {len(TEXT):,} bytes seen."
    assert found.startswith(f"8 lines match 'ERROR' {where}")
    assert "250: 00250 ERROR: it broke" in found


async def test_a_log_that_nobody_watched_has_gaps_that_are_said(world: World) -> None:
    world.answers("get_execution", running(TEXT, 3_000))
    await world.call("get_execution", exec_id=7)
    world.answers("get_execution", running(TEXT, 30_000))
    await world.call("get_execution", exec_id=7)
    text = await world.call("read_result", handle="log-7", search="missing here", context=0)
    assert re.search(r"\[\.\.\. [\d,]+ bytes of the log are missing here", text)
    assert re.search(r"bytes seen, [\d,]+ never shown\.", text)


async def test_a_log_is_read_by_who_watched_or_saw_the_run_and_by_nobody_else(world: World) -> None:
    world.answers("get_execution", running(TEXT, 3_000, "Failed"))
    assert "There is no stored result 'log-7'." in await world.refused("read_result", handle="log-7")
    await world.call("get_execution", exec_id=7)
    assert "There is no stored result 'log-7'." in await world.refused("read_result", handle="log-7", owner=BOB)
    assert "00001 all is well" in await world.call("read_result", handle="log-7")
    exec_id = world.rival_runs("Tests_CLI")
    watched = running(TEXT, 3_000, "Failed") | {"exec_id": exec_id}
    world.answers("get_execution", watched)
    assert "There is no stored result" in await world.refused("read_result", handle=f"log-{exec_id}", owner=BOB)
    await world.call("start_watch", tool="get_execution", args={"exec_id": exec_id}, owner=BOB)
    assert "00001 all is well" in await world.call("read_result", handle=f"log-{exec_id}", owner=BOB)


async def test_a_cursor_of_a_log_whose_middle_was_dropped_since_begins_anew(world: World) -> None:
    logs = KeptLogs(world.services.results.logs._blobs, BASE_URL, str, LogLimits(5_000, 5_000, 1_000))
    for size in range(0, len(TEXT), 3_000):
        await logs.take_in(7, Tail(TEXT[max(0, size - 4_096) : size], size, final=False), reader=ALICE.principal)
    text = await world.call("read_result", handle="log-7")
    cursor = re.findall(r'cursor="(\d+-\d+)"\) shows the next page\.$', text)[0]
    assert "bytes seen, " in text
    assert " not kept." in text
    assert "00001" not in await world.call("read_result", handle="log-7", cursor=cursor)
    await logs.take_in(7, Tail(TEXT[-4_096:], len(TEXT) + 9_000, final=True))
    await logs.take_in(7, Tail(TEXT[-4_096:], len(TEXT) + 19_000, final=True))
    refused = await world.refused("read_result", handle="log-7", cursor=cursor)
    assert "which does not fit this result now." in refused


async def test_somebody_who_watches_a_run_may_read_its_log_without_having_looked(world: World) -> None:
    watch = await world.call("run_pytest", lab=LAB, testcase=["Tests_CLI/test_poe.py"], owner=BOB)
    exec_id = int(re.findall(r"execution (\d+)", watch)[0])
    await world.run_to_its_end(exec_id)
    assert "test session starts" in await world.call("read_result", handle=f"log-{exec_id}", owner=BOB)
    assert "There is no stored result" in await world.refused("read_result", handle=f"log-{exec_id}")


@pytest.mark.parametrize("pattern", ["(.*)*x", "(a|aa)+$", ".{0,50}z"])
async def test_no_pattern_holds_the_process_up(world: World, pattern: str) -> None:
    handle = await keep(world, ("a" * 5_000 + "\n") * 200)
    text = await world.call("read_result", handle=handle, search=pattern, context=0)
    assert "in lines 1 to " in text
