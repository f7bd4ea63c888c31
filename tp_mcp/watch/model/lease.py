"""Which process polls a target, where several share one store: the decisions, as pure functions.

Each process writes a heartbeat. A target is leased to one process, under an epoch that is never used again; whoever
takes it over gets a new one, so what the former holder still writes under the old one is refused.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

HEARTBEAT_SECONDS = 5.0
HEARTBEATS_TO_LIVE = 2
"""A process whose latest heartbeat is older than so many intervals counts as dead."""

RETAKE_SECONDS = 60.0
"""How long a process that TP did not let in takes no target, so that another process may."""

LEFT_TO_ITS_MAKER_SECONDS = 120.0
"""How long a start that another process has under way is left to it: longer than any request takes."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A target and who polls it.

    Attributes:
        target: the target's key, as text.
        epoch: counts the leases of all targets; none is ever used again.
        owner: the id of the process.
        beat_at: the owner's latest heartbeat, seconds since the epoch; None where it has ended.

    """

    target: str
    epoch: int
    owner: str
    beat_at: float | None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a heartbeat changes: targets to take, and targets of its own that are wanted no longer."""

    take: tuple[str, ...]
    drop: tuple[str, ...]


def claim(leases: Sequence[Lease], wanted: Collection[str], *, process: str, at: float, lifetime: float) -> Claim:
    """Decide what a process takes and drops, given every lease there is.

    Args:
        leases: of the targets of one TP.
        wanted: what the process has watches on and may poll.
        process: its id.
        at: the time.
        lifetime: seconds after which a heartbeat counts for nothing.

    """
    kept = {lease.target for lease in leases if lease.owner == process or is_alive(lease.beat_at, at, lifetime)}
    mine = {lease.target for lease in leases if lease.owner == process}
    return Claim(
        take=tuple(sorted(set(wanted) - kept)),
        drop=tuple(sorted(mine - set(wanted))),
    )


def is_alive(beat_at: float | None, at: float, lifetime: float) -> bool:
    """Return whether a heartbeat still counts; one from the future comes of a clock that was put back."""
    return beat_at is not None and abs(at - beat_at) < lifetime


def may_poll(leases: Sequence[Lease], wanted: Collection[str], *, process: str, at: float, lifetime: float) -> set[str]:
    """Return what a process may poll while the store cannot be written: its own, and what nobody alive holds."""
    others = {lease.target for lease in leases if lease.owner != process and is_alive(lease.beat_at, at, lifetime)}
    return set(wanted) - others


def next_beat(leases: Sequence[Lease], *, process: str, at: float, heartbeat: float, lifetime: float) -> float:
    """Return when to beat next: in one interval, or sooner where somebody else's lease runs out before."""
    ends = (
        lease.beat_at + lifetime
        for lease in leases
        if lease.owner != process and lease.beat_at is not None and is_alive(lease.beat_at, at, lifetime)
    )
    return min([at + heartbeat, *(end for end in ends if end > at)])
