"""Traffic, with the lab's generator."""

import re

import pytest


class GeneratorError(RuntimeError):
    """The generator did not do what it was told."""


@pytest.fixture
def generator(cli):
    def run(stream):
        output = cli.run_ok(f"execute traffic-test {stream}")
        if "received" not in output:
            raise GeneratorError(f"stream {stream}: {output}")
        return int(re.search(r"(\d+) lost", output)[1])

    return run


@pytest.fixture
def warm(generator):
    generator("warm-up")
    return generator


@pytest.mark.parametrize("stream", ["imix", "small", "jumbo"])
def test_no_loss(generator, stream):
    assert generator(stream) == 0


@pytest.mark.parametrize("stream", ["imix", "small", "jumbo"])
def test_no_loss_when_warm(warm, stream):
    assert warm(stream) == 0


def test_raw_answer(cli):
    output = cli.run_ok("execute traffic-test raw")
    assert "0 lost" in output, output
