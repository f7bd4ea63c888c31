"""A token is shown once, kept as a hash, and good until it is revoked or expires."""

import asyncio
import sqlite3

import pytest
from pydantic import SecretStr

from tests.support.clock import FakeClock
from tp_mcp.access.access_tokens import DAY_SECONDS, PREFIX, Tokens
from tp_mcp.errors import InvalidArgumentError
from tp_mcp.storage.opening import Storage


async def test_a_token_is_known_again_with_whose_it_is(tokens: Tokens) -> None:
    secret = await tokens.add("alice-laptop", "alice", days=None)
    assert secret.get_secret_value().startswith(PREFIX)
    known = await tokens.principal(secret)
    assert known is not None
    assert (known.name, known.principal) == ("alice-laptop", "token:alice")


@pytest.mark.parametrize("made_up", ["", "tpm_", "tpm_abc", "eyJ.a.b"])
async def test_what_was_not_handed_out_is_not_known(tokens: Tokens, made_up: str) -> None:
    await tokens.add("alice-laptop", "alice", days=None)
    assert await tokens.principal(SecretStr(made_up)) is None


async def test_only_its_hash_is_kept(tokens: Tokens, store: Storage) -> None:
    secret = await tokens.add("alice-laptop", "alice", days=None)

    def rows(db: sqlite3.Connection) -> str:
        return str([tuple(row) for row in db.execute("SELECT * FROM tokens")])

    kept = await store.watches._database.run(rows)
    assert secret.get_secret_value() not in kept
    assert secret.get_secret_value().removeprefix(PREFIX) not in kept


async def test_it_is_good_until_it_expires(tokens: Tokens, clock: FakeClock) -> None:
    secret = await tokens.add("ci", "ci", days=2)
    clock.time += 2 * DAY_SECONDS - 1
    assert await tokens.principal(secret) is not None
    clock.time += 1
    assert await tokens.principal(secret) is None


async def test_a_revoked_one_is_no_good_and_its_name_is_free_again(tokens: Tokens) -> None:
    first = await tokens.add("alice-laptop", "alice", days=None)
    with pytest.raises(InvalidArgumentError, match="already"):
        await tokens.add("alice-laptop", "mallory", days=None)
    await tokens.revoke("alice-laptop")
    assert await tokens.principal(first) is None
    second = await tokens.add("alice-laptop", "alice", days=None)
    assert await tokens.principal(second) is not None
    assert [token.revoked_at is None for token in await tokens.all()] == [False, True]


async def test_what_is_not_there_cannot_be_revoked(tokens: Tokens) -> None:
    with pytest.raises(InvalidArgumentError, match="no token 'nobody'"):
        await tokens.revoke("nobody")


async def test_of_two_with_one_name_one_is_made(tokens: Tokens) -> None:
    made = await asyncio.gather(*(tokens.add("x", "alice", days=None) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(each, SecretStr) for each in made) == 1


@pytest.mark.parametrize(
    ("name", "user", "days"),
    [("", "alice", None), ("a b", "alice", None), ("ok", "al/ice", None), ("ok", "alice", 0), ("ok", "alice", 1e9)],
)
async def test_what_cannot_be_used_is_refused(tokens: Tokens, name: str, user: str, days: float | None) -> None:
    with pytest.raises(InvalidArgumentError):
        await tokens.add(name, user, days=days)
    assert await tokens.all() == ()
