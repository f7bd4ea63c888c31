"""The client of the TP Automation API: one typed method per endpoint."""

import json
import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self, TypeVar
from urllib.parse import quote

import anyio
import httpx2
from pydantic import JsonValue, SecretStr, ValidationError

from tp_mcp.api import endpoints
from tp_mcp.api.answers import clean
from tp_mcp.api.auth import Credentials
from tp_mcp.api.calls import Caller
from tp_mcp.api.connection import Call, Connection
from tp_mcp.api.endpoints import ENDPOINTS, Endpoint, report_path, report_url
from tp_mcp.api.guard import guard_execution_id, guard_name
from tp_mcp.api.guard.plain_text import shown
from tp_mcp.api.lenient import TpModel, each_valid, rows_of, texts_of
from tp_mcp.api.models import Execution, ExecutionStarted, ExecutionSummary, Lab, UpgradeStarted, UpgradeStatus
from tp_mcp.api.requests import LockAction, PytestRequest, UpgradeRequest
from tp_mcp.api.test_tree import TestTree, parse_tree
from tp_mcp.clock import Clock
from tp_mcp.errors import InvalidArgumentError, TpBusyError, TpForbiddenError, TpMcpError, TpNotJsonError
from tp_mcp.redaction import Redactor, Secrets

COMPANION_SECONDS = 5.0
"""Time limit of the additional read, in seconds."""

MOST_SHOWN = 5
"""Limit of the named devices or executions."""

LONGEST_SHOWN = 60
"""Limit of a repeated word of TP's, in characters."""


class Reader(Protocol):
    """Reads of TP that explain a 409."""

    async def get_upgrade(self, testbed: str) -> UpgradeStatus:
        """Return the progress of an upgrade."""

    async def list_executions(self) -> tuple[ExecutionSummary, ...]:
        """Return the user's recent executions."""


async def upgrade_under_way(busy: TpBusyError, reader: Reader, testbed: str) -> TpBusyError:
    """Return `busy` with the progress of the testbed's upgrade."""
    reason = ""
    try:
        with anyio.move_on_after(COMPANION_SECONDS):
            status = await reader.get_upgrade(testbed)
            devices = ", ".join(
                f"{_word(each.ip)} {_word(each.status)}"
                + (f" (last sign of life {each.updated_at.isoformat()})" if each.updated_at else "")
                for each in status.per_device[:MOST_SHOWN]
            )
            reason = f" The upgrade there has the status {_word(status.status) or 'unknown'}" + (
                f": {devices}." if devices else "."
            )
    except TpMcpError:
        reason = " Its progress could not be read."
    return TpBusyError(
        busy.message + reason,
        remedy="An upgrade cannot be cancelled. "
        f"{_watched('get_upgrade', 'testbed', testbed)}; start again at its end.",
        status_code=busy.status_code,
    )


async def who_holds_the_lab(busy: TpBusyError, reader: Reader, lab: str) -> TpBusyError:
    """Return `busy` with the user's own executions that hold the lab."""
    reason = ""
    remedy = "Wait for its end, or choose another lab with list_labs."
    try:
        with anyio.move_on_after(COMPANION_SECONDS):
            running = [each for each in await reader.list_executions() if each.in_flight and each.lab == lab]
            if running:
                ids = ", ".join(f"{each.exec_id} ({_word(each.status)})" for each in running[:MOST_SHOWN])
                reason = f" It is execution {ids}, of the user who is logged in to TP."
                watched = _watched("get_execution", "exec_id", running[0].exec_id)
                remedy = f"{watched}. Cancel it only if your user started it."
            else:
                reason = " It is none of your own recent executions."
    except TpMcpError:
        reason = " Which execution it is could not be read."
    return TpBusyError(busy.message + reason, remedy=remedy, status_code=busy.status_code)


def _watched(tool: str, argument: str, value: str | int | None) -> str:
    # Never suggest the read alone: a model would poll with it.
    watched = f"start_watch(tool={json.dumps(tool)}, args={json.dumps({argument: value}, ensure_ascii=False)})"
    return f"{watched} watches it to its end"


def _word(text: str) -> str:
    return clean(text, Redactor(), longest=LONGEST_SHOWN)


ModelT = TypeVar("ModelT", bound=TpModel)

