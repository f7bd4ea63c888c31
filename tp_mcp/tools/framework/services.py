"""The services that tools use. The composition root makes them once TP and the store are open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from tp_mcp.access.control import AccessControl
from tp_mcp.api.client import TpClient
from tp_mcp.clock import Clock
from tp_mcp.connectors.manifest import Manifest
from tp_mcp.history.analysis import EndedExecutions
from tp_mcp.history.recorder import Recorder
from tp_mcp.redaction import Redactor
from tp_mcp.results.kept_logs import KeptLogs
from tp_mcp.results.stored_results import StoredResults
from tp_mcp.tools.framework.tp_catalogue import Catalogue
from tp_mcp.tools.framework.tp_identities import Acting, Principals
from tp_mcp.watch.delivery.catch_up import CatchingUp
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.delivery.delivery_log import Deliveries
from tp_mcp.watch.delivery.inbox import Inbox
from tp_mcp.watch.delivery.tasks import Tasks
from tp_mcp.watch.registry import WatchRegistry
from tp_mcp.watch.store import Store


@dataclass(frozen=True, slots=True)
class Tp:
    """TP, read and written with one login.

    Attributes:
        client: speaks to TP.
        catalogue: the labs and tests on TP.
        executions: reads ended executions and stores their results.
        redactor: removes the secrets of the process and of this login from texts.
        principals: gives each principal a login of their own; None if all use the configured login.
        acting: the principal's login; None if this is not the login of one principal.
    """

    client: TpClient
    catalogue: Catalogue
    executions: EndedExecutions
    redactor: Redactor
    principals: Principals | None = None
    acting: Acting | None = None

    async def of(self, principal: str, passed: SecretStr | None) -> Tp:
        """Return TP with the login of a principal: `passed`, the TP token of a request, or the stored login."""
        if self.principals is None:
            return self
        acting = await self.principals.acting(principal, passed)
        client = acting.client
        return replace(
            self,
            client=client,
            catalogue=replace(self.catalogue, client=client),
            executions=replace(self.executions, client=client, client_of=None),
            redactor=self.redactor.knowing(client.secrets),
            acting=acting,
        )


@dataclass(frozen=True, slots=True)
class Watches:
    """The watches, with the ways to wait for them and to report their ends.

    Attributes:
        store: keeps the watches.
        registry: makes and finds watches, and moves them between conversations.
        inbox: the ends that nobody has seen yet.
        feed: passes on changes of watches.
        catching_up: waits for the first poll of the watches that an earlier process left.
        deliveries: records of ends that were sent by other ways than the inbox.
        tasks: tasks by which clients ask for results later.
        max_wait_seconds: longest wait of one call.
        pace: factor of the watches' intervals.
    """

    store: Store
    registry: WatchRegistry
    inbox: Inbox
    feed: ChangeFeed
    catching_up: CatchingUp
    deliveries: Deliveries
    tasks: Tasks
    max_wait_seconds: float
    pace: float


@dataclass(frozen=True, slots=True)
class Results:
    """Stored results: `recorder` stores those of ended executions, `logs` their logs, `stored` too large documents."""

    recorder: Recorder
    logs: KeptLogs
    stored: StoredResults


@dataclass(frozen=True, slots=True)
class Starts:
    """The operator's rules for starting jobs.

    Attributes:
        manifest: intervals, limits and messages of watches.
        tools: the tools that a chain may call, by name.
        allowed_pytest_options: pytest options that the operator allows beyond the known ones.
        image_hosts: hosts from which a restore command may load an image; empty to refuse all restore commands.
        image_paths: allowed directories on these hosts; empty to allow all.
    """

    manifest: Manifest
    # Tool definitions; naming their type here would be a circle, because a definition is called with services.
    tools: Mapping[str, Any]
    allowed_pytest_options: frozenset[str]
    image_hosts: tuple[str, ...]
    image_paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Services:
    """The services that tools use; `access` decides whether a change is allowed."""

    tp: Tp
    watches: Watches
    results: Results
    starts: Starts
    access: AccessControl
    clock: Clock

    async def for_principal(self, principal: str, passed: SecretStr | None = None) -> Services:
        """Return the services with a principal's own login on TP: the token `passed`, or the stored login."""
        return replace(self, tp=await self.tp.of(principal, passed))
