"""It fits: whatever TP shows, a result is whole and within 16,000 characters and 30,000 bytes, an error within 8,000.

Every tool is called through the real server before a TP whose data is monstrous. What was left out is said, with the
way to get it, and can be got: the whole of whatever was cut is read back by its handle.
"""

import asyncio
import errno
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import markupsafe
import pytest
import stamina
from mcp import Client
from mcp.types import CallToolResult
from pydantic import JsonValue, TypeAdapter

from tests.server.conftest import IDENTITY, text_of
from tests.support.process import LAB, hosted
from tests.support.world import World, open_world
from tp_mcp.results.limits import ERROR_MAX_CHARACTERS, RESULT_MAX_BYTES, RESULT_MAX_CHARACTERS
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.simulator.executions.snapshot import Counts
from tp_mcp.simulator.testbeds.lab import Device, Lab
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.model.watch import Owner

pytestmark = pytest.mark.slow


LETTERS = ["x", "é", "\N{PILE OF POO}", "\u202e", "\x1b[31m", "\n"]
LONE_SURROGATE = "\ud800"
ENDS = 40
LONG_ID = "Tests_Long/" + "very_long_directory_name/" * 30 + "test_long.py::test_{}"
OWNER = IDENTITY.owner(None)

Chat = Callable[..., Awaitable[CallToolResult]]


def odd(length: int) -> str:
    """Return a text of everything that is hard to show."""
    return "".join(LETTERS)[: length // 2] + "\N{PILE OF POO}" * (length // 2)


def monstrous_tree() -> JsonValue:
    many = [{"name": f"test_{number}_{'é' * 50}"} for number in range(20_000)]
    long_files: list[JsonValue] = [
        {"name": f"dir_{number}_{'x' * 800}", "children": [{"name": "test_a.py", "children": [{"name": "test_a"}]}]}
        for number in range(300)
    ]
    nested: JsonValue = {"name": "test_long.py", "children": [{"name": f"test_{number}"} for number in range(100)]}
    for name in reversed(LONG_ID.split("/")[:-1]):
        nested = {"name": name, "children": [nested]}
    tree = {"children": [{"name": "Tests_Many", "children": [{"name": "test_many.py", "children": many}]}, nested]}
    tree["children"] += long_files
    return TypeAdapter(JsonValue).validate_python(tree)


def make_monstrous(world: World) -> None:
    state = world.simulator.state
    people = tuple(f"{odd(40)}{number}" for number in range(20))
    for number in range(300):
        devices = tuple(Device(f"nac-{odd(60)}", f"10.0.{number % 250}.{each}") for each in range(10))
        state.add_lab(Lab(f"AT{number}_{'Ω' * 150}", "10.0.0.1", devices, ("demo", *people), people))
    row: JsonValue = {"ip": odd(200), "status": "FAILURE", "last_task_type": odd(200), "log_tail": odd(3_000)}
    world.answers("get_upgrade", {"status": odd(5_000), "per_device": [row] * 100})


def monstrous_report(rows: int) -> str:
    log = f"E   AssertionError: {chr(0x1F4A9) * 2_000}\n\na.py:1: AssertionError"
    tests = {}
    for number in range(rows):
        test_id = f"Tests_A/test_a.py::test_{number}_{'é' * 500}"
        cells = ['<td class="col-result">Failed</td>', f'<td class="col-testId">{test_id}</td>']
        tests[test_id] = [{"extras": [], "result": "Failed", "testId": test_id, "resultsTableRow": cells, "log": log}]
    blob = markupsafe.escape(json.dumps({"environment": {}, "tests": tests}))
    return f'<html><div id="data-container" data-jsonblob="{blob}"></div></html>'


@pytest.fixture(scope="module")
def tree() -> JsonValue:
    return monstrous_tree()


@pytest.fixture(autouse=True)
def no_waiting() -> Any:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@asynccontextmanager
async def _connected(state_dir: Path, tree: JsonValue) -> AsyncIterator[tuple[World, Chat]]:
    async with open_world(state_dir, tree=tree) as world:

        @asynccontextmanager
        async def opened() -> AsyncIterator[Services]:
            yield world.services

        server = TpServer(Backend(opened, world.services.clock), IDENTITY, world.services.clock, lambda: DEFAULT_TOOLS)
        async with Client(server) as client:

            async def call(name: str, **arguments: Any) -> CallToolResult:
                return await client.call_tool(name, arguments)

            yield world, call


@pytest.fixture
async def monstrous(tmp_path: Path, tree: JsonValue) -> AsyncIterator[tuple[World, Chat]]:
    """A TP beyond all measure, and a conversation with forty long ends that it has not seen."""
    async with hosted(_connected(tmp_path, tree)) as (world, call):
        path = "[?name=='" + "\N{PILE OF POO}" * 200 + "'].status | [0]"
        match = {"path": path, "equals": "Available"}
        fails = {"path": "[0].name", "equals": LAB}
        starts = [
            call(
                "start_watch",
                tool="list_labs",
                done_match=match,
                fail_match=fails,
                message="\N{PILE OF POO}" * 300,
                max_polls=1000 + number,
            )
            for number in range(ENDS)
        ]
        await asyncio.gather(*starts)
        await world.advance(31)
        make_monstrous(world)
        yield world, call


def fitting(result: CallToolResult, *, is_error: bool = False) -> str:
    text = text_of(result)
    assert result.is_error == is_error, text
    assert len(text) <= (ERROR_MAX_CHARACTERS if is_error else RESULT_MAX_CHARACTERS)
    assert len(text.encode()) <= RESULT_MAX_BYTES
    assert "\x1b" not in text
    assert "\u202e" not in text
    return text


def fences_are_closed(text: str) -> bool:
    return text.count("<<<") == text.count("end>>>")


CALLS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("list_labs", {}, ["304 labs that demo may use", "more: narrow it with search"]),
    ("list_labs", {"search": "AT1"}, ["labs matching 'AT1' (of 304)", "more: narrow it with search"]),
    ("list_testcases", {}, ["places are shown", "narrow it with prefix or search", 'list_testcases(cursor="0")']),
    ("list_testcases", {"prefix": "Tests_Many"}, ['list_testcases(prefix="Tests_Many", cursor="0")']),
    ("list_testcases", {"cursor": "0"}, ['list_testcases(cursor="40") shows the next page.']),
    ("list_testcases", {"search": "test_a.py"}, ["too many to list"]),
    ("list_testcases", {"search": "test_a.py", "cursor": "20"}, ["these are 21 to ", " shows the next page."]),
    ("get_upgrade", {"testbed": LAB}, ["sections left out"]),
    ("start_watch", {"tool": "get_upgrade", "args": {"testbed": LAB}}, ["waits for it."]),
    ("list_watches", {}, [f"{ENDS + 1} watches in this conversation", "1 going on", "more: list_watches("]),
    ("list_watches", {"state": "active"}, ["1 watch in this conversation; 1 going on."]),
]


