"""Watching a job that somebody else started, by any tool that reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from tp_mcp.api.guard import guard_execution_id, guard_name
from tp_mcp.connectors.manifest import AsyncBlock, Match
from tp_mcp.connectors.match import check_match
from tp_mcp.errors import InvalidArgumentError, ManifestError
from tp_mcp.jobs.execution import EXECUTION_RULE, ExecutionBaseline, execution_job
from tp_mcp.jobs.specs import async_block, spec_of
from tp_mcp.jobs.upgrade import UPGRADE_RULE, upgrade_job
from tp_mcp.results.document import Document
from tp_mcp.tools import telling
from tp_mcp.tools.toolkit import Call, ToolArguments, ToolDefinition
from tp_mcp.watch.match_rule import MATCH_RULE
from tp_mcp.watch.registry import Intent
from tp_mcp.watch.spec import WatchSpec, check_limits
from tp_mcp.watch.states import Origin

DEFAULT_INTERVAL_SECONDS = 30.0
DEFAULT_TIMEOUT_SECONDS = 6 * 3600.0
MESSAGE_MAX_CHARACTERS = 300
PATH_MAX_CHARACTERS = 300
LAB_MATCH_EXAMPLE = """{"path": "[?name=='AT16_Combined_FSW'].status | [0]", "equals": "Available"}"""


class MatchArguments(BaseModel):
    """A condition on the polled answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    path: Annotated[str, Field(min_length=1, max_length=PATH_MAX_CHARACTERS)]
    equals: str | float | bool | None = None
    in_: Annotated[list[str | float | bool] | None, Field(alias="in")] = None

    @model_validator(mode="after")
    def _one_operator(self) -> "MatchArguments":
        if (self.equals is None) == (self.in_ is None):
            raise ValueError("it needs exactly one of equals and in")
        return self

    def to_match(self) -> Match:
        """Return it as a manifest's match.

        Raises:
            WatchSpecError: its path cannot be read.

        """
        match = Match.model_validate(self.model_dump(by_alias=True, exclude_none=True))
        check_match(match)
        return match


