"""Tokens of an identity provider, signed with real keys, checked against what a local provider publishes."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.support.clock import FakeClock, still_clock
from tp_mcp.server.auth.identity_provider import (
    ANEW_AFTER_SECONDS,
    KEYS_MAX_BYTES,
    KEYS_SECONDS,
    LEEWAY_SECONDS,
    Provider,
    TokenChecker,
)

PROVIDER = Provider("https://id.example/", "tp-mcp", "https://id.example/keys")
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


def published(key: Any, key_id: str, **fields: Any) -> dict[str, Any]:
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": key_id, **fields}


PUBLISHED = [published(RSA, "one", use="sig"), published(EC, "two"), published(RSA, "enc", use="enc")]


@dataclass
class Keys:
    """What the provider publishes, and how often it was asked."""

    body: bytes = b""
    status: int = 200
    asked: int = 0
    of: list[dict[str, Any]] = field(default_factory=lambda: [*PUBLISHED])

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        assert str(request.url) == PROVIDER.keys_url
        self.asked += 1
        return httpx2.Response(self.status, content=self.body or json.dumps({"keys": self.of}))


@pytest.fixture
def clock() -> FakeClock:
    return still_clock()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def checker(clock: FakeClock, keys: Keys) -> TokenChecker:
    return TokenChecker(PROVIDER, clock, transport=httpx2.MockTransport(keys.handle))


def token(clock: FakeClock, key: Any = RSA, *, kid: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
    usual = {"iss": PROVIDER.issuer, "aud": PROVIDER.audience, "sub": "alice", "exp": int(clock.time) + 600}
    given = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode(given, key, algorithm=algorithm, headers={"kid": kid})


async def test_a_good_token_names_its_user(checker: TokenChecker, clock: FakeClock) -> None:
    assert await checker.user(token(clock)) == "alice"
    assert await checker.user(token(clock, EC, kid="two", algorithm="ES256")) == "alice"
    assert await checker.user(token(clock, aud=["other", "tp-mcp"])) == "alice"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example/"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"exp": None},
        {"exp": "soon"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"nbf": "later"},
    ],
    ids=str,
)
async def test_a_token_for_or_of_somebody_else_is_refused(
    checker: TokenChecker, clock: FakeClock, claims: dict[str, Any]
) -> None:
    assert await checker.user(token(clock, **claims)) is None


async def test_times_count_with_some_room_for_clocks_that_differ(checker: TokenChecker, clock: FakeClock) -> None:
    now = int(clock.time)
    assert await checker.user(token(clock, exp=now - LEEWAY_SECONDS + 1)) == "alice"
    assert await checker.user(token(clock, exp=now - LEEWAY_SECONDS)) is None
    assert await checker.user(token(clock, nbf=now + LEEWAY_SECONDS)) == "alice"
    assert await checker.user(token(clock, nbf=now + LEEWAY_SECONDS + 1)) is None


async def test_a_signature_that_is_not_the_providers_is_refused(checker: TokenChecker, clock: FakeClock) -> None:
    assert await checker.user(token(clock, OTHER_RSA)) is None
    assert await checker.user(token(clock, EC, kid="one", algorithm="ES256")) is None
    assert await checker.user(token(clock, kid="enc")) is None
    head, body, signature = token(clock).split(".")
    assert await checker.user(f"{head}.{body}.{signature[:-4]}AAAA") is None


async def test_no_token_chooses_a_weaker_check(checker: TokenChecker, clock: FakeClock) -> None:
    claims = {"iss": PROVIDER.issuer, "aud": PROVIDER.audience, "sub": "alice", "exp": int(clock.time) + 600}
    unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": "one"})
    secret = jwt.encode(claims, "x" * 64, algorithm="HS256", headers={"kid": "one"})
    assert await checker.user(unsigned) is None
    assert await checker.user(secret) is None


@pytest.mark.parametrize("wrong", ["", "a.b", "a.b.c", "tpm_abc", "x" * 20_000 + "..", "..", "e30.e30.e30"])
async def test_what_is_no_token_is_refused(checker: TokenChecker, wrong: str) -> None:
    assert await checker.user(wrong) is None


async def test_keys_are_kept_for_a_while_and_read_anew_for_one_that_is_new(
    checker: TokenChecker, clock: FakeClock, keys: Keys
) -> None:
    for _ in range(5):
        await checker.user(token(clock))
    assert keys.asked == 1
    keys.of = [published(OTHER_RSA, "three")]
    renewed = token(clock, OTHER_RSA, kid="three")
    assert await checker.user(renewed) is None
    assert keys.asked == 1, "so soon it would let anybody make us ask the provider"
    clock.time += ANEW_AFTER_SECONDS + 1
    assert await checker.user(renewed) == "alice"
    clock.time += KEYS_SECONDS + 1
    assert await checker.user(token(clock, OTHER_RSA, kid="three")) == "alice"
    assert keys.asked == 3


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"{}"), (302, b""), (200, b"<html>"), (200, b'{"keys": []}'), (200, b" " * (KEYS_MAX_BYTES * 2) + b"{}")],
    ids=["fails", "redirects", "answers a page", "has none", "answers without end"],
)
async def test_while_the_provider_answers_nothing_useful_its_known_keys_count_and_no_others(
    checker: TokenChecker, clock: FakeClock, keys: Keys, status: int, body: bytes
) -> None:
    assert await checker.user(token(clock)) == "alice"
    keys.status, keys.body = status, body
    clock.time += KEYS_SECONDS + 1
    assert await checker.user(token(clock)) == "alice"
    assert await checker.user(token(clock, OTHER_RSA, kid="new")) is None


async def test_another_claim_can_name_the_user(clock: FakeClock, keys: Keys) -> None:
    provider = Provider(PROVIDER.issuer, PROVIDER.audience, PROVIDER.keys_url, claim="email")
    checker = TokenChecker(provider, clock, transport=httpx2.MockTransport(keys.handle))
    assert await checker.user(token(clock, email="alice@example")) == "alice@example"
    assert await checker.user(token(clock)) is None