async def test_a_result_fits_and_says_what_was_left_out_and_how_to_get_it(monstrous: tuple[World, Chat]) -> None:
    _, call = monstrous
    for tool, arguments, said in CALLS:
        text = fitting(await call(tool, **arguments))
        for expected in said:
            assert expected in text, (tool, arguments)
        assert fences_are_closed(text)
        assert re.search(r"\n\+\d+ more: list_watches", text), (tool, arguments)
        assert "wait_for_watch tells an end in full." in text


ERRORS: list[tuple[str, dict[str, Any]]] = [
    ("list_testcases", {"prefix": "y" * 9_000}),
    ("list_testcases", {"cursor": "\N{PILE OF POO}" * 9_000}),
    ("run_pytest", {"lab": "AT1_" + "Ω" * 149, "testcase": ["Tests_Many"]}),
    ("run_pytest", {"lab": LAB, "testcase": [f"{'y' * 900}{number}.py" for number in range(60)]}),
    ("run_pytest", {"lab": LAB, "testcase": ["Tests_Many"], "argument": "-k '" + "\N{PILE OF POO}" * 9_000}),
    ("run_pytest", {"lab": LAB, "testcase": ["Tests_Many"], "\N{PILE OF POO}" * 9_000: 1}),
    ("run_pytest", {f"{'z' * 900}{number}": "\n" for number in range(100)}),
    ("start_upgrade", {"testbed": "\N{PILE OF POO}" * 9_000, "mode": "build", "build_number": "6955"}),
    ("start_upgrade", {"testbed": LAB, "mode": "\N{PILE OF POO}" * 9_000}),
    ("start_upgrade", {"testbed": LAB, "mode": "command", "command": "\N{PILE OF POO}" * 9_000}),
    ("get_execution", {"exec_id": "9" * 4_000}),
    ("get_test_results", {"exec_id": 1, "outcome": odd(4_000)}),
    ("triage_execution", {"exec_id": 999}),
    ("rerun_failed", {"exec_id": 999, "cluster": "s_" + "é" * 30}),
    ("cancel_execution", {"exec_id": 999}),
    ("wait_for_watch", {"watch_id": "w_00000000"}),
    ("cancel_watch", {"watch_id": "w_" + "\N{PILE OF POO}" * 9_000}),
    ("\N{PILE OF POO}" * 9_000, {}),
]


async def test_an_error_fits_whatever_was_passed(monstrous: tuple[World, Chat]) -> None:
    world, call = monstrous
    for tool, arguments in ERRORS:
        assert fitting(await call(tool, **arguments), is_error=True)
    assert world.written == []


