import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import JsonValue, SecretStr

from tests.support.process import LAB
from tests.support.world import World, open_world
from tp_mcp.api.auth import Credentials, IssuedToken, PasswordLogin
from tp_mcp.jobs.kind import async_block
from tp_mcp.simulator import SimulatorOptions

TESTS = "Tests_CLI/test_poe.py"


def watch_id(text: str) -> str:
    found = re.match(r"\[(w_[0-9a-z]{8})\] ", text)
    assert found, f"the first line has no watch id: {text}"
    return found[1]


async def test_a_run_returns_at_once_with_the_watchs_id_first_and_the_wait_last(world: World) -> None:
    text = await world.call("run_pytest", lab=LAB, testcase=[TESTS])
    first, *_, last = text.split("\n")
    assert first == f"[{watch_id(text)}] run of {TESTS} on {LAB} (execution 446) is under way."
    assert last == f'wait_for_watch(watch_id="{watch_id(text)}") waits for it.'
    assert "reported in this conversation on the next result of any tool" in text
    assert world.written == ["start_pytest"]


async def test_a_leading_slash_is_optional_and_a_list_may_come_as_json_text(world: World) -> None:
    text = await world.call("run_pytest", lab=LAB, testcase=f'["/{TESTS}", "/Tests_HA/", "Tests_Log", "Tests_GUI"]')
    assert f"run of {TESTS}, Tests_HA and 2 more on {LAB} (execution 446) is under way" in text


async def test_parametrised_tests_and_classes_are_known(world: World) -> None:
    ids = [
        "Tests_CLI/security/test_radius.py::TestServerTable",
        "Tests_CLI/security/test_radius.py::test_authenticate",
        "Tests_CLI/security/test_radius.py::test_authenticate[bob smith]",
        "Tests_CLI/security/test_radius.py::test_authenticate[a new one]",
    ]
    assert "is under way" in await world.call("run_pytest", lab=LAB, testcase=ids)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"testcase": []}, ["testcase has 0 items, but must have at least 1"]),
        ({"testcase": "Tests_CLI"}, ['testcase is "Tests_CLI", but must be a list']),
        ({"testcase": "[not json"}, ['testcase is "[not json", but must be a list']),
        ({"testcase": [7]}, ["testcase.0 is 7, but must be a string in quotes"]),
        ({}, ["testcase is missing (Test ids from list_testcases, relative to the tests root"]),
        ({"testcase": [TESTS], "foo": 1}, ["there is no argument foo.", "lab, testcase, argument"]),
        ({"testcase": [TESTS], "arguments": "-x"}, ["there is no argument arguments (did you mean argument?)"]),
        ({"testcase": [TESTS], "argument": "-k a; reboot"}, ["argument", "';'"]),
        ({"testcase": [TESTS], "argument": "-k $(reboot)"}, ["argument", "-k '"]),
        ({"testcase": [TESTS], "argument": "--html=/tmp/x"}, ["--html"]),
        ({"testcase": [TESTS], "extra_pytest_options": "-p evil"}, ["extra_pytest_options", "-p"]),
        ({"testcase": ["-x"]}, ["testcase[0]", "Pass options in argument."]),
        ({"testcase": ["tests/Tests_CLI"]}, ["omit 'tests/'", "Tests_CLI"]),
        ({"testcase": ["../etc"]}, ["could leave the tests root"]),
        ({"testcase": [TESTS] * 501}, ["testcase has 501 items, but must have at most 500"]),
        ({"testcase": [1, 2, 3, 4, 5, 6, 7]}, ["testcase.4 is 5", "and 2 more"]),
        ({"testcase": [TESTS], "argument": "x" * 10_001}, ["argument has more than 10000 characters"]),
    ],
)
async def test_a_wrong_run_is_refused_before_anything_is_asked(
    world: World, fields: dict[str, Any], words: list[str]
) -> None:
    text = await world.refused("run_pytest", lab=LAB, **fields)
    for expected in words:
        assert expected in text
    assert world.asked == []


async def test_an_option_that_the_operator_allows_is_carried(tmp_path: Path, tree: JsonValue) -> None:
    async with open_world(tmp_path, tree=tree, allowed_pytest_options=frozenset({"--topology"})) as world:
        text = await world.call("run_pytest", lab=LAB, testcase=[TESTS], argument="--topology=ring")
    assert "is under way" in text


async def test_an_unknown_lab_is_refused_with_the_nearest_name(world: World) -> None:
    text = await world.refused("run_pytest", lab="AT16_Combined_FS", testcase=[TESTS])
    assert text == (
        f"lab is 'AT16_Combined_FS', which is not a lab you may use.\n\nDid you mean {LAB}? list_labs shows them all."
    )
    assert world.asked == ["list_labs"]


async def test_a_lab_like_none_is_refused_with_those_there_are(world: World) -> None:
    text = await world.refused("run_pytest", lab="zzz", testcase=[TESTS])
    assert text.endswith(f"There are: {LAB}, AT21_HA_Pair, AT33_New_NAC, AT52_NCM_Only.")
    world.simulator.state.labs.clear()
    assert (await world.refused("run_pytest", lab="zzz", testcase=[TESTS])).endswith("list_labs shows them all.")
    assert world.written == []


async def test_misspelt_tests_are_refused_with_the_nearest(world: World) -> None:
    text = await world.refused("run_pytest", lab=LAB, testcase=["Tests_CLI/test_poo.py", TESTS])
    assert text.startswith("testcase has 'Tests_CLI/test_poo.py', which TP does not know.")
    assert f"Did you mean {TESTS} or" in text
    assert text.endswith("list_testcases finds ids.")
    assert world.written == []


