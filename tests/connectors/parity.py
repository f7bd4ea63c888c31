"""Where TP's connector and this server's own tools disagree, in words; nowhere, as long as the lists are empty."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from pydantic import BaseModel, JsonValue

from tests.support.process import BASE_URL, LAB
from tests.support.world import World
from tp_mcp.api.models import Execution, ExecutionStarted, ExecutionSummary, Lab, UpgradeStarted, UpgradeStatus
from tp_mcp.api.test_tree import parse_tree
from tp_mcp.connectors.manifest import Manifest, ToolManifest
from tp_mcp.connectors.runner import ConnectorRunner
from tp_mcp.tools.framework.definition import ToolDefinition

TEST = "Tests_CLI/test_system.py"
TREE: JsonValue = {
    "children": [
        {
            "identifier": "/Tests_CLI",
            "name": "Tests_CLI",
            "children": [
                {
                    "identifier": f"/{TEST}",
                    "name": "test_system.py",
                    "children": [{"identifier": f"/{TEST}::test_a", "name": "test_a"}],
                }
            ],
        }
    ]
}

HANDLING = frozenset({"on_done", "on_fail", "max_wait_seconds", "dry_run", "confirm"})
OF_THE_SERVER = {
    **dict.fromkeys(("start_upgrade", "run_pytest", "cancel_execution", "lock_lab", "unlock_lab"), HANDLING),
    "list_labs": {"search"},
    "list_testcases": {"search", "prefix", "cursor"},
    "list_executions": {"lab"},
}
"""Arguments of the server's own tools that say what it does around the request, or with the answer."""

NOT_SHOWN = frozenset({"remote_pid", "log_file_path"})
"""What the connector leaves out of an answer: nothing that anybody in a chat can use."""

READINGS: Mapping[str, type[BaseModel]] = {
    "start_upgrade": UpgradeStarted,
    "get_upgrade": UpgradeStatus,
    "run_pytest": ExecutionStarted,
    "get_execution": Execution,
    "list_labs": Lab,
    "list_executions": ExecutionSummary,
}


@dataclass(frozen=True)
class Case:
    """A call, and what has to be there before it."""

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)
    before: Callable[[World], object] = lambda _world: None


def _running(world: World) -> None:
    world.simulator.start_execution("demo", {"user": "demo", "lab": LAB, "testcase": [TEST], "argument": ""})


def _ended(world: World) -> None:
    world.ended_execution()


CASES = (
    Case("start_upgrade", {"testbed": LAB, "mode": "build", "build_number": "6957"}),
    Case("start_upgrade", {"testbed": "AT21_HA_Pair", "mode": "ga", "version": "7.6.5"}),
    Case(
        "start_upgrade",
        {"testbed": LAB, "mode": "command", "command": "execute restore image scp /a-build6955.out 10.1.1.1 u p"},
    ),
    Case("get_upgrade", {"testbed": LAB}),
    Case("run_pytest", {"lab": LAB, "testcase": [TEST]}),
    Case("run_pytest", {"lab": LAB, "testcase": [TEST], "argument": "-vv", "extra_pytest_options": "--maxfail=3"}),
    Case("get_execution", {"exec_id": 446}, _ended),
    Case("cancel_execution", {"exec_id": 446}, _running),
    Case("list_labs"),
    Case("list_testcases"),
    Case("list_versions"),
    Case("list_executions", before=_ended),
    Case("lock_lab", {"lab": LAB}),
    Case("unlock_lab", {"lab": LAB}),
)


