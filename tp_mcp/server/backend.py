"""The services behind the tools, opened after the first answer.

A client waits for the server's first answer; the store, the timer and the imports behind them can come after it. They
are opened once, in a task of their own, and opened anew when a call finds that it failed before, or by themselves where
they died: watches are polled whether somebody calls or not.
"""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio

from tp_mcp.errors import TpMcpError

if TYPE_CHECKING:
    # Only named here: importing them is what has to come after the first answer.
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager

    from tp_mcp.clock import Clock
    from tp_mcp.redaction import Redactor
    from tp_mcp.tools.framework.services import Services

    OpenServices = Callable[[], AbstractAsyncContextManager[Services]]

logger = logging.getLogger(__name__)

OPEN_AFTER_ANSWER_SECONDS = 0.05
OPEN_AT_LATEST_SECONDS = 1.0
REOPEN_SECONDS = 5.0
"""Time after which services that died are reopened, unless a call needs them sooner."""

CLOSE_SECONDS = 2.0
ANSWER_SECONDS = 0.2
"""How long calls that were cut off by closing have to say so."""


class Backend:
    """Gives tools their services; opens them soon after the first answer, or when they are first needed."""

    def __init__(self, open_services: OpenServices, clock: Clock) -> None:
        self._open_services = open_services
        self._clock = clock
        self._companions: list[Callable[[Services], AbstractAsyncContextManager[None]]] = []
        self._services: Services | None = None
        self._latest: Services | None = None
        self._error = closing_error()
        self._calls: dict[anyio.CancelScope, bool] = {}
        self._idle = anyio.Event()
        self._answered = anyio.Event()
        self._wanted = anyio.Event()
        self._settled = anyio.Event()
        self._closing = anyio.Event()
        self._closed = anyio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be ready to open, and close at the end, within `CLOSE_SECONDS`."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_open)
            tasks.start_soon(self._open_soon)
            try:
                yield
            finally:
                await self.close()
                tasks.cancel_scope.cancel()

    async def close(self) -> None:
        """Close what is open, within `CLOSE_SECONDS`, even where the caller is being cancelled.

        Calls that only read are cut off at once. One that sent something to TP may go on as long as its services do.
        """
        self._closing.set()
        self._wanted.set()
        self._cut_off([scope for scope, only_reads in self._calls.items() if only_reads])
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._closed.wait()
        self._cut_off(self._calls)
        if self._calls:
            with anyio.move_on_after(ANSWER_SECONDS, shield=True):
                await self._idle.wait()

    @property
    def closing(self) -> bool:
        """Return whether it closes, or is closed."""
        return self._closing.is_set()

    @contextmanager
    def call(self, *, only_reads: bool) -> Iterator[anyio.CancelScope]:
        """Hold a call that is under way: closing cancels its scope."""
        with anyio.CancelScope() as scope:
            self._calls[scope] = only_reads
            try:
                yield scope
            finally:
                del self._calls[scope]
                if self.closing and not self._calls:
                    self._idle.set()

    def accompany(self, companion: Callable[[Services], AbstractAsyncContextManager[None]]) -> None:
        """Enter what `companion` returns whenever services are opened, and leave it before they are closed."""
        self._companions.append(companion)

    def answered(self) -> None:
        """Note that the first answer was given, so that opening no longer delays it."""
        self._answered.set()

    @property
    def redactor(self) -> Redactor:
        """Return the redactor of the latest services, which knows every caller's secrets; a plain one before them."""
        from tp_mcp.redaction import Redactor  # noqa: PLC0415 -- after the first answer

        return Redactor() if self._latest is None else self._latest.tp.redactor

    async def services(self) -> Services:
        """Return the services, opened if they are not; raise TpMcpError if that fails. The next call tries again."""
        if self.closing:
            raise closing_error()
        if self._services is None:
            settled = self._settled
            self._wanted.set()
            await settled.wait()
        if self._services is None:
            raise self._error
        return self._services

    def _cut_off(self, scopes: Iterable[anyio.CancelScope]) -> None:
        for scope in scopes:
            scope.cancel()

    async def _open_soon(self) -> None:
        with anyio.move_on_after(OPEN_AT_LATEST_SECONDS):
            await self._answered.wait()
        await self._clock.sleep(OPEN_AFTER_ANSWER_SECONDS)
        self._wanted.set()

    async def _keep_open(self) -> None:
        try:
            async with anyio.create_task_group() as again:
                while not self._closing.is_set():
                    await self._wanted.wait()
                    if not self._closing.is_set() and await self._open_once():
                        again.start_soon(self._open_again)
                again.cancel_scope.cancel()
        finally:
            # Waiting calls get the error; nothing is opened any more.
            self._error = closing_error()
            self._settled.set()
            self._closed.set()

    async def _open_again(self) -> None:
        await self._clock.sleep(REOPEN_SECONDS)
        self._wanted.set()

    async def _open_once(self) -> bool:
        """Open, and stay open until it closes; return whether it was open and died."""
        try:
            async with self._open_services() as services, AsyncExitStack() as companions:
                for companion in self._companions:
                    await companions.enter_async_context(companion(services))
                self._services = self._latest = services
                self._settled.set()
                await self._closing.wait()
        except TpMcpError as error:
            logger.warning("The server cannot work yet: %s", error)
            self._error = error
        except Exception:
            logger.exception("The server's services ended unexpectedly")
            self._error = TpMcpError(
                "The server cannot work for an internal reason; see its log.", remedy="tp-mcp doctor may tell more."
            )
        finally:
            died = self._services is not None and not self._closing.is_set()
            self._services = None
            settled, self._settled, self._wanted = self._settled, anyio.Event(), anyio.Event()
            settled.set()
        return died


def closing_error() -> TpMcpError:
    """Return the error of a call that comes while the server closes."""
    return TpMcpError(
        "The server is closing.",
        remedy="Call again once it runs again; what was started goes on, and so does its watch.",
    )
