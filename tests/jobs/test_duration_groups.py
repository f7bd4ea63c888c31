from tp_mcp.jobs.duration_groups import run_groups, upgrade_groups


def test_upgrades_of_one_testbed_take_about_as_long() -> None:
    assert upgrade_groups("AT16") == ("upgrade:AT16",)


def test_runs_are_compared_with_the_same_tests_and_options_first_and_with_any_on_the_lab_then() -> None:
    close, wide = run_groups("AT16", ["a.py", "b.py"], ["-x", ""])
    assert wide == "run:AT16"
    assert close.startswith("run:AT16:")
    assert close == run_groups("AT16", ("a.py", "b.py"), ("-x", ""))[0]
    others = [(("a.py",), ("-x", "")), (("a.py", "b.py"), ("", "-x")), (("a.py", "b.py"), ("", ""))]
    assert len({close, *(run_groups("AT16", *other)[0] for other in others)}) == 4
