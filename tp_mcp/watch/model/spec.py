"""The specification of a watch: the poll, its interval, the limits, and the messages at the end."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from tp_mcp.connectors.manifest import Match
from tp_mcp.errors import WatchSpecError

MIN_INTERVAL_SECONDS = 5.0
MAX_INTERVAL_SECONDS = 3600.0
MIN_TIMEOUT_SECONDS = 10.0
MAX_TIMEOUT_SECONDS = 7 * 24 * 3600.0
MAX_POLLS = 100_000
NOT_STARTED_AFTER_SECONDS = 300.0
STALLED_AFTER_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class WatchSpec:
    """The specification of a watch.

    Attributes:
        tool: the tool to poll with, by the name that the reader knows.
        rule: the name of the rule that interprets the answers; the rule `match` uses the two patterns.
        timeout_seconds: time after the start at which the watch ends.
        max_polls: number of answered polls after which the watch ends; None for no such limit.
        not_started_after_seconds: time without a pick-up after which the watch gets an advisory.
        stalled_after_seconds: time without a sign of life after which the watch gets an advisory.
        on_done: message template for a good end; `on_fail` for any other end.
        progress: message template for a watch that goes on, if the rule has no texts of its own.
        history: groups of jobs whose durations show how long this one usually takes, the closest first.
    """

    tool: str
    args: Mapping[str, JsonValue]
    rule: str
    interval_seconds: float
    timeout_seconds: float
    max_polls: int | None = None
    done_match: Match | None = None
    fail_match: Match | None = None
    not_started_after_seconds: float = NOT_STARTED_AFTER_SECONDS
    stalled_after_seconds: float = STALLED_AFTER_SECONDS
    on_done: str = ""
    on_fail: str = ""
    progress: str = ""
    history: tuple[str, ...] = ()


def check_limits(*, interval_seconds: float, timeout_seconds: float, max_polls: int | None) -> None:
    """Raise WatchSpecError, with the range, if the interval or a limit of a request is out of range."""
    _within("interval_sec", interval_seconds, MIN_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS)
    _within("timeout_sec", timeout_seconds, MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS)
    if max_polls is not None:
        _within("max_polls", max_polls, 1, MAX_POLLS)


def _within(name: str, value: float, low: float, high: float) -> None:
    # Written so that NaN, which compares false with everything, is refused.
    if not low <= value <= high:
        raise WatchSpecError(f"{name} is {value:g}, but must be between {low:g} and {high:g}.")
