"""Watching a job that somebody else started, by any tool that reads."""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, assert_never

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)

from tp_mcp.api.guard import guard_execution_id, guard_name
from tp_mcp.connectors.manifest import Match
from tp_mcp.connectors.match import check_match
from tp_mcp.errors import InvalidArgumentError, ManifestError
from tp_mcp.jobs.kind import JobKind
from tp_mcp.jobs.kinds import PYTEST_RUNS, UPGRADES
from tp_mcp.jobs.match_rule import MATCH_RULE
from tp_mcp.jobs.pytest_run.execution_rule import EXECUTION_RULE, ExecutionBaseline, execution_job
from tp_mcp.jobs.tp_reader import read_execution
from tp_mcp.jobs.upgrade.upgrade_rule import UNDER_WAY, UPGRADE_RULE, upgrade_baseline, upgrade_job
from tp_mcp.results.document import Document
from tp_mcp.results.statuses import word
from tp_mcp.results.text import shorten
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.starts.chain_arguments import FOLLOW_UPS, OnDone, OnFail, requested_chain
from tp_mcp.tools.starts.confirmation import Confirm
from tp_mcp.tools.starts.start_documents import start_document
from tp_mcp.tools.starts.start_job import ObservedJob, StartOutcome, observe_job
from tp_mcp.watch.model.spec import WatchSpec, check_limits

logger = logging.getLogger(__name__)

START_TOOL = "start_watch"
DEFAULT_INTERVAL_SECONDS = 30.0
DEFAULT_TIMEOUT_SECONDS = 6 * 3600.0
MESSAGE_MAX_CHARACTERS = 300
WATCH_ROOTS = frozenset({"args", "poll"})
"""The roots that templates of a chain may use: nothing was started, so there is no answer to a start."""

PATH_MAX_CHARACTERS = 300
CONDITION_MAX_CHARACTERS = 90
_SIGNS: Mapping[str, str] = {"equals": "=", "gte": ">="}
ARGS_EXAMPLES: Mapping[str, JsonValue] = {"exec_id": {"exec_id": 446}, "testbed": {"testbed": "AT16_Combined_FSW"}}
LAB_MATCH_EXAMPLE = """{"path": "[?name=='AT16_Combined_FSW'].status | [0]", "equals": "Available"}"""

_SPEC = TypeAdapter(WatchSpec)


def _scalar(value: JsonValue) -> JsonValue:
    if isinstance(value, dict | list) or value is None or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("it must be a text, a number, true or false")
    return value


# One JSON value, so that a wrong one is one problem and not one for each type that it is not.
Scalar = Annotated[JsonValue, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})]

Seconds = Annotated[float, AllowInfNan(False)]


