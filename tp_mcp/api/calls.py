"""Calls with a login: tokens are fetched and renewed, reads are retried, writes are sent once."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Self, TypeVar, assert_never

import stamina
from pydantic import JsonValue, SecretStr

from tp_mcp.api.answers import Judge, RawAnswer
from tp_mcp.api.auth import Credentials, IssuedToken, NoLogin, PasswordLogin, secrets_of
from tp_mcp.api.connection import Call, Connection
from tp_mcp.api.endpoints import GET_REPORT, MINT_TOKEN
from tp_mcp.api.tp_tokens import HandedInToken, MintedTokens, NoTokens, Tokens, read_token
from tp_mcp.clock import Clock
from tp_mcp.errors import TpError, TpNotAuthenticatedError, TpUnreachableError
from tp_mcp.redaction import Redactor, Secrets

READ_ATTEMPTS = 3
READ_RETRY_SECONDS = 20.0
"""Time after which no further attempt starts, in seconds."""

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 5.0
JITTER_SECONDS = 0.5

LONGEST_RETRY_AFTER_SECONDS = 15.0
"""Limit of a pause that TP requests with Retry-After; a longer one goes to the caller as an error at once."""

RETRIED_STATUSES = frozenset({429, 502, 503, 504})

T = TypeVar("T")

# The caller reports the outcome of retries. Without logging set up, stamina's warnings would go to stderr; its hooks
# are global to the process and left to other users of it.
logging.getLogger("stamina").setLevel(logging.ERROR)


class FailedAttempt(Exception):  # noqa: N818 - it never leaves this package: the error inside it does
    """One failed attempt; `wait_seconds` is the pause that TP requested, if any."""

    def __init__(self, error: TpError, wait_seconds: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait_seconds = wait_seconds


def pause(error: Exception) -> bool | float:
    """Return whether to retry after an error: True for the usual back-off, or the seconds that TP requested."""
    if not isinstance(error, FailedAttempt):
        return False
    if not isinstance(error.error, TpUnreachableError) and error.error.status_code not in RETRIED_STATUSES:
        return False
    if error.wait_seconds is None:
        return True
    return error.wait_seconds if error.wait_seconds <= LONGEST_RETRY_AFTER_SECONDS else False


async def repeated(attempt: Callable[[], Awaitable[T]]) -> T:
    """Return the result of `attempt`, retried with jittered pauses as `pause` decides; raise the last FailedAttempt."""
    caller = stamina.AsyncRetryingCaller(
        attempts=READ_ATTEMPTS,
        timeout=READ_RETRY_SECONDS,
        wait_initial=FIRST_WAIT_SECONDS,
        wait_max=LONGEST_WAIT_SECONDS,
        wait_jitter=JITTER_SECONDS,
    )
    return await caller(pause, attempt)


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """Return the pause of a Retry-After header in seconds; None without one. Header names are in lower case."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)


Verdict = Callable[[Judge, RawAnswer], T]


class Caller:
    """Sends calls to one TP with one login; `secrets` has those of the login, all minted tokens and sent calls."""

    def __init__(
        self,
        connection: Connection,
        credentials: Credentials,
        clock: Clock,
        *,
        carried: Secrets | None = None,
        has_answered: bool = False,
    ) -> None:
        self._clock = clock
        self._has_answered = has_answered
        self._connection = connection
        self._log_in_with(credentials)
        self._carried = self.secrets if carried is None else carried

    def acting_as(self, credentials: Credentials) -> Self:
        """Return a caller with another login over the same connections; each request carries its own login.

        Both learn the secrets in each other's calls, because TP may show them to either login.

        Raises:
            ConfigurationError: the token cannot be used.
        """
        return type(self)(
            self._connection, credentials, self._clock, carried=self._carried, has_answered=self._has_answered
        )

    @property
    def base_url(self) -> str:
        """TP's base URL without a trailing slash."""
        return self._connection.base_url

    def _log_in_with(self, credentials: Credentials) -> None:
        self.secrets = Secrets(*secrets_of(credentials))
        self._login_remedy = credentials.remedy
        self.tokens: Tokens
        match credentials:
            case PasswordLogin():
                self._login = credentials
                self.tokens = MintedTokens(credentials, self._clock, self._mint)
            case IssuedToken():
                self.tokens = HandedInToken(credentials, self._clock)
            case NoLogin():
                self.tokens = NoTokens(credentials)
            case _:
                assert_never(credentials)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._connection.aclose()

    async def send(self, call: Call, verdict: Verdict[T], *, retrying: bool) -> T:
        """Send a call and return `verdict`'s result for the answer.

        With `retrying`, a read is repeated if that may help; it is also repeated once with a new token if TP rejected
        the first. A write is sent exactly once; a rejected token is dropped, so that the next call logs in again.

        Raises:
            TpError: one class per failure.
        """
        for secret in call.secrets:
            self.secrets.learn(secret)
            self._carried.learn(secret)
        try:
            if call.endpoint.reads:
                return await (repeated(lambda: self._read(call, verdict)) if retrying else self._read(call, verdict))
            # Fetching the token is a read: here it can be retried without repeating the write.
            token = await (repeated(self._fresh_token) if retrying else self._fresh_token())
            return await self._write(call, verdict, token)
        except FailedAttempt as failed:
            raise failed.error from failed.error.__cause__

    async def _read(self, call: Call, verdict: Verdict[T]) -> T:
        token = await self._attempt(self.tokens.current())
        try:
            return await self._once(call, verdict, token)
        except FailedAttempt as failed:
            if not self.tokens.renewable or not isinstance(failed.error, TpNotAuthenticatedError):
                raise
        return await self._once(call, verdict, await self._attempt(self.tokens.renewed(token)))

    async def _write(self, call: Call, verdict: Verdict[T], token: SecretStr) -> T:
        try:
            return await self._once(call, verdict, token)
        except FailedAttempt as failed:
            if isinstance(failed.error, TpNotAuthenticatedError):
                self.tokens.drop(token)
            raise

    async def _fresh_token(self) -> SecretStr:
        return await self._attempt(self.tokens.fresh())

    async def _attempt(self, token: Awaitable[SecretStr]) -> SecretStr:
        try:
            return await token
        except TpError as error:
            raise FailedAttempt(error) from error

    async def _once(self, call: Call, verdict: Verdict[T], token: SecretStr) -> T:
        answer: RawAnswer | None = None
        try:
            answer = await self._connection.exchange(call, token)
            value = verdict(self._judge(), answer)
        except TpError as error:
            wait = None if answer is None else retry_after_seconds(answer.headers, self._clock.now())
            raise FailedAttempt(error, wait) from error
        # Any page passes as a report; JSON after a login can only come from TP.
        self._has_answered = self._has_answered or call.endpoint is not GET_REPORT
        return value

    async def _mint(self) -> SecretStr:
        body: dict[str, JsonValue] = {
            "username": self._login.username,
            "password": self._login.password.get_secret_value(),
        }
        call = Call(MINT_TOKEN, MINT_TOKEN.path, body, MINT_TOKEN.max_bytes)
        token = read_token(await self._connection.exchange(call, None), self._judge())
        self.secrets.learn(token)
        self._has_answered = True
        return token

    def _judge(self) -> Judge:
        return Judge(self._login_remedy, Redactor(self.secrets), self._has_answered)
