"""Polling TP by a tool's name."""

from collections.abc import Awaitable, Callable, Mapping

from pydantic import JsonValue

from tp_mcp.api.client import TpClient


class TpReader:
    """Asks TP once for what a read tool reads; the poller's next poll is its only retry."""

    def __init__(self, client: TpClient, client_of: Callable[[str], Awaitable[TpClient]] | None = None) -> None:
        """Prepare.

        Args:
            client: speaks to TP with the configured login.
            client_of: gives the client of an identity; None where the configured login serves everybody.

        """
        self._client = client.without_retries()
        self._client_of = client_of

    async def read(self, tool: str, args: Mapping[str, JsonValue], identity: str = "") -> JsonValue:
        """Return TP's own JSON, asked for with the login of an identity.

        Raises:
            TpError: there was no answer that could be read.

        """
        client = self._client if self._client_of is None else (await self._client_of(identity)).without_retries()
        return await client.read_json(tool, args)
