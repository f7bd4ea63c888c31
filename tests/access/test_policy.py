import pytest

from tp_mcp.access.policy import Action, Confirm, Need, Policy, over_budget
from tp_mcp.errors import PolicyError


def test_without_settings_everything_may_be_changed_and_upgrades_are_confirmed() -> None:
    policy = Policy()
    for action in Action:
        policy.check(action, "AT16")
        assert policy.daily_limit(action) is None
        assert policy.need(action, "AT16") is (Need.CALLER if action is Action.UPGRADE else Need.NOBODY)


@pytest.mark.parametrize("action", Action)
def test_read_only_refuses_every_change_and_names_its_setting(action: Action) -> None:
    with pytest.raises(PolicyError, match="read-only") as refused:
        Policy(read_only=True).check(action, "AT16")
    assert "TP_MCP_READ_ONLY" in refused.value.remedy


def test_only_allowed_testbeds_may_be_changed_however_their_names_are_written() -> None:
    policy = Policy(allowed_testbeds=("AT1*", "Lab-?"))
    policy.check(Action.RUN, "at16_Combined")
    policy.check(Action.RUN, "lab-A")
    with pytest.raises(PolicyError, match="AT21 may not be changed") as refused:
        policy.check(Action.RUN, "AT21")
    assert "AT1*, Lab-?" in refused.value.remedy


@pytest.mark.parametrize("confirm", Confirm)
@pytest.mark.parametrize("action", Action)
def test_every_change_of_a_protected_testbed_needs_a_person(confirm: Confirm, action: Action) -> None:
    assert Policy(protected_testbeds=("PROD*",), confirm=confirm).need(action, "prod1") is Need.PERSON


@pytest.mark.parametrize(
    ("confirm", "asked"),
    [(Confirm.NOTHING, set()), (Confirm.UPGRADES, {Action.UPGRADE}), (Confirm.EVERYTHING, set(Action))],
)
def test_what_is_confirmed_elsewhere_is_a_setting(confirm: Confirm, asked: set[Action]) -> None:
    policy = Policy(protected_testbeds=("PROD*",), confirm=confirm)
    assert {action for action in Action if policy.need(action, "AT16") is Need.CALLER} == asked


def test_upgrades_and_runs_have_budgets_of_their_own() -> None:
    policy = Policy(daily_upgrades=1, daily_runs=20)
    assert [policy.daily_limit(action) for action in Action] == [1, 20, None, None]
    refused = over_budget(Action.UPGRADE, 1)
    assert refused.message == "The budget of 1 upgrade in 24 hours is used up."
    assert "TP_MCP_DAILY_UPGRADES" in refused.remedy
    assert "budget of 20 runs" in over_budget(Action.RUN, 20).message


@pytest.mark.parametrize(
    ("protected", "later", "need"),
    [
        ((), (), Need.NOBODY),
        ((), ((Action.RUN, "AT16"),), Need.NOBODY),
        ((), ((Action.RUN, "AT16"), (Action.UPGRADE, "AT16")), Need.CALLER),
        (("AT3*",), ((Action.UPGRADE, "AT16"), (Action.RUN, "at33")), Need.PERSON),
        (("AT3*",), ((Action.RUN, None),), Need.PERSON),
        ((), ((Action.RUN, None),), Need.NOBODY),
        ((), ((Action.UPGRADE, None),), Need.CALLER),
    ],
)
def test_a_chain_is_confirmed_by_whom_its_strictest_step_needs(
    protected: tuple[str, ...], later: tuple[tuple[Action, str | None], ...], need: Need
) -> None:
    assert Policy(protected_testbeds=protected).need_of_all(Need.NOBODY, later) is need
