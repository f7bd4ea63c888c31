"""The client of the TP Automation API: one typed method per endpoint."""

import copy
import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import JsonValue, SecretStr, ValidationError

from tp_mcp.api import endpoints
from tp_mcp.api.auth import Credentials
from tp_mcp.api.calls import Caller
from tp_mcp.api.conflicts import upgrade_under_way, who_holds_the_lab
from tp_mcp.api.connection import Call
from tp_mcp.api.endpoints import ENDPOINTS, Endpoint, report_path, report_url
from tp_mcp.api.guard import guard_execution_id, guard_name
from tp_mcp.api.guard.plain_text import shown
from tp_mcp.api.lenient import TpModel, each_valid, rows_of, texts_of
from tp_mcp.api.models import Execution, ExecutionStarted, ExecutionSummary, Lab, UpgradeStarted, UpgradeStatus
from tp_mcp.api.requests import LockAction, PytestRequest, UpgradeRequest
from tp_mcp.api.test_tree import TestTree, parse_tree
from tp_mcp.clock import Clock
from tp_mcp.errors import InvalidArgumentError, TpBusyError, TpForbiddenError, TpNotJsonError
from tp_mcp.redaction import Secrets

ModelT = TypeVar("ModelT", bound=TpModel)

_PATH_GUARDS: Mapping[str, Callable[[object], str]] = {
    "testbed": lambda value: quote(guard_name("testbed", value), safe=""),
    "exec_id": lambda value: str(guard_execution_id(value)),
}
_OF_A_USER = (endpoints.LIST_LABS, endpoints.LIST_EXECUTIONS)
READS_OF_A_USER = frozenset(endpoint.name for endpoint in _OF_A_USER)
"""What answers differently for each user."""


