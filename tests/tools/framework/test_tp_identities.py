"""Clients of principals: how many are remembered, and what there is without a login."""

import base64
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.support.world import open_world
from tp_mcp.access.credentials import Vault
from tp_mcp.api.auth import NoLogin, PasswordLogin
from tp_mcp.api.tp_tokens import NoTokens
from tp_mcp.errors import PolicyError, StoreError, TpForbiddenError, TpNotAuthenticatedError
from tp_mcp.tools.framework import tp_identities
from tp_mcp.tools.framework.services import Services
from tp_mcp.tools.framework.tp_identities import Principals

KEY = SecretStr(base64.b64encode(b"k" * 32).decode())
NOBODY = NoLogin("There is no login.", "Get one.")
LOGIN = PasswordLogin("demo", SecretStr("demo-password"))


def principals_of(services: Services) -> Principals:
    assert services.tp.principals is not None
    return services.tp.principals


async def test_a_login_is_decrypted_once_until_it_changes_or_others_took_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tp_identities, "CLIENTS_MAX", 1)
    async with open_world(tmp_path, tree={}, own_logins=True, credentials=NOBODY, encryption_key=KEY) as world:
        await world.vault.put("token:alice", LOGIN)
        await world.vault.put("token:bob", LOGIN)
        acting = principals_of(world.services).acting
        first = (await acting("token:alice", None)).client
        assert (await acting("token:alice", None)).client is first
        await world.vault.put("token:alice", LOGIN)
        second = (await acting("token:alice", None)).client
        assert second is not first
        await acting("token:bob", None)
        assert (await acting("token:alice", None)).client is not second


async def test_background_reads_are_made_as_the_principal_and_change_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path, tree={}, own_logins=True, credentials=NOBODY, encryption_key=KEY) as world:
        await world.vault.put("token:alice", LOGIN)
        client = await principals_of(world.services).background("token:alice")
        assert await client.username() == "demo"
        with pytest.raises(TpForbiddenError, match="may only read"):
            await client.cancel_execution(1)
        assert world.written == []


async def test_while_the_store_cannot_be_read_nobody_is_logged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path, tree={}, own_logins=True, credentials=NOBODY, encryption_key=KEY) as world:

        async def broken(_vault: Vault, _principal: str) -> None:
            raise StoreError("The store is closed.")

        monkeypatch.setattr(Vault, "stored", broken)
        kept = await principals_of(world.services).acting("token:alice", None)
        with pytest.raises(TpNotAuthenticatedError, match="The store is closed"):
            await kept.client.list_labs()
        passed = await principals_of(world.services).acting("token:alice", SecretStr("a.b.c"))
        with pytest.raises(PolicyError, match="Nothing was sent"):
            passed.check_watch(None, chained=False)
        assert world.asked == []


async def test_without_a_login_there_is_no_token_to_be_had() -> None:
    tokens = NoTokens(NOBODY)
    assert not tokens.renewable
    tokens.drop(SecretStr("x"))
    with pytest.raises(TpNotAuthenticatedError, match="There is no login"):
        tokens.username()
    for asked in (tokens.current(), tokens.fresh(), tokens.renewed(SecretStr("x"))):
        with pytest.raises(TpNotAuthenticatedError, match="Get one"):
            await asked
