"""Decides, at the end of a watch, which call of its chain follows. Pure."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from pydantic import JsonValue

from tp_mcp.connectors.follow_up import CHAIN_ROOTS, render_follow_up_args
from tp_mcp.connectors.manifest import FollowUp
from tp_mcp.connectors.template import template_roots, texts_of
from tp_mcp.errors import WatchSpecError
from tp_mcp.redaction import one_line
from tp_mcp.results.statuses import status_words
from tp_mcp.watch.model.chain import Chain, Link
from tp_mcp.watch.model.watch import Watch, WatchState

_CUT = re.compile(r"\[\.\.\. [\d,]+ (?:characters|values) left out \.\.\.\]")


def template_values(watch: Watch) -> dict[str, JsonValue]:
    """Return the values that templates of messages and of chain steps may use, by root name."""
    return {
        "settings": {"base_url": watch.server},
        "args": dict(watch.origin.arguments),
        "result": _with_quoted_statuses(watch.answer),
        "poll": _with_quoted_statuses(watch.last_answer),
        "poll_count": watch.polls,
        "max_polls": watch.spec.max_polls,
    }


def followed(watch: Watch) -> Watch:
    """Return a watch that has just ended, with its next call, arguments filled, or the reason why there is none."""
    chain = watch.chain
    if chain is None or watch.state is WatchState.CANCELLED:
        return watch
    link = chain.on_done if watch.state is WatchState.DONE else chain.on_fail
    if not isinstance(link, Link):
        return watch
    try:
        decided = replace(chain, next=replace(link, args=_filled(link, watch)))
    except WatchSpecError as error:
        decided = replace(chain, stopped=one_line(str(error)))
    return replace(watch, chain=decided)


def next_chain(parent: Watch) -> tuple[Link, Chain]:
    """Return the call that follows an ended watch, and its watch's position in the chain; WatchSpecError if none."""
    chain = parent.chain
    if chain is None or chain.next is None:
        raise WatchSpecError(f"Nothing follows {parent.id}.")
    link = chain.next
    return link, Chain(on_done=link.on_done, on_fail=link.on_fail, step=chain.step + 1, parent=parent.id)


def _filled(link: Link, watch: Watch) -> Mapping[str, JsonValue]:
    roots = {name: value for name, value in template_values(watch).items() if name in CHAIN_ROOTS}
    follow_up = FollowUp(mode="tool", tool=link.tool, args=link.args)
    filled = cast("dict[str, JsonValue]", render_follow_up_args(follow_up, roots))
    for name, value in link.args.items():
        # Only a part of TP's answers is kept, and an argument that was cut is another argument.
        if template_roots(value) and any(_CUT.search(text) for text in texts_of(filled[name])):
            raise WatchSpecError(
                f"{link.tool} was not called: the value for {name} is too long to be kept whole.",
                remedy=f"Call {link.tool} yourself.",
            )
    return filled


def _with_quoted_statuses(answer: JsonValue) -> JsonValue:
    # A reader takes a status in one of our sentences for a status: any other text in its place is quoted.
    if isinstance(answer, dict):
        return {
            name: status_words(value) if name == "status" and isinstance(value, str) else _with_quoted_statuses(value)
            for name, value in answer.items()
        }
    return [_with_quoted_statuses(value) for value in answer] if isinstance(answer, list) else answer
