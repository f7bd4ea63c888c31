"""Secrets are taken out of every text."""

import io
import logging
import sys
import time

import pytest
from pydantic import SecretStr

from tp_mcp.redaction import REDACTED, RedactingFilter, Redactor

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VybmFtZSI6ImRlbW8ifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "secret", "kept"),
    [
        (f"Authorization: JWT {JWT}", JWT, "Authorization: "),
        ("authorization: Bearer abc", "abc", "authorization: "),
        ("{'Authorization': 'Basic ZGVtbzpkZW1v'}", "ZGVtbzpkZW1v", "Authorization"),
        ("sent JWT opaque-token-of-some-length to TP", "opaque-token-of-some-length", " to TP"),
        (f"the token is {JWT}.", JWT, "the token is "),
        (f"{JWT.rpartition('.')[0]}", JWT.rpartition(".")[0], ""),
        ("execute restore image scp /a/b.out 10.0.0.1 bob hunter2 done", "hunter2", "10.0.0.1 bob"),
        ('{"command": "execute restore image scp /a 10.0.0.1 bob hunter2"}', "hunter2", '"}'),
        ("EXECUTE  restore image scp /a h u p;x", "p;x", "h u"),
        ("password=hunter2&user=bob", "hunter2", "&user=bob"),
        ("Password: hunter2", "hunter2", "Password: "),
        ('{"password": "hun\\"ter2", "user": "bob"}', 'hun\\"ter2', '"user": "bob"'),
        ("{'password': 'hunter2'}", "hunter2", "'password'"),
        ('"{\\"password\\": \\"hunter2\\"}"', "hunter2", "password"),
        ('{"password": "hunter2', "hunter2", "password"),
        ('{"token": "opaque"}', "opaque", "token"),
        ("TP_MCP_TOKEN=opaque", "opaque", "TP_MCP_TOKEN="),
        ("TP_MCP_PASSWORD='hun ter2'", "hun ter2", "TP_MCP_PASSWORD="),
        ("https://bob:hunter2@tp.example/x", "hunter2", "@tp.example/x"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out_and_the_rest_stays(text: str, secret: str, kept: str) -> None:
    redacted = Redactor().redact(text)
    assert secret not in redacted
    assert REDACTED in redacted
    assert kept in redacted


@pytest.mark.parametrize(
    "text",
    [
        "The token has expired.",
        "Set TP_MCP_TOKEN to a token issued elsewhere.",
        "the password is wrong",
        "http://tp.example:8000/adc/automation/upgrade/AT16/",
        "passed: 3, failed: 1",
    ],
)
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert Redactor().redact(text) == text


@pytest.mark.parametrize(
    "spelling", ["p&ss w/ö\"'", "p%26ss%20w%2F%C3%B6%22%27", "p%26ss+w%2F%C3%B6%22%27", "p&ss w/\\u00f6\\\"'"]
)
def test_a_known_secret_is_found_in_every_usual_encoding(spelling: str) -> None:
    assert Redactor((SecretStr("p&ss w/ö\"'"),)).redact(f"<{spelling}>") == f"<{REDACTED}>"


def test_a_secret_that_contains_another_one_goes_as_a_whole() -> None:
    assert (
        Redactor((SecretStr("hunter"),)).knowing(SecretStr("hunter2000")).redact("hunter2000 hunter")
        == "[redacted] [redacted]"
    )


def test_a_secret_too_short_to_hide_does_not_garble_the_text() -> None:
    assert Redactor((SecretStr("abc"), SecretStr(""))).redact("an abc of it") == "an abc of it"


def test_secrets_are_in_no_representation() -> None:
    assert "hunter2" not in repr(Redactor((SecretStr("hunter2"),)))


@pytest.mark.parametrize(
    "piece", ['password="', "password='\\", "eyJ" * 3, "execute restore image scp a ", "://a:", "\\", "authorization "]
)
def test_a_hostile_text_does_not_take_long(piece: str) -> None:
    started = time.process_time()
    Redactor().redact(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 2


def logged(*, message: str, args: tuple[object, ...] = (), broken: bool = False, stack: bool = False) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter(Redactor((SecretStr("hunter2"),))))
    exc_info = None
    if broken:
        try:
            int("hunter2")
        except ValueError:
            exc_info = sys.exc_info()
    record = logging.LogRecord("x", logging.INFO, __file__, 1, message, args, exc_info)
    if stack:
        record.stack_info = "Stack: hunter2"
    handler.handle(record)
    return stream.getvalue()


def test_a_log_record_is_redacted_with_its_arguments() -> None:
    assert logged(message="logging in with %s as %s", args=("hunter2", "bob")) == "logging in with [redacted] as bob\n"


def test_a_traceback_and_a_stack_in_a_log_record_are_redacted() -> None:
    text = logged(message="failed", broken=True, stack=True)
    assert "hunter2" not in text
    assert "ValueError: invalid literal for int() with base 10: '[redacted]'" in text
    assert "Stack: [redacted]" in text


def test_a_log_record_whose_arguments_do_not_fit_is_redacted_too() -> None:
    text = logged(message="logging in with %d", args=("hunter2",))
    assert "hunter2" not in text
    assert "logging in" in text
