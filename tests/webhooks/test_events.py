"""What endpoints are sent: of which ends, in which format, and without secrets."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.clock import still_clock
from tests.webhooks.conftest import NOW, SECRET
from tp_mcp.redaction import Redactor
from tp_mcp.settings import Webhook
from tp_mcp.watch.delivery.messages import inbox_entry
from tp_mcp.watch.delivery.outbox import EventKind, Outgoing, no_events
from tp_mcp.watch.lifecycle import state_machine
from tp_mcp.watch.model.chain import Chain
from tp_mcp.watch.model.reading import Counts, Interpretation, Outcome, Reading, Verdict
from tp_mcp.watch.model.watch import InboxEntry, Origin, Owner, Watch, WatchState
from tp_mcp.webhooks.events import Events

MakeWatch = Callable[..., Watch]
MakeWebhook = Callable[..., Webhook]
URL = "https://hooks.example/"
PASSWORD = "the-password-of-tp"


def events(**endpoints: Webhook) -> Events:
    return Events(endpoints, Redactor((SecretStr(PASSWORD),)), still_clock())


def done(watch: Watch) -> tuple[Watch, InboxEntry]:
    reading = Reading(
        Verdict.DONE,
        "Done",
        outcome=Outcome.FAILED,
        counts=Counts(passed=3, failed=1),
        report_url="http://tp.example/report.html",
    )
    step = state_machine.observe_answer(watch, Interpretation(reading, memory=None), {"status": "Done"}, now=NOW)
    entry = inbox_entry(step)
    assert entry is not None
    return step.watch, entry


def only(sent: Any) -> Outgoing:
    (event,) = sent
    assert isinstance(event, Outgoing)
    return event


def test_an_end_is_told_in_full_to_an_endpoint_of_any_kind(make_watch: MakeWatch, make_webhook: MakeWebhook) -> None:
    watch, entry = done(make_watch())
    event = only(events(ci=make_webhook(URL)).of_end(watch, entry))
    assert (event.endpoint, event.kind, event.watch_id, event.created_at) == ("ci", EventKind.END, watch.id, NOW)
    assert json.loads(event.body) == {
        "id": event.id,
        "type": "watch.ended",
        "timestamp": "2026-05-28T20:26:40.000Z",
        "data": {
            "watch_id": "w_00000001",
            "state": "done",
            "outcome": "failed",
            "title": "run of Tests_CLI on AT16",
            "text": entry.text,
            "tool": "run_pytest",
            "job": "execution:446",
            "server": "http://tp.example:8000",
            "principal": "local:alice",
            "conversation": "threadId:t-1",
            "elapsed_seconds": 60.0,
            "counts": {"passed": 3, "failed": 1, "skipped": None, "errors": None, "total": None},
            "report_url": "http://tp.example/report.html",
        },
    }


def test_forge_is_told_an_end_as_a_turn_of_the_session_that_asked(
    make_watch: MakeWatch, make_webhook: MakeWebhook
) -> None:
    watch, entry = done(make_watch())
    event = only(events(chat=make_webhook(URL, format="forge")).of_end(watch, entry))
    assert json.loads(event.body) == {
        "kind": "turn",
        "id": event.id,
        "session": "t-1",
        "watch_id": "w_00000001",
        "state": "done",
        "outcome": "failed",
        "text": entry.text,
    }


def test_forge_is_told_progress_as_an_ambient_status(make_watch: MakeWatch, make_webhook: MakeWebhook) -> None:
    webhook = make_webhook(URL, format="forge", events=["end", "progress"])
    event = only(events(chat=webhook).of_progress(make_watch()))
    told = json.loads(event.body)
    assert event.kind is EventKind.PROGRESS
    assert told["kind"] == "status"
    assert told["session"] == "t-1"
    assert told["text"] == "run of Tests_CLI on AT16: started, not polled yet, 1 min"


@pytest.mark.parametrize(
    "owner",
    [
        Owner("p", "project:/home/alice", exact=False),
        Owner("p", "threadId:sha256:abc", exact=True),
        Owner("p", "unnamed", exact=True),
        Owner("p", "session:5f0c", exact=True),
    ],
)
def test_where_the_session_is_not_known_exactly_forge_is_told_nothing_and_others_are(
    make_watch: MakeWatch, make_webhook: MakeWebhook, owner: Owner
) -> None:
    watch, entry = done(make_watch(owner=owner))
    made = events(chat=make_webhook(URL, format="forge"), ci=make_webhook(URL))
    assert [event.endpoint for event in made.of_end(watch, entry)] == ["ci"]


def test_each_endpoint_is_told_what_it_asked_for_and_each_event_has_an_id_of_its_own(
    make_watch: MakeWatch, make_webhook: MakeWebhook
) -> None:
    made = events(
        ends=make_webhook(URL),
        progress=make_webhook(URL, events=["progress"]),
        both=make_webhook(URL, events=["end", "progress"]),
    )
    watch, entry = done(make_watch())
    ends, progress = made.of_end(watch, entry), made.of_progress(make_watch())
    assert [event.endpoint for event in ends] == ["ends", "both"]
    assert [event.endpoint for event in progress] == ["progress", "both"]
    assert len({event.id for event in (*ends, *progress)}) == 4


def test_no_secret_leaves_and_what_tp_says_is_bounded_and_cleaned(
    make_watch: MakeWatch, make_webhook: MakeWebhook
) -> None:
    watch, entry = done(make_watch(title=f"run \x1b[31m{PASSWORD} {SECRET} {'x' * 9_000}"))
    long = InboxEntry(entry.watch_id, entry.owner, f"{PASSWORD[:5]}\x1b[0m{PASSWORD[5:]} {SECRET}\n" * 900, "", NOW)
    for format_ in ("json", "forge"):
        body = only(events(ci=make_webhook(URL, format=format_)).of_end(watch, long)).body
        assert PASSWORD not in body
        assert SECRET not in body
        assert "\\u001b" not in body
        assert len(body) < 4_000


def test_what_the_conversation_was_told_by_its_own_call_is_no_event(
    make_watch: MakeWatch, make_webhook: MakeWebhook
) -> None:
    made = events(ci=make_webhook(URL))

    def told(**changes: Any) -> int:
        starting = make_watch(state=WatchState.STARTING, started_at=None, **changes)
        step = state_machine.refuse(starting, reason="TP refused.", now=NOW)
        entry = inbox_entry(step)
        assert entry is not None
        return len(made.of_end(step.watch, entry))

    assert told() == 0
    step_of_a_chain = Chain(step=2, parent="w_00000000")
    assert told(chain=step_of_a_chain) == 1
    cancelled = state_machine.cancel(make_watch(), reason="Cancelled.", now=NOW).watch
    assert made.of_end(cancelled, done(make_watch())[1]) == ()


def test_an_end_is_written_whatever_goes_wrong_with_its_events(
    make_watch: MakeWatch, make_webhook: MakeWebhook, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def __iter__(self) -> Iterator[SecretStr]:
            raise RuntimeError("unforeseen")

    watch, entry = done(make_watch())
    assert Events({"ci": make_webhook(URL)}, Redactor(Broken()), still_clock()).of_end(watch, entry) == ()
    assert "The end of w_00000001 was not sent to any endpoint" in caplog.text
    assert no_events(watch, entry) == ()


@pytest.mark.parametrize(
    "field",
    [
        {"server": f"http://tp.example/{PASSWORD}"},
        {"job": f"execution:{PASSWORD}"},
        {"owner": Owner(f"local:{PASSWORD}", "threadId:t-1", exact=True)},
        {"owner": Owner("local:alice", f"threadId:{PASSWORD}", exact=True)},
        {"origin": Origin(PASSWORD, {})},
    ],
)
def test_no_field_of_an_event_shows_a_secret(make_watch: MakeWatch, make_webhook: MakeWebhook, field: Any) -> None:
    made = events(ci=make_webhook(URL), chat=make_webhook(URL, format="forge"))
    for event in made.of_end(*done(make_watch(**field))):
        assert PASSWORD not in event.body
