"""Promise 5 with real processes: several windows on one store poll each job once, whatever becomes of them."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_SECONDS, until
from tp_mcp.jobs.pytest_run.execution_rule import EXECUTION_RULE, execution_job
from tp_mcp.storage.opening import STORE_FILE, open_storage
from tp_mcp.storage.watches import WatchStore
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Origin, Owner, Watch, WatchState, new_watch_id

pytestmark = pytest.mark.slow

HEARTBEAT = 0.5
INTERVAL = 1.0
INTERVAL_FACTOR = 0.1
WATCHES = 12
JOBS = range(446, 452)
LEAST_SHARE = 0.6
"""Of the interval, between two polls of a job on average: two windows that both poll it come to half of it."""

OWNER = Owner("local:alice", "environment:one", exact=True)


@dataclass
class CountingTp:
    """A TP of a few lines on a port, which counts who was asked for when."""

    url: str = ""
    asked: list[tuple[float, int]] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    refused_logins: int = 0

    def times(self, job: int) -> list[float]:
        return [at for at, asked in self.asked if asked == job]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
                body = await reader.readexactly(int(length[0].split(":")[1])) if length else b""
                status, answer = self._answer(head.split()[1], body)
                told = json.dumps(answer).encode()
                headers = f"Content-Type: application/json\r\nContent-Length: {len(told)}"
                writer.write(f"HTTP/1.1 {status} .\r\n{headers}\r\n\r\n".encode() + told)
                await writer.drain()
        writer.close()

    def _answer(self, path: str, body: bytes) -> tuple[int, object]:
        if path == "/token-auth/":
            if json.loads(body)["username"] != "demo":
                self.refused_logins += 1
                return 400, {"non_field_errors": ["Unable to log in with provided credentials."]}
            return 200, {"token": "e30.e30.e30"}
        job = int(path.strip("/").split("/")[-1])
        self.asked.append((time.time(), job))
        return 200, {
            "exec_id": job,
            "lab": "AT16",
            "status": "Done" if job in self.done else "Running",
            "log_size": len(self.asked),
            "pass_count": 1,
        }


@dataclass
class Window:
    """A process on the store."""

    process: asyncio.subprocess.Process

    async def waits_for(self, watch_id: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{watch_id}\n".encode())
        await self.process.stdin.drain()

    async def says(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), PATIENCE_SECONDS)).decode().strip()

    async def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)

    def send(self, number: int) -> None:
        self.process.send_signal(number)


@dataclass
class Setup:
    """A TP, a store with watches, and the windows on it."""

    tp: CountingTp
    state: Path
    watches: list[Watch]
    windows: list[Window] = field(default_factory=list)

    async def window(self, login: str = "demo") -> Window:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("window.py")),
            self.tp.url,
            str(self.state),
            str(INTERVAL_FACTOR),
            str(HEARTBEAT),
            login,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        window = Window(process)
        self.windows.append(window)
        assert (await window.says()).startswith("polls")
        return window

    async def stop(self, window: Window) -> None:
        """Stop a window once every job was polled, at a moment when it does not write: it must not hold the file."""
        store = await self.store()

        async def all_read() -> bool:
            return all(watch.reading is not None for watch in await store.unended(self.tp.url))

        async def stopped_without_the_file() -> bool:
            window.send(signal.SIGSTOP)
            if self.can_be_written():
                return True
            window.send(signal.SIGCONT)
            return False

        await until(all_read)
        await until(stopped_without_the_file)
        await store.close()

    def can_be_written(self) -> bool:
        try:
            with contextlib.closing(sqlite3.connect(self.state / STORE_FILE, timeout=0.1, isolation_level=None)) as db:
                db.execute("BEGIN IMMEDIATE")
                db.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
        return True

    async def store(self) -> WatchStore:
        return (await open_storage(self.state)).watches

    def interval(self, since: float) -> float:
        """Return the seconds between two polls of a job, on average."""
        times = [[at for at in self.tp.times(job) if at >= since] for job in JOBS]
        gaps = [after - before for each in times for before, after in pairwise(each)]
        return sum(gaps) / len(gaps)


def watch_of(job: int, server: str) -> Watch:
    now = time.time()
    spec = WatchSpec(
        tool="get_execution",
        args={"exec_id": job},
        rule=EXECUTION_RULE,
        interval_seconds=INTERVAL / INTERVAL_FACTOR,
        timeout_seconds=3600.0,
    )
    return Watch(
        id=new_watch_id(),
        owner=OWNER,
        server=server,
        origin=Origin("run_pytest", {"lab": "AT16"}),
        title=f"execution {job} on AT16",
        job=execution_job(job),
        spec=spec,
        state=WatchState.ACTIVE,
        created_at=now,
        started_at=now,
        lively_at=now,
    )


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    tp = CountingTp()
    server = await asyncio.start_server(tp.serve, "127.0.0.1", 0)
    tp.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    watches = [watch_of(JOBS[number % len(JOBS)], tp.url) for number in range(WATCHES)]
    setup = Setup(tp, tmp_path / "state", watches)
    store = await setup.store()
    for watch in watches:
        await store.add(watch)
    await store.close()
    try:
        yield setup
    finally:
        for window in setup.windows:
            with contextlib.suppress(ProcessLookupError):
                os.kill(window.process.pid, signal.SIGKILL)
            await window.process.wait()
        server.close()


def everything_is_polled(setup: Setup, since: float) -> Callable[[], bool]:
    return lambda: {job for at, job in setup.tp.asked if at >= since} == set(JOBS)


async def test_three_windows_poll_each_job_once_per_interval(setup: Setup) -> None:
    await asyncio.gather(*(setup.window() for _ in range(3)))
    since = time.time()
    await until(lambda: all(len([at for at in setup.tp.times(job) if at > since]) >= 5 for job in JOBS))
    assert setup.interval(since) > INTERVAL * LEAST_SHARE, "two windows polled one job"


async def test_the_jobs_of_a_window_that_is_killed_are_polled_by_another(
    setup: Setup,
) -> None:
    holder = await setup.window()
    await until(everything_is_polled(setup, 0))
    await setup.window()
    holder.send(signal.SIGKILL)
    await holder.process.wait()
    killed = time.time()
    await until(everything_is_polled(setup, killed))
    first = min(at for at, _ in setup.tp.asked if at > killed)
    await until(lambda: all(len([at for at in setup.tp.times(job) if at > first]) >= 3 for job in JOBS))
    assert setup.interval(killed) > INTERVAL * LEAST_SHARE


async def test_a_window_that_slept_and_comes_back_neither_polls_nor_writes_over_its_successor(setup: Setup) -> None:
    sleeper = await setup.window()
    await setup.stop(sleeper)
    await setup.window()
    slept = time.time()
    await until(everything_is_polled(setup, slept + 0.05))
    setup.tp.done.update(JOBS[:-1])
    store = await setup.store()
    ended: set[str] = set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(ended) < WATCHES - 2:
            await asyncio.sleep(0.05)
            ended = {each.watch_id for each in await store.unseen(OWNER)}
    before = {each.id: each for each in [await store.get(watch.id) for watch in setup.watches] if each is not None}
    woken = time.time()
    sleeper.send(signal.SIGCONT)
    await until(lambda: len([at for at in setup.tp.times(JOBS[-1]) if at > woken]) >= 4)
    after = {each.id: each for each in [await store.get(watch.id) for watch in setup.watches] if each is not None}
    await store.close()
    assert {each: after[each] for each in ended} == {each: before[each] for each in ended}
    assert setup.interval(woken) > INTERVAL * LEAST_SHARE
    assert {job for at, job in setup.tp.asked if at > woken} == {JOBS[-1]}, "it polled what had ended"


async def test_a_window_that_closes_in_order_leaves_its_jobs_to_another_at_once(setup: Setup) -> None:
    holder = await setup.window()
    await until(everything_is_polled(setup, 0))
    await setup.window()
    await holder.close()
    store = await setup.store()
    held = {lease.owner for lease in await store.leases(setup.tp.url)}
    await store.close()
    closed = time.time()
    assert len(held) <= 1, "its leases are gone when it has ended"
    await until(everything_is_polled(setup, closed))


async def test_an_end_that_another_window_finds_is_noticed_by_the_one_that_waits(setup: Setup) -> None:
    await setup.window()
    await until(everything_is_polled(setup, 0))
    waiter = await setup.window()
    await waiter.waits_for(setup.watches[0].id)
    setup.tp.done.add(JOBS[0])
    assert await waiter.says() == "done"


async def test_a_window_whose_login_is_refused_leaves_the_jobs_to_one_that_is_let_in(setup: Setup) -> None:
    await setup.window(login="rival")
    await until(lambda: setup.tp.refused_logins > 0)
    await setup.window()
    came = time.time()
    await until(everything_is_polled(setup, came))
    store = await setup.store()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while any(watch.advisory for watch in await store.unended(setup.tp.url)):
            await asyncio.sleep(0.05)
    await store.close()


async def test_a_job_that_one_window_adds_is_polled_by_the_window_that_holds_it(setup: Setup) -> None:
    await setup.window()
    await until(everything_is_polled(setup, 0))
    store = await setup.store()
    added = replace(watch_of(JOBS[0], setup.tp.url), title="the same execution, for somebody else")
    await store.add(added)
    setup.tp.done.add(JOBS[0])
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (stands := await store.get(added.id)) is None or not stands.state.ended:
            await asyncio.sleep(0.05)
    await store.close()
    assert stands.state is WatchState.DONE
