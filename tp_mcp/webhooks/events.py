"""The webhook events of watches: their ends and their progress."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from pydantic import JsonValue

from tp_mcp.clock import Clock
from tp_mcp.redaction import Redactor, SafeText
from tp_mcp.results.text import shorten
from tp_mcp.settings import Webhook
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.change_feed import is_news
from tp_mcp.watch.delivery.outbox import EventKind, Outgoing, new_event_id
from tp_mcp.watch.model.watch import SESSION_KEY_PREFIX, InboxEntry, Owner, Watch

logger = logging.getLogger(__name__)

URL_MAX_CHARACTERS = 2_000
TEXT_MAX_CHARACTERS = 1_500

_TYPES: Mapping[EventKind, str] = {EventKind.END: "watch.ended", EventKind.PROGRESS: "watch.progress"}
_FORGE_KINDS: Mapping[EventKind, str] = {EventKind.END: "turn", EventKind.PROGRESS: "status"}


def json_payload(
    kind: EventKind, event_id: str, watch: Watch, text: str, *, now: float, redactor: Redactor
) -> SafeText:
    """Return an event as JSON for an endpoint of any kind."""
    reading = watch.reading
    data: dict[str, JsonValue] = {
        "watch_id": watch.id,
        "state": watch.state.value,
        "outcome": watch.outcome and watch.outcome.value,
        "title": shorten(redactor.safe_line(watch.title), messages.TITLE_MAX_CHARACTERS),
        "text": shorten(redactor.safe(text), TEXT_MAX_CHARACTERS),
        "tool": watch.origin.tool,
        "job": shorten(redactor.safe_line(watch.job), messages.TITLE_MAX_CHARACTERS),
        "server": watch.server,
        "principal": watch.owner.principal,
        "conversation": watch.owner.conversation,
        "elapsed_seconds": round(watch.elapsed(now), 1),
        "counts": None if reading is None or reading.counts is None else asdict(reading.counts),
        "report_url": None
        if reading is None or reading.report_url is None
        else shorten(redactor.safe_line(reading.report_url), URL_MAX_CHARACTERS),
    }
    moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return redactor.safe_json({"id": event_id, "type": _TYPES[kind], "timestamp": moment, "data": data})


def forge_payload(kind: EventKind, event_id: str, watch: Watch, text: str, *, redactor: Redactor) -> SafeText | None:
    """Return an event as Forge's chat server takes it: an end as a turn, progress as an ambient status.

    Returns None where the conversation is not known exactly: there is no chat session that it could be fed into.
    """
    session = session_of(watch.owner)
    if session is None:
        return None
    return redactor.safe_json(
        {
            "kind": _FORGE_KINDS[kind],
            "id": event_id,
            "session": session,
            "watch_id": watch.id,
            "state": watch.state.value,
            "outcome": watch.outcome and watch.outcome.value,
            "text": shorten(redactor.safe(text), TEXT_MAX_CHARACTERS),
        }
    )


def session_of(owner: Owner) -> str | None:
    """Return the name that the client gave the conversation; None where it gave none, or one too long to be kept."""
    if owner.conversation.startswith(SESSION_KEY_PREFIX):
        return None
    _, _, name = owner.conversation.partition(":")
    return name if owner.exact and name and not name.startswith("sha256:") else None


class Events:
    """Makes events for the configured endpoints."""

    def __init__(self, endpoints: Mapping[str, Webhook], redactor: Redactor, clock: Clock) -> None:
        self._endpoints = endpoints
        self._redactor = redactor.knowing([webhook.secret for webhook in endpoints.values()])
        self._clock = clock

    def of_end(self, watch: Watch, entry: InboxEntry) -> Sequence[Outgoing]:
        """Return the events of an end, which are stored with it. An error loses the event, not the end."""
        return self._made(EventKind.END, watch, lambda: entry.text) if is_news(watch) else ()

    def of_progress(self, watch: Watch) -> Sequence[Outgoing]:
        """Return the events of a watch that goes on."""
        now = self._clock.now()
        return self._made(EventKind.PROGRESS, watch, lambda: f"{watch.title}: {messages.progress_line(watch, now)}")

    def _made(self, kind: EventKind, watch: Watch, text: Callable[[], str]) -> Sequence[Outgoing]:
        try:
            return self._events(kind, watch, text())
        except Exception:
            logger.exception("The %s of %s was not sent to any endpoint", kind, watch.id)
            return ()

    def _events(self, kind: EventKind, watch: Watch, text: str) -> Sequence[Outgoing]:
        now = self._clock.now()
        events: list[Outgoing] = []
        for name, webhook in self._endpoints.items():
            if kind not in webhook.events:
                continue
            event_id = new_event_id()
            if webhook.format == "forge":
                body = forge_payload(kind, event_id, watch, text, redactor=self._redactor)
            else:
                body = json_payload(kind, event_id, watch, text, now=now, redactor=self._redactor)
            if body is not None:
                events.append(Outgoing(event_id, name, kind, watch.id, body, created_at=now))
        return events
