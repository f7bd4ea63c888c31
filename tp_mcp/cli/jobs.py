"""`tp-mcp upgrade`, `run` and `wait`: jobs for scripts.

They start a job as its tool does, with the guard, the policy, the store and the watches of the server: at most once,
whether a command or a client asks. A server on the same store reports the end too, unless it was seen here.
"""

import logging
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, assert_never

import anyio
import typer
from pydantic import JsonValue
from rich.console import Console

from tp_mcp.cli.follow import Follower, cancel_on_signal
from tp_mcp.cli.script_terms import UNKNOWN
from tp_mcp.cli.terminal import say
from tp_mcp.clock import SystemClock
from tp_mcp.composition.environment import process_identity
from tp_mcp.composition.open_services import open_configured
from tp_mcp.composition.serve_options import ServeOptions
from tp_mcp.errors import InvalidArgumentError, TpMcpError
from tp_mcp.jobs.pytest_run.execution_rule import execution_job
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.definition import Arguments, Call, ToolDefinition
from tp_mcp.tools.runs import RUN_PYTEST, start_run
from tp_mcp.tools.start_watch import StartWatchArguments, watch_job
from tp_mcp.tools.starts.confirmation import NeedsConfirmation, Planned
from tp_mcp.tools.starts.start_documents import already_started_line
from tp_mcp.tools.starts.start_job import AlreadyStarted, Refused, Started, StartOutcome
from tp_mcp.tools.upgrades import START_UPGRADE, start_upgrade_job
from tp_mcp.tools.watches import WATCH_ID_PATTERN
from tp_mcp.watch.model.watch import Watch, WatchState

logger = logging.getLogger(__name__)

Permitted: TypeAlias = Started | AlreadyStarted | NeedsConfirmation | Planned
"""Every outcome of a start but a refusal, which is raised: the audit log and the exit code treat it as an error."""


@dataclass(frozen=True, slots=True)
class Following:
    """How a command follows its job.

    Attributes:
        profile: which profile of the configuration file to use.
        max_wait: seconds to wait at most; None for as long as it takes.

    """

    profile: str | None = None
    max_wait: float | None = None


@dataclass(frozen=True, slots=True)
class JobCommand(Generic[Arguments]):
    """A command that starts a job.

    Attributes:
        tool: the tool whose arguments it takes; the audit log names it.
        start: starts the job.

    """

    tool: ToolDefinition[Arguments]
    start: Callable[[Arguments, Call], Awaitable[StartOutcome]]


