"""What the calls that may follow in a chain change, told before they are made."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from tp_mcp.access.policy import Action
from tp_mcp.connectors.template import template_roots
from tp_mcp.watch.chain import Chain, Link

Later: TypeAlias = tuple[Action, str | None]
"""A change and its testbed; None where a template names that, so that it may be any."""

CHANGES: Mapping[str, tuple[Action, str]] = {
    "start_upgrade": (Action.UPGRADE, "testbed"),
    "run_pytest": (Action.RUN, "lab"),
}
"""By tool: what it changes, and the argument that names where."""


def later_changes(chain: Chain | None) -> tuple[Later, ...]:
    """Return every change that may follow, whichever way the chain goes."""
    return tuple(_change(link) for link in _links(chain))


def _links(chain: Chain | None) -> Iterator[Link]:
    waiting: list[Link | str | None] = [] if chain is None else [*chain.links]
    while waiting:
        link = waiting.pop()
        if isinstance(link, Link):
            yield link
            waiting += (link.on_done, link.on_fail)


def _change(link: Link) -> Later:
    action, name = CHANGES[link.tool]
    testbed = link.args.get(name)
    return action, testbed if isinstance(testbed, str) and not template_roots(testbed) else None
