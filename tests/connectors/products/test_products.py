"""Connectors of other products, from the file to the end of what they started: loaded, run, and watched.

The watches are run by the double of Forge, over this project's runner; each poll is also put to this project's own rule
for matches, which tells a failure at once where Forge waits for its limit.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import JsonValue

from tests.connectors.products.stubs import Answer, Asked, CiServer, IssueTracker, Scanner, serving
from tests.forge.connector import CallFailed
from tests.forge.double import Forge
from tests.support.clock import FakeClock, step_clock
from tp_mcp.connectors.loader import load_manifest
from tp_mcp.connectors.match import matches, resolve_match
from tp_mcp.connectors.runner import ConnectorRunner
from tp_mcp.errors import TpMcpError

HERE = Path(__file__).parent


@dataclass
class Installed:
    """A connector, run by this project's runner, in Forge."""

    runner: ConnectorRunner
    tools: Mapping[str, Any]
    settings: Mapping[str, Any]
    clock: FakeClock
    forge: Forge = field(init=False)
    answers: list[tuple[str, JsonValue]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.forge = Forge({self.runner.manifest.id: self}, self.clock)

    async def call(self, tool: str, args: Mapping[str, Any]) -> Any:
        try:
            answer = await self.runner.run(tool, args)
        except TpMcpError as error:
            raise CallFailed(str(error)) from None
        self.answers.append((tool, answer.value))
        return answer.value

    async def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds / 5)):
            self.clock.time += 5
            await self.forge.tick()

    def verdicts(self, tool: str, start: str, roots: Mapping[str, Any]) -> list[str]:
        """Return what this project's own matches make of the polls of a tool."""
        block = self.runner.manifest.tools[start].async_block
        assert block is not None
        done = resolve_match(block.done_match, roots)
        told = []
        for name, answer in self.answers:
            if name == tool and name != start:
                failed = block.fail_match is not None and matches(block.fail_match, answer)
                told.append("failed" if failed else "done" if matches(done, answer) else "under way")
        return told


def install(product: str, settings: dict[str, Any]) -> Installed:
    path = HERE / f"{product}.yaml"
    loaded = load_manifest(path)
    assert loaded.warnings == ()
    clock = step_clock(0.0)
    runner = ConnectorRunner(loaded.manifest, settings, clock=clock)
    tools = yaml.safe_load(path.read_text(encoding="utf-8"))["tools"]
    return Installed(runner, tools, runner.public_settings, clock)


def ci_settings(url: str) -> dict[str, Any]:
    spare = {"name": "spare", "base_url": "http://127.0.0.1:9", "username": "x", "api_token": "spare-token"}
    main = {"name": "main", "base_url": url, "username": "ann", "api_token": "ci-s3cret"}
    return {"instances": [main, spare]}


BUILD: dict[str, Any] = {"job_path": "job/team/job/app", "params": {"BRANCH": "main & more", "DEPLOY": True}}


@pytest.mark.parametrize(("result", "verdict"), [("SUCCESS", "done"), ("FAILURE", "failed")])
async def test_a_build_is_followed_from_the_queue_to_its_end(result: str, verdict: str) -> None:
    with serving(CiServer(result)) as stub:
        installed = install("ci", ci_settings(stub.url))
        async with installed.runner as runner:
            assert await runner.test() == "Connected - main, 4 executors"
            started = await runner.run("trigger_build", BUILD)
            assert started.text() == 'Location: /queue/item/31/\n\n{\n  "queue_id": 31\n}'
            assert stub.asked[-1].body == b"BRANCH=main%20%26%20more&DEPLOY=true"
            chat = installed.forge.session("chat")
            note = await installed.forge.dispatch(chat, "ci.trigger_build", BUILD | {"instance": "main"})
            assert note.endswith("[watch watch-1 polls get_queue_item in the background]")
            await installed.pass_time(10)
            assert chat.status == "In the queue: waiting for an executor"
            await installed.pass_time(60)
    assert chat.results[-1].endswith("[watch watch-2 polls get_build in the background]")
    assert chat.status == "Build 118: 60 %"
    assert chat.turns == [f"Build 118 of job/team/job/app ended: {result}."]
    assert installed.verdicts("get_queue_item", "trigger_build", {}) == ["under way", "under way", "done"]
    assert installed.verdicts("get_build", "follow_build", {}) == ["under way", "under way", verdict]


