"""Deciding, at the end of a watch, what follows it. Pure."""

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
from tp_mcp.watch.delivery.messages import message_roots
from tp_mcp.watch.model.chain import Chain, Link
from tp_mcp.watch.model.watch import Watch, WatchState

_CUT = re.compile(r"\[\.\.\. [\d,]+ (?:characters|values) left out \.\.\.\]")


def followed(watch: Watch) -> Watch:
    """Return a watch that has just ended, with what follows: the call, its arguments filled, or why there is none."""
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
    """Return the call that follows an ended watch, and the place of its own watch in the chain.

    Raises:
        WatchSpecError: nothing follows.

    """
    chain = parent.chain
    if chain is None or chain.next is None:
        raise WatchSpecError(f"Nothing follows {parent.id}.")
    link = chain.next
    return link, Chain(on_done=link.on_done, on_fail=link.on_fail, step=chain.step + 1, parent=parent.id)


def _filled(link: Link, watch: Watch) -> Mapping[str, JsonValue]:
    roots = {name: value for name, value in message_roots(watch).items() if name in CHAIN_ROOTS}
    follow_up = FollowUp(mode="tool", tool=link.tool, args=link.args)
    filled = cast("dict[str, JsonValue]", render_follow_up_args(follow_up, roots))
    for name, value in link.args.items():
        # Of what TP answered only so much is kept, and cut arguments are other arguments.
        if template_roots(value) and any(_CUT.search(text) for text in texts_of(filled[name])):
            raise WatchSpecError(
                f"{link.tool} was to follow, and what was to fill {name} is too long to be kept whole.",
                remedy=f"Call {link.tool} yourself.",
            )
    return filled
