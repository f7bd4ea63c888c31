"""Chains: calls that were asked for together with a first one, each to be made when the one before it has ended.

The id of each step's watch is allotted when the chain is asked for. So the end of a step can name the watch of the
next, and a step cannot begin twice: its row has that id.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

CHAIN_DEPTH = 3
"""How many further calls may follow a first one, each after the other."""


@dataclass(frozen=True, slots=True)
class Link:
    """A further call.

    Attributes:
        id: the id that its watch will have.
        tool: the tool to call.
        args: its arguments; templates in them are filled when the step before it has ended.
        on_done: what follows its good end: a further call, or a message template.
        on_fail: what follows any other end.

    """

    id: str
    tool: str
    args: Mapping[str, JsonValue]
    on_done: "Link | str | None" = None
    on_fail: "Link | str | None" = None


@dataclass(frozen=True, slots=True)
class Chain:
    """One watch's place in a chain.

    Attributes:
        on_done: what follows its good end.
        on_fail: what follows any other end but a cancellation.
        step: counts from 1.
        parent: the watch of the step before it; None for the first.
        next: the call that follows, its arguments filled; decided and written together with the end.
        stopped: why nothing follows although something was to, in a sentence.

    """

    on_done: Link | str | None = None
    on_fail: Link | str | None = None
    step: int = 1
    parent: str | None = None
    next: Link | None = None
    stopped: str = ""

    @property
    def links(self) -> tuple[Link, ...]:
        """Return the calls that may follow."""
        return tuple(follow for follow in (self.on_done, self.on_fail) if isinstance(follow, Link))

    @property
    def steps(self) -> int:
        """Return how many steps the chain has, as far as it is known: on its longest way."""
        follows = (self.next,) if self.next is not None else self.links
        return self.step + max((depth_of(link) for link in follows), default=0)


def depth_of(link: Link | str | None) -> int:
    """Return the number of calls on the longest way from a call on, itself included."""
    if not isinstance(link, Link):
        return 0
    return 1 + max(depth_of(link.on_done), depth_of(link.on_fail))


def names_step(chain: Chain, watch_id: str) -> bool:
    """Return whether an id was allotted to a later step of a chain."""
    waiting: list[Link | str | None] = [*chain.links]
    while waiting:
        link = waiting.pop()
        if isinstance(link, Link):
            if link.id == watch_id:
                return True
            waiting += (link.on_done, link.on_fail)
    return False