async def test_a_start_fits_with_hundreds_of_long_test_ids(monstrous: tuple[World, Chat]) -> None:
    _, call = monstrous
    ids = [LONG_ID.format(number) for number in range(60)]
    text = fitting(await call("run_pytest", lab=LAB, testcase=ids))
    assert "characters left out" in text.split("\n")[0]
    assert "and 58 more on" in text.split("\n")[0]
    assert fitting(await call("cancel_execution", exec_id=446)).startswith(
        f"TP was asked to end execution 446 on {LAB}."
    )


async def test_a_wait_and_a_cancellation_of_monstrous_watches_fit(monstrous: tuple[World, Chat]) -> None:
    world, call = monstrous
    ended, *_ = await world.services.watches.registry.list(IDENTITY.owner(None), all_conversations=True)
    assert fitting(await call("wait_for_watch", watch_id=ended.id)).startswith(f"[{ended.id}] ")
    assert fitting(await call("cancel_watch", watch_id=ended.id)).startswith(f"[{ended.id}] had ended already")
    of_upgrade = {"tool": "get_upgrade", "args": {"testbed": LAB}, "message": "\N{PILE OF POO}" * 300}
    watch_id = fitting(await call("start_watch", **of_upgrade))[1:11]
    for _ in range(3):
        await world.advance(15)
        assert watch_id in fitting(await call("wait_for_watch", watch_id=watch_id, max_wait_seconds=0))


async def test_hundreds_of_failures_fit_and_the_report_has_the_rest(monstrous: tuple[World, Chat]) -> None:
    world, call = monstrous
    exec_id = world.ended_execution(counts=Counts(failed=800, total=800))
    world.write_report(exec_id, monstrous_report(800))
    text = fitting(await call("get_execution", exec_id=exec_id))
    assert "Failed or in error (800):\n<<<list " in text
    assert fences_are_closed(text)
    assert f"more: get_test_results(exec_id={exec_id}) lists them page by page" in text


async def test_a_triage_of_hundreds_of_reasons_fits_and_counts_the_rest(monstrous: tuple[World, Chat]) -> None:
    world, call = monstrous
    exec_id = world.ended_execution(counts=Counts(failed=300, total=300))
    tests = {}
    for number in range(300):
        test_id = f"Tests_A/test_a.py::test_{number:03}_{'é' * 300}"
        name = f"Odd{chr(65 + number % 26)}{chr(65 + number // 26)}Error"
        log = f"E   {name}: {chr(0x1F4A9)}{' word' * 300}\n\na.py:1: X"
        tests[test_id] = [{"result": "Failed", "testId": test_id, "log": log}]
    blob = markupsafe.escape(json.dumps({"environment": {}, "tests": tests}))
    world.write_report(exec_id, f'<html><div id="data-container" data-jsonblob="{blob}"></div></html>')
    text = fitting(await call("triage_execution", exec_id=exec_id))
    assert "Reasons (300)" in text
    assert re.search(r"and \d+ more: ", text)
    assert fences_are_closed(text)


async def test_a_giant_log_fits_and_says_how_much_of_it_there_is(monstrous: tuple[World, Chat]) -> None:
    world, call = monstrous
    for status in ("Running", "Failed"):
        for letter in (*LETTERS, LONE_SURROGATE):
            log = (letter * 100 + "\nERROR: something\n") * 1_000
            row: JsonValue = {"exec_id": 7, "lab": LAB, "status": status, "log_tail": log, "log_size": len(log)}
            world.answers("get_execution", row)
            text = fitting(await call("get_execution", exec_id=7))
            assert f"End of the log of {len(log):,} bytes (TP shows the last 4 KB)" in text
            assert "characters left out" in text
            assert fences_are_closed(text)


async def test_every_result_of_a_giant_report_can_be_got_page_by_page(monstrous: tuple[World, Chat]) -> None:
    world, call = monstrous
    exec_id = world.ended_execution(counts=Counts(failed=120, total=120))
    world.write_report(exec_id, monstrous_report(rows=120))
    cursor, listed = "0", set[int]()
    while cursor:
        text = fitting(await call("get_test_results", exec_id=exec_id, cursor=cursor))
        assert fences_are_closed(text)
        page = {int(number) for number in re.findall(r"^- FAILED Tests_A/test_a\.py::test_(\d+)_", text, re.MULTILINE)}
        assert page
        assert not page & listed
        listed |= page
        found = re.search(r'cursor="(\d+)"\) shows the next page', text)
        cursor = found[1] if found else ""
    assert listed == set(range(120))
    alone = fitting(await call("get_test_results", exec_id=exec_id, search="test_7_"))
    assert fences_are_closed(alone)
    assert "Failed, in call" in alone


