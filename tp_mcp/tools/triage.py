"""Tools that explain why an execution failed, and that manage notes on failures."""

import logging
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import anyio.to_thread
from pydantic import Field

from tp_mcp.errors import InvalidArgumentError, StoreError
from tp_mcp.history.analysis import Analysis
from tp_mcp.history.records import Note
from tp_mcp.jobs.pytest_run.execution_rule import execution_job
from tp_mcp.results.document import Document, ItemList, Paragraph, Section
from tp_mcp.results.statuses import word
from tp_mcp.results.text import count_of
from tp_mcp.tools.framework import watch_documents
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition
from tp_mcp.tools.reports.triage_view import cluster_item, compared_with, evidence, next_step, note_words
from tp_mcp.triage.recurrence import fixed
from tp_mcp.triage.verdict import rerun_words, verdict

logger = logging.getLogger(__name__)

TRIAGE_TYPICAL_CHARACTERS = 7_000
"""Some twenty reasons, each with its line and an example."""

FIXED_SHOWN = 5
EVIDENCE_LINES = 20
"""How many lines around each heading are proposed to be read."""

NOTE_TEXT_MAX_CHARACTERS = 500
BUILD_MAX_CHARACTERS = 40

Signature = Annotated[
    str,
    Field(
        description="Id of a failure reason from triage_execution.",
        pattern="^s_[0-9a-f]{10}$",
        examples=["s_5f0c2a91be"],
    ),
]


class TriageArguments(ToolArguments):
    """Arguments of `triage_execution`."""

    exec_id: Annotated[int, Field(description="Execution id.", gt=0)]
    baseline: Annotated[int, Field(description="Execution id to compare with (0: earlier runs on this lab).", ge=0)] = 0


class NoteArguments(ToolArguments):
    """Arguments of `note_failure`."""

    signature: Signature
    text: Annotated[
        str,
        Field(
            description="The verdict.",
            examples=["known, MANTIS-123"],
            min_length=1,
            max_length=NOTE_TEXT_MAX_CHARACTERS,
        ),
    ]
    until_build: Annotated[
        str,
        Field(
            description="First build for which the note is no longer valid.",
            examples=["6990"],
            max_length=BUILD_MAX_CHARACTERS,
        ),
    ] = ""
    until_date: Annotated[
        str, Field(description="Last day of the note, as 2026-12-31.", examples=["2026-12-31"], max_length=10)
    ] = ""


class SignatureArguments(ToolArguments):
    """Arguments of `forget_failure_note`."""

    signature: Signature


class NoArguments(ToolArguments):
    """Nothing."""


async def triage_execution(arguments: TriageArguments, call: Call) -> Document:
    """Explain why an execution failed."""
    exec_id = arguments.exec_id
    await call.services.watches.inbox.name(call.visit, job=execution_job(exec_id))
    baseline = arguments.baseline or None
    analysis = await call.services.tp.executions.triage(exec_id, principal=call.owner.principal, baseline=baseline)
    triage, tests = analysis.triage, analysis.tests
    where = (
        f"Execution {exec_id} on {word(analysis.execution.lab) or 'an unknown lab'}, {_build_words(analysis.run.build)}"
    )
    known = sum(analysis.is_known(cluster) for cluster in triage.clusters)
    noted = f" {known} of {count_of(len(triage.clusters), 'reason')} noted as known." if known else ""
    sections: list[Section] = []
    if repeated := await _repeated(analysis, call):
        sections.append(Paragraph(repeated))
    if triage.clusters:
        # Unknown reasons come first.
        ordered = sorted(triage.clusters, key=analysis.is_known)
        items = tuple(cluster_item(analysis, cluster) for cluster in ordered)
        sections.append(
            ItemList(
                f"Reasons ({len(items)}), each with its id, tests and line",
                items,
                rest="narrow the run, or look at the report",
                source="TP's report",
            )
        )
    now_passing = fixed(triage.outcomes, triage.earlier)
    if now_passing:
        more = f" and {len(now_passing) - FIXED_SHOWN} more" if len(now_passing) > FIXED_SHOWN else ""
        shown = f"{', '.join(now_passing[:FIXED_SHOWN])}{more}"
        sections.append(ItemList(f"Fixed ({len(now_passing)})", (shown,), source="TP's report"))
    sections.append(Paragraph(compared_with(triage.earlier, baseline)))
    if tests.problem:
        sections.append(
            Paragraph(f"{tests.problem}, so this triage uses the summary at the end of its log.{tests.log_words}")
        )
    if tests.left_out:
        sections.append(Paragraph(f"{count_of(tests.left_out, 'row')} of the report could not be read."))
    if triage.clusters:
        sections.append(Paragraph(await _evidence(analysis, call)))
    return Document(f"{where}: {verdict(triage)}{noted}", tuple(sections), next_step(analysis))


