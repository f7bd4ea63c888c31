"""A watch: its states, and everything that is kept of it.

    starting ──► active ──► done | failed | timed_out | lost | cancelled
        │                    ▲
        └────────────────────┘   a start that TP refused, or that never reached it

`starting` is written before the request is sent, so that a crash between the two leaves a trace. An advisory rides on
an active watch, and goes away again when its reason does.
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
"""What keys begin with that stand for a session of a transport, which is no name that a client gave."""

HANDLE_PREFIX = "chat_"
HANDLE_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Owner:
    """The principal and the conversation that a watch and its inbox entry belong to.

    Attributes:
        principal: who is asking, e.g. `local:alice`. No principal learns of another's watches.
        conversation: the conversation's key.
        exact: whether the key names one conversation; otherwise two chats may share it (same user, same project
            directory), and an end counts as seen only once a later call names it.
        also: a shared key whose ends this conversation is shown as well; None where there is none. Two owners that
            differ in it alone are the same.

    """

    principal: str
    conversation: str
    exact: bool
    also: str | None = field(default=None, compare=False)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys of the conversations that this one is shown."""
        return (self.conversation,) if self.also is None else (self.conversation, self.also)

    @property
    def shared(self) -> "Owner | None":
        """Return the owner of what this conversation is shown as well; None where there is nothing."""
        return None if self.also is None else Owner(self.principal, self.also, exact=False)

    @property
    def handle(self) -> str:
        """Return by which name the conversation is shown: its key may be of any length, or tell a path."""
        digest = hashlib.sha256(f"{self.principal}\0{self.conversation}".encode("utf-8", "surrogatepass"))
        return HANDLE_PREFIX + digest.hexdigest()[:HANDLE_DIGITS]


WATCH_ID_PREFIX = "w_"
WATCH_ID_BYTES = 5
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class WatchState(StrEnum):
    """Where a watch is in its life."""

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
    """What is worth knowing of an active watch; taken back when it no longer holds."""

    UNREACHABLE = "unreachable"
    """TP does not answer, or does not let us in."""
    NO_STATUS = "no_status"
    """TP answers, but not with how the job stands: it refuses, or what comes cannot be read."""
    STALLED = "stalled"
    """The job's own signs of life stand still."""
    NOT_STARTED = "not_started"
    """Nothing has picked the job up yet."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The call that made a watch.

    Attributes:
        tool: the name of the tool that was called.
        arguments: its arguments, secrets masked.

    """

    tool: str
    arguments: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Watch:
    """Everything that is kept of one watch. Times are seconds since the epoch.

    Attributes:
        id: `w_...`.
        owner: whose it is.
        server: the base URL of the TP that it watches.
        origin: the call that made it.
        title: what is watched, in a few words: "upgrade of AT16_Combined_FSW to build 6957".
        job: the job's key: two watches of one job have the same. Nothing is read from it.
        spec: how it is watched.
        state: where it is in its life.
        created_at: when its row was written.
        advisory: what is worth knowing of it now.
        outcome: what the job came to, once it ended.
        reason: why it ended or has its advisory, in a sentence of TP, a rule, a caller or an older version; see `fact`.
        fact: the same, where the state machine found the reason itself.
        baseline: what the rule read before the job was started.
        memory: what the rule keeps between two readings.
        answer: TP's own answer to the start.
        last_answer: TP's own answer to the latest poll.
        reading: what that poll said.
        started_at: when TP accepted the job.
        ended_at: when the end was seen.
        polled_at: when the latest poll was answered.
        lively_at: when the job last showed a sign of life.
        missing_since: when TP first said that it does not know the job.
        missing_polls: how many answers in a row said so.
        silent_since: when TP stopped answering; None while it answers.
        polls: how many polls were answered, one in each interval at most.
        counted_at: when the last of them was counted.
        settled: its start was never answered, and its job was found by reading; it is probably, not surely, its own.
        chain: its place in a chain; None where nothing follows it and it follows nothing.
        revision: counts the writes; a write with an older one is refused by the store.
        usual: how long such jobs usually take, as it was known at the start.
        idempotency_key: the same for each call that would start the same again; see `tp_mcp.watch.model.idempotency`.
        brief: what the job's report says of it, in a few sentences; added after the end, where there is a report.
        kind: the name of the kind of job, as `tp_mcp.jobs.kinds` registers it; empty for a watch of something else.
        testbed: the testbed that the job is on; empty where it is on none, or that is not known.
        unwritten: that its end is known, and why it could not be written yet, in a sentence. In memory only.

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
        """Return when the job was accepted or, before that, when it was asked for."""
        return self.created_at if self.started_at is None else self.started_at

    def elapsed(self, now: float) -> float:
        """Return the seconds from the start to the end, or to `now` while there is none."""
        return max((now if self.ended_at is None else self.ended_at) - self.since, 0.0)


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """The end of a watch, waiting to be seen by the conversation that asked.

    Attributes:
        watch_id: the watch that ended; an entry has no other id.
        owner: whose it is.
        text: what happened, in a few lines.
        job: the job's key: a later call that names it counts as having seen the entry.
        created_at: when the end was written.
        showings: how often it was surely shown.
        seen_at: when it counted as seen; None before that.

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
    """Reading found the job of an unanswered start.

    Attributes:
        evidence: the observation that shows it, in a sentence.

    """

    evidence: str


Note: TypeAlias = AdvisoryBegan | AdvisoryEnded | StartFound
"""A change that the log reports."""


@dataclass(frozen=True, slots=True)
class Step:
    """A transition of a watch.

    Attributes:
        watch: the watch afterwards.
        to_inbox: whether an inbox entry has to be saved with it; only at an end.
        durable: whether it has to be saved at once; otherwise only counters changed, and a later batch will do.
        notes: the changes that the log reports.

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
