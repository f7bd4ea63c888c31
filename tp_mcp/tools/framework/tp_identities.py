"""Each principal acts on TP with a login of their own: a token in the request, or a stored login.

A token in a request is used for this request only and never stored. The configured login, if any, is a service account:
it polls in the background and never changes anything.
"""

import shlex
from collections import OrderedDict
from dataclasses import dataclass

from pydantic import SecretStr

from tp_mcp.access.credentials import Vault, fingerprint
from tp_mcp.api.auth import IssuedToken, NoLogin, secrets_of
from tp_mcp.api.client import READS_OF_A_USER, TpClient
from tp_mcp.errors import PolicyError, TpMcpError
from tp_mcp.redaction import Secrets

TP_TOKEN_HEADER = "X-TP-Token"  # noqa: S105 - the name of a header
CLIENTS_MAX = 256
"""Principals whose decrypted logins and tokens are cached; the others log in again."""

SERVICE_ACCOUNT = ""
"""The identity under which the configured login polls."""

_PASSED_REMEDY = f"Send another token in {TP_TOKEN_HEADER}, alone and without the word JWT."


@dataclass(frozen=True, slots=True)
class Acting:
    """How one call acts on TP.

    Attributes:
        client: speaks to TP as the principal.
        kept: whether the principal has a stored login, which also works after the call.
        service_account: whether a service account can poll instead.
        principal: the principal's name.
    """

    client: TpClient
    kept: bool
    service_account: bool
    principal: str

    def check_watch(self, tool: str | None, *, chained: bool) -> None:
        """Refuse a watch that no login could poll or continue after the call.

        Args:
            tool: the polled tool; None for a job that the call starts.
            chained: whether a further step follows.

        Raises:
            PolicyError: the only login is a token that came with the request.
        """
        if self.kept:
            return
        if tool in READS_OF_A_USER:
            self._refuse(f"{tool} answers for one user, so nothing could poll it for you")
        if not self.service_account:
            self._refuse("Nothing could poll TP for you once this call is over")
        if chained:
            self._refuse("Nobody could start what is to follow")

    def _refuse(self, why: str) -> None:
        raise PolicyError(
            f"{why}: your TP token came with this request alone and is not kept. Nothing was sent.",
            remedy=f"Have the operator keep a login for you: {_set_command(self.principal)}.",
        )


class Principals:
    """Gives each principal a client of their own; all clients share one pool of connections."""

    def __init__(self, client: TpClient, vault: Vault, *, service_account: bool, learnt: Secrets) -> None:
        """Prepare.

        Args:
            client: speaks to TP as the service account or, without one, without a login.
            vault: the stored logins.
            service_account: whether a service account is configured.
            learnt: collects each secret, so that logs can redact it.
        """
        self._client = client.only_reading()
        self._vault = vault
        self._learnt = learnt
        self._clients: OrderedDict[str, tuple[str, TpClient]] = OrderedDict()
        self.service_account = service_account

    def identity(self, tool: str, principal: str) -> str:
        """Return the identity that polls a tool for a principal: the service account, unless TP answers per user."""
        return principal if tool in READS_OF_A_USER or not self.service_account else SERVICE_ACCOUNT

    async def polling(self, identity: str) -> TpClient:
        """Return the client of an identity, for polls."""
        return self._client if identity == SERVICE_ACCOUNT else (await self._kept(identity)).only_reading()

    async def background(self, principal: str) -> TpClient:
        """Return the client that reads for a principal between calls."""
        return await self.polling(self.identity("", principal))

    async def acting(self, principal: str, passed: SecretStr | None) -> Acting:
        """Return how a call acts on TP. Without a login, the client raises an error when it is used."""
        if passed is None:
            client, kept = await self._kept(principal), True
        else:
            client, kept = self._passed(passed), await self._is_kept(principal)
        return Acting(client, kept=kept, service_account=self.service_account, principal=principal)

    def _passed(self, token: SecretStr) -> TpClient:
        self._learnt.learn(token)
        try:
            return self._client.acting_as(IssuedToken(token, named=TP_TOKEN_HEADER, remedy=_PASSED_REMEDY))
        except TpMcpError as error:
            return self._nobody(error.message, _PASSED_REMEDY)

    async def _is_kept(self, principal: str) -> bool:
        try:
            found = await self._vault.stored(principal)
        except TpMcpError:
            return False
        return found is not None and self._vault.opens(found)

    async def _kept(self, principal: str) -> TpClient:
        try:
            found = await self._vault.stored(principal)
            if found is None:
                self._clients.pop(principal, None)
                return self._nobody(
                    f"It is not known how to log in to TP as {principal}; nothing was sent.",
                    f"Either send a TP token of your own in the header {TP_TOKEN_HEADER} of each request, or have the "
                    f"operator keep a login for you: {_set_command(principal)}.",
                )
            mark = fingerprint(found)
            cached = self._clients.get(principal)
            if cached is None or cached[0] != mark:
                login = self._vault.opened(found)
                for secret in secrets_of(login):
                    self._learnt.learn(secret)
                cached = mark, self._client.acting_as(login)
        except TpMcpError as error:
            return self._nobody(error.message, error.remedy)
        self._clients[principal] = cached
        self._clients.move_to_end(principal)
        if len(self._clients) > CLIENTS_MAX:
            self._clients.popitem(last=False)
        return cached[1]

    def _nobody(self, message: str, remedy: str) -> TpClient:
        return self._client.acting_as(NoLogin(message, remedy))


def _set_command(principal: str) -> str:
    return f"tp-mcp credentials set --user {shlex.quote(principal)}"
