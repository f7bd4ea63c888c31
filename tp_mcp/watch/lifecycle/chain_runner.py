"""Runs chains: each step is started once, by the first process that notices the end before it.

The next call is saved together with the end. It stays pending until the row of the next step is saved, in the same
transaction; so a crash in between loses nothing, and no step begins twice.
"""

import logging
from dataclasses import replace
from typing import Protocol

from anyio.abc import TaskGroup

from tp_mcp.clock import Clock
from tp_mcp.errors import StoreError, TpMcpError, TpNotAuthenticatedError, TpUnreachableError, WatchError
from tp_mcp.results.text import format_duration, shorten
from tp_mcp.watch.delivery.messages import inbox_entry
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.lifecycle.chain_steps import next_chain
from tp_mcp.watch.model.watch import Origin, Watch, WatchState
from tp_mcp.watch.store import Store

logger = logging.getLogger(__name__)

LOOK_SECONDS = 15.0
"""Time between two searches for pending steps, left by a process that died or by an outage of TP."""

GIVE_UP_SECONDS = 600.0
"""Time for which a step is tried again while TP does not answer and nothing was sent."""

TOO_OLD_SECONDS = 24 * 3600.0
"""Time after an end in which its step may begin: nobody expects an upgrade days later because a laptop was opened."""

TITLE_MAX_CHARACTERS = 200


class Starter(Protocol):
    """Runs a guarded start, for chains."""

    async def start(self, parent: Watch) -> None:
        """Make the call that follows an ended watch, with the checks of a direct call, and watch its job.

        Raises TpMcpError if it was refused; its row, if it was saved, has that end.
        """
        ...


class Chains:
    """Starts the next steps of chains on one TP; none before `use`. Cancelling the task group leaves steps pending."""

    def __init__(self, *, store: Store, clock: Clock, server: str, task_group: TaskGroup) -> None:
        self._store = store
        self._clock = clock
        self._server = server
        self._task_group = task_group
        self._starter: Starter | None = None
        self._under_way: set[str] = set()
        self._tried_since: dict[str, float] = {}

    def use(self, starter: Starter) -> None:
        """Start the steps with this starter from now on."""
        self._starter = starter

    def notice(self, watch: Watch) -> None:
        """Register that a watch changed: if it has ended, its next step is started."""
        if self._starter is None or watch.chain is None or watch.chain.next is None or watch.id in self._under_way:
            return
        self._under_way.add(watch.id)
        self._task_group.start_soon(self._carry_on, self._starter, watch.id)

    async def look(self) -> None:
        """Start every pending step."""
        try:
            pending = await self._store.pending(self._server)
        except StoreError as error:
            logger.warning("Pending steps of chains could not be read: %s", error)
            return
        for watch in pending:
            self.notice(watch)

    async def keep_looking(self) -> None:
        """Start pending steps every `LOOK_SECONDS`, until it is cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def _carry_on(self, starter: Starter, watch_id: str) -> None:
        try:
            # The step may have been started since.
            for parent in await self._store.pending(self._server):
                if parent.id == watch_id:
                    await self._start(starter, parent)
        except StoreError as error:
            logger.warning("What follows %s could not be started yet: %s", watch_id, error)
        finally:
            self._under_way.discard(watch_id)

    async def _start(self, starter: Starter, parent: Watch) -> None:
        ago = self._clock.now() - (parent.ended_at or parent.created_at)
        if ago >= TOO_OLD_SECONDS:
            within = f"it was to begin within {format_duration(TOO_OLD_SECONDS)} of the end before it"
            late = f"{within}, which was {format_duration(ago)} ago; until now no server ran that could start it."
            await self._refuse(parent, WatchError(late, remedy="Start it yourself if it is still wanted."))
            return
        since = self._tried_since.setdefault(parent.id, self._clock.now())
        try:
            await starter.start(parent)
        except (TpUnreachableError, TpNotAuthenticatedError) as error:
            # Another process may have a valid login, or TP may be back soon.
            if self._clock.now() - since < GIVE_UP_SECONDS:
                logger.warning("What follows %s is tried again: %s", parent.id, error)
                return
            await self._refuse(parent, error)
        except StoreError:
            raise
        except TpMcpError as error:
            await self._refuse(parent, error)
        except Exception:
            logger.exception("Starting what follows %s failed unexpectedly", parent.id)
            await self._refuse(parent, TpMcpError("It failed for an internal reason; see the server's log."))
        self._tried_since.pop(parent.id, None)

    async def _refuse(self, parent: Watch, error: TpMcpError) -> None:
        """Save a refused step as a watch that has ended; a step that has its row already has its end there."""
        link, chain = next_chain(parent)
        unstarted = Watch(
            id=link.id,
            owner=parent.owner,
            server=parent.server,
            origin=Origin(link.tool, dict(link.args)),
            title=shorten(f"{link.tool} after {parent.title}", TITLE_MAX_CHARACTERS),
            job=f"step:{link.id}",
            # Never polled.
            spec=replace(parent.spec, on_done="", on_fail=""),
            state=WatchState.STARTING,
            created_at=self._clock.now(),
            chain=chain,
        )
        step = state_machine.refuse(unstarted, reason=f"It was not started: {error}", now=self._clock.now())
        try:
            await self._store.add(step.watch, inbox_entry(step))
        except WatchError:
            logger.info("%s has begun already: %s", link.id, error)
