"""What TP says in an error is made fit to be repeated."""

import json

import pytest
from pydantic import SecretStr

from tp_mcp.api.answers import LONGEST_WORDS, clean, server_words
from tp_mcp.redaction import Redactor

KNOWING = Redactor((SecretStr("hunter2"),))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "another execution is already in flight"}, "another execution is already in flight"),
        ({"detail": "Signature has expired."}, "Signature has expired."),
        ({"non_field_errors": ["Unable to log in.", 7]}, "Unable to log in."),
        ({"testbed": ["This field is required."], "n": 1}, "testbed: This field is required."),
        ({"error": "", "message": "second"}, "second"),
        (["one", "two"], "one; two"),
        ("plain", "plain"),
        ({"error": {"nested": 1}}, ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_words_are_found_in_json(answer: object, words: str) -> None:
    assert server_words(json.dumps(answer).encode(), KNOWING) == words


def test_plain_text_is_words_and_a_page_has_none() -> None:
    assert server_words(b"Bad gateway\n", KNOWING) == "Bad gateway"
    assert server_words(b" <html>Bad gateway</html>", KNOWING) == ""
    assert server_words(b"", KNOWING) == ""
    assert server_words(b"\xff\xfe", KNOWING) != "\xff"


def test_json_nested_without_end_is_taken_as_text() -> None:
    assert server_words(b"[" * 15_000, KNOWING).startswith("[[[")


def test_control_sequences_and_invisible_characters_are_stripped() -> None:
    assert clean("a\x1b[31mred\x1b[0m\x1b]0;title\x07\x00\u202e\r\nb\x1bM\tc", KNOWING) == "ared b c"


def test_a_secret_taken_apart_by_control_characters_is_still_found() -> None:
    assert "hunter2" not in clean("hun\x00ter2 hun\x1b[0mter2", KNOWING)


def test_long_words_are_cut_and_say_so_without_leaving_half_a_secret() -> None:
    text = "x" * (LONGEST_WORDS - 3) + "hunter2" + "y" * 50
    cut = clean(text, KNOWING)
    assert cut.endswith("... (cut)")
    assert "hun" not in cut
    assert len(cut) < LONGEST_WORDS + 20
