"""A watch: its states and all its data.

    starting ──► active ──► done | failed | timed_out | lost | cancelled
        │                    ▲
        └────────────────────┘   a start that TP refused, or that never reached it

`starting` is saved before the request is sent, so that a crash in between leaves a trace. An active watch may have an
advisory, which ends with its reason.
"""

import hashlib
import secrets
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from pydantic import JsonValue

from tp_mcp.watch.model.chain import Chain
from tp_mcp.watch.model.fact import Fact
from tp_mcp.watch.model.reading import Outcome, Reading
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.usual_duration import Usual

SESSION_KEY_PREFIX = "session:"
"""Prefix of the conversation keys of transport sessions, which are no names that a client gave."""

HANDLE_PREFIX = "chat_"
HANDLE_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Owner:
    """The principal and the conversation that a watch and its inbox entry belong to.

    Attributes:
        principal: the user, e.g. `local:alice`. No principal learns of another's watches.
        exact: whether the key names one conversation; otherwise two chats may share it (same user, same project
            directory), and an end counts as seen only after a later call names it.
        also: a shared key whose ends are shown in this conversation too. Owners that differ only in it are equal.
    """

    principal: str
    conversation: str
    exact: bool
    also: str | None = field(default=None, compare=False)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys of the conversations whose ends are shown in this one."""
        return (self.conversation,) if self.also is None else (self.conversation, self.also)

    @property
    def shared(self) -> "Owner | None":
        """Return the owner of the shared ends that this conversation sees too; None if there is no shared key."""
        return None if self.also is None else Owner(self.principal, self.also, exact=False)

    @property
    def handle(self) -> str:
        """Return the public name of the conversation: its key may be long, or contain a path."""
        digest = hashlib.sha256(f"{self.principal}\0{self.conversation}".encode("utf-8", "surrogatepass"))
        return HANDLE_PREFIX + digest.hexdigest()[:HANDLE_DIGITS]


WATCH_ID_PREFIX = "w_"
WATCH_ID_BYTES = 5
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class WatchState(StrEnum):
    """The state of a watch."""

    STARTING = "starting"
    ACTIVE = "active"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Return whether a watch in this state never changes again."""
        return self not in {WatchState.STARTING, WatchState.ACTIVE}


