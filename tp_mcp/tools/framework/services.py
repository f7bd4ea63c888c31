"""The services that tools use. The composition root makes them once TP and the store are open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
from tp_mcp.settings import DEFAULT_MAX_WAIT_SECONDS
from tp_mcp.tools.framework.tp_catalogue import Catalogue
from tp_mcp.tools.framework.tp_identities import Acting, Principals
from tp_mcp.watch.conversations import Conversations
from tp_mcp.watch.delivery.catch_up import CatchingUp
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.delivery.delivery_log import Deliveries
from tp_mcp.watch.delivery.inbox import Inbox
from tp_mcp.watch.delivery.tasks import Tasks
from tp_mcp.watch.registry import WatchRegistry


@dataclass(frozen=True, slots=True)
class Services:
    """The services that tools use.

    Attributes:
        client: speaks to TP.
        catalogue: the labs and tests on TP.
        registry: makes and finds watches.
        inbox: the ends that nobody has seen yet.
        feed: passes on changes of watches.
        catching_up: waits for the first poll of the watches that an earlier process left.
        conversations: finds conversations, and moves watches between them.
        deliveries: records of ends that were sent by other ways than the inbox.
        tasks: tasks by which clients ask for results later.
        executions: reads ended executions and stores their results.
        recorder: does the same in the background.
        manifest: intervals, limits and messages of watches.
        stored_results: results that were too large to show.
        logs: stores the logs of executions.
        clock: the time.
        allowed_pytest_options: pytest options that the operator allows beyond the known ones.
        image_hosts: hosts from which a restore command may load an image; empty to refuse all restore commands.
        image_paths: allowed directories on these hosts; empty to allow all.
        redactor: removes the secrets of the process and of the principal from texts.
        access: decides whether a change is allowed.
        starts: the tools that a chain may call, by name.
        max_wait_seconds: longest wait of one call.
        pace: factor of the watches' intervals.
        principals: gives each principal a login of their own; None if all use the configured login.
        acting: the principal's login on TP; None if these services are not those of one principal.

    """

    client: TpClient
    catalogue: Catalogue
    registry: WatchRegistry
    inbox: Inbox
    feed: ChangeFeed
    catching_up: CatchingUp
    conversations: Conversations
    deliveries: Deliveries
    tasks: Tasks
    executions: EndedExecutions
    recorder: Recorder
    manifest: Manifest
    stored_results: StoredResults
    logs: KeptLogs
    clock: Clock
    allowed_pytest_options: frozenset[str]
    image_hosts: tuple[str, ...]
    image_paths: tuple[str, ...]
    redactor: Redactor
    access: AccessControl
    # Tool definitions; naming their type here would be a circle, because a definition is called with services.
    starts: Mapping[str, Any] = field(default_factory=dict)
    max_wait_seconds: float = DEFAULT_MAX_WAIT_SECONDS
    pace: float = 1.0
    principals: Principals | None = None
    acting: Acting | None = None

    async def for_principal(self, principal: str, passed: SecretStr | None = None) -> Services:
        """Return the services of a principal, which read TP with the principal's own login.

        Args:
            principal: the principal's name.
            passed: the TP token of the request; None to use the stored login.

        """
        if self.principals is None:
            return self
        acting = await self.principals.acting(principal, passed)
        return replace(
            self,
            client=acting.client,
            catalogue=self.catalogue.of(acting.client),
            executions=self.executions.of(acting.client),
            redactor=self.redactor.knowing(acting.client.secrets),
            acting=acting,
        )