async def test_no_secret_is_logged_though_the_library_logs_addresses_and_headers(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def echo(asked: Asked) -> Answer:
        return 200, {}, {"X-Echo": asked.headers["x"]}

    request: dict[str, Any] = {"method": "GET", "url": "{settings.url}/a"}
    request |= {"query": {"t": "{settings.t}"}, "headers": {"X": "{settings.t}"}}
    tools = {"call": {"description": "Calls it.", "protocol": "http", "request": request}}
    settings = {"url": {"type": "string"}, "t": {"type": "secret"}}
    document = yaml.safe_load((HERE / "issues.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "echo.yaml"
    path.write_text(yaml.safe_dump({**document, "test": None, "settings": settings, "tools": tools}), encoding="utf-8")
    with serving(echo) as stub, caplog.at_level(logging.DEBUG):
        values = {"url": stub.url, "t": "echo-s3cret"}
        async with ConnectorRunner(load_manifest(path).manifest, values, clock=step_clock(0.0)) as runner:
            await runner.run("call", {})
    assert stub.asked[0].query == {"t": "echo-s3cret"}
    assert "HTTP Request: GET" in caplog.text
    assert "x-echo" in caplog.text.lower()
    assert "s3cret" not in caplog.text
    assert logging.getLogger("httpx2").filters == []


async def test_another_instance_is_another_server_and_a_wrong_log_in_is_told() -> None:
    with serving(CiServer()) as stub:
        settings = ci_settings(stub.url)
        settings["instances"][1] |= {"base_url": stub.url}
        installed = install("ci", settings)
        async with installed.runner as runner:
            with pytest.raises(TpMcpError, match="status 401") as caught:
                await runner.run("get_queue_item", {"queue_id": 31, "instance": "spare"})
            assert "spare-token" not in str(caught.value)
            assert (await runner.run("get_queue_item", {"queue_id": 31})).status == 200


async def test_issues_are_read_page_by_page_with_their_total() -> None:
    with serving(IssueTracker()) as stub:
        installed = install("issues", {"base_url": stub.url, "token": "issues-s3cret"})
        async with installed.runner as runner:
            assert await runner.test() == "Authenticated as ann"
            pages = [await runner.run("list_issues", {"page": page}) for page in (1, 2, 3)]
            await runner.run("list_issues", {"search": "a b", "state": "closed"})
    assert [len(page.value) for page in pages if isinstance(page.value, list)] == [2, 2, 1]
    assert pages[0].value == [
        {"iid": 1, "title": "Issue 1", "author": {"name": "Ann"}},
        {"iid": 2, "title": "Issue 2", "author": {"name": "Ann"}},
    ]
    assert [page.headers for page in pages] == [
        (("X-Total", "5"), ("X-Next-Page", following)) for following in ("2", "3", "")
    ]
    assert stub.asked[1].query == {"state": "open", "page": "1", "per_page": "2"}
    assert stub.asked[-1].query == {"q": "title:a b", "state": "closed", "page": "1", "per_page": "2"}


@pytest.mark.parametrize(
    ("closed_after", "said"), [(1, "#9 was closed by Lee."), (99, "#9 is still open after 3 of 3 looks.")]
)
async def test_an_issue_is_watched_until_somebody_closes_it(closed_after: int, said: str) -> None:
    with serving(IssueTracker(closed_after)) as stub:
        installed = install("issues", {"base_url": stub.url, "token": "issues-s3cret"})
        async with installed.runner:
            chat = installed.forge.session("chat")
            issue = {"title": "It broke", "labels": ["bug", "ü"], "confidential": False}
            await installed.forge.dispatch(chat, "issues.create_issue", issue)
            sent = json.loads(stub.asked[0].body)
            await installed.pass_time(300)
    assert sent == {"issue": {"title": "It broke", "labels": ["bug", "ü"], "confidential": False, "assignee": {}}}
    assert chat.turns == [said]


@pytest.mark.parametrize(
    ("phase", "said", "verdict"),
    [("FINISHED", "a/b: HIGH first of 2", "done"), ("BROKEN", "a/b could not be scanned: BROKEN", "failed")],
)
async def test_a_scan_is_watched_through_several_exchanged_tokens(phase: str, said: str, verdict: str) -> None:
    scanner = Scanner(phase)
    with serving(scanner) as stub:
        installed = install("scanner", {"base_url": stub.url, "api_token": "scan-s3cret"})
        async with installed.runner:
            chat = installed.forge.session("chat")
            await installed.forge.dispatch(chat, "scanner.start_scan", {"project": "a/b"})
            await installed.pass_time(915)
    assert chat.turns == [said]
    assert scanner.exchanged > 1
    assert installed.verdicts("get_scan", "start_scan", {})[:4] == ["under way"] * 3 + [verdict]
    told = json.dumps([chat.results, chat.turns, installed.answers])
    assert "s3cret" not in told
    assert "bearer-" not in told
    assert {name for name, _ in installed.answers} == {"start_scan", "get_scan"}
