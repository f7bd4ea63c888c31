"""What `benchmarks.watches` runs in processes of their own: the watches, the bare loop, and a count of bytes.

`python -m benchmarks.watching ours|floor|bytes PORT WATCHES TARGETS` prints one JSON object.
"""

import asyncio
import base64
import gc
import json
import math
import sqlite3
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx2
from pydantic import JsonValue, SecretStr

from benchmarks.upstream import EXECUTION
from tp_mcp.api.auth import IssuedToken
from tp_mcp.api.client import TpClient
from tp_mcp.clock import SystemClock
from tp_mcp.jobs.pytest_run.execution_rule import EXECUTION_RULE, ExecutionBaseline, ExecutionRule
from tp_mcp.jobs.tp_reader import TpReader
from tp_mcp.storage.opening import STORE_FILE, open_storage
from tp_mcp.storage.watch_rows import watch_to_row
from tp_mcp.storage.watches import WatchStore
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.watch import Origin, Owner, Watch, WatchState, new_watch_id
from tp_mcp.watch.polling.interpretation import Interpreter, Reader
from tp_mcp.watch.polling.poller import Poller
from tp_mcp.watch.polling.timer import ApschedulerTimer

INTERVAL_SECONDS = 15.0
FIRST_EXEC_ID = 446
RAMP_SECONDS = 1.7 * INTERVAL_SECONDS
"""Watches begin over half an interval, and the first poll of each comes within another one."""

ROUNDS = 2
ADDED_AT_ONCE = 50
LIMIT_SECONDS = 24 * 3600.0
SETTLING_SECONDS = 0.5


def watch_of(number: int, targets: int, server: str) -> Watch:
    """Return one watch of an execution; watches whose numbers are equal modulo `targets` share it."""
    exec_id, now = FIRST_EXEC_ID + number % targets, time.time()
    return Watch(
        id=new_watch_id(),
        owner=Owner("local:benchmark", f"environment:{number % 50}", exact=True),
        server=server,
        origin=Origin("run_pytest", {"lab": "AT16_Combined_FSW", "testcase": ["Tests_CLI"], "argument": "-m sanity"}),
        title=f"run of Tests_CLI on AT16_Combined_FSW (execution {exec_id})",
        job=f"execution:{exec_id}",
        kind=EXECUTION_RULE,
        testbed="AT16_Combined_FSW",
        spec=WatchSpec(
            tool="get_execution",
            args={"exec_id": exec_id},
            rule=EXECUTION_RULE,
            interval_seconds=INTERVAL_SECONDS,
            timeout_seconds=LIMIT_SECONDS,
        ),
        state=WatchState.ACTIVE,
        created_at=now,
        started_at=now,
        lively_at=now,
        baseline=ExecutionBaseline(lab="AT16_Combined_FSW", highest_exec_id=445).to_json(),
        answer={"exec_id": exec_id, "status": "Initiating", "lab": "AT16_Combined_FSW"},
    )


def fill(directory: Path, watches: Sequence[Watch]) -> None:
    """Write watches to a store in one transaction."""
    rows = [watch_to_row(watch) for watch in watches]
    columns, marks = ", ".join(rows[0]), ", ".join(f":{name}" for name in rows[0])
    with closing(sqlite3.connect(directory / STORE_FILE)) as db, db:
        db.executemany(f"INSERT INTO watches ({columns}) VALUES ({marks})", rows)  # noqa: S608 -- names are ours


@dataclass
class Noted:
    """Passes polls on, and notes how late each began.

    The next poll of a target is due one interval after the end of the one before it, the taking in of its answer
    included, which ends with the last of the changes that are told.
    """

    reader: Reader
    ended: dict[JsonValue, float] = field(default_factory=dict)
    late: list[float] = field(default_factory=list)
    polls: int = 0

    async def read(self, tool: str, args: Mapping[str, JsonValue], identity: str = "") -> JsonValue:
        """Poll."""
        ended = self.ended.get(args["exec_id"])
        if ended is not None:
            self.late.append(time.time() - ended - INTERVAL_SECONDS)
        self.polls += 1
        return await self.reader.read(tool, args, identity)

    def changed(self, watch: Watch) -> None:
        """Take in that an answer was taken in."""
        self.ended[watch.spec.args["exec_id"]] = time.time()

    def begin(self) -> None:
        """Forget what was noted."""
        self.late.clear()
        self.polls = 0


