"""The environment that the command line's tests have."""

from tests.cli.conftest import clean_environment

__all__ = ["clean_environment"]