class Tap(httpx2.AsyncBaseTransport):
    """Passes requests on, and keeps them with their answers."""

    def __init__(self) -> None:
        self.inner: httpx2.AsyncBaseTransport | None = None
        self.seen: list[tuple[dict[str, Any], Any]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert self.inner is not None
        response = await self.inner.handle_async_request(request)
        content = await response.aread()
        if request.url.path != "/token-auth/":
            self.seen.append((_told(request), json.loads(content) if content else None))
        headers = {"content-type": response.headers.get("content-type", "")}
        return httpx2.Response(response.status_code, headers=headers, content=content)


def _told(request: httpx2.Request) -> dict[str, Any]:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return {
        "method": request.method,
        "url": str(request.url),
        "scheme": scheme,
        "has token": bool(token),
        "body": json.loads(request.content) if request.content else None,
    }


def declared_differences(manifest: Manifest, tools: Mapping[str, ToolDefinition[Any]]) -> list[str]:
    """Say where the parameters of the connector's tools are not those of the server's."""
    found: list[str] = []
    for name, tool in manifest.tools.items():
        if name not in tools:
            found.append(f"{name} is no tool of the server")
            continue
        found += [f"{name}: {difference}" for difference in _of_tool(name, tool, tools[name])]
    return found


def _of_tool(name: str, tool: ToolManifest, definition: ToolDefinition[Any]) -> list[str]:
    schema: Any = definition.schema()
    properties, required = schema.get("properties", {}), schema.get("required", [])
    found = [] if tool.destructive is not definition.read_only else ["one changes the world, the other does not"]
    found += [f"{key} is the connector's alone" for key in set(tool.parameters) - set(properties)]
    of_the_server = OF_THE_SERVER.get(name, set())
    found += [f"{key} is the server's alone" for key in set(properties) - set(tool.parameters) - set(of_the_server)]
    for key, parameter in tool.parameters.items():
        if key not in properties:
            continue
        if parameter.required is not (key in required):
            found.append(f"{key} is required by one of them")
        # None and an empty text both stand for nothing.
        if (parameter.default or None) != (properties[key].get("default") or None):
            found.append(f"{key} has another default")
        kind, options = _kind(properties[key])
        if (parameter.type, set(parameter.options)) != (kind, options):
            found.append(
                f"{key} is {parameter.type} {sorted(map(str, parameter.options))}, not {kind} {sorted(options)}"
            )
    return found


def _kind(schema: dict[str, Any]) -> tuple[str, set[str]]:
    shape = next((each for each in schema.get("anyOf", ()) if each.get("type") != "null"), schema)
    if "enum" in shape:
        return "select", set(shape["enum"])
    return {"array": "json", "object": "json"}.get(shape["type"], shape["type"]), set()


async def called(world: World, tap: Tap, case: Case) -> list[tuple[dict[str, Any], Any]]:
    """Call the server's own tool, and return what was sent and answered."""
    await _prepared(world, tap, case)
    await world.call(case.tool, **case.arguments)
    return tap.seen


async def ran(world: World, tap: Tap, case: Case, manifest: Manifest) -> tuple[dict[str, Any], Any]:
    """Run the connector's tool, and return what was sent, and the answer as the connector shows it."""
    await _prepared(world, tap, case)
    token = world.simulator.tokens.mint(world.simulator.state.users["demo"])
    settings = {"base_url": BASE_URL, "token": token, "username": "demo"}
    async with ConnectorRunner(manifest, settings, clock=world.services.clock, transport=tap) as runner:
        answer = await runner.run(case.tool, case.arguments)
    ((request, _),) = tap.seen
    return request, answer.value


async def _prepared(world: World, tap: Tap, case: Case) -> None:
    tap.inner = httpx2.ASGITransport(app=world.simulator.app)
    case.before(world)


def request_differences(own: list[tuple[dict[str, Any], Any]], connector: dict[str, Any]) -> list[str]:
    """Say where the connector's request is none of those that the server's tool sent."""
    if any(request == connector for request, _ in own):
        return []
    alike = [request for request, _ in own if request["url"] == connector["url"]] or [request for request, _ in own]
    return [f"sent {connector}, and not {request}" for request in alike]


def answer_differences(tool: str, own: Any, shown: Any) -> list[str]:
    """Say where the connector's answer reads differently from the one that the server's tool got."""
    mine, theirs = reading(tool, own), reading(tool, shown)
    return [] if mine == theirs else [f"reads {theirs}, and not {mine}"]


def reading(tool: str, answer: Any) -> Any:
    """Return what the client makes of an answer."""
    if tool == "list_testcases":
        tree = parse_tree(answer)
        return None if tree is None else tree.directories
    model = READINGS.get(tool)
    if model is None:
        return answer
    rows = answer if isinstance(answer, list) else [answer]
    return [model.model_validate(row).model_dump(exclude=set(NOT_SHOWN)) for row in rows]
