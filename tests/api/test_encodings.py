"""What an answer's body may be encoded in: what was asked for, once; everything else is not read."""

import gzip
import zlib

import httpx2
import pytest
from pydantic import JsonValue, SecretStr

from tp_mcp.api.auth import IssuedToken
from tp_mcp.api.client import TpClient
from tp_mcp.clock import SystemClock
from tp_mcp.errors import TpNotJsonError

BODY = b'{"exec_id": 446, "status": "Running"}'
BOMB = gzip.compress(gzip.compress(b" " * 50_000_000))


async def answered(encoding: str, content: bytes) -> JsonValue:
    sent = httpx2.Headers({"Content-Type": "application/json", "Content-Encoding": encoding})

    async def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers=sent, stream=httpx2.ByteStream(content))

    async with TpClient.at(
        base_url="http://tp.example",
        credentials=IssuedToken(SecretStr("e30.e30.e30")),
        clock=SystemClock(),
        transport=httpx2.MockTransport(answer),
    ) as client:
        return await client.without_retries().read_json("get_execution", {"exec_id": 446})


@pytest.mark.parametrize(
    ("encoding", "content"),
    [("", BODY), ("identity", BODY), (" GZIP ", gzip.compress(BODY)), ("deflate", zlib.compress(BODY))],
    ids=["none", "identity", "gzip", "deflate"],
)
async def test_what_was_asked_for_is_read(encoding: str, content: bytes) -> None:
    assert await answered(encoding, content) == {"exec_id": 446, "status": "Running"}


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,identity", "br", "zstd", "compress", "x-gzip", "gzip, br"])
async def test_nothing_else_is_opened(encoding: str) -> None:
    with pytest.raises(TpNotJsonError, match="has an unsupported compression"):
        await answered(encoding, BOMB)
