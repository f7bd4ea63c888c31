"""Secrets are taken out of every text."""

import io
import logging
import sys
import time

import pytest
from pydantic import SecretStr

from tp_mcp.redaction import LEARNT_MAX, REDACTED, RedactingFilter, Redactor, Secrets

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
        Redactor((SecretStr("hunter"),)).knowing([SecretStr("hunter2000")]).redact("hunter2000 hunter")
        == "[redacted] [redacted]"
    )


def test_a_secret_too_short_to_hide_does_not_garble_the_text() -> None:
    assert Redactor((SecretStr("abc"), SecretStr(""))).redact("an abc of it") == "an abc of it"


def test_a_secret_of_four_characters_is_the_shortest_that_is_hidden() -> None:
    assert Redactor((SecretStr("k4z9"),)).redact("<k4z9>") == f"<{REDACTED}>"


def test_secrets_are_in_no_representation() -> None:
    assert "hunter2" not in repr(Redactor((SecretStr("hunter2"),)))


HOSTILE_PIECES = [
    *(
        "authorization",
        "authorization: ",
        "authorization: jwt ",
        "jwt ",
        "jwt" + " " * 500,
        "bearer a",
        "bearer " + "a" * 12,
    ),
    *("eyJ", "eyJ-", "eyJaaaa.", "eyJaaaa ", "execute ", "execute restore image scp ", "execute restore image scp a "),
    *(
        "execute" + " " * 999,
        "password",
        "password \t :",
        'password="',
        "password='\\",
        "secret\\",
        "secret=\\",
        "token=",
    ),
    *(
        "://",
        "://a",
        "://a:",
        "://" + "a" * 99 + ":",
        "://a:b",
        "\\",
        "\x1b[",
        "\x1b[" + "0" * 999,
        "H\r",
        "a \r",
        "a\n",
    ),
]


@pytest.mark.parametrize("piece", HOSTILE_PIECES)
def test_a_hostile_text_does_not_take_long(piece: str) -> None:
    redactor = Redactor((SecretStr("Hunter2"), SecretStr("a" * 10)))
    started = time.process_time()
    redactor.redact(piece * (1_000_000 // len(piece)))
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "broken",
    [
        "hun \rter2000",
        "hun\r\nter2000",
        "hunt\x1b[0mer2\x1b[1;31m000",
        "h\x00un\x7fter\n2000",
        "\r\n".join("hunter2000"),
    ],
)
def test_a_known_secret_is_found_where_a_terminal_broke_it(broken: str) -> None:
    assert Redactor((SecretStr("hunter2000"),)).redact(f"<{broken}>") == f"<{REDACTED}>"


def test_what_is_learnt_is_known_at_once_to_a_redactor_that_reads_it() -> None:
    secrets = Secrets(SecretStr("first-one"))
    redactor = Redactor(secrets)
    assert redactor.redact("first-one second-one") == f"{REDACTED} second-one"
    secrets.learn(SecretStr("second-one"))
    assert redactor.redact("first-one second-one") == f"{REDACTED} {REDACTED}"
    assert "second-one" not in repr(redactor)


def test_the_latest_of_what_was_learnt_are_remembered_and_the_first_always() -> None:
    secrets = Secrets(SecretStr("first-one"))
    for number in range(LEARNT_MAX + 1):
        secrets.learn(SecretStr(f"learnt-{number}"))
        secrets.learn(SecretStr("again"))
    known = [secret.get_secret_value() for secret in secrets]
    assert known[0] == "first-one"
    assert known[-2:] == [f"learnt-{LEARNT_MAX}", "again"]
    assert len(known) == LEARNT_MAX + 1
    assert known.count("again") == 1


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
