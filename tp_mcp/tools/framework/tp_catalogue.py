"""The labs, tests and executions on TP: names are checked against them before anything is sent."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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
"""Age up to which a tree is current: an unknown test in it is an error, and the tree is not read again."""

NAMES_SHOWN = 10
NAME_MAX_CHARACTERS = 160

# Older endpoints list the names; a deployment may have changed or disabled them. TP itself still refuses a wrong name.
_UNAVAILABLE = (TpNotFoundError, TpNotJsonError, TpServerFaultError)


@dataclass(slots=True)
class _CachedTree:
    """The latest test tree. Concurrent callers share one request."""

    tree: TestTree | None = None
    read_at: float = float("-inf")
    reading: anyio.Lock = field(default_factory=anyio.Lock)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Reads the labs each time, and caches the test tree, because reading it makes TP pull its repository.

    Attributes:
        client: speaks to TP.
        clock: the time.
        testcases_ttl_seconds: age up to which the test tree is not read again, in seconds.
        cached: the test tree, which the catalogues of all users share.
    """

    client: TpClient
    clock: Clock
    testcases_ttl_seconds: float
    cached: _CachedTree = field(default_factory=_CachedTree)

    async def labs(self) -> tuple[Lab, ...]:
        """Return the labs that the user may use.

        Raises:
            TpError: the request to TP failed.
        """
        return await self.client.list_labs()

    async def tests(self, *, max_age_seconds: float | None = None) -> TestTree:
        """Return the test tree, not older than the configured time or `max_age_seconds`.

        Raises:
            TpError: the request to TP failed.
        """
        max_age = (
            self.testcases_ttl_seconds if max_age_seconds is None else min(max_age_seconds, self.testcases_ttl_seconds)
        )
        cached = self.cached
        async with cached.reading:
            if cached.tree is None or self.clock.now() - cached.read_at > max_age:
                cached.tree = await self.client.list_testcases()
                cached.read_at = self.clock.now()
            return cached.tree

    @property
    def tree_age_seconds(self) -> float:
        """Return the age of the cached test tree."""
        return max(self.clock.now() - self.cached.read_at, 0.0)

    async def require_lab(self, argument: str, name: str) -> Lab | None:
        """Return the lab of this name; None if TP cannot list the labs.

        Raises:
            InvalidArgumentError: this user has no such lab; the remedy names similar ones.
            TpError: the request to TP failed.
        """
        try:
            labs = await self.labs()
        except _UNAVAILABLE as error:
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
        """Return a sentence about the owner of an execution; empty if the user owns it or TP does not list it."""
        try:
            own = await self.client.without_retries().list_executions()
            user = await self.client.username()
        except TpError as error:
            logger.info("Whose execution %d is could not be read: %s", exec_id, error)
            return ""
        row = next((row for row in own if row.exec_id == exec_id), None)
        if row is None:
            return f"It is not among {word(user)}'s own recent executions, so somebody else probably started it."
        return f"{word(row.user)} started it." if row.user not in {"", user} else ""

    async def require_tests(self, test_ids: Sequence[str]) -> bool:
        """Check that tests exist on TP, by their pytest ids; return False if TP cannot list its tests.

        Raises:
            InvalidArgumentError: a test does not exist; the remedy names similar ones.
            TpError: the request to TP failed.
        """
        try:
            unknown = _unknown(test_ids, await self.tests())
            if unknown and self.tree_age_seconds > RECENT_SECONDS:
                # It may have been added in the meantime.
                unknown = _unknown(test_ids, await self.tests(max_age_seconds=RECENT_SECONDS))
            if not unknown:
                return True
            tree = await self.tests()
        except _UNAVAILABLE as error:
            logger.warning("The test ids could not be checked: %s", error)
            return False
        listed = ", ".join(repr(echoed(test_id, NAME_MAX_CHARACTERS)) for test_id in unknown[:NAMES_SHOWN])
        more = f" and {len(unknown) - NAMES_SHOWN} more" if len(unknown) > NAMES_SHOWN else ""
        raise InvalidArgumentError(
            f"testcase has {listed}{more}, which TP does not know.",
            remedy=_near(unknown[0], (*tree.paths(), *tree.ids, *_classes(tree.ids)), hint="list_testcases finds ids."),
        )


def _unknown(test_ids: Iterable[str], tree: TestTree) -> list[str]:
    existing = {*tree.paths(), *tree.ids, *_classes(tree.ids), *map(_without_parameters, tree.ids)}
    return [test_id for test_id in test_ids if test_id not in existing and _without_parameters(test_id) not in existing]


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
