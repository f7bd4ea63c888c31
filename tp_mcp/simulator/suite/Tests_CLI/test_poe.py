"""Power over Ethernet."""

import re

import pytest


class TestPoe:
    def test_port_delivers(self, cli):
        assert "port5: delivering power" in cli.run_ok("diagnose switch poe status")

    def test_budget(self, cli):
        output = cli.run_ok("diagnose switch poe status")
        budget = int(re.search(r"Unit power budget: (\d+) W", output)[1])
        assert budget <= 740, f"no 448E has a PoE budget of {budget} W"

    @pytest.mark.skip(reason="needs a load at port 7")
    def test_overload(self, cli):
        cli.run_ok("diagnose switch poe overload port7")
