"""Following a watch at a terminal or in a pipe, until it ends or the user stops the command."""

import math
import signal
from dataclasses import dataclass

import anyio
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from tp_mcp.cli.script_terms import FAILED, PASSED, UNKNOWN
from tp_mcp.jobs.pytest_run.execution_rule import execution_id
from tp_mcp.redaction import SafeText, one_line
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.messages import is_doubtful, never_started
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import Owner, Watch, WatchState

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
