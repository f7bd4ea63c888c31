"""What the watch needs of the world outside it. The composition root fills these in."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pydantic import JsonValue

from tp_mcp.watch.model.lease import Lease
from tp_mcp.watch.model.reading import Reading
from tp_mcp.watch.model.usual_duration import Usual
from tp_mcp.watch.model.watch import InboxEntry, Owner, Watch, WatchState

if TYPE_CHECKING:
    # It uses the store.
    from tp_mcp.watch.delivery.delivery_log import Delivery


class Reader(Protocol):
    """Polls a tool by name."""

    async def read(self, tool: str, args: Mapping[str, JsonValue], identity: str, /) -> JsonValue:
        """Return the tool's own JSON, asked for once, without retries.

        Args:
            tool: the tool.
            args: its arguments.
            identity: whose login to ask with; empty for the configured one.

        Raises:
            TpError: there was no answer that could be read.

        """
        ...


class Starter(Protocol):
    """Runs a guarded start, for chains."""

    async def start(self, parent: Watch) -> None:
        """Make the call that follows an ended watch, with the checks of a direct one, and watch what it starts.

        Raises:
            TpMcpError: it was refused. Its row, if it was written, has the end of it.

        """
        ...


class Timer(Protocol):
    """Calls back once at a time that can be moved."""

    def start(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Begin; `callback` runs at each time that is set."""
        ...

    def set(self, at: float) -> None:
        """Let the callback run at `at` (seconds since the epoch); replaces an earlier time."""
        ...

    def stop(self) -> None:
        """End; nothing is called back afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Interpretation:
    """What a rule makes of one answer.

    Attributes:
        reading: what the answer says of the job.
        memory: what the rule wants to be given back at the next answer.

    """

    reading: Reading
    memory: JsonValue


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a start whose answer never came is settled by reading.

    Attributes:
        started: whether TP is known to have the job. That it has not is never known: the request may be on its way.
        answer: what TP would have answered, as far as it was found.
        spec_args: arguments to poll with that only the answer could tell.
        job: the job's key, where only the answer could tell it.
        evidence: what it was told by, in a sentence.
        title: what is watched, where only the answer could tell it.

    """

    started: bool
    answer: JsonValue = None
    spec_args: Mapping[str, JsonValue] | None = None
    job: str | None = None
    evidence: str = ""
    title: str | None = None


class Rule(Protocol):
    """Knows one kind of job. Pure: it is given everything and changes nothing.

    Of a watch it looks at the server, the spec, the origin, the baseline, TP's answer to the start and its own memory
    only: watches of one server that are alike in these share one interpretation.
    """

    def interpret(self, watch: Watch, answer: JsonValue) -> Interpretation:
        """Tell what an answer of the watch's poll tool says of its job.

        Raises:
            TpNotJsonError: the answer does not have the shape that the contract promises.

        """
        ...


class Settler(Protocol):
    """Tells by reading whether a start that was never answered reached TP. Pure, like a rule."""

    def settling_read(self, watch: Watch, /) -> tuple[str, Mapping[str, JsonValue]]:
        """Return the tool and arguments whose answer can settle a start that was never answered."""
        ...

    def settle(self, watch: Watch, answer: JsonValue, *, taken: Collection[str]) -> Settlement:
        """Tell from that answer whether TP has the job."""
        ...


@dataclass(frozen=True, slots=True)
class LeastShown:
    """The first entries of an inbox.

    Attributes:
        entries: the first ones.
        total: how many there are in all.

    """

    entries: tuple[InboxEntry, ...]
    total: int


