"""Private: nobody learns of what is another principal's, by any tool, resource, task or stream.

Alice has one of everything. Bob has its ids, and the same name of a conversation, and tries all there is with them. To
him what is hers is as missing as what never was: the answers are the same to the word, but for the id he gave.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import markupsafe
import pytest
import stamina
from mcp import MCPError
from mcp.types import INVALID_PARAMS
from pydantic import JsonValue

from tests.promises.team import Person, Team, open_team
from tests.server.conftest import Chat, text_of
from tests.server.tasks.client import Anything, ListenRequest
from tests.support.patience import PATIENCE_SECONDS
from tests.support.process import LAB, hosted
from tests.support.world import World, collected_tree, open_world
from tests.tools.starts.test_confirmation import code_in
from tp_mcp.access.audit_log import AuditFilter
from tp_mcp.server.resources import RESOURCES
from tp_mcp.server.toolset import ALL_TOOLS
from tp_mcp.simulator.executions.snapshot import Counts

WORD = "Marigold"
"""In every text that Alice writes, and in nothing else."""

NEVER = {"path": "[0].name", "equals": "nothing of this name"}
AT_ONCE = {"path": "[0].name != 'x'", "equals": True}
UPGRADE: dict[str, Any] = {"testbed": "AT33_New_NAC", "mode": "build", "build_number": "6957"}
FAILING = "Tests_CLI/test_poe.py::TestPoe::test_budget"
RUN: dict[str, Any] = {"lab": "AT33_New_NAC", "testcase": ["Tests_CLI/test_poe.py"]}
ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


@dataclass(frozen=True)
class Ids:
    """What somebody may name: Alice's, or what there never was."""

    watch: str = "w_00000000"
    ended: str = "w_11111111"
    handle: str = "r_0000000000000000"
    log: str = "log-999999"
    code: str = "c_000000000000"
    signature: str = "s_0000000000"
    conversation: str = "chat_0000000000"
    task: str = "00000000-0000-4000-8000-000000000000"

    def anonymous(self, text: str) -> str:
        """Return a text with every id of these as if it were of those that never were."""
        for name, value in asdict(NOBODYS).items():
            text = text.replace(getattr(self, name), value)
        return text


NOBODYS = Ids()


@dataclass(frozen=True)
class Tps:
    """What is TP's, and everybody's who may use TP: no secret of Alice's."""

    ended: int
    running: int


def tries(ids: Ids, tps: Tps) -> Mapping[str, Sequence[dict[str, Any]]]:
    """Return, by tool, what Bob calls it with: a tool that is not here was not shown to keep things to their owner.

    What shows him TP's own data comes after what must not have anything for him without it.
    """
    wait = {"tool": "wait_for_watch", "args": {"watch_id": ids.watch}}
    return {
        "read_result": (
            {"handle": ids.handle},
            {"handle": ids.handle, "search": WORD},
            {"handle": ids.log},
            {"handle": ids.log, "tail": 3},
        ),
        "list_watches": ({"all_conversations": True}, {"state": "ended"}),
        "wait_for_watch": (
            {"watch_id": ids.watch, "max_wait_seconds": 0},
            {"watch_id": ids.ended},
            {"watch_id": [ids.watch, ids.ended], "until": "change"},
        ),
        "cancel_watch": ({"watch_id": ids.watch}, {"watch_id": ids.ended}),
        "hand_over_watch": ({"watch_id": ids.watch}, {"watch_id": ids.ended, "conversation": ids.conversation}),
        "start_watch": ({"tool": "get_upgrade", "args": {"testbed": LAB}, "on_done": wait},),
        "start_upgrade": ({**UPGRADE, "confirm": ids.code}, {**UPGRADE, "dry_run": True}),
        "run_pytest": ({**RUN, "confirm": ids.code}, {**RUN, "dry_run": True}, {**RUN, "on_done": wait}),
        "rerun_failed": ({"exec_id": tps.ended, "confirm": ids.code},),
        "cancel_execution": ({"exec_id": tps.running, "confirm": ids.code},),
        "lock_lab": ({"lab": LAB, "confirm": ids.code},),
        "unlock_lab": ({"lab": LAB, "confirm": ids.code},),
        "list_failure_notes": ({},),
        "forget_failure_note": ({"signature": ids.signature},),
        "triage_execution": ({"exec_id": tps.ended},),
        "note_failure": ({"signature": ids.signature, "text": "seen by Bob"},),
        "get_upgrade": ({"testbed": LAB},),
        "get_execution": ({"exec_id": tps.running}, {"exec_id": tps.ended}),
        "get_test_results": ({"exec_id": tps.ended}, {"exec_id": tps.ended, "cursor": ids.handle}),
        "list_testcases": ({"search": "poe"}, {"cursor": ids.handle}),
        "list_labs": ({},),
        "list_versions": ({},),
        "list_executions": ({},),
    }