class TpClient:
    """TP, as one user of it. An async context manager; entered or not, it connects when it is first used.

    Every method raises one class of `TpError` per failure: `TpRefusedError` (nothing sent), `TpTimeoutError` or
    `TpUnreachableError` (`may_have_acted` says whether a write may have been carried out), `TpNotAuthenticatedError`,
    `TpForbiddenError`, `TpNotFoundError`, `TpBusyError`, `TpRejectedError`, `TpServerFaultError`, `TpNotJsonError`.

    Args:
        base_url: TP's address, as `http://HOST:8000`.
        credentials: a login to mint tokens with, or a token that was issued elsewhere.
        clock: tells when a token expires.
        transport: what carries the requests; the network by default.
        verify: whom TLS trusts: True for the system's authorities, or a context. TLS cannot be switched off.

    Raises:
        ConfigurationError: the base URL, the token or `verify` cannot be used.

    """

    def __init__(
        self,
        *,
        base_url: str,
        credentials: Credentials,
        clock: Clock,
        transport: httpx2.AsyncBaseTransport | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self._caller = Caller(
            base_url=base_url, credentials=credentials, clock=clock, transport=transport, verify=verify
        )
        self._retrying = True
        self._reads_alone = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, which every view of this client shares."""
        await self._caller.aclose()

    def without_retries(self) -> Self:
        """Return a view of this client that sends a read once; connections and token are shared."""
        view = copy.copy(self)
        view._retrying = False  # noqa: SLF001 - a view of this very client
        return view

    def only_reading(self) -> Self:
        """Return a view of this client that refuses to send what may change something."""
        view = copy.copy(self)
        view._reads_alone = True  # noqa: SLF001 - a view of this very client
        return view

    def acting_as(self, credentials: Credentials) -> Self:
        """Return a client with another login; the connections are shared, and stay this client's to close.

        Raises:
            ConfigurationError: the token cannot be used.

        """
        view = copy.copy(self)
        view._caller = self._caller.acting_as(credentials)  # noqa: SLF001 - a view of this very client
        view._reads_alone = False  # noqa: SLF001 - likewise
        return view

    @property
    def secrets(self) -> Secrets:
        """What must never be shown: the login's secrets, minted tokens, and passwords of commands that were sent."""
        return self._caller.secrets

    async def username(self) -> str:
        """Return the TP username that the credentials stand for; asks nobody.

        Raises:
            ConfigurationError: the token that was handed in carries none.

        """
        return self._caller.tokens.username()

    async def start_upgrade(self, request: UpgradeRequest) -> UpgradeStarted:
        """Start an upgrade; sent at most once.

        Raises:
            TpBusyError: an upgrade of that testbed is under way; the message says how far it is.

        """
        secrets = (request.command.password,) if request.command else ()
        try:
            value = await self._json(endpoints.START_UPGRADE, body=request.payload(), secrets=secrets)
        except TpBusyError as busy:
            raise await upgrade_under_way(busy, self.without_retries(), request.testbed) from busy
        return _model(UpgradeStarted, endpoints.START_UPGRADE, value)

    async def get_upgrade(self, testbed: str) -> UpgradeStatus:
        """Return how far the upgrade of `testbed` is; just after a start it may still be the previous one."""
        value = await self.read_json("get_upgrade", {"testbed": testbed})
        return _model(UpgradeStatus, endpoints.GET_UPGRADE, value)

    async def start_pytest(self, request: PytestRequest) -> ExecutionStarted:
        """Start a pytest run in the name of `username()`; sent at most once.

        Raises:
            TpBusyError: another execution holds the lab; the message says which, where that can be read.

        """
        user = await self.username()
        try:
            value = await self._json(endpoints.START_PYTEST, body=request.payload(user))
        except TpBusyError as busy:
            raise await who_holds_the_lab(busy, self.without_retries(), request.lab) from busy
        return _model(ExecutionStarted, endpoints.START_PYTEST, value)

    async def get_execution(self, exec_id: int) -> Execution:
        """Return an execution's state, counts and the end of its log."""
        value = await self.read_json("get_execution", {"exec_id": exec_id})
        return _model(Execution, endpoints.GET_EXECUTION, value)

    async def get_report(self, report_file_path: str, *, max_bytes: int) -> bytes:
        """Return an execution's report, an HTML page.

        Args:
            report_file_path: as TP gave it; a path below the base URL.
            max_bytes: the largest report that is taken.

        Raises:
            InputError: the path is empty, or leads elsewhere.
            TpNotFoundError: there is no such report.
            TpNotJsonError: it is larger than `max_bytes`.

        """
        endpoint = endpoints.GET_REPORT
        call = Call(endpoint, report_path(report_file_path), max_bytes=max_bytes)
        return await self._caller.send(
            call, lambda judge, answer: judge.report(endpoint, answer), retrying=self._retrying
        )

    def report_url(self, report_file_path: str) -> str:
        """Return the address of a report for people, who have to be logged in to TP to open it.

        Raises:
            InputError: the path is empty, or leads elsewhere.

        """
        return report_url(self._caller.base_url, report_file_path)

    async def list_testcases(self) -> TestTree:
        """Return TP's test tree. TP pulls its tests first: slow, and never to be called in a loop."""
        value = await self.read_json("list_testcases", {})
        tree = parse_tree(value)
        if tree is None:
            raise _unexpected(endpoints.LIST_TESTCASES)
        return tree

    async def list_labs(self) -> tuple[Lab, ...]:
        """Return the labs that the user may use."""
        return await self._list(Lab, endpoints.LIST_LABS)

    async def list_executions(self) -> tuple[ExecutionSummary, ...]:
        """Return the user's recent executions."""
        return await self._list(ExecutionSummary, endpoints.LIST_EXECUTIONS)

    async def cancel_execution(self, exec_id: int) -> JsonValue:
        """End a running execution, which keeps its row with a terminal status.

        Sent at most once. Returns TP's JSON, None where it says nothing.
        """
        return await self._json(endpoints.CANCEL_EXECUTION, body={"id": guard_execution_id(exec_id)})

    async def list_versions(self) -> tuple[str, ...]:
        """Return the versions that TP's automation knows."""
        rows = rows_of(await self.read_json(endpoints.LIST_VERSIONS.name, {}))
        if rows is None:
            raise _unexpected(endpoints.LIST_VERSIONS)
        return texts_of(rows)

    async def lock_lab(self, lab: str, action: LockAction) -> JsonValue:
        """Mark a lab as taken by `username()`, or free it.

        Sent at most once. Returns TP's JSON, None where it says nothing.

        Raises:
            TpBusyError: somebody else marked it.

        """
        name, user = guard_name("lab", lab), await self.username()
        body: dict[str, JsonValue] = {"action": action.value, "user": user, "name": name}
        return await self._json(endpoints.LOCK_LAB, body=body)

    async def read_json(self, name: str, arguments: Mapping[str, JsonValue]) -> JsonValue:
        """Return TP's own JSON of a read endpoint, with no model in between.

        Args:
            name: the endpoint's name, as `get_execution`.
            arguments: what stands in its path, as `{"exec_id": 446}`; lists are those of `username()` and take none.

        Raises:
            InvalidArgumentError: an unknown endpoint, one that writes, or a missing, wrong or unknown argument.

        """
        endpoint = ENDPOINTS.get(name)
        if endpoint is None or not endpoint.reads or endpoint in (endpoints.MINT_TOKEN, endpoints.GET_REPORT):
            raise InvalidArgumentError(
                f"{shown(name)} is not a call that reads JSON from TP.", remedy=f"Allowed: {', '.join(readable())}."
            )
        if set(arguments) != set(endpoint.path_arguments):
            raise InvalidArgumentError(
                f"{name} was given the arguments {sorted(arguments)}.",
                remedy=f"It takes: {', '.join(endpoint.path_arguments) or 'none'}.",
            )
        encoded = {each: _PATH_GUARDS[each](arguments[each]) for each in endpoint.path_arguments}
        body: JsonValue = {"user": await self.username()} if endpoint in _OF_A_USER else None
        return await self._json(endpoint, path=endpoint.path.format_map(encoded), body=body)

    async def _json(
        self, endpoint: Endpoint, *, path: str = "", body: JsonValue = None, secrets: tuple[SecretStr, ...] = ()
    ) -> JsonValue:
        if self._reads_alone and not endpoint.reads:
            raise TpForbiddenError(
                f"{endpoint.name} was not sent: this login is a service account, which only reads.",
                remedy="Each user changes TP with a login of their own.",
            )
        call = Call(endpoint, path or endpoint.path, body, endpoint.max_bytes, secrets)
        return await self._caller.send(
            call, lambda judge, answer: judge.json(endpoint, answer), retrying=self._retrying
        )

    async def _list(self, model: type[ModelT], endpoint: Endpoint) -> tuple[ModelT, ...]:
        rows = rows_of(await self.read_json(endpoint.name, {}))
        if rows is None:
            raise _unexpected(endpoint)
        return each_valid(model, rows)


def readable() -> tuple[str, ...]:
    """Return the names that `TpClient.read_json` takes."""
    return tuple(
        name
        for name, endpoint in ENDPOINTS.items()
        if endpoint.reads and endpoint not in (endpoints.MINT_TOKEN, endpoints.GET_REPORT)
    )


def _model(model: type[ModelT], endpoint: Endpoint, value: JsonValue) -> ModelT:
    try:
        return model.model_validate(value)
    except ValidationError:
        raise _unexpected(endpoint) from None


def _unexpected(endpoint: Endpoint) -> TpNotJsonError:
    return TpNotJsonError(
        f"TP's answer to {endpoint.name} is JSON, but not of the expected shape.",
        remedy="Check TP_MCP_BASE_URL: it is probably not the base URL of a TP."
        if endpoint.reads
        else "TP accepted the request: read its state before asking again.",
        may_have_acted=not endpoint.reads,
    )
