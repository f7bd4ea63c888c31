"""Reads are repeated after a pause, writes never."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar

import stamina

from tp_mcp.errors import TpError, TpUnreachableError

READ_ATTEMPTS = 3
READ_RETRY_SECONDS = 20.0
"""After this long no further attempt is begun."""

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 5.0
JITTER_SECONDS = 0.5

LONGEST_RETRY_AFTER_SECONDS = 15.0
"""A longer pause that TP asks for with Retry-After is not sat out: the error goes to the caller at once."""

RETRIED_STATUSES = frozenset({429, 502, 503, 504})

T = TypeVar("T")

# What comes of the retries is said by whoever asked. Where no logging is set up, stamina's own warning about each of
# them would go to stderr; its hooks are global to the process, so they are left to whoever else uses it.
logging.getLogger("stamina").setLevel(logging.ERROR)


class FailedAttempt(Exception):  # noqa: N818 - it never leaves this package: the error inside it does
    """One attempt failed.

    Attributes:
        error: what goes to the caller in the end.
        wait_seconds: the pause that TP asked for; None where it asked for none.

    """

    def __init__(self, error: TpError, wait_seconds: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait_seconds = wait_seconds


def pause(error: Exception) -> bool | float:
    """Return whether to try again after `error`: True for the usual back-off, or the seconds TP asked for."""
    if not isinstance(error, FailedAttempt):
        return False
    if not isinstance(error.error, TpUnreachableError) and error.error.status_code not in RETRIED_STATUSES:
        return False
    if error.wait_seconds is None:
        return True
    return error.wait_seconds if error.wait_seconds <= LONGEST_RETRY_AFTER_SECONDS else False


async def repeated(attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what `attempt` returns, trying again with growing, jittered pauses where `pause` says so.

    Raises:
        FailedAttempt: the last attempt's.

    """
    caller = stamina.AsyncRetryingCaller(
        attempts=READ_ATTEMPTS,
        timeout=READ_RETRY_SECONDS,
        wait_initial=FIRST_WAIT_SECONDS,
        wait_max=LONGEST_WAIT_SECONDS,
        wait_jitter=JITTER_SECONDS,
    )
    return await caller(pause, attempt)


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """Return the pause that a Retry-After header asks for, given as seconds or as a date; None where there is none.

    Args:
        headers: names in lower case.
        now: seconds since the epoch.

    """
    value = headers.get("retry-after", "").strip()
    if value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
