"""Polling TP by a tool's name."""

from collections.abc import Mapping

from pydantic import JsonValue

from tp_mcp.api.client import TpClient


class TpReader:
    """Asks TP once for what a read tool reads; the poller's next poll is its only retry."""

    def __init__(self, client: TpClient) -> None:
        self._client = client.without_retries()

    async def read(self, tool: str, args: Mapping[str, JsonValue]) -> JsonValue:
        """Return TP's own JSON.

        Raises:
            TpError: there was no answer that could be read.

        """
        return await self._client.read_json(tool, args)