class Store(Protocol):
    """Keeps watches and inbox entries. Every method may raise StoreError."""

    async def add(self, watch: Watch, entry: InboxEntry | None = None) -> Watch | None:
        """Write a new watch, unless the same call was made already; both in one transaction.

        Args:
            watch: what is written.
            entry: of its end, where it has ended already; written in the same transaction.

        Returns:
            None when it was written; else the watch that the same call made, and nothing was written.

        Raises:
            WatchError: it is a step of a chain that has begun already.
            WatchLimitError: the owner's principal has too many watches or unseen ends already.

        """
        ...

    async def save(self, watch: Watch, entry: InboxEntry | None = None, *, epoch: int | None = None) -> Watch | None:
        """Write a watch, and the entry of its end, in one transaction; with an end also how long its job took.

        Args:
            watch: what to write.
            entry: the entry of its end.
            epoch: of the lease under which it was polled; None where it does not come of a poll.

        Returns:
            The watch with its new revision; None where somebody else wrote it meanwhile, or the lease is no more, and
            nothing was written.

        """
        ...

    async def save_all(self, watches: Sequence[Watch]) -> tuple[Watch | None, ...]:
        """Write several watches in one transaction; each as `save` would."""
        ...

    async def get(self, watch_id: str) -> Watch | None:
        """Return one watch."""
        ...

    async def repeated(self, owner: Owner, *, server: str, call_key: str, now: float) -> Watch | None:
        """Return the newest watch that the same call made, for the same principal, conversation and TP.

        It has not ended, or ended less than `REPEAT_SECONDS` ago; was not cancelled; and its start was not refused. A
        start of which it never became known whether TP has its job counts like one that it has.
        """
        ...

    async def usual(self, server: str, groups: Sequence[str]) -> Usual | None:
        """Return how long jobs of the first group take that has enough ends on this TP, whoever's they were."""
        ...

    async def get_many(self, watch_ids: Sequence[str]) -> tuple[Watch, ...]:
        """Return those of several watches that there are."""
        ...

    async def unended_revisions(self, server: str) -> Mapping[str, int]:
        """Return the watches of one TP that have not ended, each id with its revision."""
        ...

    async def ends_after(self, cursor: int | None) -> tuple[int, tuple[str, ...]]:
        """Return the ids of watches whose ends were written after a cursor, and the cursor to go on from.

        It may be a part of them. Without a cursor there are no ids: there is nothing that they would come after.
        """
        ...

    async def version(self) -> int:
        """Return a number that differs from the one before if another process wrote in between."""
        ...

    async def beat(
        self, process: str, server: str, wanted: Collection[str], *, at: float, lifetime: float
    ) -> tuple[Lease, ...]:
        """Write a process's heartbeat, and take and drop leases as `tp_mcp.watch.model.lease.claim` decides.

        Returns:
            Every lease of that TP's targets afterwards.

        """
        ...

    async def leases(self, server: str) -> tuple[Lease, ...]:
        """Return every lease of one TP's targets."""
        ...

    async def release(self, process: str) -> None:
        """Drop a process's heartbeat and all its leases."""
        ...

    async def amend(self, watch_id: str, brief: str) -> Watch | None:
        """Add what a report says to an ended watch, and to its entry; return the watch, None where there is none."""
        ...

    async def ended_since(self, server: str, *, since: float, limit: int) -> tuple[Watch, ...]:
        """Return the newest watches of one TP that ended since a time, the newest first."""
        ...

    async def unended(self, server: str | None) -> tuple[Watch, ...]:
        """Return the watches of one TP, or of all, that have not ended, oldest first."""
        ...

    async def pending(self, server: str) -> tuple[Watch, ...]:
        """Return the ended watches of one TP whose next step has not begun, in the order of their ends."""
        ...

    async def jobs_started(self, server: str, *, since: float, but_for: str) -> frozenset[str]:
        """Return the jobs that TP accepted for other watches than `but_for` since a time."""
        ...

    async def of_owner(
        self,
        principal: str,
        *,
        conversation: str | None,
        states: Sequence[WatchState],
        limit: int,
        about: str | None = None,
    ) -> tuple[Watch, ...]:
        """Return a principal's watches, newest first; of one conversation, or of all when it is None.

        With `about` only those whose job it is, which are on that testbed, or whose chain has a step of that id.
        """
        ...

    async def unseen(self, owner: Owner) -> tuple[InboxEntry, ...]:
        """Return the entries that this conversation has not seen, oldest first."""
        ...

    async def unseen_of(
        self, owner: Owner, *, watch_ids: Collection[str], job: str | None = None
    ) -> tuple[InboxEntry, ...]:
        """Return those of the entries that this conversation has not seen which are of these watches or of that job."""
        ...

    async def least_shown(self, owner: Owner, *, but_for: Collection[str], limit: int) -> LeastShown:
        """Return the first of the entries that this conversation has not seen: the least shown, of those the newest."""
        ...

    async def count_showings(self, watch_ids: Sequence[str]) -> None:
        """Count one more sure showing of each entry."""
        ...

    async def mark_seen(self, watch_ids: Sequence[str], at: float) -> None:
        """Let entries count as seen."""
        ...

    async def purge(self, *, ended_before: float, unseen_before: float) -> int:
        """Drop ended watches whose end was seen, and ends that nobody came for; return how many."""
        ...

    async def conversations(self, principal: str) -> tuple[Owner, ...]:
        """Return the conversations of a principal that have a watch, the newest first."""
        ...

    async def entries(self, watch_ids: Sequence[str]) -> tuple[InboxEntry, ...]:
        """Return the ends of some watches, seen or not."""
        ...

    async def hand_over(self, watch_id: str, to: Owner) -> Watch | None:
        """Move a watch of `to`'s principal to that conversation, and its end with it unless that was seen.

        Returns:
            The watch as it stands then; None where the principal has none with this id.

        """
        ...

    async def leave(self, prefix: str, *, but_for: Collection[str], to_key: str) -> int:
        """Move the watches of every conversation whose key begins with `prefix` to a shared key of their principals.

        Args:
            prefix: of the keys.
            but_for: keys whose watches stay.
            to_key: the shared key.

        Returns:
            How many watches were moved.

        """
        ...

    async def record_delivery(self, delivery: "Delivery") -> None:
        """Count one try to tell of an end besides the inbox; of a watch that is no longer kept, nothing is."""
        ...

    async def deliveries(self, watch_ids: Sequence[str]) -> "tuple[Delivery, ...]":
        """Return what was recorded for some watches, in the order in which their channels were first used."""
        ...

    async def close(self) -> None:
        """Close the store; it cannot be used afterwards."""
        ...
