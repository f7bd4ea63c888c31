"""Calls with a login: the token fetched and renewed, reads repeated, writes sent once."""

import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx2
from pydantic import JsonValue, SecretStr

from tp_mcp.api.answers import Judge, RawAnswer
from tp_mcp.api.auth import Credentials, PasswordLogin
from tp_mcp.api.connection import Call, Connection
from tp_mcp.api.endpoints import MINT_TOKEN
from tp_mcp.api.login import read_token
from tp_mcp.api.retries import FailedAttempt, repeated, retry_after_seconds
from tp_mcp.api.tokens import HandedInToken, MintedTokens, Tokens
from tp_mcp.clock import Clock
from tp_mcp.errors import TpError, TpNotAuthenticatedError
from tp_mcp.redaction import Redactor

T = TypeVar("T")
Verdict = Callable[[Judge, RawAnswer], T]

_PASSWORD_REMEDY = "Check TP_MCP_USERNAME and TP_MCP_PASSWORD, and that the account may log in to TP."  # noqa: S105 - names of variables
_TOKEN_REMEDY = "Have a new token issued and set TP_MCP_TOKEN to it."  # noqa: S105 - the name of a variable


class Caller:
    """Sends calls to one TP with one login."""

    def __init__(
        self,
        *,
        base_url: str,
        credentials: Credentials,
        clock: Clock,
        transport: httpx2.AsyncBaseTransport | None,
        verify: ssl.SSLContext | bool,
    ) -> None:
        self._clock = clock
        self._connection = Connection(base_url, transport=transport, verify=verify)
        self.tokens: Tokens
        if isinstance(credentials, PasswordLogin):
            self._login = credentials
            self.tokens = MintedTokens(credentials, clock, self._mint)
            self._redactor = Redactor((credentials.password,))
            self._login_remedy = _PASSWORD_REMEDY
        else:
            self.tokens = HandedInToken(credentials, clock)
            self._redactor = Redactor((credentials.token,))
            self._login_remedy = _TOKEN_REMEDY

    @property
    def base_url(self) -> str:
        """TP's base URL without a trailing slash."""
        return self._connection.base_url

    async def aclose(self) -> None:
        """Close every connection."""
        await self._connection.aclose()

    async def send(self, call: Call, verdict: Verdict[T], *, retrying: bool) -> T:
        """Send `call` and return what `verdict` makes of the answer.

        A read is repeated where that may help, if `retrying`. A write is sent once; only an answer that proves that it
        was not carried out, as TP did not accept the token, lets it be sent again with another token.

        Raises:
            TpError: one class per failure.

        """
        try:
            if not retrying:
                return await self._with_login(call, verdict)
            if call.endpoint.reads:
                return await repeated(lambda: self._with_login(call, verdict))
            # Fetching the token is a read: done here, it can be repeated without repeating the write.
            await repeated(self._token)
            return await self._with_login(call, verdict)
        except FailedAttempt as failed:
            raise failed.error from failed.error.__cause__

    async def _with_login(self, call: Call, verdict: Verdict[T]) -> T:
        token = await self._token()
        try:
            return await self._once(call, verdict, token)
        except FailedAttempt as failed:
            if not self.tokens.renewable or not _proves_nothing_happened(call, failed.error):
                raise
        return await self._once(call, verdict, await self._attempt(self.tokens.renewed(token)))

    async def _token(self) -> SecretStr:
        return await self._attempt(self.tokens.current())

    async def _attempt(self, token: Awaitable[SecretStr]) -> SecretStr:
        try:
            return await token
        except TpError as error:
            raise FailedAttempt(error) from error

    async def _once(self, call: Call, verdict: Verdict[T], token: SecretStr) -> T:
        answer: RawAnswer | None = None
        try:
            answer = await self._connection.exchange(call, token)
            return verdict(self._judge(token, *call.secrets), answer)
        except TpError as error:
            wait = None if answer is None else retry_after_seconds(answer.headers, self._clock.now())
            raise FailedAttempt(error, wait) from error

    async def _mint(self) -> SecretStr:
        body: dict[str, JsonValue] = {
            "username": self._login.username,
            "password": self._login.password.get_secret_value(),
        }
        call = Call(MINT_TOKEN, MINT_TOKEN.path, body, MINT_TOKEN.max_bytes)
        return read_token(await self._connection.exchange(call, None), self._judge())

    def _judge(self, *secrets: SecretStr) -> Judge:
        return Judge(self._login_remedy, self._redactor.knowing(*secrets))


def _proves_nothing_happened(call: Call, error: TpError) -> bool:
    if not isinstance(error, TpNotAuthenticatedError):
        return False
    return call.endpoint.reads or error.status_code in (401, 403)
