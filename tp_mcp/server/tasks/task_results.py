"""The texts of a task: its state in a line, and its result.

A result arrives in a turn of its own, without the call that asked for it: it says everything again.
"""

from dataclasses import dataclass, replace

from mcp.types import CallToolResult

from tp_mcp.errors import TpError
from tp_mcp.jobs.pytest_run.execution_rule import execution_id
from tp_mcp.jobs.tp_reader import read_execution
from tp_mcp.redaction import NOTHING, SafeText
from tp_mcp.results.document import Document, Paragraph, Section
from tp_mcp.results.limits import RESULT_MAX_CHARACTERS
from tp_mcp.results.text import count_of, shorten
from tp_mcp.server.outgoing import tool_result
from tp_mcp.server.rendering import kept_text
from tp_mcp.server.tasks.extension import Task, TaskStatus
from tp_mcp.tools.framework import wait, watch_documents
from tp_mcp.tools.framework.definition import Call
from tp_mcp.tools.framework.services import Services
from tp_mcp.tools.reports.failed_tests import report_sections
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.delivery.inbox import Visit
from tp_mcp.watch.delivery.tasks import TaskState, WatchTask
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import Watch, WatchState

MESSAGE_MAX_CHARACTERS = 200
TITLE_MAX_CHARACTERS = 90
MIN_POLL_SECONDS = 0.5
MAX_POLL_SECONDS = 300.0

_STATUS = {
    TaskState.WORKING: TaskStatus.WORKING,
    TaskState.COMPLETED: TaskStatus.COMPLETED,
    TaskState.CANCELLED: TaskStatus.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The result of a completed task, and the watches whose ends it reports."""

    text: SafeText
    is_error: bool
    reported: tuple[str, ...]


def shown_task(task: WatchTask, watches: tuple[Watch, ...], services: Services) -> Task:
    """Return a task as the protocol shows it."""
    now = services.clock.now()
    ended = task.state is not TaskState.WORKING
    lively = max((watch.polled_at or task.created_at for watch in watches), default=task.created_at)
    paces = [watch.spec.interval_seconds * services.watches.pace for watch in watches if not watch.state.ended]
    seconds = min(max(min(paces, default=MIN_POLL_SECONDS), MIN_POLL_SECONDS), MAX_POLL_SECONDS)
    line = task.text.split("\n", 1)[0] if ended else _progress(watches, now)
    result: CallToolResult | None = None
    if task.state is TaskState.COMPLETED:
        result = tool_result(services.tp.redactor.safe(task.text), is_error=task.is_error)
    return Task(
        id=task.id,
        status=_STATUS[task.state],
        created_at=task.created_at,
        updated_at=max(lively, task.created_at) if task.ended_at is None else task.ended_at,
        ttl_ms=int((task.expires_at - task.created_at) * 1000),
        poll_interval_ms=int(seconds * 1000),
        message=shorten(services.tp.redactor.safe(line), MESSAGE_MAX_CHARACTERS),
        result=None if result is None else result.model_dump(mode="json", by_alias=True, exclude_none=True),
    )


def cancelled_text(watches: tuple[Watch, ...]) -> str:
    """Return the text of a task that its client cancelled."""
    going_on = [watch for watch in watches if not watch.state.ended]
    if not going_on:
        return "Ended by its client; its jobs have ended."
    ids = ", ".join(watch.id for watch in going_on)
    return f"Ended by its client. The job itself goes on and stays watched ({ids}); its end is still reported."


async def completed(task: WatchTask, watches: tuple[Watch, ...], services: Services) -> TaskResult:
    """Return the result of a task that is over: outcome, counts, what failed, the report's URL, the next step."""
    if not watches:
        gone = Document("The watches of this task are no longer stored.", next_step="list_watches shows what is.")
        return TaskResult(await _text(gone, task, services), is_error=True, reported=())
    call = Call(task.owner, Visit(task.owner), services, _tell_nobody)
    fingerprints = dict(zip(task.watch_ids, task.fingerprints, strict=True))
    document = wait.wait_document(
        [fingerprints[watch.id] for watch in watches], watches, call, seconds=0, until=task.until
    )
    is_error = False
    if len(watches) == 1:
        [watch] = watches
        is_error = messages.never_started(watch)
        document = replace(document, sections=(*document.sections, *await _details(watch, services)))
    text = await _text(document, task, services)
    return TaskResult(text, is_error=is_error, reported=tuple(sorted(call.visit.reported)))


async def _text(document: Document, task: WatchTask, services: Services) -> SafeText:
    async def keep(whole: str) -> str:
        return await services.results.stored.keep(task.owner.principal, whole, what="a task's result")

    return await kept_text(document, NOTHING, services.tp.redactor, max_characters=RESULT_MAX_CHARACTERS, keep=keep)


async def _details(watch: Watch, services: Services) -> tuple[Section, ...]:
    exec_id = execution_id(watch)
    ran = watch.state in {WatchState.DONE, WatchState.FAILED} and watch.outcome is not Outcome.PASSED
    if exec_id is None or not ran or messages.never_started(watch) or not services.watches.registry.looks_at(watch):
        return ()
    try:
        execution = await read_execution(services.tp.client, services.results.logs, exec_id, watch.owner.principal)
        return await report_sections(exec_id, execution, services, watch.owner)
    except TpError as error:
        return (Paragraph(f"The failures could not be read: {error} {watch_documents.look_call(watch)} lists it."),)


def _progress(watches: tuple[Watch, ...], now: float) -> str:
    if len(watches) == 1:
        [watch] = watches
        return f"[{watch.id}] {shorten(watch.title, TITLE_MAX_CHARACTERS)}: {messages.progress_line(watch, now)}"
    going_on = [watch for watch in watches if not watch.state.ended]
    first = f"; {going_on[0].id}: {messages.progress_line(going_on[0], now)}" if going_on else ""
    return f"{len(going_on)} of {count_of(len(watches), 'watch', 'watches')} going on{first}"


async def _tell_nobody(*_watches: Watch) -> None:
    """Take no part in progress."""
