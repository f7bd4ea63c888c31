"""Requests that the simulated TP received, without headers and bodies, and the outcome of each write."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from tp_mcp.simulator.executions.execution_table import ExecutionTable
from tp_mcp.simulator.executions.snapshot import Counts
from tp_mcp.simulator.refusals import Refusal
from tp_mcp.simulator.simulated_clock import SimulatedClock
from tp_mcp.simulator.testbeds.device_upgrade import PROGRESS, UpgradeTask, aggregate
from tp_mcp.simulator.testbeds.upgrades import RESTORE_COMMAND, Testbeds

LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request that arrived.

    Attributes:
        path: decoded, without the query.
        endpoint: the name that faults use; '' if no endpoint has this path.
        at: simulated time, in seconds since the epoch.
    """

    method: str
    path: str
    endpoint: str
    at: float


class RequestLog:
    """The last 10,000 requests and the number of all."""

    def __init__(self) -> None:
        self._requests: deque[SeenRequest] = deque(maxlen=LIMIT)
        self._counts: Counter[str] = Counter()

    def add(self, request: SeenRequest) -> None:
        """Add a request."""
        self._requests.append(request)
        self._counts[request.endpoint] += 1

    def __iter__(self) -> Iterator[SeenRequest]:
        """Iterate from the oldest to the newest."""
        return iter(tuple(self._requests))

    def count(self, endpoint: str | None = None) -> int:
        """Return how many requests arrived, for one endpoint or for all."""
        return self._counts.total() if endpoint is None else self._counts[endpoint]

    def clear(self) -> None:
        """Delete all entries."""
        self._requests.clear()
        self._counts.clear()

    def view(self) -> dict[str, Any]:
        """Return count, counts by endpoint, and the requests."""
        return {
            "count": self.count(),
            "by_endpoint": dict(self._counts),
            "requests": [asdict(request) for request in self._requests],
        }


START_UPGRADE = "start_upgrade"
START_PYTEST = "start_pytest"
KILL_EXECUTION = "kill_execution"
LOCK_LAB = "lock_lab"
WRITES = frozenset({START_UPGRADE, START_PYTEST, KILL_EXECUTION, LOCK_LAB})
UNAUTHORIZED = "unauthorized"

_ASKED = ("mode", "build_number", "version", "command", "testcase", "argument", "extra_pytest_options", "id", "action")
_LAB_KEYS = {START_UPGRADE: "testbed", LOCK_LAB: "name"}
_WORDS_BEFORE_CREDENTIALS = 6
_HIDDEN = "********"


@dataclass(frozen=True, slots=True)
class Write:
    """A write that arrived.

    Attributes:
        number: counts all writes from 1.
        user: the user; '' if the token names none.
        lab: the lab or testbed; '' if the request names none.
        asked: the other fields of the body.
        at: simulated time, in seconds since the epoch.
        real_at: real time, in seconds since the epoch.
    """

    number: int
    endpoint: str
    user: str
    lab: str
    asked: Mapping[str, Any]
    at: float
    real_at: float