def uris(ids: Ids) -> Mapping[str, Sequence[str]]:
    """Return, by resource, what Bob reads and subscribes to."""
    return {
        "tp://inbox": ("tp://inbox",),
        "tp://watches/{id}": (f"tp://watches/{ids.watch}", f"tp://watches/{ids.ended}"),
        "tp://results/{id}": (f"tp://results/{ids.handle}", f"tp://results/{ids.log}"),
    }


@dataclass
class Scene:
    """A team, and what Alice has."""

    team: Team
    hers: Ids
    tps: Tps

    @property
    def bob(self) -> Person:
        return self.team.bob

    def assert_nothing_of_hers_in(self, text: str, *, given: str = "") -> None:
        assert WORD not in text
        # A run's log and a failure's signature are named after what TP shows to everybody.
        for name, value in asdict(self.hers).items():
            assert name in {"log", "signature"} or value in given or value not in text, (name, text)


@pytest.fixture(scope="session")
def tree() -> JsonValue:
    return collected_tree()


@pytest.fixture(autouse=True)
def no_waiting() -> Any:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


def report_of_a_failure() -> str:
    cells = ['<td class="col-result">Failed</td>', f'<td class="col-testId">{FAILING}</td>']
    row = {"extras": [], "result": "Failed", "testId": FAILING, "resultsTableRow": cells, "log": "E   assert 1 == 2"}
    blob = markupsafe.escape(json.dumps({"environment": {}, "tests": {FAILING: [row]}}))
    return f'<html><div id="data-container" data-jsonblob="{blob}"></div></html>'


async def what_alice_has(world: World, alice: Person) -> tuple[Ids, Tps]:
    ended_run = world.ended_execution(counts=Counts(failed=1, total=1))
    world.write_report(ended_run, report_of_a_failure())
    async with alice.chat(conversation=f"{WORD}-chat") as other:
        first = await other.call("start_watch", tool="list_labs", done_match=NEVER, message=f"{WORD} grows")
        listed = await other.call("list_watches", all_conversations=True)
    async with alice.chat() as chat:
        ended = (await chat.call("start_watch", tool="list_labs", done_match=AT_ONCE, message=f"{WORD} is done"))[1:11]
        await world.advance(60)
        code = code_in(await chat.call("start_upgrade", **UPGRADE))
        await chat.call("run_pytest", **RUN, argument=f"-k {WORD}")
        run = {"lab": LAB, "testcase": ["Tests_CLI/test_poe.py"], "argument": "-x"}
        begun = await chat.call("run_pytest", **run, confirm=code_in(await chat.call("run_pytest", **run)))
        exec_id = int(begun.split("(execution ", 1)[1].split(")")[0])
        await world.run_to_its_end(exec_id)
        assert "Lines 1 to" in await chat.call("read_result", handle=f"log-{exec_id}")
        signature = word_in(await chat.call("triage_execution", exec_id=ended_run), "s_")
        await chat.call("note_failure", signature=signature, text=f"{WORD} knows it")
        handle = await world.services.results.stored.keep("token:alice", f"{WORD}\n" * 3, what=f"a list of {WORD}")
        assert WORD in await chat.call("read_result", handle=handle)
        assert WORD in await chat.call("triage_execution", exec_id=ended_run)
        # What Bob is to be told nothing of is there for her.
        assert f"[{ended}]" in await chat.call("wait_for_watch", watch_id=ended)
    async with alice.tasks() as taker:
        task = (await taker.create("wait_for_watch", watch_id=first[1:11], max_wait_seconds=200))["taskId"]
    conversation = word_in(listed, "chat_") if "chat_" in listed else f"header:{WORD}-chat"
    return (
        Ids(first[1:11], ended, handle, f"log-{exec_id}", code, signature, conversation, task),
        Tps(ended_run, world.rival_runs("Tests_CLI", lab="AT21_HA_Pair")),
    )


