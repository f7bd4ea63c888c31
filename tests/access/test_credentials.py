import base64
from dataclasses import replace

import jwt
import pytest
from pydantic import SecretStr

from tests.support.clock import FakeClock
from tp_mcp.access.credentials import Vault, fingerprint, keys_in
from tp_mcp.api.auth import IssuedToken, PasswordLogin
from tp_mcp.errors import ConfigurationError, InvalidArgumentError
from tp_mcp.storage.opening import Storage

TP = "http://tp.example:8000"
KEY, OTHER = (base64.b64encode(bytes([each]) * 32).decode() for each in (1, 2))
LOGIN = PasswordLogin("demo", SecretStr("demo-password"))
TOKEN = SecretStr(jwt.encode({"username": "demo"}, "k" * 32))


def vault(store: Storage, clock: FakeClock, keys: str = KEY, server: str = TP) -> Vault:
    return Vault(store.credentials, keys_in(SecretStr(keys)), server=server, clock=clock)


@pytest.mark.parametrize("login", [LOGIN, IssuedToken(TOKEN)], ids=["password", "token"])
async def test_a_login_comes_back_as_it_was_kept(
    store: Storage, clock: FakeClock, login: PasswordLogin | IssuedToken
) -> None:
    kept = vault(store, clock)
    await kept.put("token:alice", login)
    (found,) = await kept.all()
    assert (found.principal, found.username, found.created_at) == ("token:alice", "demo", clock.time)
    opened = kept.opened(found)
    if isinstance(login, PasswordLogin):
        assert isinstance(opened, PasswordLogin)
        assert (opened.username, opened.password) == ("demo", LOGIN.password)
    else:
        assert isinstance(opened, IssuedToken)
        assert opened.token == TOKEN
    assert "tp-mcp credentials set --user token:alice" in opened.remedy


async def test_nothing_of_it_can_be_read_in_the_file(store: Storage, clock: FakeClock) -> None:
    await vault(store, clock).put("token:alice", LOGIN)
    await vault(store, clock).put("token:bob", IssuedToken(TOKEN))
    rows = await store.watches._database.run(lambda db: "\n".join(db.iterdump()))
    assert "token:alice" in rows
    for secret in ("demo-password", TOKEN.get_secret_value()):
        assert secret not in rows
        assert secret.encode().hex() not in rows.lower()


async def test_a_new_login_replaces_the_one_before(store: Storage, clock: FakeClock) -> None:
    kept = vault(store, clock)
    await kept.put("token:alice", LOGIN)
    before = await kept.stored("token:alice")
    await kept.put("token:alice", LOGIN)
    (after,) = await kept.all()
    assert before is not None
    assert fingerprint(before) != fingerprint(after)


async def test_it_is_bound_to_its_principal_and_its_tp(store: Storage, clock: FakeClock) -> None:
    kept = vault(store, clock)
    await kept.put("token:alice", LOGIN)
    (found,) = await kept.all()
    assert not kept.opens(replace(found, principal="token:bob"))
    assert not vault(store, clock, server="http://elsewhere:8000").opens(found)
    assert await vault(store, clock, server="http://elsewhere:8000").stored("token:alice") is None
    assert not kept.opens(replace(found, sealed=found.sealed[:-1] + b"x"))
    assert not kept.opens(replace(found, sealed=b""))


async def test_keys_are_rotated_by_putting_the_new_one_first(store: Storage, clock: FakeClock) -> None:
    await vault(store, clock, KEY).put("token:alice", LOGIN)
    both = vault(store, clock, f"{OTHER}, {KEY}")
    await both.put("token:bob", LOGIN)
    alice, bob = await both.all()
    assert both.opens(alice)
    assert both.opens(bob)
    assert not vault(store, clock, KEY).opens(bob)
    assert vault(store, clock, OTHER).opens(bob)


async def test_a_wrong_or_missing_key_is_said(store: Storage, clock: FakeClock) -> None:
    await vault(store, clock).put("token:alice", LOGIN)
    (found,) = await vault(store, clock).all()
    with pytest.raises(ConfigurationError, match=r"token:alice cannot be decrypted: TP_MCP_ENCRYPTION_KEY"):
        vault(store, clock, OTHER).opened(found)
    with pytest.raises(ConfigurationError, match=r"TP_MCP_ENCRYPTION_KEY is not set") as missing:
        vault(store, clock, "").opened(found)
    assert "Set TP_MCP_ENCRYPTION_KEY" in missing.value.remedy
    with pytest.raises(ConfigurationError, match="no login can be kept"):
        await vault(store, clock, "").put("token:alice", LOGIN)
    assert not vault(store, clock, "").has_key
    assert vault(store, clock).has_key


@pytest.mark.parametrize("key", ["short", "%%%%", base64.b64encode(b"x" * 31).decode(), "ü" * 44])
def test_what_is_no_key_is_refused_without_being_shown(store: Storage, clock: FakeClock, key: str) -> None:
    with pytest.raises(ConfigurationError, match="TP_MCP_ENCRYPTION_KEY is not a key") as refused:
        vault(store, clock, key)
    assert key not in str(refused.value)


def test_no_key_is_none() -> None:
    assert keys_in(None) == ()


async def test_a_url_safe_key_without_padding_serves_too(store: Storage, clock: FakeClock) -> None:
    key = bytes(range(220, 252))
    await vault(store, clock, base64.b64encode(key).decode()).put("token:alice", LOGIN)
    (found,) = await vault(store, clock).all()
    assert vault(store, clock, base64.urlsafe_b64encode(key).decode().rstrip("=")).opens(found)


@pytest.mark.parametrize(
    "login",
    [
        PasswordLogin("", SecretStr("x")),
        PasswordLogin("demo", SecretStr("")),
        IssuedToken(SecretStr("")),
        IssuedToken(SecretStr("not a token")),
        IssuedToken(SecretStr("opaque")),
    ],
)
async def test_what_cannot_log_in_is_not_kept(
    store: Storage, clock: FakeClock, login: PasswordLogin | IssuedToken
) -> None:
    with pytest.raises(InvalidArgumentError):
        await vault(store, clock).put("token:alice", login)
    assert await vault(store, clock).all() == ()


async def test_what_is_removed_is_gone(store: Storage, clock: FakeClock) -> None:
    kept = vault(store, clock)
    await kept.put("token:alice", LOGIN)
    await kept.remove("token:alice")
    assert await kept.stored("token:alice") is None
    with pytest.raises(InvalidArgumentError, match="no login of 'token:alice'"):
        await kept.remove("token:alice")
