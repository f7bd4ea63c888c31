"""How a job is watched, as the connector manifest says it."""

from collections.abc import Mapping
from typing import cast

from pydantic import JsonValue

from tp_mcp.connectors.manifest import AsyncBlock, FollowUp, Manifest
from tp_mcp.connectors.template import render_mapping, template_roots
from tp_mcp.errors import ManifestError
from tp_mcp.watch.model.spec import NOT_STARTED_AFTER_SECONDS, STALLED_AFTER_SECONDS, WatchSpec

POLL_ROOTS = frozenset({"args", "result"})
"""What the arguments to poll with may be made of: the start's arguments and its answer."""


def async_block(manifest: Manifest, tool: str) -> AsyncBlock:
    """Return the `async` block of a tool that starts something.

    Raises:
        ManifestError: the manifest has no such tool, it has no `async` block, or one that cannot be used here.

    """
    entry = manifest.tools.get(tool)
    if entry is None or entry.async_block is None:
        raise ManifestError(
            f"The connector {manifest.id!r} has no tool {tool!r} with an async block, so it cannot be watched.",
            remedy="Use the connector that comes with tp-mcp, or add the tool to yours.",
        )
    # Said before anything is started: once TP has accepted the job it would be too late.
    if surplus := template_roots(dict(entry.async_block.poll_args)) - POLL_ROOTS:
        raise ManifestError(
            f"The connector {manifest.id!r} takes {', '.join(sorted(surplus))} for the poll_args of {tool!r}.",
            remedy="tp-mcp fills them from args and result alone.",
        )
    return entry.async_block


def spec_of(block: AsyncBlock, *, rule: str, history: tuple[str, ...] = ()) -> WatchSpec:
    """Return how the job of an `async` block is watched; what to poll with is filled in once TP has answered.

    Args:
        block: the tool's block.
        rule: the name of the rule that tells what an answer means.
        history: the groups of jobs that take about as long, see `JobKind.duration_groups`.

    """
    return WatchSpec(
        tool=block.poll,
        args={},
        rule=rule,
        interval_seconds=block.interval_sec,
        timeout_seconds=block.timeout_sec,
        max_polls=block.max_polls,
        not_started_after_seconds=block.not_started_after_sec or NOT_STARTED_AFTER_SECONDS,
        stalled_after_seconds=block.stalled_after_sec or STALLED_AFTER_SECONDS,
        on_done=_message(block.on_done),
        on_fail=_message(block.on_fail),
        progress=block.progress.message if block.progress is not None and block.progress.show else "",
        history=history,
    )


def poll_args(block: AsyncBlock, *, args: Mapping[str, JsonValue], result: JsonValue) -> dict[str, JsonValue]:
    """Return the arguments to poll with, once the start was answered.

    Raises:
        WatchSpecError: the answer lacks what the manifest takes from it.

    """
    rendered = render_mapping(block.poll_args, {"args": args, "result": result})
    # What is filled from JSON is JSON.
    return cast("dict[str, JsonValue]", rendered)


def _message(follow_up: FollowUp | None) -> str:
    return "" if follow_up is None else follow_up.message
