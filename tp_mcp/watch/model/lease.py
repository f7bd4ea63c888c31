"""Leases: which process polls a target, if several share one store. Pure decisions.

Each process writes a heartbeat. A target is leased to one process, under an epoch that is never reused. A process that
takes it over gets a new epoch, so the store refuses later writes of the former holder.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

HEARTBEAT_SECONDS = 5.0
HEARTBEATS_TO_LIVE = 2
"""Number of intervals without a heartbeat after which a process counts as dead."""

RETAKE_SECONDS = 60.0
"""Time for which a process whose login TP refused takes no target, so that another process can."""

LEFT_TO_ITS_MAKER_SECONDS = 120.0
"""Time for which another process's start is left to it: longer than any request takes."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A target's key and the process that polls it, under an epoch that no other lease of any target ever has.

    `beat_at` is the time of the owner's latest heartbeat, seconds since the epoch; None if the owner has ended.
    """

    target: str
    epoch: int
    owner: str
    beat_at: float | None


@dataclass(frozen=True, slots=True)
class Claim:
    """The changes of a heartbeat: targets to take, and own targets to drop."""

    take: tuple[str, ...]
    drop: tuple[str, ...]


def claim(leases: Sequence[Lease], wanted: Collection[str], *, process: str, at: float, lifetime: float) -> Claim:
    """Return the wanted targets that a process takes, and those it drops; `leases` are all of one TP's targets."""
    kept = {lease.target for lease in leases if lease.owner == process or is_alive(lease.beat_at, at, lifetime)}
    mine = {lease.target for lease in leases if lease.owner == process}
    return Claim(
        take=tuple(sorted(set(wanted) - kept)),
        drop=tuple(sorted(mine - set(wanted))),
    )


def is_alive(beat_at: float | None, at: float, lifetime: float) -> bool:
    """Return whether a heartbeat is recent; a clock that was set back leaves one in the future."""
    return beat_at is not None and abs(at - beat_at) < lifetime


def may_poll(leases: Sequence[Lease], wanted: Collection[str], *, process: str, at: float, lifetime: float) -> set[str]:
    """Return the targets that a process may poll while the store is read-only: all that no other live process holds."""
    others = {lease.target for lease in leases if lease.owner != process and is_alive(lease.beat_at, at, lifetime)}
    return set(wanted) - others


def next_beat(leases: Sequence[Lease], *, process: str, at: float, heartbeat: float, lifetime: float) -> float:
    """Return the time of the next heartbeat: after one interval, or when another process's lease expires sooner."""
    ends = (
        lease.beat_at + lifetime
        for lease in leases
        if lease.owner != process and lease.beat_at is not None and is_alive(lease.beat_at, at, lifetime)
    )
    return min([at + heartbeat, *(end for end in ends if end > at)])
