"""From what happens to watches to the events that endpoints are sent."""

import logging
from collections.abc import Callable, Mapping, Sequence

from tp_mcp.clock import Clock
from tp_mcp.redaction import Redactor
from tp_mcp.settings import Webhook
from tp_mcp.watch import words
from tp_mcp.watch.news import is_news
from tp_mcp.watch.outgoing import EventKind, Outgoing, new_event_id
from tp_mcp.watch.states import InboxEntry, Watch
from tp_mcp.webhooks.payload import forge_payload, json_payload

logger = logging.getLogger(__name__)


class Events:
    """Makes events for the configured endpoints, without secrets."""

    def __init__(self, endpoints: Mapping[str, Webhook], redactor: Callable[[], Redactor], clock: Clock) -> None:
        """Prepare.

        Args:
            endpoints: by name.
            redactor: returns what knows the secrets there are now.
            clock: the time.

        """
        self._endpoints = endpoints
        self._redactor = redactor
        self._clock = clock

    def of_end(self, watch: Watch, entry: InboxEntry) -> Sequence[Outgoing]:
        """Return the events of an end, which are written with it. Whatever goes wrong costs the event, not the end."""
        return self._made(EventKind.END, watch, lambda: entry.text) if is_news(watch) else ()

    def of_progress(self, watch: Watch) -> Sequence[Outgoing]:
        """Return the events of a watch that goes on."""
        now = self._clock.now()
        return self._made(EventKind.PROGRESS, watch, lambda: f"{watch.title}: {words.progress_line(watch, now)}")

    def _made(self, kind: EventKind, watch: Watch, text: Callable[[], str]) -> Sequence[Outgoing]:
        try:
            return self._events(kind, watch, text())
        except Exception:
            logger.exception("No endpoint is told the %s of %s", kind, watch.id)
            return ()

    def _events(self, kind: EventKind, watch: Watch, text: str) -> Sequence[Outgoing]:
        now = self._clock.now()
        redact = self._redactor().knowing(*(webhook.secret for webhook in self._endpoints.values())).redact
        events: list[Outgoing] = []
        for name, webhook in self._endpoints.items():
            if kind not in webhook.events:
                continue
            event_id = new_event_id()
            if webhook.format == "forge":
                body = forge_payload(kind, event_id, watch, text, redact=redact)
            else:
                body = json_payload(kind, event_id, watch, text, now=now, redact=redact)
            if body is not None:
                events.append(Outgoing(event_id, name, kind, watch.id, body, created_at=now))
        return events
