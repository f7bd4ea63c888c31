"""The labs, tests and executions there are, to check a name before anything is sent."""

import copy
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import anyio

from tp_mcp.api.client import TpClient
from tp_mcp.api.models import Lab
from tp_mcp.api.test_tree import TestTree
from tp_mcp.clock import Clock
from tp_mcp.errors import InvalidArgumentError, TpError, TpNotFoundError, TpNotJsonError, TpServerFaultError
from tp_mcp.results.statuses import word
from tp_mcp.results.text import echoed, nearest, shorten

logger = logging.getLogger(__name__)

RECENT_SECONDS = 30.0
"""A tree at most this old is not read again because a test is missing from it."""

NAMES_SHOWN = 10
NAME_MAX_CHARACTERS = 160

# The calls behind this page are older ones, which a deployment may have changed or switched off. Where they cannot say
# what there is, TP itself still refuses a wrong name.
_CANNOT_SAY = (TpNotFoundError, TpNotJsonError, TpServerFaultError)


@dataclass(slots=True)
class _KeptTree:
    """The latest test tree. Single-flight: whoever comes second waits for the first one's answer."""

    tree: TestTree | None = None
    read_at: float = float("-inf")
    reading: anyio.Lock = field(default_factory=anyio.Lock)


class Catalogue:
    """Knows labs, read anew each time, and the test tree, kept for a while because reading it makes TP pull."""

    def __init__(self, client: TpClient, clock: Clock, *, testcases_ttl_seconds: float) -> None:
        self._client = client
        self._clock = clock
        self._ttl_seconds = testcases_ttl_seconds
        self._kept = _KeptTree()

    def of(self, client: TpClient) -> Self:
        """Return the catalogue as another user sees it: the test tree is the same for all, and kept once."""
        other = copy.copy(self)
        other._client = client  # noqa: SLF001 - a copy of this very object
        return other

    async def labs(self) -> tuple[Lab, ...]:
        """Return the labs that the user may use.

        Raises:
            TpError: TP could not tell.

        """
        return await self._client.list_labs()

    async def tests(self, *, max_age_seconds: float | None = None) -> TestTree:
        """Return the test tree, at most as old as the configured time or `max_age_seconds`.

        Raises:
            TpError: TP could not tell.

        """
        max_age = self._ttl_seconds if max_age_seconds is None else min(max_age_seconds, self._ttl_seconds)
        kept = self._kept
        async with kept.reading:
            if kept.tree is None or self._clock.now() - kept.read_at > max_age:
                kept.tree = await self._client.list_testcases()
                kept.read_at = self._clock.now()
            return kept.tree

    @property
    def tree_age_seconds(self) -> float:
        """Return how old the kept test tree is."""
        return max(self._clock.now() - self._kept.read_at, 0.0)

    async def require_lab(self, argument: str, name: str) -> Lab | None:
        """Return the lab of this name; None where TP cannot say which labs there are.

        Raises:
            InvalidArgumentError: there is no such lab for this user; names the nearest.
            TpError: TP could not be asked.

        """
        try:
            labs = await self.labs()
        except _CANNOT_SAY as error:
            logger.warning("The lab %s could not be checked: %s", name, error)
            return None
        for lab in labs:
            if lab.name == name:
                return lab
        names = tuple(lab.name for lab in labs)
        raise InvalidArgumentError(
            f"{argument} is {name!r}, which is not a lab you may use.", remedy=_near(name, names)
        )

    async def whose_execution(self, exec_id: int) -> str:
        """Return a sentence that says that an execution is not the user's own; empty where it is, or TP cannot say."""
        try:
            own = await self._client.without_retries().list_executions()
            user = await self._client.username()
        except TpError as error:
            logger.info("Whose execution %d is could not be read: %s", exec_id, error)
            return ""
        row = next((row for row in own if row.exec_id == exec_id), None)
        if row is None:
            return f"It is not among {word(user)}'s own recent executions, so somebody else probably started it."
        return f"{word(row.user)} started it." if row.user not in {"", user} else ""

    async def require_tests(self, test_ids: Sequence[str]) -> bool:
        """Check that tests exist, named as pytest gets them; return whether TP could say.

        Raises:
            InvalidArgumentError: there is no such test; names the nearest.
            TpError: TP could not be asked.

        """
        try:
            unknown = _unknown(test_ids, await self.tests())
            if unknown and self.tree_age_seconds > RECENT_SECONDS:
                # It may have been added since.
                unknown = _unknown(test_ids, await self.tests(max_age_seconds=RECENT_SECONDS))
            if not unknown:
                return True
            tree = await self.tests()
        except _CANNOT_SAY as error:
            logger.warning("The test ids could not be checked: %s", error)
            return False
        listed = ", ".join(repr(echoed(test_id, NAME_MAX_CHARACTERS)) for test_id in unknown[:NAMES_SHOWN])
        more = f" and {len(unknown) - NAMES_SHOWN} more" if len(unknown) > NAMES_SHOWN else ""
        raise InvalidArgumentError(
            f"testcase has {listed}{more}, which TP does not know.",
            remedy=_near(unknown[0], (*tree.paths(), *tree.ids, *_classes(tree.ids)), hint="list_testcases finds ids."),
        )


def _unknown(test_ids: Iterable[str], tree: TestTree) -> list[str]:
    known = {*tree.paths(), *tree.ids, *_classes(tree.ids), *map(_without_parameters, tree.ids)}
    return [test_id for test_id in test_ids if test_id not in known and _without_parameters(test_id) not in known]


def _without_parameters(test_id: str) -> str:
    return test_id.partition("[")[0]


def _classes(test_ids: Iterable[str]) -> set[str]:
    return {test_id.rpartition("::")[0] for test_id in test_ids if test_id.count("::") > 1}


def _near(name: str, names: Sequence[str], *, hint: str = "list_labs shows them all.") -> str:
    near = nearest(name, names)
    if near:
        return f"Did you mean {' or '.join(shorten(found, NAME_MAX_CHARACTERS) for found in near)}? {hint}"
    if 0 < len(names) <= NAMES_SHOWN:
        return f"There are: {', '.join(names)}."
    return hint
