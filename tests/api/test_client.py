"""One typed method per endpoint: what is sent, and what comes back."""

import ssl
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from tp_mcp.api.auth import PasswordLogin
from tp_mcp.api.client import TpClient, readable
from tp_mcp.api.endpoints import ENDPOINTS, Kind
from tp_mcp.api.requests import LockAction, PytestRequest, UpgradeRequest
from tp_mcp.clock import SystemClock
from tp_mcp.errors import (
    ConfigurationError,
    InputError,
    InvalidArgumentError,
    TpNotAuthenticatedError,
    TpNotFoundError,
    TpNotJsonError,
    UnsafeArgumentError,
)

PATH = "data/AutomationTest/test_446_report_2026-05-29_21:26:50.html"


def test_the_table_says_which_calls_write() -> None:
    assert {name for name, endpoint in ENDPOINTS.items() if endpoint.kind is Kind.WRITE} == {
        "start_upgrade",
        "start_pytest",
        "cancel_execution",
        "lock_lab",
    }
    assert all(endpoint.reads is (endpoint.kind is Kind.READ) for endpoint in ENDPOINTS.values())


async def test_an_upgrade_is_started(client: TpClient, tp: Any) -> None:
    tp.on(
        "/adc/automation/upgrade/",
        httpx2.Response(
            202, json={"testbed": "AT16", "mode": "build", "tasks": [{"ip": "10.0.0.1", "celery_id": "f6"}]}
        ),
    )
    started = await client.start_upgrade(UpgradeRequest.checked(testbed="AT16", mode="build", build_number="0815"))
    assert (started.testbed, started.tasks[0].celery_id) == ("AT16", "f6")
    assert tp.bodies("/adc/automation/upgrade/") == [{"testbed": "AT16", "mode": "build", "build_number": "0815"}]


async def test_a_testbeds_name_is_percent_encoded(client: TpClient, tp: Any) -> None:
    tp.answers["/adc/automation/upgrade/AT 16%+#ä/"] = [httpx2.Response(200, json={"status": "UNKNOWN"})]
    assert (await client.get_upgrade("AT 16%+#ä")).status == "UNKNOWN"
    assert tp.requests[-1].url.raw_path == b"/adc/automation/upgrade/AT%2016%25%2B%23%C3%A4/"


async def test_a_run_is_started_in_the_name_of_the_user(client: TpClient, tp: Any) -> None:
    tp.on("/adc/automation/pytest/", httpx2.Response(202, json={"exec_id": 446, "status": "Initiating", "lab": "AT16"}))
    request = PytestRequest.checked(
        lab="AT16", testcase=["/a.py::test[x y]"], argument='-k "a and b"', extra_pytest_options="-x"
    )
    assert (await client.start_pytest(request)).exec_id == 446
    await client.start_pytest(PytestRequest.checked(lab="AT16", testcase=["a"]))
    assert tp.bodies("/adc/automation/pytest/") == [
        {
            "user": "demo",
            "lab": "AT16",
            "testcase": ["a.py::test'[x y]'"],
            "argument": "-k 'a and b'",
            "extra_pytest_options": "-x",
        },
        {"user": "demo", "lab": "AT16", "testcase": ["a"], "argument": ""},
    ]


async def test_labs_and_executions_are_those_of_the_user(client: TpClient, tp: Any) -> None:
    tp.on("/adc/get_automation_lab", httpx2.Response(200, json={"labs": [{"name": "A"}, 7]}))
    tp.on("/adc/get_test_result", httpx2.Response(200, json=[{"id": 446, "lab": "A"}, None]))
    assert [lab.name for lab in await client.list_labs()] == ["A"]
    assert [row.exec_id for row in await client.list_executions()] == [446]
    assert tp.bodies("/adc/get_automation_lab") + tp.bodies("/adc/get_test_result") == [{"user": "demo"}] * 2


async def test_the_test_tree_is_read(client: TpClient, tp: Any) -> None:
    tp.on(
        "/adc/get_testcases",
        httpx2.Response(200, json={"children": [{"name": "a.py", "children": [{"name": "test_b"}]}]}),
    )
    assert (await client.list_testcases()).ids == ("a.py::test_b",)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("list_testcases", "/adc/get_testcases"),
        ("list_labs", "/adc/get_automation_lab"),
        ("list_executions", "/adc/get_test_result"),
        ("list_versions", "/adc/automation-verion/"),
    ],
)
async def test_a_list_of_another_shape_is_an_error(client: TpClient, tp: Any, method: str, path: str) -> None:
    tp.on(path, httpx2.Response(200, json="nothing of the kind"))
    with pytest.raises(TpNotJsonError, match="has an unexpected shape"):
        await getattr(client, method)()


async def test_the_json_of_tp_comes_through_unchanged(client: TpClient, tp: Any) -> None:
    own = {"exec_id": 446, "start_timestamp": "1780090011", "new": [None, {"x": 1.5}]}
    tp.on("/adc/automation/pytest/446/", httpx2.Response(200, json=own))
    assert await client.read_json("get_execution", {"exec_id": 446}) == own


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("nothing", {}),
        ("start_pytest", {}),
        ("cancel_execution", {"id": 1}),
        ("mint_token", {}),
        ("get_report", {"report_file_path": "a"}),
        ("get_execution", {}),
        ("get_execution", {"exec_id": 446, "more": 1}),
        ("list_labs", {"user": "other"}),
        ("get_execution", {"exec_id": "446"}),
        ("get_execution", {"exec_id": True}),
        ("get_execution", {"exec_id": -1}),
        ("get_upgrade", {"testbed": "../pytest/1"}),
        ("get_upgrade", {"testbed": None}),
        ("get_upgrade", {"testbed": ""}),
    ],
)
async def test_only_reads_by_name_with_their_own_arguments_are_sent(
    client: TpClient, tp: Any, name: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InputError):
        await client.read_json(name, arguments)
    assert tp.requests == []


