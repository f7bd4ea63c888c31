"""A sample test suite of a network appliance, the one the simulated controller runs.

The tests talk to the appliance of the testbed over its CLI; the rack file says where. What passes depends on the build
that runs there:

Tests_CLI   on a good build everything passes but two skips and two xfails. On build 6957 the RADIUS server table is
            not loaded after the reboot, so most of security/test_radius.py and one test of test_events.py fail with
            radiusd's message in their output; test_poe.py fails once for another reason (the budget's unit).
Tests_GUI   has one setup error on every build: its browser hub does not exist.
Tests_HA    has one flaky test: every second failover is too slow.
Tests_Log   passes.
Tests_Switch  passes on a good build; builds 6958 to 6963 each have several things wrong with them.

While the appliance reboots, every test that talks to it fails to connect.
"""

import json
import logging
from pathlib import Path

import pytest

pytest.register_assert_rewrite("fswlib.checks")

from fswlib.cli import CliSession  # noqa: E402
from fswlib.pace import Pace  # noqa: E402

log = logging.getLogger("suite")


def pytest_addoption(parser):
    parser.addoption("--rack-file", default=None, help="JSON file that describes the testbed")


@pytest.fixture(scope="session")
def rack(request):
    path = request.config.getoption("--rack-file")
    if path is None:
        pytest.fail("--rack-file is needed to run the tests")
    return json.loads(Path(path).read_text("utf-8"))


@pytest.fixture(scope="session")
def pace(rack):
    """Waits in appliance seconds."""
    return Pace(rack["time_scale"])


@pytest.fixture
def cli(rack, pace):
    """A session on the appliance's CLI."""
    with CliSession(rack["cli"]["host"], rack["cli"]["port"], pace) as session:
        log.info("connected to %s of %s", session.hostname, rack["testbed"])
        yield session