async def measured(count: Noted) -> dict[str, float]:
    """Return what a few rounds cost, once all is under way."""
    await anyio.sleep(RAMP_SECONDS)
    count.begin()
    cpu = time.process_time()
    await anyio.sleep(ROUNDS * INTERVAL_SECONDS)
    late = sorted(count.late) or [math.nan]
    return {
        "cpu_seconds": time.process_time() - cpu,
        "polls": count.polls,
        "late_median": late[len(late) // 2],
        "late_p99": late[min(len(late) - 1, int(len(late) * 0.99))],
    }


async def ours(port: int, watches: int, targets: int) -> dict[str, float]:
    """Watch as the server does: client, poller, timer and store."""
    server = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as directory:
        store = (await open_storage(Path(directory))).watches
        async with (
            TpClient.at(base_url=server, credentials=a_token(), clock=SystemClock()) as client,
            anyio.create_task_group() as tasks,
        ):
            noted = Noted(TpReader(client))
            rule = ExecutionRule()
            poller = Poller(
                store=store,
                feed=ChangeFeed(store=store, clock=SystemClock(), task_group=tasks),
                interpreter=Interpreter(noted, {EXECUTION_RULE: rule}, {EXECUTION_RULE: rule}),
                clock=SystemClock(),
                timer=ApschedulerTimer(),
                task_group=tasks,
                on_change=noted.changed,
            )
            poller.start()
            new = [watch_of(number, targets, server) for number in range(watches)]
            fill(Path(directory), new)

            async def begin() -> None:
                for first in range(0, watches, ADDED_AT_ONCE):
                    for watch in new[first : first + ADDED_AT_ONCE]:
                        poller.add(watch)
                    await anyio.sleep(INTERVAL_SECONDS * ADDED_AT_ONCE / watches / 2)

            tasks.start_soon(begin)
            result = await measured(noted)
            poller.stop()
            tasks.cancel_scope.cancel()
        await store.close()
    return result


async def floor(port: int, _watches: int, targets: int) -> dict[str, float]:
    """Make the same GETs in a bare loop, one for each target."""
    limits = httpx2.Limits(max_connections=32)
    headers = {"Authorization": f"JWT {a_token().token.get_secret_value()}"}
    base_url = f"http://127.0.0.1:{port}"
    async with (
        httpx2.AsyncClient(base_url=base_url, limits=limits, headers=headers, trust_env=False, timeout=30.0) as client,
        anyio.create_task_group() as tasks,
    ):

        class Bare:
            async def read(self, _tool: str, args: Mapping[str, JsonValue], _identity: str = "") -> JsonValue:
                answer: JsonValue = (await client.get(f"/adc/automation/pytest/{args['exec_id']}/")).json()
                return answer

        noted = Noted(Bare())

        async def loop(exec_id: int, phase: float) -> None:
            await anyio.sleep(phase)
            while True:
                await noted.read("", {"exec_id": exec_id})
                noted.ended[exec_id] = time.time()
                await anyio.sleep(INTERVAL_SECONDS)

        for number in range(targets):
            tasks.start_soon(loop, FIRST_EXEC_ID + number, INTERVAL_SECONDS * number / targets)
        result = await measured(noted)
        tasks.cancel_scope.cancel()
    return result


async def bytes_each(_port: int, watches: int, targets: int) -> dict[str, float]:
    """Count what is allocated for watches that were each polled once."""

    class Same:
        async def read(self, _tool: str, args: Mapping[str, JsonValue], _identity: str = "") -> JsonValue:
            answer: JsonValue = json.loads(json.dumps(EXECUTION | {"exec_id": args["exec_id"], "log_size": 1}))
            return answer

    class Never:
        """A timer whose time comes when it is told."""

        def start(self, _callback: object) -> None: ...
        def set(self, _at: float) -> None: ...
        def stop(self) -> None: ...

    class Later:
        now_is = time.time()

        def now(self) -> float:
            return self.now_is

        async def sleep(self, _seconds: float) -> None: ...

    with tempfile.TemporaryDirectory() as directory:
        store, rule, clock = (await open_storage(Path(directory))).watches, ExecutionRule(), Later()
        async with anyio.create_task_group() as tasks:
            noted = Noted(Same())
            poller = Poller(
                store=store,
                feed=ChangeFeed(store=store, clock=clock, task_group=tasks),
                interpreter=Interpreter(noted, {EXECUTION_RULE: rule}, {EXECUTION_RULE: rule}),
                clock=clock,
                timer=Never(),
                task_group=tasks,
                on_change=lambda _: None,
            )
            for number in range(targets):  # so that what is made on first use is there
                await store.add(watch_of(number, targets, "http://tp"))
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            added = [await _added(watch_of(number, targets, "http://tp"), store, poller) for number in range(watches)]
            clock.now_is += 2 * INTERVAL_SECONDS
            await poller.tick()
            while any(polls_of(poller, watch_id) == 0 for watch_id in added):  # noqa: ASYNC110 -- it has no event for it
                await anyio.sleep(0.05)
            # What is on its way to the disk is not what a watch takes.
            await poller.flush()
            await anyio.sleep(SETTLING_SECONDS)
            gc.collect()
            taken = tracemalloc.get_traced_memory()[0] - before - sys.getsizeof(added) - sum(map(sys.getsizeof, added))
            tasks.cancel_scope.cancel()
        await store.close()
    return {"bytes_each": taken / watches}


async def _added(watch: Watch, store: WatchStore, poller: Poller) -> str:
    await store.add(watch)
    poller.add(watch)
    return watch.id


def polls_of(poller: Poller, watch_id: str) -> int:
    """Return how often a watch was polled."""
    watch = poller.current(watch_id)
    return 0 if watch is None else watch.polls


def a_token() -> IssuedToken:
    """Return a token that does not expire in time; the upstream takes any."""
    claims = base64.urlsafe_b64encode(json.dumps({"username": "demo", "exp": int(time.time()) + 86_400}).encode())
    return IssuedToken(SecretStr(f"e30.{claims.rstrip(b'=').decode()}.e30"))


def main(arguments: Sequence[str]) -> None:
    """Run one of them."""
    what = {"ours": ours, "floor": floor, "bytes": bytes_each}[arguments[0]]
    print(json.dumps(asyncio.run(what(*(int(number) for number in arguments[1:])))))


if __name__ == "__main__":
    main(sys.argv[1:])
