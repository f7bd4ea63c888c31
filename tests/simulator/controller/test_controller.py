import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.simulator import Simulator, SimulatorOptions, script_lines
from tp_mcp.simulator.controller.controller import Run, parse_summary
from tp_mcp.simulator.executions.snapshot import Counts

pytestmark = pytest.mark.slow


ID = "Tests_CLI/test_system.py::TestStatus::test_serial_number"
DRY = "--collect-only"


def test_the_two_lines_of_the_script_paste_the_values_as_they_are() -> None:
    called = "pytest /root/tests/Tests_CLI /root/tests/Tests_HA/test_a.py::test_b[x y] -k 'a and b'"
    assert script_lines(
        ["/Tests_CLI", "Tests_HA/test_a.py::test_b[x y]"],
        "-k 'a and b'",
        "--tb=short; id",
        tests_root="/root/tests",
        report="data/r.html",
        rack_file="rack.json",
    ) == (
        f"{called} --collect-only",
        f"{called} --html=data/r.html --rack-file rack.json --tb=short; id",
    )


def test_empty_arguments_leave_no_trace_in_the_script() -> None:
    dry, real = script_lines(["A"], "", "", tests_root="/t", report="r", rack_file="k")
    assert (dry, real) == ("pytest /t/A --collect-only", "pytest /t/A --html=r --rack-file k")


async def test_a_harmless_run_is_two_calls_of_pytest_and_nothing_else(fast: Any) -> None:
    await fast.ended(ID, argument="-k 'serial and not flaky' -q")
    root = str(fast.simulator.controller.tests_root)
    seen = fast.simulator.controller.processes
    assert [(one.exec_id, one.kind) for one in seen] == [(446, "pytest"), (446, "pytest")]
    assert seen[0].argv == (f"{root}/{ID}", "-k", "serial and not flaky", "-q", DRY)
    assert seen[1].argv[:4] == (f"{root}/{ID}", "-k", "serial and not flaky", "-q")
    assert seen[1].argv[4].startswith("--html=")
    assert seen[1].argv[5] == "--rack-file"


@pytest.mark.parametrize(
    ("argument", "kind", "argv"),
    [
        ("; touch owned", "command", ("touch", "owned", DRY)),
        ("$(id -u)", "command", ("id", "-u")),
        ("`id -u`", "command", ("id", "-u")),
        ("| cat", "command", ("cat", DRY)),
        ("|| true", "command", ("true", DRY)),
        ("|| (id) ; :", "command", ("id",)),
        ("\nid", "command", ("id", DRY)),
        ("; /bin/sh -c 'id -u'", "command", ("/bin/sh", "-c", "id -u", DRY)),
        ("; bash -c 'exec id -g'", "command", ("exec", "id", "-g")),
        ("<(id)", "command", ("id",)),
        ("; X=1", "command", ("X=1",)),
        ("> stolen.txt", "redirection", ("stdout",)),
        ("2>/dev/null", "redirection", ("stderr",)),
        ("< pytest.ini", "redirection", ("stdin",)),
        ("2>&-", "redirection", ("stderr",)),
    ],
)
async def test_an_injection_is_executed_and_recorded(
    fast: Any, argument: str, kind: str, argv: tuple[str, ...]
) -> None:
    await fast.ended(ID, argument=argument)
    assert any(seen[: len(argv)] == argv for seen in fast.commands(kind)), fast.simulator.controller.processes


async def test_what_is_left_in_the_background_is_recorded_and_killed(
    fast: Any, alive_in_group: Callable[[int], list[int]]
) -> None:
    row = await fast.ended(ID, extra_pytest_options="; sleep 1000 &")
    assert fast.commands("left-behind") == [()]
    assert alive_in_group(int(row["remote_pid"])) == []


async def test_words_that_a_shell_expands_reach_pytest_expanded(fast: Any) -> None:
    await fast.ended(ID, argument="-k $HOME")
    assert fast.commands("pytest")[0][2].endswith("/runs/446")


async def test_a_run_inherits_nothing(fast: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("TP_MCP_PASSWORD", "secret")
    row = await fast.ended(ID, argument="-p no:logging", extra_pytest_options="; env")
    assert "1 passed" in row["log_tail"]
    assert "BASH_ENV=" in row["log_tail"]
    assert "secret" not in row["log_tail"]
    assert "PYTEST_ADDOPTS" not in row["log_tail"]


@pytest.mark.parametrize(
    "leaf",
    [
        "'test_address_name[two words]'",
        '"test_address_name[it\'s]"',
        "'test_address_name[a;b|c&d]'",
        "'test_address_name[$HOME]'",
        "'test_address_name[`id`]'",
        "test_address_name[10.0.0.0/8]",
        "test_address_name[x[1]]",
        "test_address_name[a::b]",
        "'test_address_name[M\\xfcnchen]'",
    ],
)
async def test_a_quoted_id_finds_its_test(fast: Any, leaf: str) -> None:
    row = await fast.ended(f"Tests_CLI/test_names.py::{leaf}")
    assert (row["status"], row["pass_count"]) == ("Done", 1), row["log_tail"]
    assert [seen.kind for seen in fast.simulator.controller.processes] == ["pytest", "pytest"]


async def test_no_process_and_no_directory_outlives_the_simulator(alive_in_group: Callable[[int], list[int]]) -> None:
    runs: list[Run] = []

    async def fail_in_the_middle() -> None:
        async with Simulator(SimulatorOptions(speed=400)) as simulator:
            body = {"user": "demo", "lab": "AT16_Combined_FSW", "testcase": ["Tests_CLI"]}
            simulator.start_execution("demo", body)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not runs:
                    await simulator.state.clock.sleep(1)
                    runs.extend(filter(None, [simulator.controller.process_of(446)]))
            raise LookupError("any failure of the caller")

    with pytest.raises(LookupError):
        await fail_in_the_middle()
    assert runs[0].process.returncode is not None
    assert alive_in_group(runs[0].process.pid) == []
    assert not runs[0].directory.exists()


async def test_a_given_scratch_directory_stays(tmp_path: Path, start: Callable[..., Any]) -> None:
    async with start(workdir=tmp_path / "scratch") as tp:
        await tp.ended(ID)
        rack = json.loads((tmp_path / "scratch/runs/446/rack.json").read_text())
    assert rack["testbed"] == "AT16_Combined_FSW"
    assert (tmp_path / "scratch").is_dir()


def test_a_scratch_directory_that_needs_quoting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="quoting"):
        Simulator(SimulatorOptions(workdir=tmp_path / "two words"))


@pytest.mark.parametrize(
    ("log", "counts"),
    [
        ("", None),
        ("===== no tests ran in 0.01s =====", Counts()),
        ("===== 50 tests collected in 0.02s =====", Counts()),
        ("no tests collected (50 deselected) in 0.02s", Counts()),
        ("===== 2 failed, 3 passed, 1 skipped, 4 errors in 1.00s =====", Counts(3, 2, 1, 4, 10)),
        ("===== 5 passed in 1.00s =====\n===== 1 error in 0.20s =====", Counts(errors=1, total=1)),
        ("1 passed, 2 xfailed, 1 xpassed, 3 warnings in 65.02s (0:01:05)", Counts(passed=1, total=4)),
    ],
)
def test_counts_are_read_from_the_last_summary_line(log: str, counts: Counts | None) -> None:
    assert parse_summary(log) == counts