class Advisory(StrEnum):
    """A problem of an active watch; removed when it is over."""

    UNREACHABLE = "unreachable"
    """TP does not answer, or refuses the login."""
    NO_STATUS = "no_status"
    """TP answers, but without the job's status: it refuses the request, or the answer cannot be interpreted."""
    STALLED = "stalled"
    """The job's signs of life have not changed for a while."""
    NOT_STARTED = "not_started"
    """Nothing has picked the job up yet."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The call that made a watch; secrets in its arguments are masked."""

    tool: str
    arguments: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Watch:
    """All data of one watch. Times are seconds since the epoch.

    Attributes:
        server: the base URL of the TP that it watches.
        title: the job in a few words: "upgrade of AT16_Combined_FSW to build 6957".
        job: the job's key: two watches of one job have the same. Nothing is read from it.
        created_at: time when its row was written.
        outcome: the job's outcome, once it ended.
        reason: why it ended or has its advisory, in a sentence of TP, a rule, a caller or an older version; see `fact`.
        fact: the same, where the state machine found the reason itself.
        baseline: the value that the rule read before the start.
        memory: the value that the rule keeps between two polls.
        answer: TP's own answer to the start; `last_answer` to the latest poll, and `reading` its interpretation.
        started_at: time when TP accepted the job.
        ended_at: time when the end was observed.
        polled_at: time of the latest answered poll.
        lively_at: time of the job's last sign of life.
        missing_since: time when TP first answered that it does not know the job.
        missing_polls: number of consecutive answers that say so.
        silent_since: time when TP stopped answering; None while it answers.
        polls: number of answered polls, at most one for each interval; `counted_at` is the time of the last of them.
        settled: whether reading found the job of an unanswered start; it is probably, but not certainly, its own.
        revision: number of writes; the store refuses a write with an older one.
        usual: the usual duration of such jobs, as known at the start.
        idempotency_key: the same for each call that would start the same again; see `tp_mcp.watch.model.idempotency`.
        brief: a summary of the job's report, in a few sentences; added after the end.
        kind: the kind of job, as `tp_mcp.jobs.kinds` registers it; empty for a watch of something else.
        testbed: the testbed that the job is on; empty where it is on none, or that is not known.
        unwritten: a sentence that its end could not be saved yet, and why; else empty. In memory only.
    """

    id: str
    owner: Owner
    server: str
    origin: Origin
    title: str
    job: str
    spec: WatchSpec
    state: WatchState
    created_at: float
    advisory: Advisory | None = None
    outcome: Outcome | None = None
    reason: str = ""
    fact: Fact | None = None
    baseline: JsonValue = None
    memory: JsonValue = None
    answer: JsonValue = None
    last_answer: JsonValue = None
    reading: Reading | None = None
    started_at: float | None = None
    ended_at: float | None = None
    polled_at: float | None = None
    lively_at: float | None = None
    missing_since: float | None = None
    missing_polls: int = 0
    silent_since: float | None = None
    polls: int = 0
    counted_at: float | None = None
    settled: bool = False
    chain: Chain | None = None
    revision: int = 0
    idempotency_key: str = ""
    usual: Usual | None = None
    brief: str = ""
    kind: str = ""
    testbed: str = ""
    unwritten: str = ""

    @property
    def since(self) -> float:
        """Return the time when TP accepted the job or, before that, when it was requested."""
        return self.created_at if self.started_at is None else self.started_at

    def elapsed(self, now: float) -> float:
        """Return the seconds from the start to the end, or to `now` while there is none."""
        return max((now if self.ended_at is None else self.ended_at) - self.since, 0.0)


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """The end of a watch, until the owner's conversation has seen it; identified by the watch's id.

    `text` is the end message, a few lines. A later call that names `job`, the job's key, counts as having seen the
    entry. `showings` counts confirmed ones. `created_at` is the time of the end.
    """

    watch_id: str
    owner: Owner
    text: str
    job: str
    created_at: float
    showings: int = 0
    seen_at: float | None = None


@dataclass(frozen=True, slots=True)
class AdvisoryBegan:
    """A watch got an advisory; its reason is on the watch."""

    advisory: Advisory


@dataclass(frozen=True, slots=True)
class AdvisoryEnded:
    """A watch lost an advisory."""

    advisory: Advisory


@dataclass(frozen=True, slots=True)
class StartFound:
    """Reading found the job of an unanswered start; `evidence` is the observation that shows it, in a sentence."""

    evidence: str


Note: TypeAlias = AdvisoryBegan | AdvisoryEnded | StartFound
"""A change that the log reports."""


@dataclass(frozen=True, slots=True)
class Step:
    """A transition: the watch afterwards, and the changes that the log reports.

    `to_inbox` says that an inbox entry has to be saved with it; only at an end. `durable` says that it has to be saved
    at once; otherwise only counters changed, and a later batch will do.
    """

    watch: Watch
    to_inbox: bool = False
    durable: bool = False
    notes: tuple[Note, ...] = ()

    def on(self, stored: Watch) -> "Step":
        """Return this transition over a watch that somebody else wrote and may have handed over."""
        return replace(self, watch=replace(self.watch, revision=stored.revision, owner=stored.owner))


def new_watch_id() -> str:
    """Return a fresh id such as `w_7k3m9q2d`: short enough to say, too large to guess."""
    number = int.from_bytes(secrets.token_bytes(WATCH_ID_BYTES))
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(0, WATCH_ID_BYTES * 8, 5)]
    return WATCH_ID_PREFIX + "".join(digits)
