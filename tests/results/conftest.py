import pytest


@pytest.fixture
def marker() -> str:
    """Return a marker that the tests know."""
    return "3f9a3f9a3f9a3f9a"
