"""The limits of what a caller may choose."""

import pytest

from tp_mcp.errors import WatchSpecError
from tp_mcp.watch.model.spec import MAX_POLLS, check_limits


@pytest.mark.parametrize("max_polls", [None, 1, MAX_POLLS])
@pytest.mark.parametrize("interval", [5.0, 3600.0])
@pytest.mark.parametrize("timeout", [10.0, 7 * 24 * 3600.0])
def test_limits_within_their_ranges_are_taken(interval: float, timeout: float, max_polls: int | None) -> None:
    check_limits(interval_seconds=interval, timeout_seconds=timeout, max_polls=max_polls)


@pytest.mark.parametrize(
    ("interval", "timeout", "max_polls", "named"),
    [
        (4.99, 60.0, None, "interval_sec is 4.99, but must be between 5 and 3600"),
        (3601.0, 60.0, None, "interval_sec"),
        (float("nan"), 60.0, None, "interval_sec is nan"),
        (15.0, 9.0, None, "timeout_sec"),
        (15.0, float("inf"), None, "timeout_sec is inf"),
        (15.0, 60.0, 0, "max_polls is 0"),
        (15.0, 60.0, MAX_POLLS + 1, "max_polls"),
    ],
)
def test_anything_else_is_refused_by_name(interval: float, timeout: float, max_polls: int | None, named: str) -> None:
    with pytest.raises(WatchSpecError, match=named):
        check_limits(interval_seconds=interval, timeout_seconds=timeout, max_polls=max_polls)