@dataclass(frozen=True, slots=True)
class AcceptedWrite(Write):
    """A write that TP did, with its execution, or the address and task id of each upgraded device."""

    exec_id: int | None = None
    tasks: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RefusedWrite(Write):
    """A write that TP refused; `reason` is that of a `Refusal`, or `unauthorized`."""

    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class StruckWrite(Write):
    """A write that never reached TP."""

    fault: str = ""


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job ended, at a simulated time in seconds since the epoch; with counts for an execution."""

    status: str
    at: float
    counts: Counts | None = None


class WriteRecord:
    """The true outcome of every write, the oldest first, to compare a client's account with.

    A write is a `start_upgrade`, `start_pytest`, `kill_execution` or `lock_lab`. TP **accepted** or **refused** it, or
    a fault **struck** it before TP received it. All rows share one numbering, and only a reset removes them. A restore
    command is recorded without its password. The end of a job is read from the job itself.
    """

    def __init__(
        self,
        clock: SimulatedClock,
        executions: ExecutionTable,
        testbeds: Testbeds,
        real_time: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._executions = executions
        self._testbeds = testbeds
        self._real_time = real_time
        self._rows: list[Write] = []

    @property
    def accepted(self) -> tuple[AcceptedWrite, ...]:
        """What TP did."""
        return tuple(row for row in self._rows if isinstance(row, AcceptedWrite))

    @property
    def refused(self) -> tuple[RefusedWrite, ...]:
        """What TP refused."""
        return tuple(row for row in self._rows if isinstance(row, RefusedWrite))

    @property
    def struck(self) -> tuple[StruckWrite, ...]:
        """What a fault kept from TP."""
        return tuple(row for row in self._rows if isinstance(row, StruckWrite))

    def accept(
        self,
        endpoint: str,
        user: str,
        body: Mapping[str, Any],
        *,
        exec_id: int | None = None,
        tasks: Iterable[UpgradeTask] = (),
    ) -> None:
        """Record a write that TP did, with the execution or the tasks that it is about."""
        ids = tuple((task.ip, task.celery_id) for task in tasks)
        self._rows.append(AcceptedWrite(*self._fields_of(endpoint, user, body), exec_id=exec_id, tasks=ids))

    @contextmanager
    def refusing(self, endpoint: str, user: str, body: Mapping[str, Any]) -> Iterator[None]:
        """Record a refusal that the body raises."""
        try:
            yield
        except Refusal as refusal:
            self.refuse(endpoint, user, body, refusal.reason.value, refusal.message)
            raise

    def refuse(self, endpoint: str, user: str, body: Mapping[str, Any], reason: str, message: str) -> None:
        """Record a refused write."""
        self._rows.append(RefusedWrite(*self._fields_of(endpoint, user, body), reason=reason, message=message))

    def strike(self, endpoint: str, user: str, body: Mapping[str, Any], fault: str) -> None:
        """Record a write that did not reach TP."""
        self._rows.append(StruckWrite(*self._fields_of(endpoint, user, body), fault=fault))

    def end_of(self, write: AcceptedWrite) -> JobEnd | None:
        """Return the end of a write's job; None while it runs, and for a write without a job.

        An upgrade that lost a worker never ends, nor does one of replaced devices.
        """
        now = self._clock.now()
        if write.endpoint == START_PYTEST and write.exec_id is not None:
            row = self._executions.get(write.exec_id).at(now)
            return None if row.ended_at is None else JobEnd(row.status, row.ended_at, row.counts)
        tasks = self._tasks(write)
        status = aggregate([task.status(now) for task in tasks])
        if not tasks or len(tasks) < len(write.tasks) or status == PROGRESS:
            return None
        return JobEnd(status, max(task.ends_at for task in tasks))

    def worker_died(self, write: AcceptedWrite) -> bool:
        """Whether a worker of the job died, or its controller rebooted, and no other took it over."""
        if write.endpoint == START_PYTEST and write.exec_id is not None:
            return self._executions.get(write.exec_id).worker_died
        return any(task.died_at is not None for task in self._tasks(write))

    def view(self) -> dict[str, Any]:
        """Return all rows; those accepted with `end` and `worker_died`."""
        return {
            "accepted": [self._accepted_row(row) for row in self.accepted],
            "refused": [asdict(row) for row in self.refused],
            "struck": [asdict(row) for row in self.struck],
        }

    def _accepted_row(self, row: AcceptedWrite) -> dict[str, Any]:
        end = self.end_of(row)
        return asdict(row) | {"end": end and asdict(end), "worker_died": self.worker_died(row)}

    def _tasks(self, write: AcceptedWrite) -> list[UpgradeTask]:
        return [task for ip, celery_id in write.tasks if (task := self._testbeds.task(ip, celery_id))]

    def _fields_of(
        self, endpoint: str, user: str, body: Mapping[str, Any]
    ) -> tuple[int, str, str, str, dict[str, Any], float, float]:
        lab = body.get(_LAB_KEYS.get(endpoint, "lab"))
        asked = {name: body[name] for name in _ASKED if name in body}
        if "command" in asked:
            asked["command"] = without_credentials(asked["command"])
        number = len(self._rows) + 1
        return number, endpoint, user, lab if isinstance(lab, str) else "", asked, self._clock.now(), self._real_time()


def without_credentials(command: object) -> str:
    """Hide everything after `execute restore image scp <path> <host>` in a command; hide any other command whole."""
    if not isinstance(command, str) or not command.startswith(RESTORE_COMMAND):
        return _HIDDEN
    words = command.split()
    shown = words[:_WORDS_BEFORE_CREDENTIALS]
    return " ".join([*shown, _HIDDEN] if len(words) > len(shown) else shown)
