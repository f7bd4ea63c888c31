"""What an endpoint is sent, by format. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from pydantic import JsonValue

from tp_mcp.results.fence import clean, one_line
from tp_mcp.results.text import shorten
from tp_mcp.watch import words
from tp_mcp.watch.outgoing import EventKind
from tp_mcp.watch.owner import SESSION_KEY_PREFIX, Owner
from tp_mcp.watch.states import Watch

URL_MAX_CHARACTERS = 2_000
TEXT_MAX_CHARACTERS = 1_500

_TYPES: Mapping[EventKind, str] = {EventKind.END: "watch.ended", EventKind.PROGRESS: "watch.progress"}
_FORGE_KINDS: Mapping[EventKind, str] = {EventKind.END: "turn", EventKind.PROGRESS: "status"}

Redact = Callable[[str], str]


def json_payload(kind: EventKind, event_id: str, watch: Watch, text: str, *, now: float, redact: Redact) -> str:
    """Return an event as JSON for an endpoint of any kind."""
    reading = watch.reading
    data: dict[str, JsonValue] = {
        "watch_id": watch.id,
        "state": watch.state.value,
        "outcome": watch.outcome and watch.outcome.value,
        "title": _line(watch.title, words.TITLE_MAX_CHARACTERS, redact),
        "text": _text(text, redact),
        "tool": watch.origin.tool,
        "job": _line(watch.job, words.TITLE_MAX_CHARACTERS, redact),
        "server": watch.server,
        "principal": watch.owner.principal,
        "conversation": watch.owner.conversation,
        "elapsed_seconds": round(watch.elapsed(now), 1),
        "counts": None if reading is None or reading.counts is None else asdict(reading.counts),
        "report_url": None
        if reading is None or reading.report_url is None
        else _line(reading.report_url, URL_MAX_CHARACTERS, redact),
    }
    moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return _compact({"id": event_id, "type": _TYPES[kind], "timestamp": moment, "data": data})


def forge_payload(kind: EventKind, event_id: str, watch: Watch, text: str, *, redact: Redact) -> str | None:
    """Return an event as Forge's chat server takes it: an end as a turn, progress as an ambient status.

    Returns None where the conversation is not known exactly: there is no chat session that it could be fed into.
    """
    session = session_of(watch.owner)
    if session is None:
        return None
    return _compact(
        {
            "kind": _FORGE_KINDS[kind],
            "id": event_id,
            "session": session,
            "watch_id": watch.id,
            "state": watch.state.value,
            "outcome": watch.outcome and watch.outcome.value,
            "text": _text(text, redact),
        }
    )


def session_of(owner: Owner) -> str | None:
    """Return the name that the client gave the conversation; None where it gave none, or one too long to be kept."""
    if owner.conversation.startswith(SESSION_KEY_PREFIX):
        return None
    _, _, name = owner.conversation.partition(":")
    return name if owner.exact and name and not name.startswith("sha256:") else None


def _line(text: str, max_characters: int, redact: Redact) -> str:
    return shorten(one_line(redact(text)), max_characters)


def _text(text: str, redact: Redact) -> str:
    return shorten(redact(clean(redact(text))), TEXT_MAX_CHARACTERS)


def _compact(payload: Mapping[str, JsonValue]) -> str:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