UPGRADE = JobCommand(START_UPGRADE, start_upgrade_job)
RUN = JobCommand(RUN_PYTEST, start_run)


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A plan that has to be confirmed before anything is sent.

    Attributes:
        text: the plan, for the person who confirms it.
        code: confirms it.

    """

    text: str
    code: str


def start(
    command: JobCommand[Arguments],
    arguments: Mapping[str, JsonValue],
    following: Following,
    *,
    yes: bool,
    confirm: str | None,
) -> int:
    """Start a job, follow it, and return the exit code.

    Args:
        command: `UPGRADE` or `RUN`.
        arguments: for its tool.
        following: how to follow the job.
        yes: confirm the plan, if it has to be confirmed.
        confirm: the code of a plan that was shown before.

    """

    async def work(follower: Follower) -> int | Unconfirmed:
        given = dict(arguments) if confirm is None else {**arguments, "confirm": confirm}
        call = await _call(follower)
        outcome = await command.tool.perform(given, call, _unless_refused(command.start), _line)
        if isinstance(outcome, NeedsConfirmation):
            plan = "\n".join(outcome.plan.lines())
            return Unconfirmed(follower.shown(f"{_line(outcome)}\n\n{plan}"), outcome.code)
        follower.say(_line(outcome))
        if isinstance(outcome, Planned):
            return UNKNOWN
        return await follower.follow(outcome.watch.id, seconds=following.max_wait)

    result = _with_services(work, following.profile)
    if isinstance(result, int):
        return result
    say(result.text)
    if confirm is not None or not (yes or _agreed(result)):
        return UNKNOWN
    return start(command, arguments, following, yes=False, confirm=result.code)


def _unless_refused(
    begin: Callable[[Arguments, Call], Awaitable[StartOutcome]],
) -> Callable[[Arguments, Call], Awaitable[Permitted]]:
    async def work(arguments: Arguments, call: Call) -> Permitted:
        outcome = await begin(arguments, call)
        if isinstance(outcome, Refused):
            raise outcome.error
        return outcome

    return work


def _line(outcome: Permitted) -> str:
    """Return the outcome of a start in a sentence."""
    match outcome:
        case Started():
            return watch_documents.start_line(outcome.watch)
        case AlreadyStarted():
            return f"{already_started_line(outcome)}."
        case NeedsConfirmation():
            return "Nothing was started yet: this is the plan."
        case Planned():
            return "Nothing was started: this is the plan."
        case _:
            assert_never(outcome)


def wait(job: str, following: Following) -> int:
    """Follow a watch, or an execution, to its end, and return the exit code."""

    async def work(follower: Follower) -> int:
        return await follower.follow(await _watch_of(job, follower), seconds=following.max_wait)

    outcome = _with_services(work, following.profile)
    return outcome if isinstance(outcome, int) else UNKNOWN


async def _watch_of(job: str, follower: Follower) -> str:
    if re.fullmatch(WATCH_ID_PATTERN, job):
        return job
    if not re.fullmatch(r"[0-9]{1,18}", job):
        raise InvalidArgumentError(
            f"{job!r} is neither a watch's id nor an execution's.", remedy="Pass one such as w_7k3m9q2d or 446."
        )
    registry = follower.services.watches.registry
    watches = await registry.list(follower.owner, all_conversations=True)
    watched = [watch for watch in watches if _is_of(watch, execution_job(int(job))) and registry.looks_at(watch)]
    if watched:
        # One that goes on says more than one that has ended.
        return min(watched, key=lambda watch: watch.state.ended).id
    observe = StartWatchArguments(tool="get_execution", args={"exec_id": int(job)})
    outcome = await _unless_refused(watch_job)(observe, await _call(follower))
    if isinstance(outcome, NeedsConfirmation | Planned):
        # Only a chain after a watch has to be confirmed, and no chain follows this one.
        raise TpMcpError(f"Execution {job} could not be watched: {_line(outcome)}")
    return outcome.watch.id


def _is_of(watch: Watch, job: str) -> bool:
    return watch.job == job and watch.state is not WatchState.CANCELLED


async def _call(follower: Follower) -> Call:
    visit = await follower.services.watches.inbox.begin(follower.owner)

    async def report(*_: Watch) -> None:
        """Report nothing: the follower shows the progress."""

    return Call(owner=follower.owner, visit=visit, services=follower.services, report=report)


def _agreed(plan: Unconfirmed) -> bool:
    if not sys.stdin.isatty():
        say(f"Nothing was sent. To do just this: the same command with --yes, or with --confirm {plan.code}.")
        return False
    try:
        return typer.confirm("Do it now?")
    except typer.Abort:
        return False


def _with_services(work: Callable[[Follower], Awaitable[int | Unconfirmed]], profile: str | None) -> int | Unconfirmed:
    """Return the result of the work; exit code 2 ("unknown") if it fails."""
    try:
        return anyio.run(_opened, work, profile)
    except TpMcpError as error:
        say(str(error), err=True)
    except KeyboardInterrupt:
        say("Stopped before anything was started.", err=True)
    except Exception:
        # An exit code of 1 would say that tests had failed.
        logger.exception("The command ended unexpectedly")
    return UNKNOWN


async def _opened(work: Callable[[Follower], Awaitable[int | Unconfirmed]], profile: str | None) -> int | Unconfirmed:
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    outcome: int | Unconfirmed = UNKNOWN
    async with (
        open_configured(ServeOptions(profile=profile), SystemClock()) as services,
        anyio.create_task_group() as tasks,
    ):
        waiting = anyio.CancelScope()
        tasks.start_soon(cancel_on_signal, waiting)
        try:
            outcome = await work(Follower(services, process_identity().owner(None), console, waiting))
        finally:
            tasks.cancel_scope.cancel()
    return outcome
