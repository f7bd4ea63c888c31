from dataclasses import replace

import pytest

from tp_mcp.access.confirmations import LISTED_AT_MOST, Proposal, changed_lines
from tp_mcp.access.policy import Action

PROPOSAL = Proposal(
    action=Action.UPGRADE,
    tool="start_upgrade",
    arguments='{"testbed": "AT16"}',
    testbed="AT16",
    what="upgrade of AT16 to build 6957",
    devices=("nac1 10.0.0.1", "ncm1 10.0.0.2"),
    running="build 6950",
    target="build 6957",
    lab_status="Available",
    users=("rival",),
    executions=(445,),
    watches=("w_1 goes on there",),
    chain=("on_done: run_pytest",),
)


def test_a_plan_says_what_a_person_has_to_know_and_the_change_first() -> None:
    first, *rest = PROPOSAL.lines()
    assert first == "Upgrade of AT16 to build 6957."
    assert rest == [
        "Testbed: AT16 (Available)",
        "Devices: nac1 10.0.0.1, ncm1 10.0.0.2",
        "Build: build 6950 -> build 6957",
        'Arguments: {"testbed": "AT16"}',
        "May also be used by: rival",
        "Executions going on there: 445",
        "Also watched there: w_1 goes on there",
        "Then: on_done: run_pytest",
    ]


def test_what_is_not_known_is_left_out_or_called_unknown() -> None:
    bare = Proposal(action=Action.RUN, tool="run_pytest", arguments="{}", testbed="AT16", what="run", target="build 1")
    assert bare.lines() == (
        "Run.",
        "Testbed: AT16",
        "Build: unknown -> build 1",
        "Arguments: {}",
        "Executions going on there: none known",
    )


def test_a_long_list_says_how_many_more_there_are() -> None:
    many = replace(PROPOSAL, users=tuple(f"user{number}" for number in range(LISTED_AT_MOST + 3)))
    assert any(line.endswith(" and 3 more") for line in many.lines())


@pytest.mark.parametrize(
    "changed",
    [
        {"testbed": "AT17"},
        {"running": "build 6955"},
        {"target": "build 6955"},
        {"executions": ()},
        {"users": ()},
        {"chain": ()},
        {"devices": ()},
        {"arguments": "{}"},
    ],
)
def test_two_plans_that_differ_in_anything_have_different_digests(changed: dict[str, object]) -> None:
    other = replace(PROPOSAL, **changed)  # type: ignore[arg-type] # each is of its field's type
    assert other.digest != PROPOSAL.digest
    assert replace(PROPOSAL).digest == PROPOSAL.digest


def test_what_changed_is_told_by_its_lines() -> None:
    after = replace(PROPOSAL, executions=(445, 446)).lines()
    assert changed_lines(PROPOSAL.lines(), after) == ("Executions going on there: 445, 446",)