class StartWatchArguments(ToolArguments):
    """What `start_watch` takes."""

    tool: Annotated[Literal["get_execution", "get_upgrade", "list_labs"], Field(description="The read tool to poll.")]
    args: Annotated[
        dict[str, JsonValue], Field(description="Its arguments.", examples=[{"exec_id": 446}, {"testbed": "AT16"}])
    ] = Field(default_factory=dict)
    done_match: Annotated[
        MatchArguments | None,
        Field(
            description="End as done when the value at path (dotted, in TP's own JSON) equals this, or is in the list. "
            "Without it, the end of the execution or upgrade counts.",
            examples=[{"path": "status", "equals": "Done"}],
        ),
    ] = None
    fail_match: Annotated[MatchArguments | None, Field(description="End as failed; looked at first.")] = None
    interval_sec: Annotated[float | None, Field(description="Seconds between polls, 5 to 3600.")] = None
    timeout_sec: Annotated[float | None, Field(description="Seconds until it gives up.")] = None
    max_polls: Annotated[int | None, Field(description="Polls until it gives up.")] = None
    message: Annotated[
        str, Field(description="What to say at the end; may use {poll.<path>}.", max_length=MESSAGE_MAX_CHARACTERS)
    ] = ""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is watched, as its poll tool names it."""

    title: str
    job: str
    args: Mapping[str, JsonValue]
    rule: str
    start_tool: str | None
    baseline: JsonValue = None


async def start_watch(arguments: StartWatchArguments, call: Call) -> Document:
    """Watch a job that somebody else started."""
    services = call.services
    if arguments.fail_match is not None and arguments.done_match is None:
        raise InvalidArgumentError(
            "fail_match was given without done_match.", remedy="Give both, or neither to watch the job's own end."
        )
    subject = await _subject(arguments, call)
    spec = _spec(arguments, subject, call)
    check_limits(interval_seconds=spec.interval_seconds, timeout_seconds=spec.timeout_seconds, max_polls=spec.max_polls)
    watch = await services.registry.observe(
        Intent(
            owner=call.owner,
            origin=Origin("start_watch", arguments.model_dump(mode="json", by_alias=True, exclude_defaults=True)),
            title=subject.title,
            job=subject.job,
            spec=spec,
            baseline=subject.baseline,
        )
    )
    return telling.started(watch)


async def _subject(arguments: StartWatchArguments, call: Call) -> _Subject:
    args = dict(arguments.args)
    match arguments.tool:
        case "get_execution":
            exec_id = guard_execution_id(_only(args, "exec_id"))
            # Read once now, so that a wrong number is told here and not at the end.
            execution = await call.services.client.get_execution(exec_id)
            return _Subject(
                title=f"execution {exec_id} on {execution.lab}",
                job=execution_job(exec_id),
                args={"exec_id": exec_id},
                rule=EXECUTION_RULE,
                start_tool="run_pytest",
                baseline=ExecutionBaseline(lab=execution.lab or None).to_json(),
            )
        case "get_upgrade":
            testbed = guard_name("testbed", _only(args, "testbed"))
            await call.services.catalogue.require_lab("testbed", testbed)
            return _Subject(
                title=f"upgrade of {testbed}",
                job=upgrade_job(testbed),
                args={"testbed": testbed},
                rule=UPGRADE_RULE,
                start_tool="start_upgrade",
            )
        case "list_labs":
            if args:
                raise InvalidArgumentError(
                    f"args has {', '.join(args)}, but list_labs is polled without arguments.",
                    remedy=f"Pick the lab by the path: {LAB_MATCH_EXAMPLE}.",
                )
            if arguments.done_match is None:
                raise InvalidArgumentError(
                    "done_match is missing: a list of labs has no end of its own.",
                    remedy=f"For example {LAB_MATCH_EXAMPLE}.",
                )
            return _Subject(title="labs", job="labs:", args={}, rule=MATCH_RULE, start_tool=None)


def _only(args: Mapping[str, JsonValue], name: str) -> JsonValue:
    if set(args) != {name}:
        given = ", ".join(args) or "nothing"
        raise InvalidArgumentError(
            f"args has {given}, but must have {name} alone.", remedy=f'For example {{"{name}": ...}}.'
        )
    return args[name]


def _spec(arguments: StartWatchArguments, subject: _Subject, call: Call) -> WatchSpec:
    block = _block(subject, call)
    usual = None if block is None else spec_of(block, rule=subject.rule)
    custom = arguments.done_match is not None
    return WatchSpec(
        tool=arguments.tool,
        args=subject.args,
        rule=MATCH_RULE if custom else subject.rule,
        interval_seconds=arguments.interval_sec or (usual.interval_seconds if usual else DEFAULT_INTERVAL_SECONDS),
        timeout_seconds=arguments.timeout_sec or (usual.timeout_seconds if usual else DEFAULT_TIMEOUT_SECONDS),
        max_polls=arguments.max_polls,
        done_match=None if arguments.done_match is None else arguments.done_match.to_match(),
        fail_match=None if arguments.fail_match is None else arguments.fail_match.to_match(),
        on_done=arguments.message,
        on_fail=arguments.message,
    )


def _block(subject: _Subject, call: Call) -> AsyncBlock | None:
    if subject.start_tool is None:
        return None
    try:
        return async_block(call.services.manifest, subject.start_tool)
    except ManifestError:
        # A connector of the user's own may lack the tool; what somebody else started can be watched all the same.
        return None


TOOLS = (
    ToolDefinition(
        name="start_watch",
        title="Watch something already running",
        description=(
            "Watch an execution or upgrade that somebody else started, e.g. in TP's own page, or any state of "
            "the labs; what start_upgrade and run_pytest start is watched already. Without done_match the "
            'job\'s own end counts. Examples: {"tool": "get_execution", "args": {"exec_id": 446}}; {"tool": '
            '"list_labs", "done_match": {"path": "[?name==\'AT16_Combined_FSW\'].status | [0]", "equals": '
            '"Available"}}'
        ),
        arguments=StartWatchArguments,
        run=start_watch,
        read_only=False,
        idempotent=False,
    ),
)