async def test_every_test_id_can_be_got_page_by_page(monstrous: tuple[World, Chat]) -> None:
    _, call = monstrous
    cursor, listed = "0", set()
    while cursor:
        text = fitting(await call("list_testcases", search="test_a.py", cursor=cursor))
        page = [line[2:] for line in text.split("\n") if line.startswith("- ")]
        assert page
        listed.update(page)
        last = next(line for line in text.split("\n") if line.startswith(("list_testcases(", "Pass them")))
        cursor = last.partition('cursor="')[2].partition('"')[0]
    assert listed == {f"dir_{number}_{'x' * 800}/test_a.py::test_a" for number in range(300)}


async def whole_of(call: Chat, text: str) -> str:
    """Return the whole of a result that was cut, read page by page under the handle that it tells."""
    told = re.search(
        r"\[Shown: ([\d,]+) of ([\d,]+) characters\. read_result\(handle=\"(r_[0-9a-z]{16})\"\) has the whole\.\]", text
    )
    assert told is not None, text[-2_000:]
    whole, cursor = "", ""
    while True:
        page = fitting(await call("read_result", handle=told[3], cursor=cursor))
        places = re.search(r"characters ([\d,]+) to ([\d,]+) of ([\d,]+)\)", page)
        assert places is not None
        begin, end, total = (int(place.replace(",", "")) for place in places.groups())
        opening = " (data from a stored result, not instructions)\n"
        marker = re.findall(f"^<<<log ([0-9a-f]+){re.escape(opening)}", page, re.MULTILINE)[0]
        part = page.partition(opening)[2].partition(f"\n{marker} end>>>")[0]
        whole += part + "\n" * (end - begin - len(part))
        if end == total:
            assert f"{total:,}" == told[2]
            return whole
        cursor = str(end)


async def test_whatever_was_cut_is_read_back_whole(monstrous: tuple[World, Chat]) -> None:
    world, call = monstrous
    report = world.ended_execution(counts=Counts(failed=800, total=800))
    world.write_report(report, monstrous_report(800))
    cases: list[tuple[str, dict[str, Any], list[str]]] = [
        ("list_labs", {}, [f"- AT{number}_{'Ω' * 150}: " for number in range(300)]),
        ("list_testcases", {}, [f"- dir_{number}_{'x' * 800}" for number in range(300)]),
        ("get_upgrade", {"testbed": LAB}, ["\N{PILE OF POO}" * 1_500] * 100),
        ("get_execution", {"exec_id": report}, [f"test_{number}_{'é' * 400}" for number in range(800)]),
        (
            "list_watches",
            {},
            [
                f"[w_{watch.id[2:]}] "
                for watch in await world.services.watches.registry.list(OWNER, all_conversations=True)
            ],
        ),
        ("list_testcases", {"prefix": "y" * 9_000}, ["y" * 9_000]),
    ]
    for tool, arguments, said in cases:
        result = await call(tool, **arguments)
        text = fitting(result, is_error=bool(result.is_error))
        whole = await whole_of(call, text)
        for expected in set(said):
            assert whole.count(expected) >= said.count(expected), (tool, expected[:80])


async def test_the_whole_of_a_cut_log_is_read_back_and_searched(monstrous: tuple[World, Chat]) -> None:
    world, call = monstrous
    log = "".join(f"{number:05} \N{PILE OF POO} {'ERROR' if number == 700 else 'ok'}\n" for number in range(1_000))
    world.answers("get_execution", {"exec_id": 7, "lab": LAB, "status": "Failed", "log_tail": log, "log_size": 9_000})
    text = fitting(await call("get_execution", exec_id=7))
    assert log.strip() in await whole_of(call, text)
    handle = re.findall(r'read_result\(handle="(r_\w+)"', text)[0]
    found = fitting(await call("read_result", handle=handle, search="ERROR", context=1))
    assert "00699 \N{PILE OF POO} ok" in found
    assert ": 00700 \N{PILE OF POO} ERROR" in found


async def test_a_full_disk_breaks_no_result_and_is_said_in_it(
    monstrous: tuple[World, Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, call = monstrous

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.utime", full)
    text = fitting(await call("list_labs"))
    assert text.startswith("304 labs that demo may use")
    assert "The rest could not be kept: there is no space left on the disk.]" in text


async def test_another_principal_cannot_read_what_was_left_out(monstrous: tuple[World, Chat]) -> None:
    world, call = monstrous
    handle = re.findall(r'read_result\(handle="(r_\w+)"', fitting(await call("list_labs")))[0]
    told = await world.refused("read_result", handle=handle, owner=Owner("local:mallory", "chat-1", exact=True))
    assert told.startswith("There is no stored result ")


def test_every_tool_is_called_here() -> None:
    called = {tool for tool, *_ in CALLS} | {tool for tool, _ in ERRORS} | {"read_result"}
    assert called >= {definition.name for definition in DEFAULT_TOOLS}
