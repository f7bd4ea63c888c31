"""How tools tell of watches, in one voice."""

from tp_mcp.results.document import Document, Paragraph
from tp_mcp.results.text import format_duration
from tp_mcp.watch import words
from tp_mcp.watch.readings import Outcome
from tp_mcp.watch.states import Watch, WatchState

BACKGROUND = (
    "It is watched in the background, and its end is reported in this conversation on the next result of any tool. "
    "Do not start it again."
)
WHILE_OPEN = "Over stdio nothing is polled while no client has this server open; the next start catches up."


def started(watch: Watch, *, notes: tuple[str, ...] = (), advice: str = "") -> Document:
    """Tell that something was started, or that it is not known yet whether it was."""
    if watch.state is WatchState.STARTING:
        return Document(
            conclusion=f"[{watch.id}] TP gave no answer to the {watch.title}; whether it started is unknown.",
            sections=(
                Paragraph(watch.reason),
                Paragraph(
                    "It was sent once and is not sent again by itself. TP is being read to tell whether it started, "
                    "and the result is reported in this conversation."
                ),
            ),
            next_step=f"Do not start it again. {_wait_call(watch)} tells what was found out.",
        )
    return Document(
        conclusion=f"{words.headline(watch)}.",
        sections=tuple(Paragraph(text) for text in (*notes, f"{BACKGROUND} {WHILE_OPEN}")),
        next_step=f"{_wait_call(watch)} waits for it. {advice}".rstrip(),
    )


def interim(watch: Watch, now: float, *, waited: float | None = None) -> Document:
    """Tell how a watch stands that goes on."""
    lead = "" if waited is None else f" Not finished after waiting {format_duration(waited)}."
    return Document(
        conclusion=f"{words.headline(watch)}.{lead}",
        sections=(Paragraph("\n".join(words.interim_lines(watch, now))),),
        next_step=f"{BACKGROUND} {_wait_call(watch)} goes on waiting.",
    )


def ended(watch: Watch) -> Document:
    """Tell the end of a watch."""
    return Document(conclusion=words.end_message(watch), next_step=next_step(watch))


def next_step(watch: Watch) -> str:
    """Return what to do once a watch has ended."""
    kind, _, subject = watch.job.partition(":")
    if kind == "execution":
        if watch.outcome is Outcome.NO_TEST_RAN:
            return f"Look at -k, -m and the test ids: get_execution(exec_id={subject}) shows the log."
        return f"get_execution(exec_id={subject}) lists what failed, with the lines that failed."
    if kind == "upgrade" and watch.state is not WatchState.DONE:
        return f'get_upgrade(testbed="{subject}") shows each device and the end of its log.'
    return ""


def _wait_call(watch: Watch) -> str:
    return f'wait_for_watch(watch_id="{watch.id}")'
