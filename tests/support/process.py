"""One process of the server, joined by the composition root's own wiring, on a clock and a timer that a test moves."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import anyio
import anyio.abc
import httpx2
from pydantic import SecretStr

from tests.support.clock import FakeTimer
from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.access.credentials import Vault
from tp_mcp.api.auth import Credentials, NoLogin, PasswordLogin
from tp_mcp.api.client import TpClient
from tp_mcp.clock import Clock
from tp_mcp.composition.tp_access import vault_of
from tp_mcp.composition.wiring import Ground, assemble
from tp_mcp.connectors.loader import load_builtin_manifest
from tp_mcp.redaction import Secrets
from tp_mcp.settings import Settings
from tp_mcp.storage.opening import Storage, open_storage
from tp_mcp.storage.watches import WatchStore
from tp_mcp.tools.framework.services import Services
from tp_mcp.tools.framework.tp_identities import Principals
from tp_mcp.watch.lifecycle.chain_runner import Chains
from tp_mcp.watch.model.watch import Owner

BASE_URL = "http://tp.example:8000"
LAB = "AT16_Combined_FSW"
ALICE = Owner("local:alice", "environment:one", exact=True)

T = TypeVar("T")


class CountedTasks:
    """What the poller uses of a task group; it can be waited for until nothing runs in it."""

    def __init__(self, group: anyio.abc.TaskGroup) -> None:
        self._group = group
        self._running = 0
        self._changed = asyncio.Event()

    def start_soon(self, func: Callable[..., Awaitable[Any]], *args: Any, name: object = None) -> None:
        self._running += 1
        self._group.start_soon(self._run, func, args, name=name)

    async def _run(self, func: Callable[..., Awaitable[Any]], args: Sequence[Any]) -> None:
        try:
            await func(*args)
        finally:
            self._running -= 1
            self._changed.set()

    async def idle(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self._running:
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Process:
    """What a test can reach of a process."""

    services: Services
    storage: Storage
    timer: FakeTimer
    polls: CountedTasks
    tasks: anyio.abc.TaskGroup
    chains: Chains
    vault: Vault

    @property
    def store(self) -> WatchStore:
        return self.storage.watches


@asynccontextmanager
async def open_process(
    state_dir: Path,
    *,
    clock: Clock,
    transport: httpx2.AsyncBaseTransport,
    password: str = "demo-password",
    credentials: Credentials | None = None,
    own_logins: bool = False,
    **settings: Any,
) -> AsyncIterator[Process]:
    """Run a process over a state directory; at its end it dies without a chance to write anything.

    Args:
        state_dir: where everything is kept.
        clock: the time.
        transport: what carries requests to TP.
        password: the one of TP's user `demo`, as whom the process acts where it has no other `credentials`.
        credentials: the login at TP; the service account's where `own_logins` is set.
        own_logins: whether each principal acts on TP with a login of their own.
        settings: what is configured.
    """
    login, timer = PasswordLogin("demo", SecretStr(password)), FakeTimer()
    storage = await open_storage(state_dir, clock=clock)
    async with (
        TpClient.at(base_url=BASE_URL, credentials=credentials or login, clock=clock, transport=transport) as client,
        anyio.create_task_group() as tasks,
    ):
        polls = CountedTasks(tasks)
        configured = Settings(**settings)
        vault = vault_of(configured, storage, server=BASE_URL, clock=clock)
        service_account = credentials is not None and not isinstance(credentials, NoLogin)
        principals = Principals(client, vault, service_account=service_account, learnt=Secrets())
        ground = Ground(
            client=client.only_reading() if own_logins else client,
            server=BASE_URL,
            storage=storage,
            manifest=load_builtin_manifest().manifest,
            clock=clock,
            timer=timer,
            tasks=tasks,
            polls=cast(anyio.abc.TaskGroup, polls),
            secrets=(login.password,),
            rng=random.Random(0),
            principals=principals if own_logins else None,
        )
        assembly = assemble(configured, ground)
        await assembly.services.watches.registry.resume()
        assembly.poller.start()
        await assembly.chains.look()
        yield Process(assembly.services, storage, timer, polls, tasks, assembly.chains, vault)
        tasks.cancel_scope.cancel()
    await storage.close()


@asynccontextmanager
async def hosted(opening: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Enter a context in a task of its own: a fixture's two halves run in different tasks, which task groups refuse."""
    ready: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def host() -> None:
        try:
            async with opening as value:
                ready.set_result(value)
                await over.wait()
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    task = asyncio.create_task(host())
    try:
        yield await ready
    finally:
        over.set()
        await task