async def note_failure(arguments: NoteArguments, call: Call) -> Document:
    """Store a person's note on a signature."""
    executions = call.services.tp.executions
    note = Note(
        principal=call.owner.principal,
        server=executions.server,
        signature=arguments.signature,
        text=call.services.tp.redactor.safe(arguments.text),
        made_at=call.services.clock.now(),
        until_build=arguments.until_build,
        until_at=_end_of(arguments.until_date),
    )
    await executions.history.note(note)
    return Document(
        f"{arguments.signature} is {note_words(note, now=note.made_at)}.",
        (Paragraph("Your later triages show it, and rerun_failed skips these failures while it is valid."),),
    )


async def list_failure_notes(_arguments: NoArguments, call: Call) -> Document:
    """List the caller's notes."""
    executions, now = call.services.tp.executions, call.services.clock.now()
    notes = await executions.history.notes(call.owner.principal, executions.server)
    items = tuple(f"{note.signature} {note_words(note, now=now)}" for note in notes)
    return Document(f"You have {count_of(len(notes), 'note')}.", (ItemList("Newest first", items),) if items else ())


async def forget_failure_note(arguments: SignatureArguments, call: Call) -> Document:
    """Delete a note."""
    executions = call.services.tp.executions
    found = await executions.history.forget_note(call.owner.principal, executions.server, arguments.signature)
    if not found:
        raise InvalidArgumentError(
            f"You have no note on {arguments.signature}.", remedy="list_failure_notes lists your notes."
        )
    return Document(f"The note on {arguments.signature} was deleted.")


async def _evidence(analysis: Analysis, call: Call) -> str:
    """Store the logs of all failures, and return the call that reads them, as a sentence."""
    exec_id = analysis.run.exec_id
    try:
        text = await anyio.to_thread.run_sync(evidence, analysis)
        what = f"the failures of execution {exec_id}"
        handle = await call.services.results.stored.keep(call.owner.principal, text, what=what)
    except StoreError as error:
        logger.warning("The failures of execution %d could not be stored: %s", exec_id, error)
        return f"Every failed test with its line: {watch_documents.call_words('get_execution', exec_id=exec_id)}."
    first = watch_documents.call_words(
        "read_result", handle=handle, search=analysis.triage.clusters[0].id, context=EVIDENCE_LINES
    )
    return f"The log of every failure, under its reason's id: {first}."


async def _repeated(analysis: Analysis, call: Call) -> str:
    """Return the changes of a rerun, as a sentence; empty for a run that is no rerun."""
    services = call.services
    history, server = services.tp.executions.history, services.tp.executions.server
    job = execution_job(analysis.run.exec_id)
    for watch in await services.watches.registry.list(call.owner, all_conversations=True):
        if watch.job != job or (exec_id := await history.rerun_of(server, watch.id)) is None:
            continue
        before = await history.one(server, exec_id, call.owner.principal)
        return "" if before is None else rerun_words(before, analysis.triage.outcomes)
    return ""


def _build_words(build: str) -> str:
    return f"build {word(build)}" if build else "unknown build"


def _end_of(day: str) -> float | None:
    if not day:
        return None
    try:
        parsed = date.fromisoformat(day)
    except ValueError:
        raise InvalidArgumentError(
            f"until_date is {day!r}, which is not a date.", remedy="Write it as 2026-12-31."
        ) from None
    return datetime.combine(parsed, time(), UTC).timestamp() + timedelta(days=1).total_seconds()


TOOLS = (
    ToolDefinition(
        name="triage_execution",
        title="Explain why a run failed",
        description=(
            "Explain why an ended run failed: the verdict, the reasons with evidence, the side at fault (product, test "
            "or environment), the failures that are new, known, flaky or fixed since earlier runs, and the next step."
        ),
        arguments=TriageArguments,
        run=triage_execution,
        read_only=True,
        typical_characters=TRIAGE_TYPICAL_CHARACTERS,
    ),
)

MORE_TOOLS = (
    ToolDefinition(
        name="note_failure",
        title="Add a note on a failure",
        description=(
            "Save a person's verdict on a failure reason. Later triages show and use it, until a build or a day. "
            'Example: {"signature": "s_5f0c2a91be", "text": "known, MANTIS-123", "until_build": "6990"}'
        ),
        arguments=NoteArguments,
        run=note_failure,
        read_only=False,
        idempotent=True,
    ),
    ToolDefinition(
        name="list_failure_notes",
        title="List notes on failures",
        description="List your notes on failure reasons.",
        arguments=NoArguments,
        run=list_failure_notes,
        read_only=True,
    ),
    ToolDefinition(
        name="forget_failure_note",
        title="Delete a note on a failure",
        description="Delete your note on a failure reason.",
        arguments=SignatureArguments,
        run=forget_failure_note,
        read_only=False,
        idempotent=True,
    ),
)
"""The toolset `triage`: notes on failures."""
