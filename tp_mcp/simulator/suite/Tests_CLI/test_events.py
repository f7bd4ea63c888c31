"""The event log."""

import re

import pytest


@pytest.mark.sanity
def test_no_critical_event_since_boot(cli):
    events = cli.run_ok("get log event").splitlines()
    critical = [event for event in events if re.search(r"level=(critical|alert|emergency)", event)]
    assert not critical


def test_start_is_logged(cli):
    assert "system started" in cli.run_ok("get log event")
