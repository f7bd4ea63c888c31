"""Execution of a connector's tools."""

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx2
from pydantic import JsonValue

from tp_mcp.clock import Clock
from tp_mcp.connectors.findings import nearest_words
from tp_mcp.connectors.manifest import Manifest, ToolManifest
from tp_mcp.connectors.runner.answer import RawAnswer, ToolAnswer, tool_answer, words_of
from tp_mcp.connectors.runner.request_builder import Prepared, as_text, prepared
from tp_mcp.connectors.runner.template_values import INSTANCE_ARGUMENT, SettingValues, checked_arguments
from tp_mcp.connectors.runner.transfer import DEFAULT_TIMEOUT_SECONDS, Login, Transfer
from tp_mcp.connectors.template import look_up
from tp_mcp.errors import ConnectorError, InvalidArgumentError
from tp_mcp.redaction import Redactor, Secrets

FIELD_MAX_CHARACTERS = 200
"""Limit of an answer's field in the message of a connection test."""

_FIELD = re.compile(r"\{\{\s*([A-Za-z0-9_.-]+)\s*\}\}")
_LOGIN_REFUSED = 401


class ConnectorRunner:
    """A connector with its user's settings. It connects on first use.

    Args:
        settings: settings by name; secrets as text or `SecretStr`.

    Raises:
        ConfigurationError: a setting is missing, unknown or has a wrong type.
    """

    def __init__(
        self,
        manifest: Manifest,
        settings: Mapping[str, Any],
        *,
        clock: Clock,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.manifest = manifest
        self._settings = SettingValues.checked(manifest, settings)
        self._secrets = Secrets(*self._settings.secrets())
        self._redactor = Redactor(self._secrets)
        self._transfer = Transfer(verify_tls=manifest.http.verify_tls, redactor=self._redactor, transport=transport)
        self._login = Login(manifest.auth, self._exchange_token, clock, self._secrets)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transfer.aclose()

    @property
    def public_settings(self) -> Mapping[str, Any]:
        """Settings without secrets, for messages."""
        return self._settings.public()

    async def run(self, name: str, arguments: Mapping[str, JsonValue]) -> ToolAnswer:
        """Run a tool: send its request once and return its answer.

        A request without side effects is repeated once if its exchanged token was refused.

        Raises:
            InputError: the tool is unknown, or its arguments are invalid; nothing was sent.
            ConnectorError: there was no answer, or an unsuccessful one.
        """
        tool = self.manifest.tools.get(name)
        if tool is None:
            raise InvalidArgumentError(
                f"The connector {self.manifest.id} has no tool {name!r}{nearest_words(name, self.manifest.tools)}.",
                remedy=f"It has: {', '.join(self.manifest.tools)}.",
            )
        args = checked_arguments(name, tool.parameters, arguments)
        settings = self._settings.plain(args.get(INSTANCE_ARGUMENT))
        request = prepared(tool.request, tool.parameters, {"settings": settings, "args": args})
        raw = await self._sent(request, settings, seconds=_seconds(tool.timeout_ms), changes=_changes(tool))
        self._check(raw, name, changes=_changes(tool))
        return tool_answer(tool, raw, self._redactor)

    async def test(self) -> str:
        """Send the test request and return the connector's message; raise ConnectorError if it fails."""
        test = self.manifest.test
        if test is None:
            return "The connector has no connection test."
        settings = self._settings.plain()
        request = prepared(test.request, {}, {"settings": settings})
        raw = await self._sent(request, settings, seconds=_seconds(test.timeout_ms), changes=False)
        self._check(raw, "test", changes=False)
        return self._redactor.redact(_FIELD.sub(lambda field: _field(field[1], raw), test.ok_template or "Connected"))

    async def _sent(
        self, request: Prepared, settings: Mapping[str, Any], *, seconds: float, changes: bool
    ) -> RawAnswer:
        raw = await self._once(request, settings, seconds=seconds, changes=changes)
        if raw.status == _LOGIN_REFUSED and self._login.forget() and not changes:
            raw = await self._once(request, settings, seconds=seconds, changes=changes)
        return raw

    async def _once(
        self, request: Prepared, settings: Mapping[str, Any], *, seconds: float, changes: bool
    ) -> RawAnswer:
        headers = await self._login.headers(settings)
        return await self._transfer.send(request, headers=headers, timeout_seconds=seconds, changes=changes)

    async def _exchange_token(self, request: Prepared) -> RawAnswer:
        return await self._transfer.send(request, headers={}, timeout_seconds=DEFAULT_TIMEOUT_SECONDS, changes=False)

    def _check(self, raw: RawAnswer, name: str, *, changes: bool) -> None:
        if 200 <= raw.status < 300:
            return
        words = words_of(raw, self._redactor)
        quoted = f' It said: "{words}"' if words else ""
        raise ConnectorError(
            f"{name} was answered with status {raw.status}.{quoted}",
            remedy=_remedy(raw.status),
            may_have_acted=changes and raw.status >= 500,
            status_code=raw.status,
        )


def _changes(tool: ToolManifest) -> bool:
    # A POST that only reads is declared without `destructive`.
    return tool.destructive or tool.request.method in {"PUT", "PATCH", "DELETE"}


def _seconds(timeout_ms: int | None) -> float:
    return DEFAULT_TIMEOUT_SECONDS if timeout_ms is None else timeout_ms / 1_000


def _field(path: str, raw: RawAnswer) -> str:
    value = look_up(path, raw.value)
    text = "unknown" if value is None else as_text(value)
    return "".join(each if each.isprintable() else " " for each in text)[:FIELD_MAX_CHARACTERS]


def _remedy(status: int) -> str:
    if status in {301, 302, 303, 307, 308}:
        return "Redirects are not followed, because they would send the login elsewhere; the login may have expired."
    if status in {401, 403}:
        return "Check the login in the connector's settings."
    return ""
