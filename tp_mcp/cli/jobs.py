"""`tp-mcp upgrade`, `run` and `wait`: jobs for scripts.

They start a job as its tool does, with the guard, the policy, the store and the watches of the server: at most once,
whether a command or a client asks. A server on the same store reports the end too, unless it was seen here.
"""

import logging
import math
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, assert_never

import anyio
import typer
from pydantic import JsonValue
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from tp_mcp.cli.script_terms import FAILED, PASSED, UNKNOWN
from tp_mcp.cli.terminal import say
from tp_mcp.clock import SystemClock
from tp_mcp.composition.environment import process_identity
from tp_mcp.composition.open_services import open_configured
from tp_mcp.composition.serve_options import ServeOptions
from tp_mcp.errors import InvalidArgumentError, TpMcpError
from tp_mcp.jobs.pytest_run.execution_rule import execution_id, execution_job
from tp_mcp.redaction import SafeText, one_line
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.definition import Arguments, Call, ToolDefinition
from tp_mcp.tools.framework.services import Services
from tp_mcp.tools.runs import RUN_PYTEST, start_run
from tp_mcp.tools.start_watch import StartWatchArguments, watch_job
from tp_mcp.tools.starts.confirmation import NeedsConfirmation, Planned
from tp_mcp.tools.starts.start_documents import already_started_line
from tp_mcp.tools.starts.start_job import AlreadyStarted, Refused, Started, StartOutcome
from tp_mcp.tools.upgrades import START_UPGRADE, start_upgrade_job
from tp_mcp.tools.watches import WATCH_ID_PATTERN
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.messages import is_doubtful, never_started
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import Owner, Watch, WatchState

logger = logging.getLogger(__name__)

_OF_OUTCOME = {None: PASSED, Outcome.PASSED: PASSED, Outcome.LISTING: PASSED, Outcome.FAILED: FAILED}


def exit_code_of(watch: Watch) -> int:
    """Return the exit code for the end of a watch."""
    if is_doubtful(watch) or never_started(watch):
        return UNKNOWN
    if watch.state is WatchState.DONE:
        return _OF_OUTCOME.get(watch.outcome, UNKNOWN)
    if watch.state is WatchState.FAILED and watch.outcome is not Outcome.CANCELLED:
        return FAILED
    return UNKNOWN


BAR_WIDTH = 30


async def cancel_on_signal(waiting: anyio.CancelScope) -> None:
    """Cancel the waiting at ^C or a signal. A request that is being sent is not interrupted."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            waiting.cancel()


@dataclass(frozen=True, slots=True)
class Follower:
    """Shows the progress of a watch, and its end.

    Attributes:
        services: the services behind the tools.
        owner: who follows.
        console: shows it; with a progress bar only on a terminal.
        waiting: the scope of the waiting; to cancel it ends the command.
    """

    services: Services
    owner: Owner
    console: Console
    waiting: anyio.CancelScope

    def say(self, text: str) -> None:
        """Print a text without secrets, and without what a terminal would act on."""
        self.console.print(self.shown(text), markup=False)

    async def follow(self, watch_id: str, *, seconds: float | None) -> int:
        """Wait for a watch's end, print it, and return the exit code.

        Args:
            watch_id: which watch.
            seconds: how long to wait at most; None for as long as it takes.

        Raises:
            WatchNotFoundError: there is no such watch.
            StoreError: the store failed.
        """
        watch = await self.services.watches.registry.get(watch_id, self.owner)
        if not watch.state.ended and not self.services.watches.registry.looks_at(watch):
            self.say(f"{messages.headline(watch)}, as far as is known.\nIt belongs to the TP at {watch.server}.")
            return UNKNOWN
        watch = await self._waited(watch, math.inf if seconds is None else seconds)
        if not watch.state.ended:
            self._say_how_to_go_on(watch)
            return UNKNOWN
        self.say(messages.end_message(watch))
        if (exec_id := execution_id(watch)) is not None and not messages.never_started(watch):
            self.say(f"tp-mcp report {exec_id} lists its tests.")
        await self._seen(watch)
        return exit_code_of(watch)

    async def _waited(self, watch: Watch, seconds: float) -> Watch:
        columns = (SpinnerColumn(), BarColumn(bar_width=BAR_WIDTH), TextColumn("{task.description}", markup=False))
        with (
            Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bars,
            self.waiting,
        ):
            bar = bars.add_task("", total=None)

            async def report(*watches: Watch) -> None:
                self._show(bars, bar, watches[0])

            watch = await self.services.watches.registry.wait(watch.id, self.owner, seconds=seconds, report=report)
        return await self.services.watches.registry.get(watch.id, self.owner)

    def _show(self, bars: Progress, bar: TaskID, watch: Watch) -> None:
        counts = watch.reading.counts if watch.reading is not None else None
        line = one_line(self.shown(messages.progress_line(watch, self.services.clock.now())))
        bars.update(
            bar,
            total=counts.total if counts is not None else None,
            completed=counts.finished if counts is not None else 0,
            description=line,
        )

    def _say_how_to_go_on(self, watch: Watch) -> None:
        self.say(f"{messages.headline(watch)} ({messages.progress_line(watch, self.services.clock.now())}).")
        self.say(
            f"The job goes on on TP. Do not start it again: tp-mcp wait {watch.id} waits for its end. Nothing polls it "
            "until then, unless a server has this store open."
        )

    async def _seen(self, watch: Watch) -> None:
        # As a call that names the watch does, and a later one, which proves that its result was read.
        inbox = self.services.watches.inbox
        visit = await inbox.begin(self.owner)
        await inbox.name(visit, watch_ids=[watch.id])
        inbox.handed_over(visit, (watch.id,))
        await inbox.begin(self.owner)

    def shown(self, text: str) -> SafeText:
        """Return a text as it may be shown."""
        return self.services.tp.redactor.safe(text)


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