def word_in(text: str, prefix: str) -> str:
    return prefix + text.split(prefix, 1)[1].split(maxsplit=1)[0].rstrip("].,;:)\"'")


@pytest.fixture
async def scene(tmp_path: Path, tree: JsonValue) -> AsyncIterator[Scene]:
    async with (
        hosted(open_world(tmp_path, tree=tree, confirm="everything")) as world,
        hosted(open_team(world)) as team,
    ):
        hers, tps = await what_alice_has(world, team.alice)
        yield Scene(team, hers, tps)


async def answer(chat: Chat, name: str, arguments: dict[str, Any]) -> str:
    result = await chat.client.call_tool(name, arguments)
    return f"{result.is_error}: {text_of(result)}"


def test_every_tool_and_every_resource_is_tried() -> None:
    assert tries(NOBODYS, Tps(1, 1)).keys() == {tool.name for tool in ALL_TOOLS}
    assert uris(NOBODYS).keys() == {resource.uri for resource in RESOURCES}


@ERAS
async def test_to_every_tool_what_is_hers_is_as_missing_as_what_never_was(scene: Scene, mode: str) -> None:
    sent = list(scene.team.world.written)
    async with scene.bob.chat(mode) as chat:
        missing = tries(NOBODYS, scene.tps)
        for name, calls in tries(scene.hers, scene.tps).items():
            for tried, without in zip(calls, missing[name], strict=True):
                theirs, nobodys = await answer(chat, name, tried), await answer(chat, name, without)
                scene.assert_nothing_of_hers_in(theirs, given=str(tried))
                scene.assert_nothing_of_hers_in(nobodys)
                if tried != without:
                    assert without_chance(scene.hers.anonymous(theirs)) == without_chance(nobodys), (name, tried)
    assert WORD not in scene.bob.heard
    assert scene.team.world.written == sent, "what Bob called sent nothing: her codes are not his"
    # Whatever he tried, she has it all still.
    async with scene.team.alice.chat(mode) as chat:
        assert scene.hers.watch in await chat.call("list_watches", all_conversations=True)
        assert f"{WORD} knows it" in await chat.call("list_failure_notes")
        assert WORD in await chat.call("read_result", handle=scene.hers.handle)
        await chat.call("start_upgrade", **UPGRADE, confirm=scene.hers.code)


def without_chance(text: str) -> str:
    """Return a text without what is made anew each time: markers of fences, codes, handles."""
    return re.sub(r"\b(?:[0-9a-f]{16}|c_[0-9a-f]{12}|r_[0-9a-z]{16})\b", "?", text)


@ERAS
async def test_to_every_resource_too(scene: Scene, mode: str) -> None:
    async with scene.bob.chat(mode) as chat:
        for name, hers in uris(scene.hers).items():
            for tried, missing in zip(hers, uris(NOBODYS)[name], strict=True):
                theirs, nobodys = await read(chat, tried), await read(chat, missing)
                scene.assert_nothing_of_hers_in(theirs, given=tried)
                assert scene.hers.anonymous(theirs) == nobodys
                if mode == "legacy" and tried != missing:
                    refusals = [await refusal(chat.client.subscribe_resource(each)) for each in (tried, missing)]
                    assert scene.hers.anonymous(refusals[0]) == refusals[1]
    assert WORD not in scene.bob.heard


async def read(chat: Chat, uri: str) -> str:
    try:
        return (await chat.client.read_resource(uri)).model_dump_json()
    except MCPError as error:
        return f"{error.code}: {error.error.model_dump_json()}"


async def refusal(asking: Any) -> str:
    with pytest.raises(MCPError) as refused:
        await asking
    return f"{refused.value.error.model_dump_json()}"