async def test_many_misspelt_tests_are_counted(world: World) -> None:
    text = await world.refused("run_pytest", lab=LAB, testcase=[f"zz{number}" for number in range(12)])
    assert "'zz9' and 2 more, which TP does not know." in text
    assert text.endswith("\n\nlist_testcases finds ids.")


async def test_a_test_that_was_just_added_is_found_by_a_second_look(world: World, tree: JsonValue) -> None:
    await world.call("list_testcases")
    assert isinstance(tree, dict)
    children = tree["children"]
    assert isinstance(children, list)
    grown: JsonValue = {"children": [*children, {"identifier": "/Tests_New", "name": "Tests_New", "children": []}]}

    async def testcases() -> JsonValue:
        return grown

    world.simulator.testcases = testcases  # type: ignore[method-assign, assignment] # TP's tests grew meanwhile
    await world.refused("run_pytest", lab=LAB, testcase=["Tests_New"])
    assert world.asked.count("get_testcases") == 1
    await world.advance(31)
    assert "is under way" in await world.call("run_pytest", lab=LAB, testcase=["Tests_New"])
    assert world.asked.count("get_testcases") == 2


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("get_testcases", "TP could not tell which tests there are, so the test ids were not checked."),
        ("list_labs", "TP could not tell which labs there are, so the lab's name was not checked."),
        ("list_executions", ""),
    ],
)
async def test_a_companion_call_that_is_missing_does_not_stop_a_run(world: World, endpoint: str, said: str) -> None:
    world.fault(endpoint, status=404)
    text = await world.call("run_pytest", lab=LAB, testcase=[TESTS])
    assert "is under way" in text
    assert said in text
    assert world.written == ["start_pytest"]


async def test_a_busy_lab_is_refused_in_tps_words_with_whose_run_it_is(world: World) -> None:
    await world.call("run_pytest", lab=LAB, testcase=[TESTS])
    text = await world.refused("run_pytest", lab=LAB, testcase=[TESTS], argument="-x")
    assert f"another execution is already in flight on '{LAB}'" in text
    assert "It is execution 446 (Initiating), of the user who is logged in to TP." in text
    assert "1 watch in this conversation; 1 going on." in await world.call("list_watches", state="active")


async def test_a_lab_that_somebody_else_keeps_busy_is_told_as_such(world: World) -> None:
    world.rival_runs(TESTS)
    text = await world.refused("run_pytest", lab=LAB, testcase=[TESTS])
    assert "It is none of your own recent executions." in text


async def test_a_run_that_was_never_answered_is_found_by_reading_and_not_sent_again(world: World) -> None:
    world.fault("start_pytest", "drop", when="after")
    text = await world.call("run_pytest", lab=LAB, testcase=[TESTS])
    assert text.startswith(f"[{watch_id(text)}] It is not known yet whether the run of {TESTS} on {LAB} started.")
    await world.advance(16)
    text = await world.call("wait_for_watch", watch_id=watch_id(text), max_wait_seconds=0)
    assert "is under way" in text
    assert world.written == ["start_pytest"]


async def test_an_answer_without_an_id_is_not_taken_for_a_refusal(world: World) -> None:
    world.fault("start_pytest", "away", when="after")
    text = await world.call("run_pytest", lab=LAB, testcase=[TESTS])
    assert text.startswith(f"[{watch_id(text)}] It is not known yet")
    assert world.written == ["start_pytest"]


async def test_an_answer_that_lacks_what_the_connector_polls_with_is_said(world: World) -> None:
    manifest = world.services.starts.manifest
    block = async_block(manifest, "run_pytest").model_copy(update={"poll_args": {"exec_id": "{result.number}"}})
    tool = manifest.tools["run_pytest"].model_copy(update={"async_block": block})
    changed = manifest.model_copy(update={"tools": {**manifest.tools, "run_pytest": tool}})
    world.services = replace(world.services, starts=replace(world.services.starts, manifest=changed))
    text = await world.call("run_pytest", lab=LAB, testcase=[TESTS])
    assert "It is not known yet" in text
    assert "TP accepted the request, but its answer lacks what is needed to watch it" in text


def _refusing(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("connection refused", request=request)


async def test_a_tp_that_is_down_is_told_and_nothing_is_watched(tmp_path: Path) -> None:
    async with open_world(tmp_path, transport=httpx2.MockTransport(_refusing)) as world:
        text = await world.refused("run_pytest", lab=LAB, testcase=[TESTS])
        assert "tp.example:8000" in text
        assert "TP_MCP_BASE_URL" in text
        assert (
            await world.call("list_watches", all_conversations=True) == "There is no watch in all your conversations."
        )


@pytest.mark.parametrize(
    ("credentials", "options", "words"),
    [
        (PasswordLogin("demo", SecretStr("wrong-word")), SimulatorOptions(), ["TP_MCP_USERNAME and TP_MCP_PASSWORD"]),
        (PasswordLogin("demo", SecretStr("demo-password")), SimulatorOptions(sso_only=True), ["TP_MCP_TOKEN"]),
        (IssuedToken(SecretStr("not-a-token")), SimulatorOptions(), ["TP_MCP_TOKEN"]),
    ],
    ids=["wrong password", "no /token-auth/ there", "a token that is none"],
)
async def test_a_login_that_does_not_work_names_its_variables_and_writes_nothing(
    tmp_path: Path, credentials: Credentials, options: SimulatorOptions, words: list[str]
) -> None:
    async with open_world(tmp_path, credentials=credentials, options=options) as world:
        text = await world.refused("run_pytest", lab=LAB, testcase=[TESTS])
        assert world.written == []
    for expected in words:
        assert expected in text
    assert "wrong-word" not in text
