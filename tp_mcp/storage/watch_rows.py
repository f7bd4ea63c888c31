"""Watches and inbox entries as rows, and back."""

from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, TypeAdapter

from tp_mcp.errors import StoreCorruptError
from tp_mcp.storage.table import Row
from tp_mcp.watch.model.chain import Chain
from tp_mcp.watch.model.fact import Fact
from tp_mcp.watch.model.reading import Outcome, Reading
from tp_mcp.watch.model.spec import WatchSpec
from tp_mcp.watch.model.usual_duration import Usual
from tp_mcp.watch.model.watch import Advisory, InboxEntry, Origin, Owner, Watch, WatchState


@dataclass(frozen=True, slots=True)
class _Record:
    """The part of a watch that is only ever read together with it."""

    baseline: JsonValue
    memory: JsonValue
    answer: JsonValue
    last_answer: JsonValue
    reading: Reading | None
    polled_at: float | None
    lively_at: float | None
    missing_since: float | None
    missing_polls: int
    silent_since: float | None = None
    counted_at: float | None = None
    settled: bool = False
    usual: Usual | None = None
    brief: str = ""
    fact: Fact | None = None


_ORIGIN = TypeAdapter(Origin)
_SPEC = TypeAdapter(WatchSpec)
_RECORD = TypeAdapter(_Record)
_CHAIN = TypeAdapter(Chain)


def watch_to_row(watch: Watch) -> dict[str, Any]:
    """Return the values of a row by column."""
    record = _Record(
        baseline=watch.baseline,
        memory=watch.memory,
        answer=watch.answer,
        last_answer=watch.last_answer,
        reading=watch.reading,
        polled_at=watch.polled_at,
        lively_at=watch.lively_at,
        missing_since=watch.missing_since,
        missing_polls=watch.missing_polls,
        counted_at=watch.counted_at,
        settled=watch.settled,
        silent_since=watch.silent_since,
        usual=watch.usual,
        brief=watch.brief,
        fact=watch.fact,
    )
    return {
        "id": watch.id,
        **owner_columns(watch.owner),
        "server": watch.server,
        "job": watch.job,
        "title": watch.title,
        "origin": _ORIGIN.dump_json(watch.origin).decode(),
        "spec": _SPEC.dump_json(watch.spec, by_alias=True).decode(),
        "state": watch.state.value,
        "advisory": watch.advisory and watch.advisory.value,
        "outcome": watch.outcome and watch.outcome.value,
        "reason": watch.reason,
        "record": _RECORD.dump_json(record).decode(),
        "polls": watch.polls,
        "created_at": watch.created_at,
        "started_at": watch.started_at,
        "ended_at": watch.ended_at,
        "revision": watch.revision,
        "call_key": watch.idempotency_key,
        "kind": watch.kind,
        "testbed": watch.testbed,
        **_chain_columns(watch.chain),
    }


def row_to_watch(row: Row) -> Watch:
    """Return the watch of a row.

    Raises:
        StoreCorruptError: the row does not hold a watch.
    """
    try:
        return _row_to_watch(row)
    except ValueError:
        raise StoreCorruptError(
            f"The watch {row['id']} in the store cannot be read.",
            remedy="It was written by another version of tp-mcp, or damaged: move the store's files aside.",
        ) from None


def _row_to_watch(row: Row) -> Watch:
    record = _RECORD.validate_json(row["record"])
    return Watch(
        id=row["id"],
        owner=owner_of(row),
        server=row["server"],
        origin=_ORIGIN.validate_json(row["origin"]),
        title=row["title"],
        job=row["job"],
        spec=_SPEC.validate_json(row["spec"]),
        state=WatchState(row["state"]),
        created_at=row["created_at"],
        advisory=None if row["advisory"] is None else Advisory(row["advisory"]),
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        reason=row["reason"],
        baseline=record.baseline,
        memory=record.memory,
        answer=record.answer,
        last_answer=record.last_answer,
        reading=record.reading,
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        polled_at=record.polled_at,
        lively_at=record.lively_at,
        missing_since=record.missing_since,
        missing_polls=record.missing_polls,
        counted_at=record.counted_at,
        settled=record.settled,
        silent_since=record.silent_since,
        usual=record.usual,
        brief=record.brief,
        fact=record.fact,
        polls=row["polls"],
        chain=None if row["chain"] is None else _CHAIN.validate_json(row["chain"]),
        revision=row["revision"],
        idempotency_key=row["call_key"],
        kind=row["kind"],
        testbed=row["testbed"],
    )


def entry_to_row(entry: InboxEntry) -> dict[str, Any]:
    """Return the values of a row by column."""
    return {
        "watch_id": entry.watch_id,
        **owner_columns(entry.owner),
        "job": entry.job,
        "text": entry.text,
        "created_at": entry.created_at,
        "showings": entry.showings,
        "seen_at": entry.seen_at,
    }


def row_to_entry(row: Row) -> InboxEntry:
    """Return the inbox entry of a row."""
    return InboxEntry(
        watch_id=row["watch_id"],
        owner=owner_of(row),
        text=row["text"],
        job=row["job"],
        created_at=row["created_at"],
        showings=row["showings"],
        seen_at=row["seen_at"],
    )


def _chain_columns(chain: Chain | None) -> dict[str, Any]:
    if chain is None:
        return {"chain": None, "parent": None, "pending_step": None}
    return {
        "chain": _CHAIN.dump_json(chain).decode(),
        "parent": chain.parent,
        # The next step is decided together with the end, and an ended watch is written no more.
        "pending_step": None if chain.next is None else chain.next.id,
    }


def owner_columns(owner: Owner) -> dict[str, Any]:
    """Return the columns of an owner."""
    return {
        "principal": owner.principal,
        "conversation": owner.conversation,
        "conversation_exact": int(owner.exact),
    }


def owner_of(row: Row) -> Owner:
    """Return the owner in a row's columns."""
    return Owner(row["principal"], row["conversation"], bool(row["conversation_exact"]))
