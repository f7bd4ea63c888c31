"""Chains: calls that were requested together with a first one, each made after the end of the one before it.

The id of each step's watch is allotted with the request. So the end of a step can name the watch of the next, and no
step can begin twice: its row has that id.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

CHAIN_DEPTH = 3
"""Number of further calls that may follow a first one, one after the other."""


@dataclass(frozen=True, slots=True)
class Link:
    """A further call, and the future watch's id; templates in `args` are filled at the end of the step before it.

    `on_done` is a further call or a message template for a good end, `on_fail` for any other end.
    """

    id: str
    tool: str
    args: Mapping[str, JsonValue]
    on_done: "Link | str | None" = None
    on_fail: "Link | str | None" = None


@dataclass(frozen=True, slots=True)
class Chain:
    """The position of one watch in a chain, as step number `step` from 1; `parent` is the watch before it.

    `on_done` is a further call or a message template for a good end, `on_fail` for any other end except a cancellation.
    `next` is the call that follows, with its arguments filled; saved together with the end. `stopped` is the reason why
    a planned call does not follow, in a sentence.
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
        """Return the number of steps of the chain: on its longest path, as long as several are possible."""
        follows = (self.next,) if self.next is not None else self.links
        return self.step + max((depth_of(link) for link in follows), default=0)


def depth_of(link: Link | str | None) -> int:
    """Return the number of calls on the longest path that begins with a call, that call included."""
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