class MatchArguments(BaseModel):
    """A condition on the polled answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    path: Annotated[
        str,
        Field(description="JMESPath in TP's JSON.", min_length=1, max_length=PATH_MAX_CHARACTERS),
    ]
    equals: Annotated[Scalar | None, Field(description="Expected value.")] = None
    in_: Annotated[list[Scalar] | None, Field(description="Any of these.", alias="in", min_length=1)] = None
    matches: Annotated[str | None, Field(description="Regular expression to find in the value.", min_length=1)] = None
    exists: Annotated[StrictBool | None, Field(description="Whether the path exists.")] = None
    gte: Annotated[float | None, Field(description="Least number.", strict=True, allow_inf_nan=False)] = None

    @model_validator(mode="after")
    def _one_operator(self) -> "MatchArguments":
        if len(self._given()) != 1:
            raise ValueError("it needs exactly one of equals, in, matches, exists, gte")
        return self

    def to_match(self) -> Match:
        """Return the condition as a manifest's match.

        Raises:
            WatchSpecError: its path or its pattern cannot be used.
        """
        match = Match.model_validate({"path": self.path, **self._given()})
        check_match(match)
        return match

    def in_words(self) -> str:
        """Return the condition in words: `status = "Done"`."""
        [(operator, value)] = self._given().items()
        if operator == "exists":
            return self.path if value else f"no {self.path}"
        if isinstance(value, float) and value.is_integer():
            # As it was written: the whole number 2 has become 2.0 on the way.
            value = int(value)
        return f"{self.path} {_SIGNS.get(operator, operator)} {_json(value)}"

    def _given(self) -> dict[str, JsonValue]:
        return self.model_dump(by_alias=True, exclude_none=True, exclude={"path"})


class StartWatchArguments(ToolArguments):
    """The arguments of `start_watch`."""

    tool: Annotated[Literal["get_execution", "get_upgrade", "list_labs"], Field(description="Tool to poll.")]
    args: Annotated[
        dict[str, JsonValue],
        Field(description="Arguments of that tool.", examples=list(ARGS_EXAMPLES.values())),
    ] = Field(default_factory=dict)
    done_match: Annotated[
        MatchArguments | None,
        Field(
            description="Condition for state done: path and one operator. Without it, the watch ends when the "
            "execution or upgrade ends.",
            examples=[{"path": "status", "equals": "Done"}],
        ),
    ] = None
    fail_match: Annotated[
        MatchArguments | None,
        WithJsonSchema({"type": "object"}),
        Field(description="Condition for state failed, in the same form; it is checked first."),
    ] = None
    interval_sec: Annotated[
        float | None, Field(description="Seconds between polls, 5 to 3600.", allow_inf_nan=False)
    ] = None
    timeout_sec: Annotated[
        float | None, Field(description="Seconds until the watch gives up.", allow_inf_nan=False)
    ] = None
    max_polls: Annotated[int | None, Field(description="Polls until the watch gives up.")] = None
    message: Annotated[
        str, Field(description="Message for the end; can use {poll.<path>}.", max_length=MESSAGE_MAX_CHARACTERS)
    ] = ""
    on_done: OnDone = None
    on_fail: OnFail = None
    confirm: Confirm = None


@dataclass(frozen=True, slots=True)
class _Subject:
    """The job that is watched, as its poll tool names it."""

    title: str
    job: str
    args: Mapping[str, JsonValue]
    rule: str
    kind: JobKind[Any] | None = None
    testbed: str = ""
    baseline: JsonValue = None
    note: str = ""


async def start_watch(arguments: StartWatchArguments, call: Call) -> Document:
    """Watch a job that somebody else started."""
    return await start_document(await watch_job(arguments, call), call)


async def watch_job(arguments: StartWatchArguments, call: Call) -> StartOutcome:
    """Watch a job that somebody else started, and return the outcome.

    Raises:
        InputError: an argument is wrong.
        TpError: TP does not know the job, or could not be asked.
        QuestionForUser: the client's user has to answer first.
    """
    if arguments.fail_match is not None and arguments.done_match is None:
        raise InvalidArgumentError(
            "fail_match was given without done_match.", remedy="Give both, or neither to watch the job's own end."
        )
    for match in (arguments.done_match, arguments.fail_match):
        if match is not None:
            match.to_match()
    given = arguments.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"confirm"})
    known = {name: value for name, value in given.items() if name not in FOLLOW_UPS}
    chain = requested_chain(
        call, arguments.on_done, arguments.on_fail, known=known, roots=WATCH_ROOTS, polled=arguments.tool
    )
    subject = await _subject(arguments, call)
    spec = _spec(arguments, subject, call)
    check_limits(interval_seconds=spec.interval_seconds, timeout_seconds=spec.timeout_seconds, max_polls=spec.max_polls)
    observed = ObservedJob(
        title=_title(arguments, subject),
        job=subject.job,
        spec=spec,
        kind=subject.kind,
        testbed=subject.testbed,
        baseline=subject.baseline,
        notes=(subject.note,) if subject.note else (),
    )
    same = {"spec": _SPEC.dump_python(chain.with_messages(spec), mode="json", by_alias=True)}
    return await observe_job(
        observed, call, tool=START_TOOL, arguments=known, same=same, chain=chain, confirm=arguments.confirm
    )


async def _subject(arguments: StartWatchArguments, call: Call) -> _Subject:
    args = dict(arguments.args)
    match arguments.tool:
        case "get_execution":
            exec_id = guard_execution_id(_only(args, "exec_id"))
            # Read once now, so that a wrong id is refused here and not found out at the end.
            services = call.services
            execution = await read_execution(services.tp.client, services.results.logs, exec_id, call.owner.principal)
            return _Subject(
                title=f"execution {exec_id} on {execution.lab}",
                job=execution_job(exec_id),
                args={"exec_id": exec_id},
                rule=EXECUTION_RULE,
                kind=PYTEST_RUNS,
                testbed=execution.lab,
                baseline=ExecutionBaseline(lab=execution.lab or None).to_json(),
                note=await call.services.tp.catalogue.whose_execution(exec_id),
            )
        case "get_upgrade":
            testbed = guard_name("testbed", _only(args, "testbed"))
            await call.services.tp.catalogue.require_lab("testbed", testbed)
            status = await call.services.tp.client.get_upgrade(testbed)
            under_way = status.status == UNDER_WAY
            return _Subject(
                title=f"upgrade of {testbed}" if under_way else f"wait for the next upgrade of {testbed}",
                job=upgrade_job(testbed),
                args={"testbed": testbed},
                rule=UPGRADE_RULE,
                kind=UPGRADES,
                testbed=testbed,
                # Where none is under way, the end of the latest one is old: only one that begins from now on counts.
                baseline=None if under_way else upgrade_baseline(status),
                note="" if under_way else _idle_note(word(status.status), custom=arguments.done_match is not None),
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
            return _Subject(title="labs", job="labs:", args={}, rule=MATCH_RULE)
        case _:
            assert_never(arguments.tool)


def _idle_note(status: str, *, custom: bool) -> str:
    if custom:
        return (
            "None is under way now. Until another begins, done_match is compared with the end of the latest one "
            f"({status}). Without done_match only the end of the next one counts."
        )
    return f"None is under way now ({status}); it waits for one to begin."


def _only(args: Mapping[str, JsonValue], name: str) -> JsonValue:
    if set(args) != {name}:
        given = ", ".join(args) or "nothing"
        raise InvalidArgumentError(
            f"args has {given}, but must have {name} alone.", remedy=f"For example {_json(ARGS_EXAMPLES[name])}."
        )
    return args[name]


def _spec(arguments: StartWatchArguments, subject: _Subject, call: Call) -> WatchSpec:
    usual = _usual(subject, call)
    custom = arguments.done_match is not None
    return replace(
        usual,
        tool=arguments.tool,
        args=subject.args,
        rule=MATCH_RULE if custom else subject.rule,
        interval_seconds=usual.interval_seconds if arguments.interval_sec is None else arguments.interval_sec,
        timeout_seconds=usual.timeout_seconds if arguments.timeout_sec is None else arguments.timeout_sec,
        max_polls=arguments.max_polls,
        done_match=None if arguments.done_match is None else arguments.done_match.to_match(),
        fail_match=None if arguments.fail_match is None else arguments.fail_match.to_match(),
        # The manifest's own messages speak of the call that started the job, which was not made here.
        on_done=arguments.message,
        on_fail=arguments.message,
        progress="",
    )


def _usual(subject: _Subject, call: Call) -> WatchSpec:
    if subject.kind is not None:
        try:
            return subject.kind.spec(call.services.starts.manifest)
        except ManifestError as error:
            # A connector of the user's own may lack the tool. Jobs of others can be watched all the same.
            logger.info("%s is watched with default intervals: %s", subject.job, error)
    return WatchSpec(
        tool="",
        args={},
        rule=subject.rule,
        interval_seconds=DEFAULT_INTERVAL_SECONDS,
        timeout_seconds=DEFAULT_TIMEOUT_SECONDS,
    )


def _title(arguments: StartWatchArguments, subject: _Subject) -> str:
    if arguments.done_match is None:
        return subject.title
    return f"wait for {subject.title} to have {shorten(arguments.done_match.in_words(), CONDITION_MAX_CHARACTERS)}"


def _json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)


TOOLS = (
    ToolDefinition(
        name=START_TOOL,
        title="Watch a running job",
        description=(
            "Watch an execution or upgrade that somebody else started, e.g. on TP's own page, or the state of a lab. "
            "Jobs from start_upgrade and run_pytest are watched already. "
            'Examples: {"tool": "get_execution", "args": {"exec_id": 446}}; {"tool": '
            '"list_labs", "done_match": {"path": "[?name==\'AT16_Combined_FSW\'].status | [0]", "equals": '
            '"Available"}}'
        ),
        arguments=StartWatchArguments,
        run=start_watch,
        read_only=False,
        awaits=True,
        idempotent=False,
    ),
)