async def test_a_task_of_hers_can_be_neither_asked_for_nor_updated_nor_cancelled(scene: Scene) -> None:
    more: dict[str, dict[str, Any]] = {
        "tasks/get": {},
        "tasks/update": {"inputResponses": {"a": {"action": "accept"}}},
        "tasks/cancel": {},
    }
    async with scene.bob.tasks() as taker:
        for method, params in more.items():
            answers = []
            for ids in (scene.hers, NOBODYS):
                with pytest.raises(MCPError) as refused:
                    await taker.ask(method, ids.task, **params)
                assert refused.value.code == INVALID_PARAMS
                answers.append(ids.anonymous(refused.value.error.model_dump_json()))
            assert answers[0] == answers[1]
    assert WORD not in scene.bob.heard
    async with scene.team.alice.tasks() as taker:
        assert (await taker.ask("tasks/get", scene.hers.task))["status"] == "working"


async def test_no_stream_of_his_tells_of_hers(scene: Scene) -> None:
    world = scene.team.world
    async with scene.bob.chat() as chat, scene.bob.tasks(conversation="streams") as taker:
        own = (await chat.call("start_watch", tool="list_labs", done_match={**AT_ONCE, "equals": False}))[1:11]
        mine = (await taker.create("wait_for_watch", watch_id=own, max_wait_seconds=200))["taskId"]
        wanted = [f"tp://watches/{scene.hers.watch}", f"tp://results/{scene.hers.handle}", f"tp://watches/{own}"]
        before = len(scene.bob.heard)
        listening = ListenRequest(
            method="subscriptions/listen",
            params={
                "notifications": {
                    "resourceSubscriptions": [*wanted, "tp://inbox"],
                    "taskIds": [scene.hers.task, mine],
                }
            },
        )
        stream = asyncio.create_task(taker.client.session.send_request(listening, Anything))
        await told(scene.bob, f'"taskId":"{mine}"')
        async with scene.team.alice.chat(conversation=f"{WORD}-chat") as hers:
            await hers.call("cancel_watch", watch_id=scene.hers.watch)
            await hers.call("start_watch", tool="list_labs", done_match=AT_ONCE, message=f"{WORD} again")
            await world.advance(60)
        await chat.call("cancel_watch", watch_id=own)
        await told(scene.bob, '"status":"completed"')
        await told(scene.bob, f'"uri":"tp://watches/{own}"')
        stream.cancel()
        heard = scene.bob.heard[before:]
    scene.assert_nothing_of_hers_in(heard)


async def told(person: Person, words: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while words not in person.heard.replace('": "', '":"'):
            await asyncio.sleep(0.02)


@ERAS
async def test_a_session_of_his_is_told_nothing_of_her_ends(scene: Scene, mode: str) -> None:
    async with scene.bob.chat(mode) as chat, scene.team.alice.chat(mode) as hers:
        if mode == "legacy":
            await chat.client.subscribe_resource("tp://inbox")
        await hers.call("start_watch", tool="list_labs", done_match=AT_ONCE, message=f"{WORD} thrice")
        await scene.team.world.advance(60)
        assert "Ended since" not in await chat.call("list_labs")
    scene.assert_nothing_of_hers_in(scene.bob.heard)


async def test_the_same_call_of_another_principal_is_another_call(scene: Scene) -> None:
    same: dict[str, Any] = {"tool": "get_upgrade", "args": {"testbed": LAB}}
    async with scene.team.alice.chat() as hers, scene.bob.chat() as his:
        first = await hers.call("start_watch", **same)
        assert "no second watch was made" in await hers.call("start_watch", **same)
        second = await his.call("start_watch", **same)
        assert "no second watch" not in second
        assert first[1:11] not in second
        # TP itself says that the lab is busy; whose watch is on it, nobody.
        busy = {**RUN, "argument": f"-k {WORD}"}
        begun = await hers.call("run_pytest", **busy, confirm=code_in(await hers.call("run_pytest", **busy)))
        shown = await his.call("run_pytest", **busy)
        refused = await his.refused("run_pytest", **busy, confirm=code_in(shown))
        assert begun[1:11] not in shown + refused


async def test_codes_budgets_and_the_audit_log_are_each_principals_own(scene: Scene) -> None:
    audit = scene.team.world.services.access.audit
    async with scene.bob.chat() as chat:
        shown = await chat.call("start_upgrade", **UPGRADE)
        assert code_in(shown) != scene.hers.code
    lines = await audit.read(AuditFilter(principal="token:bob"))
    assert {line.principal for line in lines} == {"token:bob"}
    assert WORD not in str(lines)
    assert WORD in str(await audit.read(AuditFilter(principal="token:alice")))