_PATH_GUARDS: Mapping[str, Callable[[object], str]] = {
    "testbed": lambda value: quote(guard_name("testbed", value), safe=""),
    "exec_id": lambda value: str(guard_execution_id(value)),
}
_OF_A_USER = (endpoints.LIST_LABS, endpoints.LIST_EXECUTIONS)
READS_OF_A_USER = frozenset(endpoint.name for endpoint in _OF_A_USER)
"""Names of endpoints whose answer depends on the user."""


class TpClient:
    """A client of TP for one user. It connects on first use, also without being entered as a context manager.

    Every method raises one class of `TpError` per failure: `TpRefusedError` (nothing sent), `TpTimeoutError` or
    `TpUnreachableError` (`may_have_acted` says whether a write may have been carried out), `TpNotAuthenticatedError`,
    `TpForbiddenError`, `TpNotFoundError`, `TpBusyError`, `TpRejectedError`, `TpServerFaultError`, `TpNotJsonError`.
    """

    def __init__(self, caller: Caller, *, retrying: bool = True, reads_alone: bool = False) -> None:
        self._caller = caller
        self._retrying = retrying
        self._reads_alone = reads_alone

    @classmethod
    def at(
        cls,
        base_url: str,
        *,
        credentials: Credentials,
        clock: Clock,
        transport: httpx2.AsyncBaseTransport | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> Self:
        """Return a client of the TP at a URL.

        Args:
            base_url: TP's URL, such as `http://HOST:8000`.
            verify: trusted authorities: True for the system's, or a TLS context. TLS cannot be disabled.

        Raises:
            ConfigurationError: the base URL, the token or `verify` cannot be used.
        """
        return cls(Caller(Connection(base_url, transport=transport, verify=verify), credentials, clock))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, which all views of this client share."""
        await self._caller.aclose()

    def without_retries(self) -> Self:
        """Return a view of this client that sends each read once; connections and token are shared."""
        return type(self)(self._caller, retrying=False, reads_alone=self._reads_alone)

    def only_reading(self) -> Self:
        """Return a view of this client that refuses to send writes."""
        return type(self)(self._caller, retrying=self._retrying, reads_alone=True)

    def acting_as(self, credentials: Credentials) -> Self:
        """Return a client with another login over this one's connections; raise ConfigurationError for a bad token."""
        return type(self)(self._caller.acting_as(credentials), retrying=self._retrying)

    @property
    def secrets(self) -> Secrets:
        """Secrets: those of the login, minted tokens, and passwords in sent commands."""
        return self._caller.secrets

    async def username(self) -> str:
        """Return the TP user name of the credentials, without a request; raise ConfigurationError without one."""
        return self._caller.tokens.username()

    async def start_upgrade(self, request: UpgradeRequest) -> UpgradeStarted:
        """Start an upgrade; sent at most once. A TpBusyError has the progress of the upgrade that is under way."""
        secrets = (request.command.password,) if request.command else ()
        try:
            value = await self._json(endpoints.START_UPGRADE, body=request.payload(), secrets=secrets)
        except TpBusyError as busy:
            raise await upgrade_under_way(busy, self.without_retries(), request.testbed) from busy
        return _model(UpgradeStarted, endpoints.START_UPGRADE, value)

    async def get_upgrade(self, testbed: str) -> UpgradeStatus:
        """Return the progress of a testbed's upgrade; right after a start it may still be the previous one's."""
        value = await self.read_json("get_upgrade", {"testbed": testbed})
        return _model(UpgradeStatus, endpoints.GET_UPGRADE, value)

    async def start_pytest(self, request: PytestRequest) -> ExecutionStarted:
        """Start a pytest run as `username()`, at most once. A TpBusyError names the holder of the lab, if known."""
        user = await self.username()
        try:
            value = await self._json(endpoints.START_PYTEST, body=request.payload(user))
        except TpBusyError as busy:
            raise await who_holds_the_lab(busy, self.without_retries(), request.lab) from busy
        return _model(ExecutionStarted, endpoints.START_PYTEST, value)

    async def get_execution(self, exec_id: int) -> Execution:
        """Return an execution's status, counts and the end of its log."""
        value = await self.read_json("get_execution", {"exec_id": exec_id})
        return _model(Execution, endpoints.GET_EXECUTION, value)

    async def get_report(self, report_file_path: str, *, max_bytes: int) -> bytes:
        """Return an execution's report, an HTML page.

        Args:
            report_file_path: path below the base URL, as TP returned it.

        Raises:
            InputError: the path is empty, or leads outside TP.
            TpNotFoundError: the report does not exist.
            TpNotJsonError: the report is larger than `max_bytes`.
        """
        endpoint = endpoints.GET_REPORT
        call = Call(endpoint, report_path(report_file_path), max_bytes=max_bytes)
        return await self._caller.send(
            call, lambda judge, answer: judge.report(endpoint, answer), retrying=self._retrying
        )

    def report_url(self, report_file_path: str) -> str:
        """Return the URL of a report, for people who are logged in to TP; raise InputError for a wrong path."""
        return report_url(self._caller.base_url, report_file_path)

    async def list_testcases(self) -> TestTree:
        """Return TP's test tree. TP first pulls its tests, which is slow: never call this in a loop."""
        value = await self.read_json("list_testcases", {})
        tree = parse_tree(value)
        if tree is None:
            raise _unexpected(endpoints.LIST_TESTCASES)
        return tree

    async def list_labs(self) -> tuple[Lab, ...]:
        """Return the labs available to the user."""
        return each_valid(Lab, await self._rows(endpoints.LIST_LABS))

    async def list_executions(self) -> tuple[ExecutionSummary, ...]:
        """Return the user's recent executions."""
        return each_valid(ExecutionSummary, await self._rows(endpoints.LIST_EXECUTIONS))

    async def cancel_execution(self, exec_id: int) -> JsonValue:
        """End a running execution, which keeps its row, with a terminal status.

        Sent at most once. Returns TP's JSON; None for an empty answer.
        """
        return await self._json(endpoints.CANCEL_EXECUTION, body={"id": guard_execution_id(exec_id)})

    async def list_versions(self) -> tuple[str, ...]:
        """Return the versions known to TP's automation."""
        return texts_of(await self._rows(endpoints.LIST_VERSIONS))

    async def lock_lab(self, lab: str, action: LockAction) -> JsonValue:
        """Lock a lab for `username()`, or unlock it.

        Sent at most once. Returns TP's JSON; None for an empty answer.

        Raises:
            TpBusyError: another user locked it.
        """
        name, user = guard_name("lab", lab), await self.username()
        body: dict[str, JsonValue] = {"action": action.value, "user": user, "name": name}
        return await self._json(endpoints.LOCK_LAB, body=body)

    async def read_json(self, name: str, arguments: Mapping[str, JsonValue]) -> JsonValue:
        """Return TP's unmodified JSON of a read endpoint.

        Args:
            name: name of the endpoint, such as `get_execution`.
            arguments: arguments in its path, such as `{"exec_id": 446}`; lists are those of `username()` and take none.

        Raises:
            InvalidArgumentError: the endpoint is unknown or writes, or an argument is missing, wrong or unknown.
        """
        endpoint = ENDPOINTS.get(name)
        if endpoint is None or name not in readable():
            raise InvalidArgumentError(
                f"{shown(name)} is not an endpoint that reads JSON from TP.",
                remedy=f"Allowed: {', '.join(readable())}.",
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
                f"{endpoint.name} was not sent: this login is a service account, which may only read.",
                remedy="Each user changes TP with their own login.",
            )
        call = Call(endpoint, path or endpoint.path, body, endpoint.max_bytes, secrets)
        return await self._caller.send(
            call, lambda judge, answer: judge.json(endpoint, answer), retrying=self._retrying
        )

    async def _rows(self, endpoint: Endpoint) -> list[JsonValue]:
        rows = rows_of(await self.read_json(endpoint.name, {}))
        if rows is None:
            raise _unexpected(endpoint)
        return rows


def readable() -> tuple[str, ...]:
    """Return the endpoints that `TpClient.read_json` accepts."""
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
        f"TP's answer to {endpoint.name} is JSON, but has an unexpected shape.",
        remedy="Check TP_MCP_BASE_URL: it is probably not the base URL of a TP."
        if endpoint.reads
        else "TP accepted the request: read its state before you repeat it.",
        may_have_acted=not endpoint.reads,
    )
