"""`tp-mcp upgrade`, `run` and `wait`: jobs for scripts.

They call the tools, with the guard, the policy, the store and the watches of the server: a job is started at most once,
whoever asks, and a server on the same store reports its end too if nobody saw it here.
"""

import logging
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import anyio
import typer
from pydantic import JsonValue
from rich.console import Console

from tp_mcp.cli.follow import Follower, Interrupt
from tp_mcp.cli.script_terms import UNKNOWN
from tp_mcp.clock import SystemClock
from tp_mcp.composition.environment import process_identity
from tp_mcp.composition.opening import open_configured
from tp_mcp.composition.serve_options import ServeOptions
from tp_mcp.errors import InvalidArgumentError, TpMcpError
from tp_mcp.jobs.pytest_run.execution_rule import execution_job
from tp_mcp.results.document import Document
from tp_mcp.results.fence import new_marker
from tp_mcp.results.fit import render
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.tools.framework.definition import Call
from tp_mcp.tools.watches import WATCH_ID_PATTERN
from tp_mcp.watch.model.watch import Watch, WatchState

logger = logging.getLogger(__name__)

_STARTED = re.compile(r"\[(w_[0-9a-z]{8})\]")
_CODE = re.compile(r'confirm="(c_[0-9a-f]+)"')


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
class Plan:
    """What has to be confirmed before it is sent.

    Attributes:
        text: for the person who confirms it.
        code: confirms it.

    """

    text: str
    code: str


def start(
    tool: str, arguments: Mapping[str, JsonValue], following: Following, *, yes: bool, confirm: str | None
) -> int:
    """Start a job by a tool, follow it, and return the exit code.

    Args:
        tool: `start_upgrade` or `run_pytest`.
        arguments: for the tool.
        following: how to follow it.
        yes: confirm whatever plan has to be confirmed.
        confirm: the code of a plan that was shown before.

    """

    async def work(follower: Follower) -> int | Plan:
        given = dict(arguments) if confirm is None else {**arguments, "confirm": confirm}
        document = await _called(tool, given, follower)
        started = _STARTED.match(document.conclusion)
        if started is None:
            code = _CODE.search(document.next_step)
            return Plan(_text(document), code[1] if code else "")
        follower.say(document.conclusion)
        return await follower.follow(started[1], seconds=following.max_wait)

    outcome = _with_services(work, following.profile)
    if isinstance(outcome, int):
        return outcome
    typer.echo(outcome.text)
    if confirm is not None or not outcome.code or not (yes or _agreed(outcome)):
        return UNKNOWN
    return start(tool, arguments, following, yes=False, confirm=outcome.code)


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
    registry = follower.services.registry
    watches = await registry.list(follower.owner, all_conversations=True)
    watched = [watch for watch in watches if _is_of(watch, execution_job(int(job))) and registry.looks_at(watch)]
    if watched:
        # One that goes on says more than one that has ended.
        return min(watched, key=lambda watch: watch.state.ended).id
    document = await _called("start_watch", {"tool": "get_execution", "args": {"exec_id": int(job)}}, follower)
    started = _STARTED.match(document.conclusion)
    if started is None:
        raise TpMcpError(f"Execution {job} could not be watched: {document.conclusion}")
    return started[1]


def _is_of(watch: Watch, job: str) -> bool:
    return watch.job == job and watch.state is not WatchState.CANCELLED


async def _called(tool: str, arguments: Mapping[str, JsonValue], follower: Follower) -> Document:
    definition = next(each for each in DEFAULT_TOOLS if each.name == tool)
    visit = await follower.services.inbox.begin(follower.owner)

    async def report(*_: Watch) -> None:
        """Tell nobody: the follower shows how it goes on."""

    call = Call(owner=follower.owner, visit=visit, services=follower.services, report=report)
    return await definition.call(dict(arguments), call)


def _agreed(plan: Plan) -> bool:
    if not sys.stdin.isatty():
        typer.echo(f"Nothing was sent. To do just this: the same command with --yes, or with --confirm {plan.code}.")
        return False
    try:
        return typer.confirm("Do it now?")
    except typer.Abort:
        return False


def _with_services(work: Callable[[Follower], Awaitable[int | Plan]], profile: str | None) -> int | Plan:
    """Return what the work comes to; the exit code for "could not say" where it fails."""
    try:
        return anyio.run(_opened, work, profile)
    except TpMcpError as error:
        typer.echo(str(error), err=True)
    except KeyboardInterrupt:
        typer.echo("Stopped before anything was started.", err=True)
    except Exception:
        # An exit code of 1 would say that tests had failed.
        logger.exception("The command ended unexpectedly")
    return UNKNOWN


async def _opened(work: Callable[[Follower], Awaitable[int | Plan]], profile: str | None) -> int | Plan:
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    outcome: int | Plan = UNKNOWN
    async with (
        open_configured(ServeOptions(profile=profile), SystemClock()) as services,
        anyio.create_task_group() as tasks,
    ):
        interrupt = Interrupt()
        tasks.start_soon(interrupt.listen)
        try:
            outcome = await work(Follower(services, process_identity().owner(None), console, interrupt))
        finally:
            tasks.cancel_scope.cancel()
    return outcome


def _text(document: Document) -> str:
    return render(Document(document.conclusion, document.sections), marker=new_marker())
