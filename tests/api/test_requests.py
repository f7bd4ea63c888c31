"""What starts something is made through the guard, and each refusal says what would be right."""

from typing import Any

import pytest

from tp_mcp.api.requests import PytestRequest, UpgradeMode, UpgradeRequest
from tp_mcp.errors import InputError, InvalidArgumentError, UnsafeArgumentError

COMMAND = "execute restore image scp /builds/image.out 10.15.1.2 autobuild hunter2"


@pytest.mark.parametrize(
    ("given", "payload"),
    [
        ({"mode": "command", "command": f"  {COMMAND} "}, {"mode": "command", "command": COMMAND}),
        ({"mode": "build", "build_number": "0815", "version": ""}, {"mode": "build", "build_number": "0815"}),
        ({"mode": UpgradeMode.GA, "version": "7.6.5", "command": None}, {"mode": "ga", "version": "7.6.5"}),
    ],
)
def test_an_upgrade_has_its_mode_and_what_the_mode_needs(given: dict[str, Any], payload: dict[str, Any]) -> None:
    assert UpgradeRequest.checked(testbed="AT16", **given).payload() == {"testbed": "AT16"} | payload


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mode": "build"}, 'mode "build" needs build_number'),
        ({"mode": "build", "build_number": ""}, 'mode "build" needs build_number'),
        ({"mode": "command"}, 'mode "command" needs command'),
        ({"mode": "ga", "build_number": "1"}, 'mode "ga" needs version'),
        ({"mode": "ga", "version": "7.6.5", "build_number": "1"}, "build_number was given too"),
        (
            {"mode": "ga", "version": "7.6.5", "build_number": "1", "command": "x"},
            "command and build_number was given too",
        ),
        ({"mode": "latest"}, "mode is 'latest'.*Allowed"),
        ({"mode": None}, "mode is None"),
        ({"mode": ["build"]}, "mode is"),
        ({"mode": "build", "build_number": 815}, 'may have lost a leading zero.*"0815"'),
        ({"mode": "build", "build_number": 10**5_000}, "too big to show"),
        ({"mode": "build", "build_number": True}, "must be a string of 1 to 10 digits"),
        ({"mode": "build", "build_number": "12a"}, "'12a'; it must be a string of 1 to 10 digits"),
        ({"mode": "build", "build_number": "١٢"}, "digits"),
        ({"mode": "build", "build_number": "12\n"}, "digits"),
        ({"mode": "ga", "version": 7.6}, "three numbers"),
        ({"mode": "ga", "version": "7.6"}, "three numbers"),
        ({"mode": "ga", "version": "7.6.5\n"}, "three numbers"),
        ({"mode": "command", "command": 7}, "must be a line of text"),
    ],
)
def test_a_wrong_upgrade_is_refused_with_what_would_be_right(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        UpgradeRequest.checked(testbed="AT16", **given)
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["", " ", " a", "a ", None, 7, "x" * 201])
def test_a_name_that_is_none_is_invalid(name: object) -> None:
    with pytest.raises(InvalidArgumentError, match="lab"):
        PytestRequest.checked(lab=name, testcase=["a"])


@pytest.mark.parametrize(
    "name",
    [
        "a/b",
        "..",
        "a..b",
        ".",
        "-a",
        "a\nb",
        "a\x00",
        "a;b",
        "$(a)",
        "`a`",
        "a'b",
        'a"b',
        "a*",
        "a?",
        "a|b",
        "a\\b",
        "{a}",
    ],
)
def test_a_name_that_could_be_something_else_is_unsafe(name: str) -> None:
    with pytest.raises(UnsafeArgumentError, match="testbed"):
        UpgradeRequest.checked(testbed=name, mode="ga", version="7.6.5")


@pytest.mark.parametrize("name", ["AT16_Combined_FSW", "AT 16", "a.b-c+d", "Lab#3 (old)", "Prüfstand"])
def test_usual_names_are_taken(name: str) -> None:
    assert PytestRequest.checked(lab=name, testcase=["a"]).lab == name


def test_a_password_is_in_no_representation_of_a_request() -> None:
    request = UpgradeRequest.checked(testbed="AT16", mode="command", command=COMMAND)
    assert request.command is not None
    shown = f"{request} {request!r} {request.command} {request.command!r}"
    assert "hunter2" not in shown
    assert "10.15.1.2 autobuild ****" in str(request.command)
    assert request.command.line() == COMMAND


@pytest.mark.parametrize("password", ["pass$word", "pass;word", "pass'word"])
def test_a_refused_command_is_not_repeated(password: str) -> None:
    with pytest.raises(InputError, match="password") as caught:
        UpgradeRequest.checked(testbed="AT16", mode="command", command=COMMAND.replace("hunter2", password))
    assert password not in str(caught.value)


@pytest.mark.parametrize("testcase", [None, "a.py", [], (), {}, {"a.py"}, 7, [None], [7], [["a.py"]]])
def test_test_ids_come_as_a_list_of_texts(testcase: object) -> None:
    with pytest.raises(InvalidArgumentError, match="testcase"):
        PytestRequest.checked(lab="AT16", testcase=testcase)


def test_too_many_test_ids_are_refused() -> None:
    assert len(PytestRequest.checked(lab="AT16", testcase=["a"] * 500).testcase) == 500
    with pytest.raises(InvalidArgumentError, match="501 ids; at most 500"):
        PytestRequest.checked(lab="AT16", testcase=["a"] * 501)
    with pytest.raises(InvalidArgumentError, match="characters in total"):
        PytestRequest.checked(lab="AT16", testcase=["a" * 1_000] * 61)


def test_arguments_may_be_left_out() -> None:
    request = PytestRequest.checked(lab="AT16", testcase=["a"], argument=None, extra_pytest_options=None)
    assert request == PytestRequest.checked(lab="AT16", testcase=["a"])
    with pytest.raises(InvalidArgumentError, match="argument must be a string"):
        PytestRequest.checked(lab="AT16", testcase=["a"], argument=["-v"])
    with pytest.raises(InvalidArgumentError, match="extra_pytest_options contains the unknown option '--nope'"):
        PytestRequest.checked(lab="AT16", testcase=["a"], extra_pytest_options="--nope")


@pytest.mark.parametrize(("field", "text"), [("argument", "-v --collect-only"), ("extra_pytest_options", "--co")])
def test_a_run_that_only_collects_says_so(field: str, text: str) -> None:
    arguments: dict[str, object] = {field: text}
    assert PytestRequest.checked(lab="AT16", testcase=["a"], **arguments).only_collects  # type: ignore[arg-type]  # by name
    assert not PytestRequest.checked(lab="AT16", testcase=["a"], argument="-k collect").only_collects


def test_an_operator_can_allow_more_options() -> None:
    allowed = frozenset({"--rack-slot"})
    request = PytestRequest.checked(
        lab="AT16",
        testcase=["a"],
        argument="--rack-slot",
        extra_pytest_options="--rack-slot='a b'",
        extra_allowed_options=allowed,
    )
    assert (request.argument.argv, request.extra_pytest_options.carried) == (("--rack-slot",), "'--rack-slot=a b'")
