"""Faults that can be injected, per endpoint, for a number of requests or for a while.

| kind | effect for the client |
|---|---|
| `status` | `status` (default 500) with a JSON error; `retry_after` seconds as `Retry-After` where given |
| `delay` | the answer `delay_seconds` later (real seconds: a client's timeout is real) |
| `drop` | the connection ends without an answer |
| `html` | 200 with the HTML of a login page |
| `redirect` | 302 to a login page |
| `expired_token` | 401 as for an expired token |
| `away` | 502 with a proxy's HTML |
| `truncated` | the first half of TP's answer, with its status and the length of that half: broken JSON, read whole |
| `malformed` | 200 with JSON of an unexpected shape, see `shape` |

With `when: "after"` TP handles the request, and then the answer is spoiled: the client does not learn the outcome.
`truncated` and `malformed` need an answer to spoil. TP always answers a read. It handles a write only with
`when: "after"`; otherwise an invented answer is spoiled.

| `shape` | effect of `malformed` on an answer |
|---|---|
| `other` | an object becomes a list that holds it, a list an object `{"results": ...}` |
| `nulls` | the same fields, each null; in each row of a list |
| `text` | the JSON in a JSON string |

An answer that is no JSON becomes null. `match` limits a fault to paths that contain it: `/upgrade/AT16_Combined_FSW/`,
`/pytest/446/`. The paths of writes name no testbed and no execution.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tp_mcp.simulator.refusals import Reason, Refusal

KINDS = frozenset({"status", "delay", "drop", "html", "redirect", "expired_token", "away", "truncated", "malformed"})
SHAPES = frozenset({"other", "nulls", "text"})
EVERY_ENDPOINT = "*"


@dataclass(frozen=True, slots=True)
class Fault:
    """One injected fault.

    Attributes:
        endpoint: an endpoint's name, or `*` for every one.
        retry_after: for kind `status`: the header's value, in seconds.
        delay_seconds: for kind `delay`, in real seconds.
        match: strikes only paths that contain it.
        times: number of requests that it strikes; None for all.
        until: simulated time at which it ends, in seconds since the epoch.
    """

    endpoint: str
    kind: str
    status: int = 500
    retry_after: int | None = None
    delay_seconds: float = 1.0
    shape: str = "other"
    match: str = ""
    when: str = "before"
    times: int | None = None
    until: float = math.inf


def read_fault(body: Mapping[str, Any], endpoints: frozenset[str], now: float) -> Fault:
    """Check a request; its `seconds` count from now, in simulated time. Raises Refusal (INVALID)."""
    fields = dict(body)
    seconds = fields.pop("seconds", None)
    known = set(Fault.__slots__) - {"until"}
    if unknown := fields.keys() - known:
        raise Refusal(Reason.INVALID, f"unknown: {sorted(unknown)}; known: {sorted(known | {'seconds'})}")
    fields.setdefault("endpoint", EVERY_ENDPOINT)
    if fields.get("kind") not in KINDS:
        raise Refusal(Reason.INVALID, f"kind must be one of {sorted(KINDS)}")
    if fields["endpoint"] != EVERY_ENDPOINT and fields["endpoint"] not in endpoints:
        raise Refusal(Reason.INVALID, f"endpoint must be '*' or one of {sorted(endpoints)}")
    if fields.get("when", "before") not in {"before", "after"}:
        raise Refusal(Reason.INVALID, "when must be 'before' or 'after'")
    if fields.get("shape", "other") not in SHAPES:
        raise Refusal(Reason.INVALID, f"shape must be one of {sorted(SHAPES)}")
    if not isinstance(fields.get("match", ""), str):
        raise Refusal(Reason.INVALID, "match must be a string")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
        raise Refusal(Reason.INVALID, "seconds must be a number")
    until = math.inf if seconds is None else now + seconds
    return Fault(**fields, until=until)


class FaultBook:
    """The active faults, the oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Add a fault."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def take(self, endpoint: str, path: str, now: float) -> Fault | None:
        """Return the fault that strikes a request of this endpoint and path, and count it."""
        self._faults = [fault for fault in self._faults if fault.until > now and fault.times != 0]
        for index, fault in enumerate(self._faults):
            if fault.endpoint in {EVERY_ENDPOINT, endpoint} and fault.match in path:
                if fault.times is not None:
                    self._faults[index] = replace(fault, times=fault.times - 1)
                return fault
        return None

    def view(self) -> list[dict[str, Any]]:
        """Return the active faults; `until` is null for a fault without end."""
        return [asdict(fault) | {"until": None if math.isinf(fault.until) else fault.until} for fault in self._faults]