def test_what_can_be_read_by_name_is_told() -> None:
    assert readable() == (
        *("get_upgrade", "get_execution", "list_testcases", "list_labs", "list_executions", "list_versions"),
    )


async def test_a_lab_is_marked_in_the_name_of_the_user(client: TpClient, tp: Any) -> None:
    tp.on("/adc/automation_lock", httpx2.Response(200), httpx2.Response(200, json={"ok": True}))
    assert await client.lock_lab("AT16", LockAction.LOCK) is None
    assert await client.lock_lab("AT16", LockAction.UNLOCK) == {"ok": True}
    assert tp.bodies("/adc/automation_lock") == [
        {"action": "lock", "user": "demo", "name": "AT16"},
        {"action": "unlock", "user": "demo", "name": "AT16"},
    ]


async def test_versions_are_read(client: TpClient, tp: Any) -> None:
    tp.on("/adc/automation-verion/", httpx2.Response(200, json=["7.6.5", {"version": "7.6.6"}]))
    assert await client.list_versions() == ("7.6.5", "7.6.6")


async def test_a_report_is_fetched_with_the_token(client: TpClient, tp: Any) -> None:
    tp.on(f"/{PATH}", httpx2.Response(200, html="<html data-jsonblob=x><input type=password></html>"))
    assert (await client.get_report(PATH, max_bytes=100)).startswith(b"<html")
    assert tp.requests[-1].headers["authorization"].startswith("JWT ")
    assert client.report_url(PATH) == f"http://tp.example:8000/{PATH}"
    assert client.report_url("/a b%41#ä?.html") == "http://tp.example:8000/a%20b%2541%23%C3%A4%3F.html"


async def test_a_report_larger_than_allowed_is_refused(client: TpClient, tp: Any) -> None:
    tp.on(f"/{PATH}", httpx2.Response(200, content=b"x" * 101))
    with pytest.raises(TpNotJsonError, match="larger than 100 bytes"):
        await client.get_report(PATH, max_bytes=100)


@pytest.mark.parametrize("html", [True, False])
async def test_a_missing_report_is_not_found_whatever_the_404_looks_like(client: TpClient, tp: Any, html: bool) -> None:
    tp.on(f"/{PATH}", httpx2.Response(404, html="<h1>") if html else httpx2.Response(404, json={"detail": "no"}))
    with pytest.raises(TpNotFoundError):
        await client.get_report(PATH, max_bytes=100)


async def test_a_login_page_is_no_report(client: TpClient, tp: Any, login_page: httpx2.Response) -> None:
    tp.on(f"/{PATH}", login_page)
    with pytest.raises(TpNotAuthenticatedError):
        await client.get_report(PATH, max_bytes=1_000)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", InvalidArgumentError),
        ("/", InvalidArgumentError),
        (None, InvalidArgumentError),
        ("x" * 1_001, InvalidArgumentError),
        ("../token-auth/", UnsafeArgumentError),
        ("data/../../x", UnsafeArgumentError),
        ("data/%2e%2e/x", UnsafeArgumentError),
        ("//evil.example/x", UnsafeArgumentError),
        ("http://evil.example/x", UnsafeArgumentError),
        ("https:evil", UnsafeArgumentError),
        ("javascript:alert(1)", UnsafeArgumentError),
        ("data\\..\\x", UnsafeArgumentError),
        ("data%5c..%5cx", UnsafeArgumentError),
        ("data//x", UnsafeArgumentError),
        ("./x", UnsafeArgumentError),
        ("a%2f..%2fx", UnsafeArgumentError),
        ("a\r\nX: y", UnsafeArgumentError),
        ("a\x00", UnsafeArgumentError),
    ],
)
async def test_a_report_is_only_taken_from_below_the_base_url(
    client: TpClient, tp: Any, path: Any, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        client.report_url(path)
    with pytest.raises(kind):
        await client.get_report(path, max_bytes=100)
    assert tp.requests == []


def make(**arguments: Any) -> TpClient:
    given: dict[str, Any] = {
        "base_url": "http://tp.example",
        "credentials": PasswordLogin("u", SecretStr("p")),
        "clock": SystemClock(),
    }
    return TpClient.at(**(given | arguments))


@pytest.mark.parametrize("verify", [False, None, 0, "ca.pem"])
def test_tls_is_never_switched_off(verify: Any) -> None:
    with pytest.raises(ConfigurationError, match="always verified"):
        make(verify=verify)


def test_a_context_says_whom_tls_trusts() -> None:
    assert make(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)).report_url("a") == "http://tp.example/a"


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "tp.example",
        "ftp://tp.example",
        "http://",
        "http://u:p@tp.example",
        "http://tp.example?x=1",
        "http://tp.example#x",
        "http://[broken",
        "http://tp.example:99999",
        "http://tp example",
        "http://tp.example:0",
        "http://tp.exa\nmple",
    ],
)
def test_a_base_url_that_cannot_be_one_is_refused_at_once(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="TP_MCP_BASE_URL"):
        make(base_url=base_url)


def test_a_base_url_may_have_a_path_and_a_trailing_slash() -> None:
    assert make(base_url=" https://tp.example/tp/ ").report_url("a.html") == "https://tp.example/tp/a.html"


async def test_a_client_that_was_never_used_closes() -> None:
    async with make() as client:
        pass
    await client.aclose()
