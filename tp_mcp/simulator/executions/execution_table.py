"""All executions, indexed by lab, user and due time, so that no request searches them."""

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tp_mcp.simulator.executions.execution import Execution
from tp_mcp.simulator.executions.played_runs import plan_played_run
from tp_mcp.simulator.executions.snapshot import SAFETY_NET_SECONDS
from tp_mcp.simulator.refusals import Reason, Refusal
from tp_mcp.simulator.testbeds.lab import Lab


class ExecutionTable:
    """All executions, by id."""

    def __init__(self, first_id: int, seed: int = 0) -> None:
        self._next_id = first_id
        self._seed = seed
        self._rows: dict[int, Execution] = {}
        self._in_flight: defaultdict[str, dict[int, None]] = defaultdict(dict)
        self._of_user: defaultdict[str, list[int]] = defaultdict(list)
        self._on_lab: Counter[str] = Counter()
        self._ended_texts: dict[int, str] = {}
        self._due: list[tuple[float, int]] = []

    def __iter__(self) -> Iterator[Execution]:
        """Iterate from the oldest to the newest."""
        return iter(list(self._rows.values()))

    def get(self, exec_id: int) -> Execution:
        """Return one. Raises Refusal (UNKNOWN) if there is none with this id."""
        try:
            return self._rows[exec_id]
        except KeyError:
            raise Refusal(Reason.UNKNOWN, f"execution {exec_id} not found") from None

    def put(self, execution: Execution) -> None:
        """Write a row."""
        if execution.exec_id not in self._rows:
            self._of_user[execution.user].append(execution.exec_id)
            self._on_lab[execution.lab] += 1
            heapq.heappush(self._due, (execution.created_at + SAFETY_NET_SECONDS, execution.exec_id))
            if execution.played is not None:
                heapq.heappush(self._due, (execution.played.ends_at, execution.exec_id))
        self._rows[execution.exec_id] = execution
        self._ended_texts.pop(execution.exec_id, None)
        if execution.in_flight:
            self._in_flight[execution.lab][execution.exec_id] = None
        else:
            self._in_flight[execution.lab].pop(execution.exec_id, None)

    def in_flight_on(self, lab: str) -> Execution | None:
        """Return the execution that keeps `lab` busy."""
        return next((self._rows[exec_id] for exec_id in self._in_flight.get(lab, ())), None)

    def in_flight(self) -> list[Execution]:
        """Return those that keep a lab busy."""
        return [self._rows[exec_id] for ids in self._in_flight.values() for exec_id in ids]

    def texts_of(self, user: str, now: float) -> list[str]:
        """Return the rows of the user's in JSON, the newest first, as a list shows them."""
        return [self._text(exec_id, now) for exec_id in reversed(self._of_user.get(user, ()))]

    def take_due(self, now: float) -> Iterator[int]:
        """Yield the ids whose row ends by the time alone and had to by now, each time once."""
        while self._due and self._due[0][0] <= now:
            yield heapq.heappop(self._due)[1]

    def create(self, lab: Lab, user: str, body: dict[str, Any], now: float) -> Execution:
        """Check a request and write its row. Raises Refusal (INVALID), or (CONFLICT) if the lab is busy."""
        testcase = body.get("testcase")
        if not isinstance(testcase, list) or not testcase or not all(isinstance(one, str) and one for one in testcase):
            raise Refusal(Reason.INVALID, "testcase must be a list of at least one pytest id")
        argument = body.get("argument") or ""
        extra = body.get("extra_pytest_options") or ""
        if not isinstance(argument, str) or not isinstance(extra, str):
            raise Refusal(Reason.INVALID, "argument and extra_pytest_options must be strings")
        if self.in_flight_on(lab.name):
            raise Refusal(Reason.CONFLICT, f"another execution is already in flight on '{lab.name}'")
        execution = Execution(self._next_id, user, lab.name, lab.controller, tuple(testcase), argument, extra, now)
        if lab.played is not None:
            run = plan_played_run(lab.played, lab.name, self._on_lab[lab.name], self._seed, now)
            execution = replace(execution, played=run)
        self._next_id += 1
        self.put(execution)
        return execution

    def _text(self, exec_id: int, now: float) -> str:
        if exec_id in self._ended_texts:
            return self._ended_texts[exec_id]
        execution = self._rows[exec_id]
        text = json.dumps(execution.at(now, with_log=False).row())
        if not execution.in_flight:
            self._ended_texts[exec_id] = text
        return text
