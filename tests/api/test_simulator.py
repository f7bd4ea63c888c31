"""The client against the embedded TP: both were written from the same contract, apart from each other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from tp_mcp.api.auth import Credentials, PasswordLogin
from tp_mcp.api.client import TpClient
from tp_mcp.api.models import Execution
from tp_mcp.api.requests import PytestRequest, UpgradeRequest
from tp_mcp.clock import SystemClock
from tp_mcp.errors import TpBusyError, TpForbiddenError, TpNotAuthenticatedError, TpNotFoundError, TpServerFaultError
from tp_mcp.simulator import Simulator, SimulatorOptions

pytestmark = pytest.mark.slow


LAB = "AT16_Combined_FSW"
LONGEST_RUN_SECONDS = 40
ENDED = ("Done", "Failed", "Cancelled")
Login = Callable[[Credentials], TpClient]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions(speed=60.0)) as simulator:
        yield simulator


@pytest.fixture
def log_in(simulator: Simulator) -> Login:
    def make(credentials: Credentials) -> TpClient:
        transport = httpx2.ASGITransport(app=simulator.app)
        return TpClient.at(
            base_url="http://tp.example", credentials=credentials, clock=SystemClock(), transport=transport
        )

    return make


def login_of(simulator: Simulator, username: str) -> PasswordLogin:
    return PasswordLogin(username, SecretStr(simulator.state.users[username].password))


@pytest.fixture
async def demo(simulator: Simulator, log_in: Login) -> AsyncIterator[TpClient]:
    async with log_in(login_of(simulator, "demo")) as client:
        yield client


async def ended(client: TpClient, exec_id: int) -> Execution:
    async with asyncio.timeout(LONGEST_RUN_SECONDS):
        while (execution := await client.get_execution(exec_id)).status not in ENDED:
            await asyncio.sleep(0.05)
    return execution


async def fault(demo: TpClient, simulator: Simulator, **body: Any) -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=simulator.app), base_url="http://tp") as control:
        (await control.post("/_sim/faults", json=body)).raise_for_status()


async def test_an_upgrade_is_started_seen_under_way_and_seen_to_end(demo: TpClient, simulator: Simulator) -> None:
    before = await demo.get_upgrade(LAB)
    started = await demo.start_upgrade(UpgradeRequest.checked(testbed=LAB, mode="build", build_number="6957"))
    assert started.testbed == LAB
    assert [task.ip for task in started.tasks] == list(started.target_ips)
    async with asyncio.timeout(LONGEST_RUN_SECONDS):
        while (await demo.get_upgrade(LAB)).status != "PROGRESS":
            await simulator.advance(5)
        with pytest.raises(TpBusyError, match=r"The upgrade there has the status PROGRESS: 10\.15\.52\.152 PROGRESS"):
            await demo.start_upgrade(UpgradeRequest.checked(testbed=LAB, mode="build", build_number="6957"))
        while (status := await demo.get_upgrade(LAB)).status == "PROGRESS":
            await simulator.advance(30)
    (device,) = status.per_device
    assert (status.status, device.last_task_type, device.last_build_number) == ("SUCCESS", "build", "6957")
    assert device.updated_at is not None
    assert before.per_device[0].updated_at is not None
    assert device.updated_at > before.per_device[0].updated_at


async def test_a_run_is_started_ends_and_has_its_report(demo: TpClient) -> None:
    tree = await demo.list_testcases()
    test_id = next(each for each in tree.ids if each.startswith("Tests_CLI/"))
    started = await demo.start_pytest(
        PytestRequest.checked(lab=LAB, testcase=[f"/{test_id}"], argument="-vv --tb=short")
    )
    with pytest.raises(TpBusyError, match=rf"It is execution {started.exec_id} "):
        await demo.start_pytest(PytestRequest.checked(lab=LAB, testcase=["Tests_CLI"]))
    execution = await ended(demo, started.exec_id)
    assert (execution.status, execution.lab, execution.exec_id) == ("Done", LAB, started.exec_id)
    counts = (execution.pass_count, execution.fail_count, execution.skip_count, execution.error_count)
    assert sum(count or 0 for count in counts) == 1
    assert execution.end_timestamp is not None
    report = await demo.get_report(execution.report_file_path, max_bytes=5_000_000)
    assert b"data-jsonblob" in report
    with pytest.raises(TpNotFoundError):
        await demo.get_report("data/AutomationTest/nothing.html", max_bytes=100)
    (row,) = [row for row in await demo.list_executions() if row.exec_id == started.exec_id]
    assert (row.lab, row.status, row.report_file_path) == (LAB, "Done", execution.report_file_path)


async def test_the_controller_ran_what_the_guard_meant_and_nothing_else(demo: TpClient, simulator: Simulator) -> None:
    request = PytestRequest.checked(
        lab=LAB,
        testcase=["Tests_CLI/no_such_file.py::test_x[a b; touch owned $(id)]"],
        argument="-k 'radius and not (flaky or slow)' --only-rerun \"it's; touch owned\" -x",
        extra_pytest_options="--deselect='a.py::t[`id`]'",
    )
    started = await demo.start_pytest(request)
    await ended(demo, started.exec_id)
    seen = [process for process in simulator.controller.processes if process.exec_id == started.exec_id]
    assert {process.kind for process in seen} == {"pytest"}
    test_id, *rest = seen[0].argv
    assert test_id.endswith("/Tests_CLI/no_such_file.py::test_x[a b; touch owned $(id)]")
    assert tuple(rest) == (*request.argument.argv, "--collect-only")
    for process in seen[1:]:
        assert process.argv[: len(rest)] == (test_id, *request.argument.argv)
        assert process.argv[-1] == "--deselect=a.py::t[`id`]"


async def test_a_running_execution_is_cancelled(demo: TpClient) -> None:
    started = await demo.start_pytest(PytestRequest.checked(lab=LAB, testcase=["Tests_CLI"]))
    await demo.cancel_execution(started.exec_id)
    assert (await ended(demo, started.exec_id)).status == "Cancelled"


async def test_labs_have_their_devices_however_deployinfo_comes(demo: TpClient) -> None:
    labs = await demo.list_labs()
    assert LAB in [lab.name for lab in labs]
    assert all(lab.devices and lab.devices[0].ip for lab in labs)
    assert all("demo" in (*lab.users, *lab.usedby) for lab in labs)


async def test_what_tp_does_not_know_is_not_found(demo: TpClient) -> None:
    with pytest.raises(TpNotFoundError, match="999999"):
        await demo.get_execution(999_999)


async def test_a_lab_of_somebody_else_is_forbidden(simulator: Simulator, log_in: Login, demo: TpClient) -> None:
    mine = {lab.name for lab in await demo.list_labs()}
    async with log_in(login_of(simulator, "rival")) as rival:
        theirs = {lab.name for lab in await rival.list_labs()}
        (foreign, *_) = sorted(mine - theirs)
        with pytest.raises(TpForbiddenError):
            await rival.start_pytest(PytestRequest.checked(lab=foreign, testcase=["Tests_CLI"]))


async def test_a_wrong_password_is_said(log_in: Login) -> None:
    async with log_in(PasswordLogin("demo", SecretStr("wrong-password"))) as client:
        with pytest.raises(TpNotAuthenticatedError, match="TP_MCP_PASSWORD") as caught:
            await client.list_labs()
    assert "wrong-password" not in str(caught.value)


async def test_a_tp_with_single_sign_on_takes_a_token_issued_elsewhere(
    simulator: Simulator, log_in: Login, make_token: Any
) -> None:
    simulator.state.sso_only = True
    async with log_in(login_of(simulator, "demo")) as client:
        with pytest.raises(TpNotAuthenticatedError, match=r"single sign-on.*TP_MCP_TOKEN"):
            await client.list_labs()
    issued = type(make_token())(SecretStr(simulator.tokens.mint(simulator.state.users["demo"])))
    async with log_in(issued) as client:
        assert await client.list_labs()


async def test_an_expired_token_is_renewed(demo: TpClient, simulator: Simulator) -> None:
    await demo.list_labs()
    simulator.tokens.expire_all()
    assert await demo.list_labs()


async def test_a_write_with_an_expired_token_is_refused_and_the_next_call_logs_in_anew(
    demo: TpClient, simulator: Simulator
) -> None:
    run = PytestRequest.checked(lab=LAB, testcase=["Tests_CLI"])
    await demo.list_labs()
    simulator.tokens.expire_all()
    with pytest.raises(TpNotAuthenticatedError, match=r"nothing was started.*call again"):
        await demo.start_pytest(run)
    assert simulator.state.requests.count("start_pytest") == 1
    assert (await demo.start_pytest(run)).exec_id == 446


async def test_a_start_that_was_carried_out_and_answered_as_an_expired_login_is_not_sent_again(
    demo: TpClient, simulator: Simulator
) -> None:
    await fault(demo, simulator, endpoint="start_upgrade", kind="expired_token", when="after")
    with pytest.raises(TpNotAuthenticatedError):
        await demo.start_upgrade(UpgradeRequest.checked(testbed=LAB, mode="build", build_number="6957"))
    assert simulator.state.requests.count("start_upgrade") == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [("html", TpNotAuthenticatedError), ("redirect", TpNotAuthenticatedError), ("away", TpServerFaultError)],
)
async def test_an_injected_fault_is_one_error_and_a_write_is_sent_once(
    demo: TpClient, simulator: Simulator, kind: str, error: type[Exception]
) -> None:
    await fault(demo, simulator, endpoint="start_pytest", kind=kind)
    with pytest.raises(error):
        await demo.start_pytest(PytestRequest.checked(lab=LAB, testcase=["Tests_CLI"]))
    assert simulator.state.requests.count("start_pytest") == 1


async def test_a_read_outlives_a_short_absence(demo: TpClient, simulator: Simulator) -> None:
    await fault(demo, simulator, endpoint="list_labs", kind="away", times=2)
    assert await demo.list_labs()
    assert simulator.state.requests.count("list_labs") == 3
