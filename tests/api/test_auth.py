"""Credentials, and what a token says about itself."""

import base64
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from tp_mcp.api.auth import IssuedToken, PasswordLogin, TokenClaims, is_token, read_claims


def test_a_token_tells_its_user_and_its_end(make_token: Callable[..., IssuedToken]) -> None:
    claims = read_claims(make_token(username="demo", exp=1_780_000_000, email="demo@tp.example").token)
    assert claims == TokenClaims("demo", 1_780_000_000.0)


@pytest.mark.parametrize("exp", [None, "soon", True, float("inf"), float("nan"), 10**400, [1]])
def test_an_end_that_is_no_time_is_not_known(make_token: Callable[..., IssuedToken], exp: object) -> None:
    assert read_claims(make_token(username="demo", exp=exp).token) == TokenClaims("demo", None)


@pytest.mark.parametrize("username", [None, "", 7, ["demo"]])
def test_a_username_that_is_no_text_is_not_known(make_token: Callable[..., IssuedToken], username: object) -> None:
    assert read_claims(make_token(username=username).token).username is None


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b",
        "a.b.c.d",
        "a.!!.c",
        "a.abcde.c",
        f"a.{base64.urlsafe_b64encode(b'[1]').decode()}.c",
        f"a.{base64.urlsafe_b64encode(b'not json').decode()}.c",
        f"a.{base64.urlsafe_b64encode(bytes([255, 254])).decode()}.c",
        f"a.{base64.urlsafe_b64encode(b'[' * 9_000).decode()}.c",
        "a.ä.c",
    ],
)
def test_a_token_that_is_no_jwt_has_no_claims(token: str) -> None:
    assert read_claims(SecretStr(token)) == TokenClaims()


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("eyJ.abc-_.x", True),
        ("opaque+/=~", True),
        ("", False),
        ("JWT abc", False),
        ("a\nb", False),
        ("ä", False),
        ("a" * 16_001, False),
    ],
)
def test_a_token_is_one_word_that_fits_into_a_header(text: str, usable: bool) -> None:
    assert is_token(text) is usable


def test_credentials_do_not_show_their_secrets() -> None:
    shown = repr(PasswordLogin("demo", SecretStr("hunter2"))) + repr(IssuedToken(SecretStr("opaque")))
    assert "hunter2" not in shown
    assert "opaque" not in shown
